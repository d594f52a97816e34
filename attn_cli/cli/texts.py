"""The sentences to look at: from the command line, a pipe or a file, one a line, read as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Protocol, runtime_checkable

from attn_cli.encoding import check_text, decode_text
from attn_cli.errors import AttnError, InputError, UsageError, counted

__all__ = ["TABLE", "Sentence", "count_lines", "lines_of", "located", "sentences"]

TABLE = ".tsv"
"""What the name of a file ends in whose lines have columns: a text, a tab, its target."""

COLUMNS = "a text, a tab and its target"
"""What each line of a table holds."""

REMEDY = "Name a text file with one sentence a line"

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
    target: str | None = None
    """What the decoder is made to write."""


def sentences(
    text: str | None, file: Path | None, *, target: str | None = None, blanks: bool = False, holds: str = COLUMNS
) -> Iterator[Sentence]:
    """The sentences that a command was given.

    Args:
        text: the argument; `-` means standard input, as does None where something is piped in.
        file: what `--file` names; `-` means standard input here too. In a `.tsv`, the second column is the target.
        target: what `--target` gives.
        blanks: give blank lines too, as empty texts, so that the sentences can be counted.
        holds: what each line of a `.tsv` holds, for the message where one does not.

    Raises:
        UsageError: there is no text, or two sources of it.
        InputError: it is blank, cannot be read, is not UTF-8, or has lines with other columns than the first.
    """
    if text is not None and file is not None:
        raise UsageError("There is a text and a --file as well", "Give one of them")
    if target is not None:
        check_text(target, "The text of --target")
    piped = "-" in (text, str(file))
    if file is not None and file.suffix == TABLE:
        if target is not None:
            raise UsageError(f"{file} has a column of targets, so --target cannot go with it", "Give one of them")
        return _nonempty(_pairs(lines_of(file), holds), str(file), blanks=blanks)
    if file is not None and not piped:
        found, name = lines_of(file), str(file)
    elif piped or (text is None and not sys.stdin.isatty()):
        found, name = _lines(sys.stdin.buffer, "standard input"), "standard input"
    elif text is None:
        raise UsageError("There is no text to look at", "Give a sentence in quotes, pipe lines in, or use --file PATH")
    else:
        return iter([Sentence(check_text(text), target=target)])
    return _nonempty((replace(line, target=target) for line in found), name, blanks=blanks)


def lines_of(path: Path, remedy: str = REMEDY) -> Iterator[Sentence]:
    """The lines of a file, blank ones too.

    Args:
        path: the file.
        remedy: what to do where it cannot be read.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        lines = path.open("rb")
    except OSError as error:
        raise _unreadable(str(path), error, remedy) from error
    with lines:
        yield from _lines(lines, str(path), remedy)


def count_lines(path: Path, *, blanks: bool = True) -> int | None:
    """How many lines a file has, the last without a line end counted; None where that would use it up, as in a pipe.

    Args:
        path: the file.
        blanks: count blank lines too.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as lines:
            return sum(1 for line in lines if blanks or line.strip())
    except OSError:  # whoever reads it will say so
        return None


def _lines(stream: _Lines, name: str, remedy: str = REMEDY) -> Iterator[Sentence]:
    for number in count(1):
        where = f"line {number} of {name}"
        try:
            line = stream.readline(LONGEST + 1)
        except OSError as error:
            raise _unreadable(name, error, remedy) from error
        if not line:
            return
        if len(line) > LONGEST:
            raise InputError(f"{where} is longer than {LONGEST:,} bytes", "Give a text with one sentence a line")
        yield Sentence(decode_text(line, where).removeprefix("\ufeff").rstrip("\r\n"), where)


def _nonempty(found: Iterable[Sentence], name: str, *, blanks: bool) -> Iterator[Sentence]:
    empty = True
    for sentence in found:
        if sentence.text.strip():
            empty = False
            yield sentence
        elif blanks:
            yield replace(sentence, text="", target=None)
    if empty:
        raise InputError(f"There is no text in {name}", "Give one sentence a line")


def _pairs(lines: Iterable[Sentence], holds: str) -> Iterator[Sentence]:
    """Each line's first column as a text, and its second as the target, where there is one."""
    columns = 0
    for line in lines:
        if not line.text.strip():
            yield line
            continue
        text, *rest = line.text.split("\t")
        columns = columns or 1 + len(rest)
        if len(rest) + 1 != columns:
            raise InputError(
                f"{line.where} has {counted(1 + len(rest), 'column')}, and the lines before it have {columns}",
                f"Give every line {holds}",
            )
        for content, what in ((text, "text"), *([(rest[0], "target")] if rest else [])):
            if not content.strip():
                raise InputError(f"{line.where} has no {what}", f"Give every line {holds}")
        yield Sentence(text, line.where, rest[0] if rest else None)


def _unreadable(name: str, error: OSError, remedy: str) -> InputError:
    return InputError(f"{name} cannot be read: {error.strerror}", remedy)


def located(error: AttnError, where: str) -> AttnError:
    """The same error, saying where it happened; but for a fault of the command line, which happens everywhere."""
    if not where or isinstance(error, UsageError):
        return error
    return type(error)(f"{where}: {error.problem}", error.remedy)
