"""Reading of sentences from the command line, a pipe or a file, line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from attn_cli.cli import tables
from attn_cli.cli.file_names import check_typed
from attn_cli.cli.files import (
    COMPRESSED,
    PARQUET,
    PLAIN,
    REMEDY,
    Unpacked,
    files_in,
    hub_name,
    hub_rows,
    parquet_rows,
    suffix_of,
    unreadable,
)
from attn_cli.cli.streams import say
from attn_cli.cli.tables import AS_USUAL, COLUMNS, LONGEST, TABLE_FORMATS, FieldNames, Sentence, TableFormat
from attn_cli.errors import AttnError, InputError, UsageError
from attn_cli.system.encoding import decode_text

__all__ = ["TABLE", "Sentence", "count_lines", "lines_from", "lines_of", "located", "name_of", "ready", "sentences"]

TABLE = ".tsv"
"""Suffix of files whose lines have columns: a text, a tab, its target."""

UNPACK = f"Decompress it, or let its name end in {', '.join(COMPRESSED)}, as it is compressed"
PACKED = {
    b"\x1f\x8b": ("compressed", UNPACK),
    b"BZh": ("compressed", UNPACK),
    b"\xfd7zXZ\x00": ("compressed", UNPACK),
    b"\x28\xb5\x2f\xfd": ("compressed", UNPACK),
    b"PAR1": ("a Parquet file", f"Let its name end in {PARQUET}"),
    b"PK\x03\x04": ("a zip archive or an office document", ""),
    b"ARROW1": ("an Arrow file", ""),
    b"%PDF-": ("a PDF", ""),
    b"SQLite format 3": ("a database", ""),
}
"""First bytes of files that may hold texts, but not as lines -> their names for messages, and a remedy of their own."""
TAR = slice(257, 262)
"""The bytes that mark a tar archive; before them stands the name of its first file."""
SAVE = "Save what it holds as .jsonl, .csv or .txt"


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
        file: the value of `--file`: a file, whose suffix tells a table or JSON from text, a folder or a pattern of
            files, or `hf://datasets/OWNER/NAME`; `-` means standard input here too.
        target: the value of `--target`.
        chosen: the names of a table's columns to read, or of the fields of JSON, as far as the user gives them.
        blanks: yield blank lines too, as empty texts, so that the sentences can be counted.
        holds: contents that each line of a `.tsv` must have, for messages.

    Raises:
        UsageError: there is no text, or more than one source of text, or it is the name of a file.
        InputError: the input is blank, unreadable, not UTF-8, or not of the format of its suffix or first line.
    """
    if text is not None and file is not None:
        raise UsageError("A text and --file are both given", "Give one of them")
    if target is not None:
        check_typed(
            target, "Give the text itself, or texts with targets in a table with --file", called="The text of --target"
        )
    if file is None and text is None and sys.stdin.isatty():
        raise UsageError("There is no text to look at", "Give a sentence in quotes, pipe lines in, or use --file PATH")
    if file is None and text not in {None, "-"}:
        if chosen.chosen:
            raise UsageError("--field names a column of a file", "Give one with --file, or leave --field out")
        return iter([Sentence(check_typed(text or ""), target=target)])
    if file is None or str(file) == "-":
        found = _read(lines_from(sys.stdin.buffer, "standard input"), "standard input", "", target, chosen, holds)
    else:
        if suffix_of(file) == TABLE and target is not None:
            raise UsageError(f"{file} has a column of targets, so --target cannot be used with it", "Give one of them")
        found = _read_path(file, target, chosen, holds)
    return _nonempty(found, name_of(file), blanks=blanks)


def _read_path(path: Path, target: str | None, chosen: FieldNames, holds: str) -> Iterator[Sentence]:
    """Yield the sentences of a file, a folder, a pattern of files or a data set.

    Raises:
        InputError: there is no such thing, or it cannot be read.
    """
    if (name := hub_name(path)) is not None:
        return (_with_target(one, target) for one in tables.objects(hub_rows(name), chosen))
    several = files_in(path)
    if several is None:
        return _read_file(path, target, chosen, holds)
    if note := several.note(path):
        say(note)
    return chain.from_iterable(_read_file(one, target, chosen, holds) for one in several.files)


def _read_file(file: Path, target: str | None, chosen: FieldNames, holds: str) -> Iterator[Sentence]:
    """Yield the sentences of one file, in the format that its name says."""
    if (suffix := suffix_of(file)) != PARQUET:
        return _read(lines_of(file), str(file), suffix, target, chosen, holds)
    return (_with_target(one, target) for one in tables.objects(parquet_rows(file, chosen), chosen))


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
        yield _with_target(sentence, target)


def _with_target(sentence: Sentence, target: str | None) -> Sentence:
    """Put the value of `--target` beside a sentence.

    Raises:
        InputError: it has a target of its own.
    """
    if target is None:
        return sentence
    if sentence.target is not None:
        raise InputError(f"{sentence.where} has a target, and --target is given as well", "Give one of them")
    return replace(sentence, target=target)


def _seen(first: str, name: str, suffix: str, chosen: FieldNames) -> TableFormat | None:
    """Detect the format of input without a known suffix from its first line, and note it if it may surprise."""
    format_, apparent = _format_of(first, suffix, chosen), tables.begins_as(first, chosen)
    if format_ is not None:
        say(f"note: {name} is read as {tables.CALLED[format_]}, as its first line shows")
    elif apparent is not None:
        say(f"note: {name} looks like {tables.CALLED[apparent]}, but is read as text, as its name says")
    elif "\t" in first.strip():
        say(f"note: {name} has lines with tabs, which are read as they are; name a {TABLE} with --file for columns")
    return format_


def _format_of(first: str, suffix: str, chosen: FieldNames) -> TableFormat | None:
    """Return the format that a file's suffix names, or else its first line; None for plain text."""
    return TABLE_FORMATS.get(suffix) or (None if suffix == PLAIN else tables.begins_as(first, chosen))


def lines_of(path: Path, remedy: str = REMEDY) -> Iterator[Sentence]:
    """Yield the lines of a file, including blank ones.

    Args:
        path: the file.
        remedy: advice to give if the file cannot be read.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    try:
        lines = Unpacked(path)
    except OSError as error:
        raise unreadable(hub_name(path) or str(path), error, remedy) from error
    with lines:
        yield from lines_from(lines, str(path), remedy)


def name_of(file: Path | None) -> str:
    """Return the name of a corpus: that of its file, or of standard input if there is none or it is `-`."""
    if file is None or str(file) == "-":
        return "standard input"
    return hub_name(file) or str(file)


def count_lines(path: Path, chosen: FieldNames = AS_USUAL, *, blanks: bool = True) -> int | None:
    """Count the sentences that `sentences` yields of a file, or of several, whose lines are sentences.

    Args:
        path: the file, or a folder or pattern of files.
        chosen: the names of a table's columns to read, as far as the user gives them, which tell a header.
        blanks: count blank lines too.

    Returns:
        The count, or None if reading would consume the input, as in a pipe, or lines are not sentences, as in CSV and
        JSON, or a file is compressed or cannot be read.
    """
    try:
        several = None if hub_name(path) else files_in(path)
        counts = [_lines_in(file, chosen, blanks=blanks) for file in ((path,) if several is None else several.files)]
    except (OSError, InputError):  # reported when the file is read
        return None
    return None if None in counts else sum(count or 0 for count in counts)


def _lines_in(path: Path, chosen: FieldNames, *, blanks: bool) -> int | None:
    suffix = path.suffix.lower()
    if suffix in COMPRESSED or suffix == PARQUET or TABLE_FORMATS.get(suffix, "tsv") != "tsv" or not path.is_file():
        return None
    count, first = 0, True
    with path.open("rb") as lines:
        for line in lines:
            text = _plain(line, str(path))
            filled = bool(text.strip())
            if first and filled:
                first = False
                format_ = _format_of(text, suffix, chosen)
                if format_ not in {None, "tsv"}:
                    return None
                count -= format_ == "tsv" and tables.header(text.split("\t"), chosen)
            count += blanks or filled
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
            raise unreadable(name, error, remedy) from error
        if not line:
            return
        packed = next((what for begins, what in PACKED.items() if number == 1 and line.startswith(begins)), None)
        if number == 1 and line[TAR] == b"ustar":
            packed = "a tar archive", "Unpack it, and name the folder"
        if packed is not None:
            told = "" if name.lower().endswith(PARQUET) else packed[1]  # it is called so already
            raise InputError(f"{name} is {packed[0]}, and holds no lines of text", told or SAVE)
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


def ready(sentences: Iterator[Sentence]) -> Iterator[Sentence]:
    """Read the first sentence, so that what cannot be read is said before a model is loaded, and yield all.

    Raises:
        InputError: it cannot be read.
    """
    return chain(list(islice(sentences, 1)), sentences)


def located(error: AttnError, where: str) -> AttnError:
    """Add the place to an error's message, except for a fault of the command line, which has no place."""
    if not where or isinstance(error, UsageError):
        return error
    return type(error)(f"{where}: {error.problem}", error.remedy)
