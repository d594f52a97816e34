"""Tables that give up columns where the screen is narrow, and rows where it is low."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import RenderableType
from rich.style import Style

from attn_cli.draw.labels import clean, fit, width
from attn_cli.draw.screen import Screen, lines_of
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, bar, caption_lines, cells, drawing, line

__all__ = ["FEWEST_ROWS", "GAP", "Column", "bars", "figures", "fitting", "names", "table"]

GAP = "  "
FEWEST_ROWS = 4
"""Rows that a table shows even where the screen is too low for them."""
FAINT = 0.05
"""Shares below this stand back."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    cells: Sequence[Sequence[Part]]
    """What stands in each row; text that is already clean."""
    right: bool = True
    """Aligned on the right."""
    rank: int = 0
    """The higher, the sooner it goes where there is no room; 0 stays."""
    note: str = ""
    """What it shows, in a sentence below the table."""

    @property
    def width(self) -> int:
        """In cells of the screen."""
        return max(width(self.name), *map(cells, self.cells), 0)


def names(name: str, texts: Sequence[str], screen: Screen, *, most: int = 14, right: bool = False) -> Column:
    """A column of texts that a user or a model wrote, or that call something by its name.

    Args:
        name: of the column.
        texts: one for each row.
        screen: where.
        most: the cells that one may take.
        right: aligned on the right.
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
    """A column of numbers; a dash where there is none.

    Args:
        name: of the column.
        values: one for each row.
        rank: see `Column`.
        form: how a number is written.
        faint: those nearer to 0 than this stand back.
        note: see `Column`.
    """
    return Column(name, [[_figure(value, form, faint)] for value in values], rank=rank, note=note)


def _figure(value: float | None, form: str, faint: float) -> Part:
    if value is None or not np.isfinite(value):
        return "–", DIM
    style: Style = DIM if abs(value) < faint else PLAIN
    text = format(value, form)
    return text if float(text) else format(0.0, form.lstrip("+")), style


def bars(name: str, shares: Sequence[float], screen: Screen, *, high: float = 1.0, places: int = 2) -> Column:
    """A column of bars with their numbers, as wide as suits the screen.

    Args:
        name: of the column.
        shares: from 0 to 1, one for each row; a dash stands where one is not a number.
        screen: where.
        high: what the longest bar stands for.
        places: decimals of a number.
    """
    size = 12 if screen.width >= 72 else 8 if screen.width >= 56 else 4
    scaled = [share / high if high > 0 else 0.0 for share in shares]
    numbers = [f" {share:.{places}f}" if np.isfinite(share) else "–".rjust(places + 3) for share in shares]
    drawn = [
        [*bar(length, size, screen, rail=True), (text, PLAIN)] for length, text in zip(scaled, numbers, strict=True)
    ]
    return Column(name, drawn, right=False)


def table(columns: Sequence[Column], screen: Screen, *, order: str = "", caption: str = "") -> RenderableType:
    """Columns side by side below their names, what they show below them; those that find no room are named there.

    Args:
        columns: from left to right, all of the same length.
        screen: where.
        order: the name of the column that the rows are in the order of.
        caption: what else must be known.
    """
    shown = list(columns)
    while sum(column.width + len(GAP) for column in shown) - len(GAP) > screen.width:
        least = max(shown, key=lambda column: column.rank)
        if not least.rank:
            break
        shown.remove(least)
    hidden = [column.name for column in columns if column.name and column not in shown]
    lines = [line(*_row([[(column.name, BOLD if column.name == order else DIM)] for column in shown], shown))]
    if not screen.unicode:
        shown = [replace(column, cells=_ascii(column.cells)) for column in shown]
    lines += [line(*_row(row, shown)) for row in zip(*(column.cells for column in shown), strict=True)]
    said = [*(column.note for column in shown), caption, f"Too narrow for {', '.join(hidden)}." if hidden else ""]
    return drawing([*lines, *caption_lines(" ".join(said), screen)])


def _ascii(rows: Sequence[Sequence[Part]]) -> Sequence[Sequence[Part]]:
    """The same with a hyphen for the dash that stands where there is no number."""
    return [[(text.replace("–", "-"), style) for text, style in row] for row in rows]


def _row(row: Sequence[Sequence[Part]], columns: Sequence[Column]) -> list[Part]:
    parts: list[Part] = []
    for index, (cell, column) in enumerate(zip(row, columns, strict=True)):
        space = (" " * (column.width - cells(cell)), PLAIN)
        parts += [(GAP if index else "", PLAIN), *([space, *cell] if column.right else [*cell, space])]
    return parts


def fitting(
    make: Callable[[int | None], RenderableType], count: int, screen: Screen, room: int | None
) -> RenderableType:
    """A table with as many rows as there is room for, `FEWEST_ROWS` at the least.

    Args:
        make: draws the first so many rows, or with None all of them.
        count: how many there are.
        screen: where.
        room: lines that are left for it; None for no end.
    """
    drawn = make(None)
    if room is None:
        return drawn
    limit = max(min(room, count), FEWEST_ROWS)
    while lines_of(drawn, screen) > room and limit >= FEWEST_ROWS:
        drawn = make(limit)
        limit -= 1
    return drawn
