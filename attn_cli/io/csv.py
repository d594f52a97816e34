r"""CSV tables for spreadsheets; weights are in long form, a row for each query and each key that it can see.

The texts of a model or a user are data, but a terminal that shows the file would execute control characters, and a
spreadsheet takes a text that begins with a sign for a formula. So control characters, including line ends, are written
as in JSON (`\u009b`), and a backslash that would begin such an escape as `\u005c`: every row is one line. A text that
begins with a sign gets an apostrophe in front (OWASP, "CSV Injection"), which a spreadsheet hides; a sign alone is no
formula and stays as it is. To recover the exact texts, strip one apostrophe from those that begin with apostrophes,
a sign and something after it, then replace each `\uXXXX` by its character, from left to right.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Container, Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import orjson

from attn_cli.data.selection import Measure, Rows
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Eat
from attn_cli.data.units import Units
from attn_cli.errors import InputError
from attn_cli.system.encoding import escaped

__all__ = [
    "Cell",
    "CsvTable",
    "Writable",
    "check_columns",
    "exact",
    "harmless",
    "weight_columns",
    "weight_rows",
]

Cell = str | int | float | np.floating | None
"""A value in a row."""

FORMULA = re.compile(r"'*[=+\-@＝＋－＠].")
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
ESCAPE = re.compile(r"\\(?=u[0-9a-fA-F]{4})")
"""A backslash that would be read as the beginning of an escape."""
APART = "Save them in files of their own, or together as .jsonl"
"""Remedy for texts that one table cannot hold."""


@runtime_checkable
class Writable(Protocol):
    """A file open for writing bytes."""

    def write(self, data: bytes, /) -> object: ...


class CsvTable:
    """A CSV file in UTF-8 (RFC 4180, so its lines end with CR LF), written row by row.

    Args:
        file: the file to write to.
        columns: names of the columns.
        sentences: add a first column with the number of the sentence.
        without: the heads that the first sentence's model ran without; a column says so, if there are any.
    """

    def __init__(self, file: Writable, columns: Sequence[str], *, sentences: bool = False, without: str = "") -> None:
        self._file, self._columns, self._sentences = file, tuple(columns), sentences
        self._without = [quoted(without)] if without else []
        self.write([[*(["sentence"] if sentences else []), *(["without"] if without else []), *columns]])

    def turn(self, columns: Sequence[str], without: str = "") -> None:
        """Turn to the next sentence.

        Args:
            columns: names of the columns of its rows.
            without: the heads that its model ran without.

        Raises:
            InputError: the columns are not those of the table, or there are such heads and no column for them.
        """
        check_columns(self._columns, columns)
        if without and not self._without:
            raise InputError(
                "Some of these texts ran without heads and the first with all, which needs other columns", APART
            )
        self._without = [quoted(without)] if self._without else []

    def add(self, rows: Iterable[Sequence[Cell]], sentence: int = 0) -> None:
        """Write the rows of one sentence.

        Args:
            rows: rows with a cell for each column.
            sentence: number of the sentence, from 0.
        """
        self.write([*self.front(sentence), *map(field, row)] for row in rows)

    def front(self, sentence: int) -> list[str]:
        """Return the fields that each row of a sentence begins with."""
        return [*([str(sentence)] if self._sentences else []), *self._without]

    def write(self, rows: Iterable[Sequence[str]]) -> None:
        """Write rows of fields that are quoted already."""
        self._file.write("".join(f"{','.join(row)}\r\n" for row in rows).encode())


def check_columns(first: Sequence[str], columns: Sequence[str]) -> None:
    """Check that the rows of a later text fit into the table of the first.

    Args:
        first: names of the columns of the first text's rows.
        columns: names of those of the later text's.

    Raises:
        InputError: they are not the same.
    """
    if tuple(columns) == tuple(first):
        return
    differing = ", ".join(dict.fromkeys(name for name in (*first, *columns) if (name in first) != (name in columns)))
    raise InputError(
        "The table of one of these texts has other columns than that of the first"
        f"{f' ({differing})' if differing else ''}",
        APART,
    )


def weight_columns(
    *, rows: Rows | None = None, scores: bool = False, measure: Measure | None = None, patches: bool = False
) -> tuple[str, ...]:
    """Name the columns that `weight_rows` fills.

    Args:
        rows: the decoder step that a word's row belongs to (`Plan.step`); adds a column for it.
        scores: add a column of scores.
        measure: the measure in the place of weights; adds a column for it.
        patches: add the row and the column of each patch of an image.
    """
    query, key = (
        (side, f"{side}_text", *((f"{side}_row", f"{side}_column") if patches else ())) for side in ("query", "key")
    )
    columns = ["kind", *([] if rows is None else ["rows"]), "layer", "head", *query, *key, "weight"]
    return (*columns, *(["score"] if scores else []), *([] if measure is None else ["measure"]), "unit")


def weight_rows(
    table: CsvTable,
    queries: Units,
    keys: Units,
    *,
    sentence: int = 0,
    only: Container[int] | None = None,
    rows: Rows | None = None,
    scores: bool = False,
    measure: Measure | None = None,
) -> Eat:
    """Make a consumer of the blocks of one sentence and one kind, which writes a row for each query and key.

    Rows are in the order of the blocks: by layer, a run of queries at a time, then by head, query and key.

    Args:
        table: the table to add rows to.
        queries: the units along the rows; the blocks must be in those units (see `Regroup`).
        keys: the units along the columns.
        sentence: number of the sentence, from 0.
        only: the queries to write; all by default.
        rows: the decoder step that a word's row belongs to.
        scores: write scores too, empty if the blocks hold none.
        measure: the measure that the blocks hold in the place of weights.
    """
    # Quoting takes most of the time, so each text is quoted once and not in every row.
    query_fields, key_fields = (
        [
            f"{position},{quoted(label)}{_placed(cell, units)}"
            for position, label, cell in zip(units.positions, units.labels, units.cells, strict=True)
        ]
        for units in (queries, keys)
    )

    def eat(block: Block) -> None:
        front = [*table.front(sentence), block.kind, *([] if rows is None else [rows]), str(block.layer)]
        for index, head in enumerate(block.heads):
            for row, (start, stop) in enumerate(block.visible.tolist()):
                query = block.start + row
                if only is not None and query not in only:
                    continue
                part = slice(start, min(stop, block.weights.shape[2]))
                columns = [key_fields[part], shortest(block.weights[index, row, part])]
                if scores:
                    masked = [""] * len(columns[0])
                    columns.append(masked if block.scores is None else shortest(block.scores[index, row, part]))
                rest = [keys.named] if measure is None else [measure, keys.named]
                columns += [[name] * len(columns[0]) for name in rest]
                first = ",".join([*front, str(head), query_fields[query]])
                table.write((first, *fields) for fields in zip(*columns, strict=True))

    return eat


def _placed(cell: tuple[int, int] | None, units: Units) -> str:
    """Return the fields of a unit's place on the grid of patches; empty ones for a special token, none for a text."""
    if units.side.grid is None:
        return ""
    return ",," if cell is None else f",{cell[0]},{cell[1]}"


def field(cell: Cell) -> str:
    """Format a value as one field: floats in the fewest digits that preserve a float32, nothing for None or NaN."""
    if cell is None or isinstance(cell, str):
        return quoted(cell or "")
    if isinstance(cell, float | np.floating):
        return shortest(np.array([cell], np.float32))[0]
    return str(cell)


def quoted(text: str) -> str:
    """Quote a text as one field; see `harmless`."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow([harmless(text), ""])
    return line.getvalue().removesuffix(",\r\n")


def harmless(text: str) -> str:
    """Escape a text so that no terminal executes it and no spreadsheet takes it for a formula."""
    shown = escaped(ESCAPE.sub(r"\\u005c", text))
    return f"'{shown}" if FORMULA.match(shown) else shown


def exact(text: str) -> str:
    """Return the text that `harmless` has escaped."""
    guarded = text.startswith("'") and FORMULA.match(text) is not None
    return ESCAPED.sub(lambda found: chr(int(found[1], 16)), text[1:] if guarded else text)


def shortest(numbers: Float[np.ndarray, "key"]) -> list[str]:
    """Format each float32 in the fewest digits that give it back; nothing if it is not finite, like a masked score."""
    # orjson writes the fewest digits too, ten times faster than str().
    if not numbers.size:
        return []
    written = orjson.dumps(np.ascontiguousarray(numbers), option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1]
    return ["" if number == "null" else number for number in written.split(",")]
