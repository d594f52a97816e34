"""Standard input, output and error, which always exist here and fail with attn's own errors."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from attn_cli.draw.labels import clean
from attn_cli.errors import OutputError

__all__ = ["ReaderGoneError", "say", "standard_streams"]


class ReaderGoneError(Exception):
    """The reader of standard output has closed the pipe (`| head`).

    Not an `OSError`, because Typer and Rich each turn a broken pipe into an exit of their own.
    """


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make the process's standard streams safe to use within the block, and restore them afterwards.

    Of the streams that were closed when the process started, input reads as empty, output fails on writing, and error
    discards everything. Their descriptors are taken, so that no file opened later gets one of them and is written to by
    mistake. Text that a stream cannot encode does not raise a `UnicodeEncodeError`.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    # In this order, because a new file gets the lowest free descriptor.
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - a stream, open to the end
    raw = io.FileIO(os.open(os.devnull, os.O_RDONLY), "w") if sys.stdout is None else _raw(sys.stdout)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if raw is not None:
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(raw), 2**16),
            encoding=sys.stdout.encoding if sys.stdout else "utf-8",
            line_buffering=raw.isatty(),
        )
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    try:
        yield
    finally:
        with suppress(OutputError, ReaderGoneError):  # the failure has been reported already
            sys.stdout.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _raw(stream: Any) -> io.RawIOBase | None:
    """Return the raw file under a text stream, or None if the stream was replaced (in a test or a notebook)."""
    buffer = getattr(stream, "buffer", None)
    raw = buffer.raw if isinstance(buffer, io.BufferedWriter) else buffer  # there is no buffer with PYTHONUNBUFFERED
    return raw if isinstance(raw, io.RawIOBase) else None


class _Output(io.RawIOBase):
    """Raw standard output whose failed writes raise attn's own errors."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._failed = False

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw.isatty()

    def fileno(self) -> int:
        return self._raw.fileno()

    def write(self, data: Any, /) -> int | None:
        if self._failed:  # discard what is still buffered when the program ends
            return len(data)
        try:
            return self._raw.write(data)
        except BrokenPipeError as error:
            self._failed = True
            raise ReaderGoneError from error
        except OSError as error:
            self._failed = True
            raise OutputError(
                f"Standard output cannot be written: {error.strerror}", "Make room there, or send it elsewhere"
            ) from error


def say(message: str) -> None:
    """Write one line to stderr, with control characters made visible; do nothing if stderr cannot be written."""
    try:
        print(f"attn: {clean(message)}", file=sys.stderr, flush=True)
    except OSError:
        with suppress(OSError):  # Python flushes again at exit, which must not change the exit code
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
