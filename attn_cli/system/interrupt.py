"""Ctrl-C that lets what is under way come to its end, so that what was done so far is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["patience"]


@contextmanager
def patience(asked_first: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """While it is entered, the first Ctrl-C only asks to stop; a second stops at once.

    Args:
        asked_first: called at the first.

    Yields:
        Whether to stop.
    """
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        asked_first()

    if threading.current_thread() is not threading.main_thread():  # Python lets no other hear of signals
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
