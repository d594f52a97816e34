"""One map as a heatmap, as large as the screen allows: with numbers, as squares, or as a mosaic of half-blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rich.console import Group
from rich.text import Text

from attn_cli.blocks import Kind
from attn_cli.render.labels import Labels, clean, fit, letters, width
from attn_cli.render.paint import (
    DIM,
    PLAIN,
    Part,
    caption_lines,
    drawing,
    flow,
    line,
    mosaic,
    number,
    pool,
    swatches,
    title_lines,
)
from attn_cli.render.scale import BLANK, WEIGHTS, Scale, marks, painted, squares
from attn_cli.render.screen import Screen
from attn_cli.shapes import Float, Int

__all__ = ["MapView", "heatmap"]

LONGEST_LABEL = 12
TALLEST_HEADER = 8
"""Letters of a label written downwards."""
MOST_TIERS = 3
MOST_LINES = 120
"""A map that would take more lines than this in panels of squares becomes a mosaic."""


@dataclass(frozen=True, eq=False)
class MapView:
    """What a heatmap shows.

    Raises:
        ValueError: values and labels disagree.
    """

    values: Float[np.ndarray, "query key"]
    """Weights, or scores with minus infinity where masked."""
    query: Labels
    key: Labels
    kind: Kind = "encoder"
    measure: Literal["weight", "score"] = "weight"
    unit: Literal["word", "token"] = "word"
    visible: Int[np.ndarray, "query 2"] | None = None
    """First key that each query can see, and one past the last; everything by default."""

    def __post_init__(self) -> None:
        shape = (len(self.query), len(self.key))
        if self.values.shape != shape:
            raise ValueError(f"values have shape {self.values.shape}, the labels say {shape}")

    def shown(self) -> Float[np.ndarray, "query key"]:
        """The values, not-a-number where there is nothing to see."""
        values = np.where(np.isfinite(self.values), self.values, np.nan)
        if self.visible is not None:
            keys = np.arange(values.shape[1])
            values = np.where((keys >= self.visible[:, :1]) & (keys < self.visible[:, 1:]), values, np.nan)
        return values.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a map is laid out in cells."""

    gutter: int
    """Before the first column: position and label of the row."""
    cell: int
    """Of a column."""
    columns: int
    """How many columns stand side by side in a panel."""
    tiers: int
    """Lines over which column labels are spread, so that each has room; 0 where they are written downwards."""
    numbers: bool
    """Numbers are written in the cells."""

    @property
    def margin(self) -> int:
        """What a cell keeps free on its right, where it is wide enough to centre a number."""
        return 1 if self.numbers and self.cell > 5 else 0


def heatmap(
    view: MapView,
    screen: Screen,
    *,
    title: str = "",
    caption: str = "",
    numbers: bool = False,
    mark_strongest: bool = False,
    wrap: bool = True,
) -> Group:
    """A map as a heatmap: rows are queries, columns are keys, and a legend says so.

    Args:
        view: what to show.
        screen: where.
        title: a line above.
        caption: a line below, for what else must be known (a learned sink's share, rows renormalised).
        numbers: write every number out, in as many panels of columns as it takes: the full table of a head. Without,
            numbers are written where there is room for all columns.
        mark_strongest: mark the strongest key of each row where it is drawn as a square.
        wrap: wrap the columns into panels where they do not fit side by side, before resorting to a mosaic.
    """
    values = view.shown()
    scale = WEIGHTS if view.measure == "weight" else Scale.between(values)
    plan = _plan(view, values, screen, numbers=numbers, wrap=wrap)
    lines = title_lines(title, screen)
    notes: list[str] = []
    if plan is None:
        size = _mosaic_size(view, screen)
        small = pool(values, size, size)
        scale = Scale.reaching(small) if view.measure == "weight" else scale
        lines += _mosaic(view, small, size, scale, screen)
        notes.append(cell_note(size, size, view.unit, view.measure, screen))
    else:
        sheet = _Sheet(view, values, scale, plan, screen, mark_strongest)
        for first in range(0, max(len(view.key), 1), plan.columns):
            lines += [line()] if first else []
            part = range(first, min(first + plan.columns, len(view.key)))
            lines += [*sheet.header(part), *sheet.rows(part)]
    sides = ("output", "input") if view.kind == "cross" else ("queries", "keys")
    notes.insert(0, f"rows ({sides[0]}) attend to columns ({sides[1]})")
    if not np.isfinite(values).all():
        notes.append("blank: masked")
    legend = swatches(scale, view.measure, screen)
    if mark_strongest and plan is not None:
        some, strongest = squares(unicode=screen.unicode)
        sign = "bold:" if plan.numbers and screen.color else strongest
        notes.insert(0, f"{sign} strongest of its row")
        if not plan.numbers and not screen.color:
            least = f"{scale.steps[0]:.2f}"
            legend = [
                (f"{view.measure} ", DIM),
                (f"{some} from {least}  {marks(unicode=screen.unicode)[0]} less", PLAIN),
            ]
    lines += [line(), *flow([legend, *([(note, DIM)] for note in notes if note)], screen)]
    return drawing([*lines, *caption_lines(caption, screen)])


def cell_note(rows: int, columns: int, unit: str, measure: str, screen: Screen) -> str:
    """How many units one cell stands for; empty where it is one."""
    rows *= 1 if screen.color else 2
    if rows == columns == 1:
        return ""
    return f"one cell = {rows} {'×' if screen.unicode else 'x'} {columns} {unit}s, the largest {measure} of them"


def _plan(
    view: MapView, values: Float[np.ndarray, "query key"], screen: Screen, *, numbers: bool, wrap: bool
) -> _Plan | None:
    """The largest cells that let all columns stand side by side; None where only a mosaic will do."""
    keys = max(len(view.key), 1)
    longest = min(_longest(view.key, screen), LONGEST_LABEL)
    gutter = _digits(view.query) + 1 + min(_longest(view.query, screen), LONGEST_LABEL, screen.width // 5) + 1
    room = screen.width - gutter
    least = _number_width(view, values) + (1 if screen.color else 2)
    each = room // keys
    if each >= least or numbers:
        # A number and its label have a cell to themselves, up to a width that still looks like a heatmap.
        cell = max(least, min(each, longest + 1))
        tiers = next((t for t in range(1, MOST_TIERS) if t * cell - 1 >= longest), MOST_TIERS)
        return _Plan(gutter, cell, _even(keys, room // cell), tiers, numbers=True)
    panels = -(-keys // (room // 2))
    if panels == 1 or (wrap and panels * (len(view.query) + TALLEST_HEADER) <= MOST_LINES):
        return _Plan(gutter, 2, _even(keys, room // 2), 0, numbers=False)
    return None


def _even(keys: int, most: int) -> int:
    """Columns of each panel, so that the last is not much smaller than the others."""
    panels = -(-keys // most)
    return -(-keys // panels)


def _longest(axis: Labels, screen: Screen) -> int:
    return max((width(clean(text, unicode=screen.unicode)) for text in axis.texts), default=0)


def _digits(axis: Labels) -> int:
    return len(str(max(axis.positions, default=0)))


def _number_width(view: MapView, values: Float[np.ndarray, "query key"]) -> int:
    if view.measure == "weight" or not np.isfinite(values).any():
        return 3
    places = _places(values)
    return max(len(f"{float(end):.{places}f}") for end in (np.nanmin(values), np.nanmax(values)))


def _places(values: Float[np.ndarray, "query key"]) -> int:
    """Decimals of a score: two, and fewer where they would be lost behind the digits before them."""
    largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
    return 2 if largest < 100 else 1 if largest < 1000 else 0


class _Sheet:
    """A map on its way into lines, panel by panel."""

    def __init__(
        self,
        view: MapView,
        values: Float[np.ndarray, "query key"],
        scale: Scale,
        plan: _Plan,
        screen: Screen,
        mark_strongest: bool,
    ) -> None:
        self.view, self.plan, self.screen = view, plan, screen
        self.values = values.tolist()
        self.levels = scale.levels(values).tolist()
        self.shades = scale.shades(values).tolist()
        self.places = _places(values)
        known = np.isfinite(values)
        best = np.argmax(np.where(known, values, -np.inf), axis=1) if values.size else np.zeros(len(values), np.intp)
        self.best = np.where(known.any(axis=1), best, -1).tolist()
        self.shading = marks(unicode=screen.unicode)
        self.some, self.strongest = squares(unicode=screen.unicode)
        self.mark_strongest = mark_strongest

    def header(self, part: range) -> Iterator[Text]:
        """Labels of these columns, each ending above its numbers."""
        key, plan, unicode = self.view.key, self.plan, self.screen.unicode
        styles = [DIM if key.special[column] else PLAIN for column in part]
        if plan.tiers:
            tiers = min(plan.tiers, max(len(part), 1))
            for tier in range(tiers):
                parts: list[Part] = []
                used = 0
                for index in range(tier, len(part), tiers):
                    stop = plan.gutter + (index + 1) * plan.cell - plan.margin
                    size = min(tiers * plan.cell - 1, stop - used)
                    parts.append((" " * (stop - size - used), PLAIN))
                    parts.append((fit(key.texts[part[index]], size, align="right", unicode=unicode), styles[index]))
                    used = stop
                yield line(*parts)
            return
        stacks = [_stack(key.texts[column], unicode=unicode) for column in part]
        tallest = max(map(len, stacks), default=0)
        for row in range(tallest):
            parts = [(" " * plan.gutter, PLAIN)]
            for stack, style in zip(stacks, styles, strict=True):
                place = row - (tallest - len(stack))
                parts.append((fit(stack[place] if place >= 0 else "", plan.cell, unicode=unicode), style))
            yield line(*parts)

    def rows(self, part: range) -> Iterator[Text]:
        """Each row's cells in these columns, after its position and label; later panels leave out masked rows."""
        query, plan = self.view.query, self.plan
        digits = _digits(query)
        for row, text in enumerate(query.texts):
            if part.start and all(self.levels[row][column] == BLANK for column in part):
                continue
            label = fit(text, plan.gutter - digits - 2, unicode=self.screen.unicode) + " "
            yield line(
                (f"{query.positions[row]:>{digits}} ", DIM),
                (label, DIM if query.special[row] else PLAIN),
                *(self.cell(row, column) for column in part),
            )

    def cell(self, row: int, column: int) -> Part:
        """One cell: painted, shaded, numbered as the plan and the screen have it."""
        plan, level, shade = self.plan, self.levels[row][column], self.shades[row][column]
        if level == BLANK:
            return " " * plan.cell, PLAIN
        best = column == self.best[row]
        style = painted(level, self.screen, bold=best)
        sign = self.strongest if best and self.mark_strongest else self.shading[shade]
        if plan.numbers:
            value, unicode = self.values[row][column], self.screen.unicode
            weight = self.view.measure == "weight"
            text = number(value, unicode=unicode) if weight else f"{value:.{self.places}f}"
            if not self.screen.color and shade:
                text = sign + text
            return text.rjust(plan.cell - plan.margin) + " " * plan.margin, style
        if self.screen.color:
            return (f"{sign} " if best and self.mark_strongest else "  "), style
        if self.mark_strongest:
            return (f"{sign} " if best or not shade else f"{self.some} "), PLAIN
        return (sign * 2 if shade else f"{sign} "), PLAIN


def _stack(text: str, *, unicode: bool) -> list[str]:
    """A label's letters from top to bottom."""
    stack = letters(clean(text, unicode=unicode))
    if len(stack) > TALLEST_HEADER:
        stack = [*stack[: TALLEST_HEADER - 1], "…" if unicode else "~"]
    return stack


def _mosaic_size(view: MapView, screen: Screen) -> int:
    """How many units a side of each cell must stand for, so that the map fits the screen."""
    room = screen.width - _digits(view.query) - 1
    tallest = 2 * (max(screen.height - 8, 12) if screen.height else 60)
    return max(-(-len(view.key) // room), -(-len(view.query) // tallest), 1)


def _mosaic(
    view: MapView, small: Float[np.ndarray, "row column"], size: int, scale: Scale, screen: Screen
) -> Iterator[Text]:
    """The map with position numbers above and at its left."""
    digits = _digits(view.query)
    step = 10 if small.shape[1] > 30 else 5
    ticks = ""
    for column in range(0, small.shape[1], step):
        tick = str(view.key.positions[column * size])
        if column + len(tick) <= screen.width - digits - 1:
            ticks = ticks.ljust(column) + tick
    yield line((" " * (digits + 1), PLAIN), (ticks, DIM))
    for index, parts in enumerate(mosaic(small, scale, screen)):
        tick = str(view.query.positions[index * 2 * size]) if index % (step // 2) == 0 else ""
        yield line((f"{tick:>{digits}} ", DIM), *parts)
