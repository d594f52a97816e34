"""Handling of Ctrl-C that lets the current step finish, so that the work done so far is complete."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["interruptible"]


@contextmanager
def interruptible(asked_first: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Make the first Ctrl-C within the block only request a stop; a second one stops at once.

    Args:
        asked_first: a function called at the first Ctrl-C.

    Yields:
        A function that returns whether a stop was requested; always False outside the main thread.
    """
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        asked_first()

    if threading.current_thread() is not threading.main_thread():  # Python handles signals in the main thread only
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
