"""The sentences to look at: from the command line, a pipe or a file, one a line, read as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from attn_cli.encoding import decode_text
from attn_cli.errors import AttnError, InputError, UsageError

__all__ = ["Sentence", "located", "sentences"]


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
        file: what `--file` names.

    Raises:
        UsageError: there is no text, or two sources of it.
        InputError: it is blank, cannot be read, or is not UTF-8.
    """
    if text is not None and file is not None:
        raise UsageError("There is a text and a --file as well", "Give one of them")
    if file is not None:
        return _from_file(file)
    if text == "-" or (text is None and not sys.stdin.isatty()):
        return _lines(sys.stdin.buffer, "standard input")
    if text is None:
        raise UsageError("There is no text to look at", "Give a sentence in quotes, pipe lines in, or use --file PATH")
    return iter([Sentence(_not_blank(_well_formed(text)))])


def _from_file(path: Path) -> Iterator[Sentence]:
    try:
        with path.open("rb") as lines:
            yield from _lines(lines, str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _lines(lines: Iterable[bytes], name: str) -> Iterator[Sentence]:
    found = False
    for number, line in enumerate(lines, start=1):
        where = f"line {number} of {name}"
        text = (
            decode_text(line, where, "Convert it, for example with: iconv -f LATIN1 -t UTF-8")
            .removeprefix("\ufeff")
            .rstrip("\r\n")
        )
        if text.strip():
            found = True
            yield Sentence(text, where)
    if not found:
        raise InputError(f"There is no text in {name}", "Give one sentence a line")


def _well_formed(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError("The text is not UTF-8", "Check the terminal's encoding, or use --file") from error
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise InputError("The text is empty", "Give a sentence in quotes")
    return text


def located(error: AttnError, where: str) -> AttnError:
    """The same error, saying where it happened."""
    return type(error)(f"{where}: {error.problem}", error.remedy) if where else error
