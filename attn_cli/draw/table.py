"""Tables that drop columns on a narrow screen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np
from rich.console import Group
from rich.style import Style
from rich.text import Text

from attn_cli.draw.labels import clean, fit, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, bar, caption_lines, cells, drawing, line

__all__ = [
    "GAP",
    "Column",
    "Rest",
    "arrows",
    "bars",
    "figures",
    "form_of",
    "names",
    "numeral",
    "table",
    "total_width",
]

GAP = "  "
FAINT = 0.05
"""Threshold below which numbers are dimmed."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    cells: Sequence[Sequence[Part]]
    """The cell of each row, as clean text."""
    right: bool = True
    """True to align on the right."""
    rank: int = 0
    """Order of removal if there is no room, highest first; 0 for a column that is never removed."""
    note: str = ""
    """Sentence below the table that explains the column."""
    key: str = ""
    """Name of the column in `order`; by default its name."""
    group: str = ""
    """Heading above this column and its neighbours of the same group."""
    least: int = 0
    """Least width in cells of the screen."""

    @cached_property  # since it is asked for in every row
    def width(self) -> int:
        """The width in cells of the screen."""
        return max(width(self.name), *map(cells, self.cells), self.least)


@dataclass(frozen=True)
class Rest:
    """A column at the right that fills what the others leave of the screen's width."""

    least: int
    """Cells that the others must leave."""
    make: Callable[[int], Column]
    """A function that makes the column in the given number of cells."""


def names(name: str, texts: Sequence[str], screen: Screen, *, most: int = 14, right: bool = False) -> Column:
    """Make a column of names or other texts, cleaned and fitted.

    Args:
        name: name of the column.
        texts: one text for each row.
        screen: the screen to draw on.
        most: most cells for a text.
        right: align on the right.
    """
    shown = [clean(text, unicode=screen.unicode) for text in texts]
    fitted = [fit(text, min(width(text), most), unicode=screen.unicode) for text in shown]
    return Column(name, [[(text, BOLD)] for text in fitted], right=right)


def figures(
    name: str,
    values: Sequence[float | None],
    *,
    rank: int = 0,
    form: str = ".2f",
    faint: float = FAINT,
    note: str = "",
) -> Column:
    """Make a column of numbers; a missing number becomes a dash.

    Args:
        name: name of the column.
        values: one number for each row.
        rank: order of removal; see `Column`.
        form: format specification of a number.
        faint: magnitude below which numbers are dimmed.
        note: sentence below the table; see `Column`.
    """
    return Column(name, [[_figure(value, form, faint)] for value in values], rank=rank, note=note)


def _figure(value: float | None, form: str, faint: float) -> Part:
    if value is None or not np.isfinite(value):
        return "–", DIM
    style: Style = DIM if abs(value) < faint else PLAIN
    return numeral(value, form), style


def numeral(value: float, form: str) -> str:
    """Format a number, without a sign if it is written as 0 and without zeros before an exponent: `2.8e-5`."""
    text = format(value, form)
    if _parsed(text):
        return text.replace("e-0", "e-")
    return "0" if "e" in form else format(0.0, form.lstrip("+"))


def _parsed(text: str) -> float:
    """Return the number that was written with a format, which may separate thousands: `1,040`."""
    return float(text.replace(",", ""))


def form_of(values: Iterable[float], form: str, *, noise: float = 0.0) -> str:
    """Return the format of numbers that are to be told apart: in scientific notation if the largest would be 0 in it.

    Args:
        values: the numbers.
        form: format specification of a number of usual size.
        noise: size of the largest number below which all are rounding errors.
    """
    largest = max((abs(value) for value in values if np.isfinite(value)), default=0.0)
    if largest <= noise or _parsed(format(largest, form)):
        return form
    return f"{'+' * form.startswith('+')}.1e"


def bars(
    name: str, shares: Sequence[float], screen: Screen, *, high: float = 1.0, form: str = ".2f", size: int | None = None
) -> Column:
    """Make a column of bars with their numbers.

    Args:
        name: name of the column.
        shares: one share from 0 to 1 for each row; not-a-number becomes a dash.
        screen: the screen to draw on.
        high: value of a bar of full length.
        form: format specification of a number.
        size: cells of a bar; by default, they depend on the screen's width.
    """
    if size is None:
        size = 12 if screen.width >= 72 else 8 if screen.width >= 56 else 4
    scaled = [share / high if high > 0 else 0.0 for share in shares]
    numbers = [f" {numeral(share, form)}" if np.isfinite(share) else " –" for share in shares]
    longest = max(map(len, numbers), default=0)
    drawn = [
        [*bar(length, size, screen, rail=True), (text.rjust(longest), PLAIN)]
        for length, text in zip(scaled, numbers, strict=True)
    ]
    return Column(name, drawn, right=False)


def arrows(name: str, starts: Sequence[str], ends: Sequence[str], screen: Screen) -> Column:
    """Make a column of links such as `it → trophy`, whose arrows are aligned; blank where both ends are.

    Args:
        name: name of the column.
        starts: clean text before the arrow, one for each row.
        ends: clean text after the arrow, one for each row.
        screen: the screen to draw on.
    """
    arrow = " → " if screen.unicode else " > "
    across = max(map(width, starts), default=0)
    rows: list[list[Part]] = [
        [(" " * (across - width(start)) + start, PLAIN), (arrow, DIM), (end, BOLD)] if start or end else []
        for start, end in zip(starts, ends, strict=True)
    ]
    return Column(name, rows, right=False)


def table(
    columns: Sequence[Column],
    screen: Screen,
    *,
    narrower: Sequence[Sequence[Column]] = (),
    rest: Rest | None = None,
    order: str = "",
    apart: Collection[int] = (),
    caption: str = "",
) -> Group:
    """Draw columns side by side below their names, with notes below the rows that also name the columns left out.

    Args:
        columns: the columns from left to right, all of the same length.
        screen: the screen to draw on.
        narrower: the same columns in other widths, the widest first, to try before a column is left out.
        rest: a last column, as wide as there is room for.
        order: name of the column that the rows are sorted by.
        apart: the rows that a blank line sets apart from those above.
        caption: text after the columns' notes.
    """
    shown, left_out = _fitting([columns, *narrower], screen.width - (len(GAP) + rest.least if rest else 0))
    if rest is not None:
        shown.append(rest.make(screen.width - total_width(shown) - len(GAP)))
    if not screen.unicode:
        shown = [replace(column, cells=_ascii(column.cells)) for column in shown]
    headings = [[(column.name, BOLD if order and order == (column.key or column.name) else DIM)] for column in shown]
    lines = [_groups(shown, screen)] if any(column.group for column in shown) else []
    lines.append(line(*_row(headings, shown)))
    for index, row in enumerate(zip(*(column.cells for column in shown), strict=True)):
        lines += [line()] if index in apart else []
        lines.append(line(*_row(row, shown)))
    hidden = [column.name for column in left_out if column.name]
    unseen = f"Not shown for lack of width: {', '.join(hidden)}." if hidden else ""
    said = [*(column.note for column in shown), caption, unseen]
    return drawing([*lines, *caption_lines(" ".join(said), screen)])


def total_width(columns: Sequence[Column]) -> int:
    """Measure columns side by side in cells of the screen."""
    return sum(column.width + len(GAP) for column in columns) - len(GAP)


def _fitting(variants: Sequence[Sequence[Column]], room: int) -> tuple[list[Column], list[Column]]:
    """Choose the widest variant that fits, with as few columns left out as possible.

    Returns:
        The columns, and those of the widest variant that are left out.
    """
    kept = list(range(len(variants[0])))
    while True:
        for variant in variants:
            shown = [variant[place] for place in kept]
            if total_width(shown) <= room:
                break
        least = max(kept, key=lambda place: variants[0][place].rank)
        if total_width(shown) <= room or not variants[0][least].rank:
            return shown, [column for place, column in enumerate(variants[0]) if place not in kept]
        kept.remove(least)


def _groups(columns: Sequence[Column], screen: Screen) -> Text:
    parts: list[Part] = []
    for group, members in groupby(columns, lambda column: column.group):
        parts += [(GAP if parts else "", PLAIN), (fit(group, total_width(list(members)), unicode=screen.unicode), BOLD)]
    return line(*parts)


def _ascii(rows: Sequence[Sequence[Part]]) -> Sequence[Sequence[Part]]:
    """Replace the dash of a missing number by a hyphen."""
    return [[(text.replace("–", "-"), style) for text, style in row] for row in rows]


def _row(row: Sequence[Sequence[Part]], columns: Sequence[Column]) -> list[Part]:
    parts: list[Part] = []
    for index, (cell, column) in enumerate(zip(row, columns, strict=True)):
        space = (" " * (column.width - cells(cell)), PLAIN)
        parts += [(GAP if index else "", PLAIN), *([space, *cell] if column.right else [*cell, space])]
    return parts
