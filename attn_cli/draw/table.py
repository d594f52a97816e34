"""Tables that drop columns on a narrow screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import RenderableType
from rich.style import Style

from attn_cli.draw.labels import clean, fit, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, bar, caption_lines, cells, drawing, line

__all__ = ["GAP", "Column", "bars", "figures", "names", "table"]

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

    @property
    def width(self) -> int:
        """The width in cells of the screen."""
        return max(width(self.name), *map(cells, self.cells), 0)


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
    text = format(value, form)
    return text if float(text) else format(0.0, form.lstrip("+")), style


def bars(name: str, shares: Sequence[float], screen: Screen, *, high: float = 1.0, places: int = 2) -> Column:
    """Make a column of bars with their numbers, whose width depends on the screen.

    Args:
        name: name of the column.
        shares: one share from 0 to 1 for each row; not-a-number becomes a dash.
        screen: the screen to draw on.
        high: value of a bar of full length.
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
    """Draw columns side by side below their names, with notes below the rows that also name the columns left out.

    Args:
        columns: the columns from left to right, all of the same length.
        screen: the screen to draw on.
        order: name of the column that the rows are sorted by.
        caption: text after the columns' notes.
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
    """Replace the dash of a missing number by a hyphen."""
    return [[(text.replace("–", "-"), style) for text, style in row] for row in rows]


def _row(row: Sequence[Sequence[Part]], columns: Sequence[Column]) -> list[Part]:
    parts: list[Part] = []
    for index, (cell, column) in enumerate(zip(row, columns, strict=True)):
        space = (" " * (column.width - cells(cell)), PLAIN)
        parts += [(GAP if index else "", PLAIN), *([space, *cell] if column.right else [*cell, space])]
    return parts
