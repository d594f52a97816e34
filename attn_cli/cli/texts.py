"""The sentences to look at: from the command line, a pipe or a file, one a line, read as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol, runtime_checkable

from attn_cli.encoding import check_text, decode_text
from attn_cli.errors import AttnError, InputError, UsageError

__all__ = ["Sentence", "located", "sentences"]

LONGEST = 2**24
"""Bytes in a line. No model reads as much, and what has no lines (`/dev/zero`, a picture) must end somewhere."""


@runtime_checkable
class _Lines(Protocol):
    """A file open for reading bytes."""

    def readline(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Sentence:
    """One text, and where it came from."""

    text: str
    where: str = ""
    """`line 3 of notes.txt`; empty for the command line."""


def sentences(text: str | None, file: Path | None) -> Iterator[Sentence]:
    """The sentences that a command was given.

    Args:
        text: the argument; `-` means standard input, as does None where something is piped in.
        file: what `--file` names; `-` means standard input here too.

    Raises:
        UsageError: there is no text, or two sources of it.
        InputError: it is blank, cannot be read, or is not UTF-8.
    """
    if text is not None and file is not None:
        raise UsageError("There is a text and a --file as well", "Give one of them")
    piped = "-" in (text, str(file))
    if file is not None and not piped:
        return _from_file(file)
    if piped or (text is None and not sys.stdin.isatty()):
        return _lines(sys.stdin.buffer, "standard input")
    if text is None:
        raise UsageError("There is no text to look at", "Give a sentence in quotes, pipe lines in, or use --file PATH")
    return iter([Sentence(check_text(text))])


def _from_file(path: Path) -> Iterator[Sentence]:
    try:
        lines = path.open("rb")
    except OSError as error:
        raise _unreadable(str(path), error) from error
    with lines:
        yield from _lines(lines, str(path))


def _lines(stream: _Lines, name: str) -> Iterator[Sentence]:
    found = False
    for number in count(1):
        where = f"line {number} of {name}"
        try:
            line = stream.readline(LONGEST + 1)
        except OSError as error:
            raise _unreadable(name, error) from error
        if not line:
            break
        if len(line) > LONGEST:
            raise InputError(f"{where} is longer than {LONGEST:,} bytes", "Give a text with one sentence a line")
        text = decode_text(line, where).removeprefix("\ufeff").rstrip("\r\n")
        if text.strip():
            found = True
            yield Sentence(text, where)
    if not found:
        raise InputError(f"There is no text in {name}", "Give one sentence a line")


def _unreadable(name: str, error: OSError) -> InputError:
    return InputError(f"{name} cannot be read: {error.strerror}", "Name a text file with one sentence a line")


def located(error: AttnError, where: str) -> AttnError:
    """The same error, saying where it happened."""
    return type(error)(f"{where}: {error.problem}", error.remedy) if where else error
