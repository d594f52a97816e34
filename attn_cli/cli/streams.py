"""Standard input, output and error: always there, and where one fails it says so in our own words."""

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
    """Whoever read our output has seen enough (`| head`).

    No `OSError`, because Typer and Rich each turn a broken pipe into an exit of their own.
    """


@contextmanager
def standard_streams() -> Iterator[None]:
    """While it is entered, the process's own streams can be used without a thought; afterwards they are as they were.

    A stream that whoever started us has closed reads as empty, fails like a full disk, or drops what is said. Its
    number is taken, so that no file opened later gets it and is written to by mistake. Text that a stream cannot show
    does not end in a `UnicodeEncodeError`.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    # In this order, because a file that is opened gets the lowest number that is free.
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
        with suppress(OutputError, ReaderGoneError):  # what could be said of that has been said
            sys.stdout.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _raw(stream: Any) -> io.RawIOBase | None:
    """The file under a text stream; None where something else stands in its place (a test's, a notebook's)."""
    buffer = getattr(stream, "buffer", None)
    raw = buffer.raw if isinstance(buffer, io.BufferedWriter) else buffer  # there is no buffer with PYTHONUNBUFFERED
    return raw if isinstance(raw, io.RawIOBase) else None


class _Output(io.RawIOBase):
    """Standard output, whose failed writes say what to do next."""

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
        if self._failed:  # what is still in the buffers when the program ends has nowhere to go
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
    """One line on stderr, in which control characters are seen and not obeyed; without a word where it cannot be."""
    try:
        print(f"attn: {clean(message)}", file=sys.stderr, flush=True)
    except OSError:
        with suppress(OSError):  # Python tries again when it ends, and that must not change the exit code
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
