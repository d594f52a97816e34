"""Parsing of sentences from tables and JSON: tab- or comma-separated columns, JSON Lines and JSON.

The format is that of the file's suffix, or of its first line. The text's column is identified by a header, by JSON's
names, or by the user.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from attn_cli.cli.streams import say
from attn_cli.data.turns import Turn
from attn_cli.errors import InputError, counted, quoted

if TYPE_CHECKING:
    from attn_cli.data.patches import ImagePixels

__all__ = [
    "AS_USUAL",
    "CALLED",
    "COLUMNS",
    "LONGEST",
    "TABLE_FORMATS",
    "Columns",
    "FieldNames",
    "Sentence",
    "TableFormat",
    "begins_as",
    "header",
    "named",
    "objects",
    "rows",
]

TableFormat = Literal["tsv", "csv", "jsonl", "json"]

TABLE_FORMATS: Mapping[str, TableFormat] = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}
"""Format of each suffix of files that hold more than one text on each line."""
CALLED: Mapping[TableFormat, str] = {"tsv": "a table", "csv": "CSV", "jsonl": "JSON Lines", "json": "JSON"}

COLUMNS = "a text, a tab and its target"
"""Contents of a table's line, for messages."""

LONGEST = 2**24
"""Most bytes in a line. No model reads as much, and input without line ends (`/dev/zero`, a picture) needs a limit."""

TEXTS = (
    "text", "sentence", "sentence1", "text1", "text_a", "sentence_a", "source", "src", "premise", "question", "query",
    "prompt", "anchor", "a", "input", "content", "english", "en",
)  # fmt: skip
"""Names that data sets use for a text, the most certain first."""
TARGETS = ("target", "tgt", "trg", "translation", "reference", "output", "response", "completion", "b", "french", "fr")
PAIRS = (
    "pair", "sentence2", "text2", "text_b", "sentence_b", "text_pair", "hypothesis", "answer", "context", "passage",
    "positive",
)  # fmt: skip
"""Names that data sets use for a second text. `TARGETS` are those for the text that a decoder is to write."""
OTHERS = (
    "id",
    "idx",
    "index",
    "label",
    "score",
    "class",
    "lang",
    "language",
    "date",
    "author",
    "url",
    "title",
    "links",
)
"""Names of other columns beside texts; a line of two names, a text's and any known one, is a header."""


ID = re.compile(r"[\w.:#-]*\d[\w.:#-]*")
LINKS = re.compile(r"(\d+[-pP?]\d+\S*\s*)*", re.ASCII)
"""Word links, an optional third column after a text and its target."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One text and its origin."""

    text: str
    where: str = ""
    """Origin for messages, such as `line 3 of notes.txt`; empty for the command line."""
    target: str | None = None
    """Text that the decoder is made to write."""
    column: bool = False
    """True if the target is a file's second column, which a one-sided model reads as the second text of a pair."""
    pair: str | None = None
    """Second text, from a column whose name says so."""
    turns: tuple[Turn, ...] = ()
    """The turns, if it is a chat, whose contents are the text."""
    image: ImagePixels | None = None
    """An image, in the place of a text."""

    @property
    def content(self) -> tuple[object, ...]:
        """All that is read of it: the text, the second text, the target and the turns."""
        return self.text, self.pair, self.target, self.turns


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Names that the user gives of a table's columns, or of the fields of JSON; None for those that are usual."""

    text: str | None = None
    target: str | None = None
    pair: str | None = None

    @property
    def chosen(self) -> tuple[str, ...]:
        """Those that are given."""
        return tuple(name for name in (self.text, self.target, self.pair) if name is not None)


AS_USUAL = FieldNames()
"""Names of columns that are common in data sets."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a text and of its target and pair, by name or by number."""

    text: str | int
    target: str | int | None = None
    pair: str | int | None = None
    chosen: bool = False
    """True if the user has named them; then a target is never taken for a second segment."""

    def of_next(self, row: Mapping[str, Any]) -> Columns:
        """Return the columns of one more row, which need not have the names of those before.

        The text's is the same. If the row has neither the target nor the second text of those before, it may have one
        of another name.
        """
        if self.chosen or not {self.target, self.pair}.isdisjoint(row):
            return self
        found = _with_second(str(self.text), list(row))
        return self if found.target is None and found.pair is None else found

    def sentence(self, row: Mapping[Any, Any], where: str, holds: str) -> Sentence:
        """Make the sentence of one row.

        Args:
            row: the row's values by column.
            where: name of the line in messages.
            holds: contents that each line must have, for messages.

        Raises:
            InputError: a value is missing or is not a text.
        """
        # A row whose text is null is as blank as one whose text is empty; of one without the field, more may be wrong.
        text = "" if row.get(self.text, 0) is None else _value(row, self.text, "text", where, holds)
        if not text.strip():
            return Sentence(text, where)
        target = _beside(row, self.target, "target", where, holds)
        pair = _beside(row, self.pair, "second text", where, holds)
        return Sentence(text, where, target, column=target is not None and not self.chosen, pair=pair)


def _beside(row: Mapping[Any, Any], name: str | int | None, what: str, where: str, holds: str) -> str | None:
    """Return what stands beside a text; None if the row has none."""
    if name is None or row.get(name) is None:
        return None
    value = _value(row, name, what, where, holds)
    if not value.strip():
        raise InputError(f"{where} has no {what}", f"Give every line {holds}")
    return value


def _value(row: Mapping[Any, Any], name: Any, what: str, where: str, holds: str) -> str:
    value = row.get(name)
    if isinstance(value, str):
        if len(value) > LONGEST:  # lines are measured as they are read, and rows of Parquet and data sets are not
            raise InputError(f"{where} is longer than {LONGEST:,} characters", "Give a text with one sentence a row")
        return value
    called = f" ({name})" if isinstance(name, str) else ""
    if value is None:
        raise InputError(f"{where} has no {what}{called}", f"Give every line {holds}")
    raise InputError(f"{where}: the {what}{called} must be a text, not {_kind(value)}", "Put texts in quotes")


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "something else")


def named(names: Sequence[str], chosen: FieldNames, where: str) -> Columns:
    """Determine which columns hold the text and its target or pair.

    Args:
        names: the names of all columns.
        chosen: the names of those to read, as far as the user gives them.
        where: name of the header's line in messages.

    Raises:
        InputError: no column has a known name for a text, or a named column is missing or occurs twice.
    """
    found = _columns(names, chosen, where)
    for name in (found.text, found.target, found.pair):
        if name is not None and names.count(str(name)) > 1:
            raise InputError(f"{where} has two columns named {quoted(str(name))}", "Give each column a different name")
    return found


def _columns(names: Sequence[str], chosen: FieldNames, where: str) -> Columns:
    if not any(names):
        raise InputError(f"{where} names no columns", "Call the one that holds the texts: text")
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    missing = next((name for name in chosen.chosen if name not in names), None)
    if missing is not None:
        raise InputError(f"{where} has no column {quoted(missing)}", f"Name one of these: {listed}")
    known = {name.strip().lower(): name for name in reversed(names) if name not in chosen.chosen}
    text = chosen.text or next((known[name] for name in TEXTS if name in known), None)
    if text is None:
        raise InputError(f"{where} does not say which column is the text", f"Name it with --field; there are: {listed}")
    if chosen.chosen:
        return Columns(text, chosen.target, chosen.pair, chosen=True)
    return _with_second(text, names)


def _with_second(text: str, names: Sequence[str]) -> Columns:
    """Add to the column of the text that of a second text, or else of a target, if one is named as usual."""
    known = {name.strip().lower(): name for name in reversed(names)}
    pair, target = (
        next((known[name] for name in beside if known.get(name, text) != text), None) for beside in (PAIRS, TARGETS)
    )
    return Columns(text, pair=pair) if pair is not None else Columns(text, target)


def header(cells: Sequence[str], chosen: FieldNames = AS_USUAL) -> bool:
    """Return whether a first line is a header: it has all names that are chosen, or a text's among at least two."""
    plain = [cell.strip() for cell in cells]
    if chosen.chosen and set(chosen.chosen) <= set(plain):
        return True
    if len(plain) < 2 or len(set(plain)) < len(plain):
        return False
    known = {*TEXTS, *TARGETS, *PAIRS, *OTHERS} - {"a", "b"}  # which may well be texts themselves
    lowered = [cell.lower() for cell in plain]
    names = all(re.fullmatch(r"[\w.-]{1,30}", cell) for cell in cells)
    texts = [cell for cell in lowered if cell in TEXTS and cell in known]
    return names and bool(texts) and (len(plain) > 2 or known.issuperset(lowered))


def begins_as(line: str, chosen: FieldNames = AS_USUAL) -> TableFormat | None:
    """Detect the format from a first line: JSON, or the names of columns; None for plain text."""
    if line.lstrip().startswith(("{", "[")):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):  # a plain text that begins with a bracket
            return None
        if isinstance(value, dict):
            return "jsonl"
        return "json" if value and all(isinstance(one, str | dict) for one in value) else None
    for format_, between in (("tsv", "\t"), ("csv", _delimiter(line))):
        if header(line.split(between), chosen):
            return "tsv" if format_ == "tsv" else "csv"
    return None


def rows(
    lines: Iterator[Sentence],
    format_: TableFormat,
    name: str,
    *,
    chosen: FieldNames = AS_USUAL,
    holds: str = COLUMNS,
) -> Iterator[Sentence]:
    """Yield the sentences of a table or JSON file; a blank line yields an empty text.

    Args:
        lines: the lines of the file.
        format_: format of the file.
        name: name of the file in messages.
        chosen: the names of the columns to read, as far as the user gives them.
        holds: contents that each line of a table must have, for messages.

    Raises:
        InputError: the file has another format, or a text is missing.
    """
    if format_ == "tsv":
        return _tab_separated(lines, chosen, holds)
    if format_ == "csv":
        return _comma_separated(lines, name, chosen)
    return objects(_json_lines(lines) if format_ == "jsonl" else _json_whole(lines, name), chosen)


def _tab_separated(lines: Iterator[Sentence], chosen: FieldNames, holds: str) -> Iterator[Sentence]:
    """Yield sentences from the first two columns, a text and its target, or from those that a header names.

    Without a header, a first column of ids is skipped.
    """
    names: list[str] | None = None
    where = Columns(0, 1)
    count = 0
    for line in lines:
        if not line.text.strip():
            yield line
            continue
        cells = line.text.split("\t")
        if not count:
            count = len(cells)
            if header(cells, chosen):
                names = [cell.strip() for cell in cells]
                where = named(names, chosen, line.where)
                continue
            if chosen.chosen:
                missing = ", ".join(quoted(name) for name in chosen.chosen if name not in cells)
                raise InputError(f"{line.where} names no column {missing}", "Begin the file with a header")
            if len(cells) > 2 and ID.fullmatch(cells[0].strip()) and not LINKS.fullmatch(cells[2].strip()):
                where = Columns(1, 2)
                say(f"note: the first column of {line.where.partition(' of ')[2]} is taken for ids")
        if len(cells) != count:
            raise InputError(
                f"{line.where} has {counted(len(cells), 'column')}, and the lines before it have {count}",
                f"Give every line {holds}",
            )
        row = dict(enumerate(cells)) if names is None else dict(zip(names, cells, strict=True))
        sentence = where.sentence(row, line.where, holds)
        if not sentence.text.strip():
            raise InputError(f"{line.where} has no text", f"Give every line {holds}")
        yield sentence


def _comma_separated(lines: Iterator[Sentence], name: str, chosen: FieldNames) -> Iterator[Sentence]:
    """Yield sentences from CSV (RFC 4180) with a header, which a single column may lack."""
    first = next((line for line in lines if line.text.strip()), None)
    if first is None:
        return
    csv.field_size_limit(LONGEST)
    numbers: list[str] = []

    def each() -> Iterator[str]:
        for line in chain([first], lines):
            numbers.append(line.where)
            yield f"{line.text}\n"

    where: Columns | None = None
    names: list[str] = []
    try:
        for cells in csv.reader(each(), delimiter=_delimiter(first.text), strict=True):
            here = numbers[0]
            numbers.clear()
            if where is None:
                names = [cell.strip() for cell in cells]
                alone = len(cells) == 1 and not chosen.chosen and names[0].lower() not in TEXTS
                where = Columns(0) if alone else named(names, chosen, here)
                if not alone:
                    continue
                names = []
            if not any(cell.strip() for cell in cells):
                yield Sentence("", here)
                continue
            if len(cells) != (len(names) or 1):
                raise InputError(
                    f"{here} has {counted(len(cells), 'column')}, and the header has {len(names) or 1}",
                    "Put texts that hold the delimiter between double quotes",
                )
            yield where.sentence(dict(zip(names, cells, strict=True)) if names else {0: cells[0]}, here, "a text")
    except csv.Error as error:
        what = "a quote is opened and not closed" if "end of data" in str(error) else error
        raise InputError(f"{numbers[0] if numbers else name} is not CSV: {what}", "Check its quotes") from error


def _delimiter(first: str) -> str:
    """Return the delimiter of the columns: a semicolon, as spreadsheets write it in much of Europe, or a comma."""
    return max(",;", key=first.count)


def _json_lines(lines: Iterator[Sentence]) -> Iterator[tuple[object, str]]:
    for line in lines:
        if not line.text.strip():
            yield "", line.where
            continue
        yield _loaded(line.text, line.where, "Give one JSON object on each line"), line.where


def _json_whole(lines: Iterator[Sentence], name: str) -> Iterator[tuple[object, str]]:
    text = io.StringIO()
    for line in lines:
        text.write(f"{line.text}\n")
    if not text.getvalue().strip():
        return
    value = _loaded(text.getvalue(), name, "Give a list of texts or of objects, or JSON Lines in a .jsonl")
    for number, one in enumerate(value if isinstance(value, list) else [value], start=1):
        yield one, f"entry {number} of {name}" if isinstance(value, list) else name


def _loaded(text: str, where: str, remedy: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "it is nested too deeply"
        if isinstance(error, ValueError):  # other than JSONDecodeError, only Python's limit on the digits of a number
            what = error.msg if isinstance(error, json.JSONDecodeError) else "it has a number with thousands of digits"
        raise InputError(f"{where} is not JSON: {what}", remedy) from error


def objects(values: Iterable[tuple[object, str]], chosen: FieldNames) -> Iterator[Sentence]:
    """Yield the sentences of rows by name, or texts by themselves, each with its name in messages.

    Args:
        values: the rows.
        chosen: the names of those to read, as far as the user gives them.

    Raises:
        InputError: a text is missing, or a row is something else.
    """
    columns: Columns | None = None
    for value, where in values:
        if isinstance(value, str) and not (chosen.chosen and value):
            yield Sentence(value, where)
            continue
        if not isinstance(value, dict):
            raise InputError(f"{where} is neither a text nor an object", "Give objects, each with a text")
        if {"schema_version", "tool"} <= value.keys():
            raise InputError(f"{where} is an attn record", "Show it with attn view, or give it without --file")
        columns = named(list(value), chosen, where) if columns is None else columns.of_next(value)
        yield columns.sentence(value, where, "a text of that name")
