"""Matrices of weights as text: a grid of numbers, with or without labels, or the long table that attn itself writes.

A grid is what `numpy.savetxt`, `DataFrame.to_csv` or a spreadsheet writes, between commas, semicolons, tabs, bars or
spaces; decimals may stand behind a comma where cells do not. Labels are its first row and its first column, where those
are not numbers, or where its first cell is empty. A first row that counts the columns from 0, as pandas writes it, is
labels too, but not where it may be a row of weights.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import cast, get_args

import numpy as np

from attn_cli.data.labelling import Labelling
from attn_cli.data.matrix import (
    MOST_ROUNDED,
    GivenLayer,
    choose_kind,
    choose_labels,
    given_record,
    matrix_record,
)
from attn_cli.data.record import Record
from attn_cli.data.selection import KINDS, Kind, Measure, Rows, Unit
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.errors import InputError, quoted, shortened
from attn_cli.io.csv import exact
from attn_cli.system.encoding import decode_text
from attn_cli.system.memory import require

__all__ = ["MARKS", "from_csv", "is_number"]

EXPANSION = 20
"""Bytes that a cell takes as a Python object and in an array, for each byte of its text."""
MARKS = "\t;|,"
"""Characters that separate cells; spaces do in a text that has none of them."""
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
"""A number, with its decimals behind a point or a comma."""
QUOTED_DECIMALS = re.compile(r"[+-]?0?,\d")
"""The beginning of a number in which a comma is surely before its decimals."""
COMMENT = "# "
"""Prefix that `numpy.savetxt` puts before a header."""
MISSING = ("", "nan", "inf", "-inf")
"""Cells that are neither labels nor weights."""
LEFT_OUT = (*MISSING, "na", "n/a", "null", "none", "-")
"""Cells that programs write for a weight that is missing, as a masked one may be, though they could be labels."""
LONG = {"query", "key", "weight"}
"""Columns that make a long table."""
A_GRID = "Give a grid of numbers, with or without labels, or what attn inspect --save wrote; texts are read with --file"
POSITIONS = "Number queries and keys from 0, and put their labels into query_text and key_text"


def from_csv(data: bytes, name: str, labelling: Labelling) -> Iterator[Record]:
    """Yield the records of a CSV file: one of a grid, or one for each sentence of a long table.

    Args:
        data: the bytes of the file.
        name: name of the file in messages.
        labelling: what is said of the matrix.

    Raises:
        InputError: the file is not CSV, or holds something that is not weights.
        UsageError: the kind asked for does not fit.
        MemoryLimitError: the file does not fit in memory.
    """
    require(EXPANSION * len(data), name, "Save it as .npz")
    labelling.check_alone(name)
    lines = _cells(decode_text(data, name).removeprefix("\ufeff").removeprefix(COMMENT), name)
    if not lines:
        raise InputError(f"{name} is empty", A_GRID)
    columns = [cell.strip().lower() for cell in lines[0]]
    if set(columns) >= LONG:
        yield from _long(columns, lines[1:], name, labelling)
        return
    # In quotes a comma may also stand between thousands, where no number begins with a 0 before it.
    quoted_decimals = any(QUOTED_DECIMALS.match(cell.strip()) for line in lines for cell in line)
    yield _grid(_with_points(lines) if quoted_decimals else lines, name, labelling)


def _cells(text: str, name: str) -> list[list[str]]:
    """Split a text into lines of cells with decimal points; blank lines are left out."""
    filled = [line for line in text.splitlines() if line.strip()]
    ends = [*filled[:1], *filled[-1:]]
    marks = [mark for mark in MARKS if any(mark in line for line in ends)]
    mark = max(marks, key=lambda mark: sum(_told_apart(line, mark) for line in ends), default=None)
    try:
        if mark is None:
            lines = [line.split() for line in text.splitlines()]
        else:
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True))
    except csv.Error as error:
        raise InputError(f"{name} is not CSV: {error}", A_GRID) from error
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    return lines if mark == "," else _with_points(lines)


def _told_apart(line: str, mark: str) -> int:
    """Return by how much the numbers in a line outnumber its other cells if a mark stands between them."""
    cells = next(csv.reader([line], delimiter=mark))
    return sum(1 if is_number(cell) else -1 for cell in cells if cell.strip())


def _with_points(lines: list[list[str]]) -> list[list[str]]:
    """Write the decimals of a grid behind points, if all of them are behind commas."""
    numbers = [cell for line in lines for cell in line if is_number(cell)]
    if any("." in cell for cell in numbers):
        return lines
    return [[cell.replace(",", ".") if is_number(cell) else cell for cell in line] for line in lines]


def _grid(lines: list[list[str]], name: str, labelling: Labelling) -> Record:
    head, body = (lines[0], lines[1:]) if _is_header(lines, checked=labelling.checked) else (None, lines)
    if not body:
        raise InputError(f"{name} has labels and no numbers", A_GRID)
    beside = _labels_rows(head, body)
    if beside and len(body[0]) == 1:
        raise InputError(f"{name} has labels and no numbers", A_GRID)
    rows = [line[0] for line in body] if beside else None
    columns = None if head is None else head[1:] if beside and len(head) == len(body[0]) else head
    values = [line[1:] for line in body] if beside else body
    width = len(values[0])
    skipped = 0 if head is None else 1
    for number, line in enumerate(values):
        if len(line) != width:
            raise InputError(
                f"Row {number + skipped} of {name} has {len(line)} numbers, and the first has {width}", A_GRID
            )
    try:
        array = np.array(values, np.float64)
    except ValueError as error:
        wrong = next((cell for line in values for cell in line if "," in cell or not is_number(cell)), "")
        raise InputError(f"{name} is not a grid of numbers: it holds {quoted(wrong)}", A_GRID) from error
    with np.errstate(over="ignore"):
        layer = array.astype(np.float32)[None]
    rounding = _rounding(cell for line in values for cell in line)
    record = matrix_record([layer], name, labelling.beside(rows, columns), rounding=rounding)
    if columns is None or not all(map(is_number, columns)):
        return record
    listed = shortened(", ".join(cell.strip() for cell in columns))
    note = f"The first row of {name} ({listed}) is taken for labels, not for weights"
    return replace(record, notes=(note, *record.notes))


def _rounding(cells: Iterable[str]) -> float:
    """Return the largest error of numbers that were cut to a few decimals, so that they do not sum to 1 exactly."""
    places = max((len(cell.partition(".")[2]) for cell in cells if "e" not in cell.lower()), default=0)
    return 0.5 / 10**places if places else 0.0


def is_number(cell: str) -> bool:
    """Return whether a cell holds a number."""
    return NUMBER.fullmatch(cell.strip()) is not None


def _is_label(cell: str) -> bool:
    return not is_number(cell) and cell.strip().lower() not in MISSING


def _is_header(lines: list[list[str]], *, checked: bool) -> bool:
    """Return whether the first line is labels: it begins with an empty cell, has labels, or numbers the columns.

    Args:
        lines: the lines of the grid.
        checked: True if rows of weights sum to 1.
    """
    corner, *others = (cell.strip() for cell in lines[0])
    beside = not corner or _is_label(corner)
    cells = others if beside and others else [corner, *others]
    if any(map(_is_label, cells)):
        return not _may_be_weights(cells)
    counted = cells == list(map(str, range(len(cells))))
    if not corner:
        return counted or not _may_be_weights(cells)
    # Below a line that counts the columns of a square there are as many others. A row of weights that has a label can
    # count from 0 only if its sum is not checked.
    return counted and len(lines) == len(cells) + 1 and not _may_be_weights(cells) and (checked or not beside)


def _may_be_weights(cells: Sequence[str]) -> bool:
    """Return whether some cells may be a row of weights: numbers that sum to 1, or to 0 in padding; some left out."""
    if any(not is_number(cell) and cell.lower() not in LEFT_OUT for cell in cells):
        return False
    weights = [float(cell.replace(",", ".")) for cell in cells if is_number(cell)]
    total = sum(weights)
    return bool(weights) and min(weights) >= 0 and (not total or abs(total - 1) <= MOST_ROUNDED)


def _labels_rows(head: Sequence[str] | None, body: list[list[str]]) -> bool:
    """Return whether the first column is labels."""
    if head is not None:
        # A name before numbers that count the columns is that of the column of labels, which may be numbers as well.
        named = _is_label(head[0]) and len(head) > 1 and all(map(is_number, head[1:]))
        if not head[0].strip() or named or len(head) == len(body[0]) - 1:
            return True
    return any(_is_label(line[0]) for line in body)


def _long(columns: list[str], lines: list[list[str]], name: str, labelling: Labelling) -> Iterator[Record]:
    places = {column: index for index, column in enumerate(columns)}
    for number, line in enumerate(lines, start=2):
        if len(line) != len(columns):
            raise InputError(f"Row {number} of {name} has {len(line)} cells, and the header has {len(columns)}", A_GRID)
    if not lines:
        raise InputError(f"{name} has a header and no weights", A_GRID)
    sentence = places.get("sentence")
    for _, group in groupby(lines, lambda line: None if sentence is None else line[sentence]):
        yield _sentence(places, list(group), name, labelling)


def _sentence(places: Mapping[str, int], lines: list[list[str]], name: str, labelling: Labelling) -> Record:
    """Make the record of one sentence of a long table."""

    def numbers(column: str) -> Float[np.ndarray, "line"]:
        try:
            return np.array([line[places[column]] or "nan" for line in lines], np.float64)
        except ValueError as error:
            raise InputError(
                f"The column {column} of {name} holds something that is not a number",
                POSITIONS if column in {"query", "key"} else A_GRID,
            ) from error

    def counts(column: str) -> Int[np.ndarray, "line"]:
        values = numbers(column) if column in places else np.zeros(len(lines))
        if not ((values >= 0) & (values < 2**31) & (values == np.floor(values))).all():
            raise InputError(f"The column {column} of {name} holds something that is not a number from 0", A_GRID)
        return values.astype(np.intp)

    def only(column: str, known: Sequence[str], default: str | None) -> str | None:
        found = {line[places[column]] for line in lines} if column in places else set()
        if len(found) > 1 or found - set(known):
            raise InputError(
                f"The column {column} of {name} holds {', '.join(map(quoted, sorted(found)))}",
                f"Give one file for each of {', '.join(known)}",
            )
        return found.pop() if found else default

    queries, keys, heads, numbers_of_layers = map(counts, ("query", "key", "head", "layer"))
    said = cast("Kind | None", only("kind", KINDS, None))
    step = cast("Rows | None", only("rows", get_args(Rows), None))
    measure = cast("Measure", only("measure", get_args(Measure), "weights"))
    if "unit" in places and any(line[places["unit"]] == "patch" for line in lines):
        raise InputError(f"{name} is of an image, whose grid of patches a table does not hold", "Save it as .json")
    unit = cast("Unit", only("unit", get_args(Unit), "word"))
    names = [_names(places, lines, f"{side}_text", at) for side, at in (("query", queries), ("key", keys))]
    # A decoder's rows of the steps that write a word are not in the places of that word's columns.
    crosses = "cross" in (labelling.kind, said)
    same = step is None and not crosses and all(names[0].get(at, label) == label for at, label in names[1].items())
    if same:
        names = [names[0] | names[1]] * 2
    sizes = [max(labels) + 1 for labels in names]
    require(
        4 * len(set(zip(numbers_of_layers.tolist(), heads.tolist(), strict=True))) * sizes[0] * sizes[1],
        name,
        "Save it as .npz",
    )
    rows, columns = (
        tuple(labels.get(at, str(at)) for at in range(size)) for labels, size in zip(names, sizes, strict=True)
    )
    if labelling.rows is not None or labelling.columns is not None:
        rows, columns = choose_labels(labelling, sizes[0], sizes[1], name)
        same = same and rows == columns
    weights = numbers("weight").astype(np.float32)
    present = np.unique(queries)
    ahead = bool((weights[keys > queries] > 0).any())
    if same and said is not None and labelling.kind is None:
        kind = said
    else:
        kind = choose_kind(labelling.kind, name, (len(present), sizes[1]), same=same, ahead=ahead)
    scores = numbers("score").astype(np.float32) if "score" in places else None
    layers: dict[int, GivenLayer] = {}
    for layer in np.unique(numbers_of_layers).tolist():
        of = numbers_of_layers == layer
        own = np.unique(heads[of])
        at = np.searchsorted(own, heads[of]), np.searchsorted(present, queries[of]), keys[of]
        shape = (len(own), len(present), sizes[1])
        values = np.zeros(shape, np.float32)
        values[at] = weights[of]
        seen = np.zeros(shape, np.bool_)
        seen[at] = True
        if seen.sum() < of.sum():
            raise InputError(f"{name} has two weights for one query and key of layer {layer}", A_GRID)
        scored = None
        if scores is not None:
            scored = np.full(shape, -np.inf, np.float32)
            scored[at] = np.where(np.isnan(scores[of]), -np.inf, scores[of])
        any_head: Bool[np.ndarray, "query key"] = np.logical_or.reduce(seen, axis=0)
        first = np.where(any_head.any(axis=1), any_head.argmax(axis=1), 0)
        stop = np.where(any_head.any(axis=1), sizes[1] - any_head[:, ::-1].argmax(axis=1), 0)
        if kind == "decoder" and not ahead:  # whose later keys have weights of 0 in a table of all cells
            stop = np.minimum(stop, present + 1)
        stop = np.where(values.any(axis=(0, 2)), stop, first)  # a row of zeros is padding, as in a grid
        layers[layer] = GivenLayer(
            tuple(own.tolist()),
            tuple(present.tolist()),
            values,
            np.stack([first, stop], axis=1).astype(np.intp),
            scored,
        )
    rounding = _rounding(line[places["weight"]] for line in lines)
    return given_record(
        layers,
        name,
        kind,
        (rows, columns),
        step=step if crosses else None,
        unit=unit,
        measure=measure,
        checked=labelling.checked,
        rounding=rounding,
    )


def _names(places: Mapping[str, int], lines: list[list[str]], column: str, at: np.ndarray) -> dict[int, str]:
    """Return the label of each position of one axis, as it was before it was written."""
    if column not in places:
        return {position: str(position) for position in at.tolist()}
    place = places[column]
    return {position: exact(line[place]) for position, line in zip(at.tolist(), lines, strict=True)}
