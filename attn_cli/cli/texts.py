"""Reading of sentences from the command line, a pipe or a file, line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Protocol, runtime_checkable

from attn_cli.cli import tables
from attn_cli.cli.streams import say
from attn_cli.cli.tables import AS_USUAL, COLUMNS, LONGEST, TABLE_FORMATS, FieldNames, Sentence, TableFormat
from attn_cli.errors import AttnError, InputError, UsageError
from attn_cli.system.encoding import check_text, decode_text

__all__ = ["TABLE", "Sentence", "count_lines", "lines_from", "lines_of", "located", "name_of", "sentences"]

TABLE = ".tsv"
"""Suffix of files whose lines have columns: a text, a tab, its target."""

PLAIN = ".txt"
"""Suffix of files that are read as plain text, whatever their first line is."""

PACKED = {
    b"\x1f\x8b": "compressed",
    b"PK\x03\x04": "a zip archive or an office document",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"%PDF-": "a PDF",
    b"SQLite format 3": "a database",
}
"""First bytes of files that may hold texts, but not as lines, with their names for messages."""

REMEDY = "Name a text file with one sentence a line"


@runtime_checkable
class _Lines(Protocol):
    """A file open for reading bytes."""

    def readline(self, size: int, /) -> bytes: ...


def sentences(
    text: str | None,
    file: Path | None,
    *,
    target: str | None = None,
    chosen: FieldNames = AS_USUAL,
    blanks: bool = False,
    holds: str = COLUMNS,
) -> Iterator[Sentence]:
    """Yield the sentences that a command takes as input.

    Args:
        text: the argument; `-` means standard input, as does None if something is piped in.
        file: the value of `--file`; `-` means standard input here too. The suffix tells a table or JSON from text.
        target: the value of `--target`.
        chosen: the names of a table's columns to read, or of the fields of JSON, as far as the user gives them.
        blanks: yield blank lines too, as empty texts, so that the sentences can be counted.
        holds: contents that each line of a `.tsv` must have, for messages.

    Raises:
        UsageError: there is no text, or more than one source of text.
        InputError: the input is blank, unreadable, not UTF-8, or not of the format of its suffix or first line.
    """
    if text is not None and file is not None:
        raise UsageError("A text and --file are both given", "Give one of them")
    if target is not None:
        check_text(target, "The text of --target")
    if file is None and text is None and sys.stdin.isatty():
        raise UsageError("There is no text to look at", "Give a sentence in quotes, pipe lines in, or use --file PATH")
    if file is None and text not in {None, "-"}:
        if chosen.chosen:
            raise UsageError("--field names a column of a file", "Give one with --file, or leave --field out")
        return iter([Sentence(check_text(text or ""), target=target)])
    if file is None or str(file) == "-":
        lines, name, suffix = lines_from(sys.stdin.buffer, "standard input"), "standard input", ""
    else:
        lines, name, suffix = lines_of(file), str(file), file.suffix.lower()
        if suffix == TABLE and target is not None:
            raise UsageError(f"{file} has a column of targets, so --target cannot be used with it", "Give one of them")
    return _nonempty(_read(lines, name, suffix, target, chosen, holds), name, blanks=blanks)


def _read(
    lines: Iterator[Sentence], name: str, suffix: str, target: str | None, chosen: FieldNames, holds: str
) -> Iterator[Sentence]:
    """Yield the sentences of a table or JSON, or each line as a sentence."""
    format_ = TABLE_FORMATS.get(suffix)
    if format_ is None:
        before: list[Sentence] = []
        for line in lines:
            before.append(line)
            if line.text.strip():
                break
        lines = chain(before, lines)
        format_ = _seen(before[-1].text if before else "", name, suffix, chosen)
    if format_ is None:
        if chosen.chosen:
            raise InputError(
                f"{name} is plain text and has no columns",
                "Give a .tsv, .csv, .jsonl or .json, or leave --field out",
            )
        yield from (replace(line, target=target) for line in lines)
        return
    for sentence in tables.rows(lines, format_, name, chosen=chosen, holds=holds):
        if target is not None and sentence.target is not None:
            raise InputError(f"{sentence.where} has a target, and --target is given as well", "Give one of them")
        yield sentence if target is None else replace(sentence, target=target)


def _seen(first: str, name: str, suffix: str, chosen: FieldNames) -> TableFormat | None:
    """Detect the format of input without a known suffix from its first line, and note it if it may surprise."""
    format_ = tables.begins_as(first, chosen)
    if format_ is not None and suffix != PLAIN:
        say(f"note: {name} is read as {tables.CALLED[format_]}, as its first line shows")
        return format_
    if format_ is not None:
        say(f"note: {name} looks like {tables.CALLED[format_]}, but is read as text, as its name says")
    elif "\t" in first.strip():
        say(f"note: {name} has lines with tabs, which are read as they are; name a {TABLE} with --file for columns")
    return None


def lines_of(path: Path, remedy: str = REMEDY) -> Iterator[Sentence]:
    """Yield the lines of a file, including blank ones.

    Args:
        path: the file.
        remedy: advice to give if the file cannot be read.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    try:
        lines = path.open("rb")
    except OSError as error:
        raise _unreadable(str(path), error, remedy) from error
    with lines:
        yield from lines_from(lines, str(path), remedy)


def name_of(file: Path | None) -> str:
    """Return the name of a corpus: that of its file, or of standard input if there is none or it is `-`."""
    return "standard input" if file is None or str(file) == "-" else str(file)


def count_lines(path: Path, *, blanks: bool = True) -> int | None:
    """Count the lines with sentences in a file, including a last line without a line end.

    Args:
        path: the file.
        blanks: count blank lines too.

    Returns:
        The count, or None if reading would consume the input, as in a pipe, or lines are not sentences, as in CSV and
        JSON, or the file cannot be read.
    """
    if not path.is_file() or TABLE_FORMATS.get(path.suffix.lower(), "tsv") != "tsv":
        return None
    count, headed = 0, path.suffix.lower() != TABLE
    try:
        with path.open("rb") as lines:
            for line in lines:
                if not headed and line.strip():
                    headed = True
                    count -= tables.header(_plain(line, str(path)).split("\t"))
                count += bool(blanks or line.strip())
    except (OSError, InputError):  # reported when the file is read
        return None
    return count


def lines_from(stream: _Lines, name: str, remedy: str = REMEDY) -> Iterator[Sentence]:
    """Yield the lines of a file that is open, including blank ones.

    Args:
        stream: the file.
        name: its name in messages.
        remedy: advice to give if the file cannot be read.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    for number in count(1):
        where = f"line {number} of {name}"
        try:
            line = stream.readline(LONGEST + 1)
        except OSError as error:
            raise _unreadable(name, error, remedy) from error
        if not line:
            return
        packed = next((what for begins, what in PACKED.items() if number == 1 and line.startswith(begins)), None)
        if packed is not None:
            raise InputError(
                f"{name} is {packed}, and holds no lines of text", "Save what it holds as .jsonl, .csv or .txt"
            )
        if len(line) > LONGEST:
            raise InputError(f"{where} is longer than {LONGEST:,} bytes", "Give a text with one sentence a line")
        yield Sentence(_plain(line, where), where)


def _plain(line: bytes, where: str) -> str:
    """Decode a line, without its byte order mark and line end."""
    return decode_text(line, where).removeprefix("\ufeff").rstrip("\r\n")


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


def _unreadable(name: str, error: OSError, remedy: str) -> InputError:
    return InputError(f"{name} cannot be read: {error.strerror}", remedy)


def located(error: AttnError, where: str) -> AttnError:
    """Add the place to an error's message, except for a fault of the command line, which has no place."""
    if not where or isinstance(error, UsageError):
        return error
    return type(error)(f"{where}: {error.problem}", error.remedy)
