"""A map with labels, drawn line by line: the columns' labels above, then a row's position, label and cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich.text import Text

from attn_cli.data.shapes import Float
from attn_cli.draw.colors import BLANK, Scale, marks, painted, strongest_mark
from attn_cli.draw.labels import Labels, clean, fit, letters, width
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, MARKED, PLAIN, Part, change, decimals, line, number

__all__ = [
    "LONGEST_LABEL",
    "SEGMENTS",
    "SEGMENTS_IN_ASCII",
    "SHORTEST_HEADER",
    "TALLEST_HEADER",
    "Layout",
    "Sheet",
    "digits_of",
    "longest_of",
    "number_width",
]

LONGEST_LABEL = 12
TALLEST_HEADER = 8
"""Most letters of a label written downwards."""
SHORTEST_HEADER = 4
"""Letters of such a label that are kept where there is little room."""
SEGMENTS = "│", "─"
"""The marks between the columns and between the rows of two segments."""
SEGMENTS_IN_ASCII = "|", "-"


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of a map in cells."""

    gutter: int
    """Width before the first column, for the position and label of a row."""
    cell: int
    """Width of a column."""
    columns: int
    """Number of columns side by side in a panel."""
    tiers: int
    """Number of lines over which column labels are spread; 0 if they are written downwards."""
    header: int
    """Most lines of a label written downwards."""
    numbers: bool
    """True if numbers are written in the cells."""

    @property
    def margin(self) -> int:
        """Blank columns at the right of a cell that is wide enough to centre its number."""
        return 1 if self.numbers and self.cell > 5 else 0


def longest_of(axis: Labels, screen: Screen) -> int:
    """Measure the longest label in cells."""
    return max((width(clean(text, unicode=screen.unicode)) for text in axis.texts), default=0)


def digits_of(axis: Labels) -> int:
    """Count the digits of the largest position."""
    return len(str(max(axis.positions, default=0)))


def number_width(view: MapView) -> int:
    """Measure the widest number of a map in cells."""
    values = view.shown
    if view.measure == "weight":
        return len(number(max(float(np.nanmax(values, initial=1.0)), 1.0)))
    if view.measure != "score" or not np.isfinite(values).any():
        return 4 if view.measure == "change" else 3
    places = _places(values)
    return max(len(f"{float(end):z.{places}f}") for end in (np.nanmin(values), np.nanmax(values)))


def _places(values: Float[np.ndarray, "query key"]) -> int:
    return decimals(float(np.nanmax(np.abs(values)))) if np.isfinite(values).any() else 2


class Sheet:
    """A map with labels, drawn line by line and panel by panel, with a cell in brackets where a cursor is."""

    def __init__(
        self,
        view: MapView,
        scale: Scale,
        plan: Layout,
        screen: Screen,
        mark_strongest: bool,
        cursor: tuple[int, int] | None = None,
    ) -> None:
        self.view, self.plan, self.screen = view, plan, screen
        self.cursor_row: int | None = None if cursor is None else cursor[0]
        self.cursor_column: int | None = None if cursor is None else cursor[1]
        values = view.shown
        self.values = values.tolist()
        self.levels = scale.levels(values).tolist()
        self.shades = scale.shades(values).tolist()
        self.places, self.signed = _places(values), scale.signed
        known = np.isfinite(values)
        best = np.argmax(np.where(known, values, -np.inf), axis=1) if values.size else np.zeros(len(values), np.intp)
        self.best = np.where(known.any(axis=1), best, -1).tolist()
        self.shading = marks(unicode=screen.unicode)
        self.strongest = strongest_mark(unicode=screen.unicode)
        self.mark_strongest = mark_strongest
        self.between = SEGMENTS if screen.unicode else SEGMENTS_IN_ASCII

    def panels(self) -> Iterator[Text]:
        """Yield all lines, in panels of columns one below the other."""
        count = len(self.view.key)
        for first in range(0, max(count, 1), self.plan.columns):
            if first:
                yield line()
            part = range(first, min(first + self.plan.columns, count))
            yield from self.header(part)
            yield from self.rows(part)

    def header(self, part: range) -> Iterator[Text]:
        """Yield the lines of these columns' labels, each ending above its numbers."""
        key, plan, unicode = self.view.key, self.plan, self.screen.unicode
        styles = [MARKED if column == self.cursor_column else DIM if key.special[column] else PLAIN for column in part]
        if plan.tiers:
            tiers = min(plan.tiers, max(len(part), 1))
            for tier in range(tiers):
                parts: list[Part] = []
                used = 0
                for index in range(tier, len(part), tiers):
                    bar = self.barred(part) and part[index] >= (key.second_segment or 0)
                    stop = plan.gutter + (index + 1) * plan.cell - plan.margin + bar
                    size = min(tiers * plan.cell - 1, stop - used)
                    parts.append((" " * (stop - size - used), PLAIN))
                    parts.append((fit(key.texts[part[index]], size, align="right", unicode=unicode), styles[index]))
                    used = stop
                yield line(*parts)
            return
        stacks = [_stack(key.texts[column], plan.header, unicode=unicode) for column in part]
        tallest = max(map(len, stacks), default=0)
        for row in range(tallest):
            parts = [(" " * plan.gutter, PLAIN)]
            for column, stack, style in zip(part, stacks, styles, strict=True):
                if self.barred(part) and column == key.second_segment:
                    parts.append((" ", PLAIN))
                place = row - (tallest - len(stack))
                parts.append((fit(stack[place] if place >= 0 else "", plan.cell, unicode=unicode), style))
            yield line(*parts)

    def rows(self, part: range) -> Iterator[Text]:
        """Yield each row's position, label and cells in these columns; later panels leave out masked rows."""
        query, plan = self.view.query, self.plan
        digits = digits_of(query)
        for row, text in enumerate(query.texts):
            if part.start and all(self.levels[row][column] == BLANK for column in part):
                continue
            label = fit(text, plan.gutter - digits - 2, unicode=self.screen.unicode) + " "
            if row == query.second_segment:
                yield line((self.between[1] * (plan.gutter + len(part) * plan.cell + self.barred(part)), DIM))
            yield line(
                (f"{query.positions[row]:>{digits}} ", DIM),
                (label, MARKED if row == self.cursor_row else DIM if query.special[row] else PLAIN),
                *self.cells(row, part),
            )

    def barred(self, part: range) -> bool:
        """Return whether the second segment begins in a panel, with a mark before it."""
        return self.view.key.second_segment in part

    def cells(self, row: int, part: range) -> Iterator[Part]:
        """Yield the cells of a row, and the mark before those of the second segment."""
        for column in part:
            if self.barred(part) and column == self.view.key.second_segment:
                yield self.between[0], DIM
            text, style = self.cell(row, column)
            if row == self.cursor_row and column == self.cursor_column:
                text, style = self.under_cursor(text), style + BOLD
            yield text, style

    def under_cursor(self, text: str) -> str:
        """Put a cell between brackets, which take the place of the blanks beside a number or of a square."""
        inner = text.strip(" ") if self.plan.numbers else ""
        if len(inner) > self.plan.cell - 2:
            return f"[{inner[: self.plan.cell - 1]}".rjust(self.plan.cell)
        space = self.plan.cell - len(inner) - 2
        return " " * (space - min(space, self.plan.margin)) + f"[{inner}]" + " " * min(space, self.plan.margin)

    def cell(self, row: int, column: int) -> Part:
        """Draw one cell: painted, shaded or numbered, depending on the plan and the screen."""
        plan, level, shade = self.plan, self.levels[row][column], self.shades[row][column]
        if level == BLANK:
            return " " * plan.cell, PLAIN
        best = self.mark_strongest and column == self.best[row]
        style = painted(level, self.screen, bold=best)
        sign = self.shading[shade]
        if plan.numbers:
            value, unicode = self.values[row][column], self.screen.unicode
            if self.view.measure == "change":
                text = change(value, unicode=unicode)
            elif self.view.measure == "weight":
                text = number(value, unicode=unicode)
            else:
                text = f"{value:z.{self.places}f}"
            if not self.screen.color:
                shown = sign if shade and not self.signed else ""  # signed numbers need no shade
                text = f"{self.strongest if best else ''}{shown}{text}"
            return text.rjust(plan.cell - plan.margin) + " " * plan.margin, style
        if self.screen.color:
            return (f"{self.strongest} " if best else "  "), style
        if best:
            return f"{sign}{self.strongest}", PLAIN
        return (sign * 2 if shade else f"{sign} "), PLAIN


def _stack(text: str, most: int, *, unicode: bool) -> list[str]:
    """Split a label into letters from top to bottom, `most` at most."""
    stack = letters(clean(text, unicode=unicode))
    if len(stack) > most:
        stack = [*stack[: most - 1], "…" if unicode else "~"]
    return stack
