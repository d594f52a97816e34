"""Suppression of what compiled libraries print without going through Python.

Rust and C write to descriptors 1 and 2 directly, so replacing `sys.stdout` or `sys.stderr` does not stop them. In a
process of our own, Python's streams get descriptors that no library knows of; then 1 and 2 can be redirected to the
null device while a library runs.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["compiled_unheard", "mute_logs", "take_streams"]

DESCRIPTORS = (1, 2)

_lock = threading.Lock()
_taken = False
_inside = 0
_kept: dict[int, int] = {}


def take_streams() -> None:
    """Give `sys.stdout` and `sys.stderr` descriptors of their own and ignore warnings, until the process ends.

    Only for a process of attn's own: in a notebook or a test, the descriptors belong to another program.
    """
    global _taken
    sys.stdout, sys.stderr = _own(sys.stdout, 1), _own(sys.stderr, 2)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    _taken = True


def mute_logs() -> None:
    """Disable logging; no effect if the streams have not been taken."""
    if _taken:
        import logging  # imported late: built-in models need no library that logs

        logging.disable()


def _own(stream: Any, descriptor: int) -> Any:
    """Reopen a stream on a new descriptor; return it unchanged if it is None or does not use `descriptor`."""
    if stream is None or stream.fileno() != descriptor:
        return stream
    return os.fdopen(
        os.dup(descriptor),
        "w",
        buffering=1 if stream.line_buffering else -1,
        encoding=stream.encoding,
        errors=stream.errors,
    )


@contextmanager
def compiled_unheard() -> Iterator[None]:
    """Discard what is written to descriptors 1 and 2 within the block; no effect if the streams have not been taken."""
    if not _taken:
        yield
        return
    _change(+1)
    try:
        yield
    finally:
        _change(-1)


def _change(by: int) -> None:
    """Count one more or one less block in any thread; the first redirects the descriptors, the last restores them."""
    global _inside
    with _lock:
        first, _inside = _inside == 0, _inside + by
        if by > 0 and first:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for descriptor in DESCRIPTORS:
                try:
                    _kept[descriptor] = os.dup(descriptor)
                except OSError:  # closed by the parent process, so nothing can be written there
                    continue
                os.dup2(nowhere, descriptor)
            os.close(nowhere)
        elif by < 0 and _inside == 0:
            for descriptor, kept in _kept.items():
                os.dup2(kept, descriptor)
                os.close(kept)
            _kept.clear()
