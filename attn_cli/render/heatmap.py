"""One map as a heatmap, drawn as largely as the screen allows: with numbers, as squares, or as a mosaic of half-blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rich.console import Group
from rich.text import Text

from attn_cli.blocks import Kind
from attn_cli.render import labels
from attn_cli.render.labels import Labels, fit
from attn_cli.render.paint import BOLD, DIM, PLAIN, Part, drawing, flow, line, mosaic, number, pool, swatches
from attn_cli.render.scale import BLANK, WEIGHTS, Scale, marks, painted
from attn_cli.render.screen import Screen
from attn_cli.shapes import Float, Int

__all__ = ["MapView", "heatmap"]

LONGEST_LABEL = 12
TALLEST_HEADER = 8
MOST_LINES = 120
"""A map that would take more lines than this in panels of squares becomes a mosaic."""


@dataclass(frozen=True, eq=False)
class MapView:
    """What a heatmap shows.

    Raises:
        ValueError: shapes disagree.
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
        if self.visible is not None and self.visible.shape != (shape[0], 2):
            raise ValueError(f"visible has shape {self.visible.shape}, expected {(shape[0], 2)}")

    def shown(self) -> Float[np.ndarray, "query key"]:
        """The values, not-a-number where there is nothing to see."""
        values = np.where(np.isfinite(self.values), self.values, np.nan)
        if self.visible is not None:
            keys = np.arange(values.shape[1])
            values = np.where((keys >= self.visible[:, :1]) & (keys < self.visible[:, 1:]), values, np.nan)
        return values.astype(np.float32, copy=False)

    def scale(self) -> Scale:
        """Weights share one scale; scores go from the lowest to the highest shown."""
        if self.measure == "weight":
            return WEIGHTS
        values = self.shown()
        known = values[np.isfinite(values)]
        return Scale.between(float(known.min()), float(known.max())) if known.size else Scale.between(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a map is laid out."""

    gutter: int
    """Cells before the first column: position and label of the row."""
    cell: int
    """Cells of a column."""
    columns: int
    """Columns of a panel."""
    numbers: bool
    words: bool
    """Column labels are written along the line, not down the column."""


def heatmap(
    view: MapView,
    screen: Screen,
    *,
    title: str = "",
    caption: str = "",
    numbers: bool = False,
    mark_strongest: bool = False,
) -> Group:
    """A map as a heatmap: rows are queries, columns are keys, and a legend says so.

    Args:
        view: what to show.
        screen: where.
        title: a line above.
        caption: a line below, for what else must be known (a learned sink's share, rows renormalised).
        numbers: write every weight out, in as many panels of columns as it takes: the full table of a head. Without,
            numbers are written where there is room for all columns.
        mark_strongest: mark the strongest key of each row where no numbers are written.
    """
    values, scale = view.shown(), view.scale()
    written = _written(values, view.measure)
    plan = _plan(view, written, screen, numbers=numbers)
    lines: list[Text] = (
        [line((fit(title, min(labels.width(labels.clean(title)), screen.width)), BOLD))] if title else []
    )
    notes: list[list[Part]] = []
    if plan is None:
        drawn, size = _mosaic(view, values, scale, screen)
        lines += drawn
        notes = [[(f"one cell = {size} {view.unit}s, their largest {view.measure}", DIM)]] if size else []
    else:
        for first in range(0, max(len(view.key), 1), plan.columns):
            if first:
                lines.append(line())
            part = slice(first, first + plan.columns)
            lines += _header(view.key, part, plan, screen)
            lines += _rows(view, values, written, scale, part, plan, screen, mark_strongest)
    masked = bool((~np.isfinite(values)).any())
    lines.append(line())
    lines += flow(
        _legend(view, scale, screen, notes, masked=masked, marked=mark_strongest and plan is not None), screen.width
    )
    if caption:
        lines += flow(
            [[(word, DIM)] for word in labels.clean(caption, unicode=screen.unicode).split()], screen.width, gap=1
        )
    return drawing(lines)


def _written(values: Float[np.ndarray, "query key"], measure: str) -> list[list[str]]:
    if measure == "weight":
        return [[number(value) if value == value else "" for value in row] for row in values.tolist()]
    places = 2 if not np.isfinite(values).any() or np.nanmax(np.abs(values)) < 100 else 1
    return [[f"{value:.{places}f}" if value == value else "" for value in row] for row in values.tolist()]


def _plan(view: MapView, written: Sequence[Sequence[str]], screen: Screen, *, numbers: bool) -> _Plan | None:
    """The largest cells that let all columns stand side by side; None where only a mosaic will do."""
    keys, longest = len(view.key), max((labels.width(labels.clean(text)) for text in view.key.texts), default=0)
    gutter = _gutter(view.query, screen)
    room = screen.width - gutter
    least = max((len(text) for row in written for text in row), default=3) + (1 if screen.color else 3)
    least = max(least, 4)
    each = room // max(keys, 1)
    full = max(min(longest, LONGEST_LABEL) + 1, least)
    if each >= min(full, max(least, 6)):
        return _Plan(gutter, min(each, full), keys or 1, numbers=True, words=True)
    if numbers:
        cell = max(least, min(full, 8))
        return _Plan(gutter, cell, _even(keys, room // cell), numbers=True, words=True)
    if each >= least:
        return _Plan(gutter, each, keys, numbers=True, words=False)
    panels = -(-keys // (room // 2))
    if panels == 1 or panels * (len(view.query) + TALLEST_HEADER) <= MOST_LINES:
        return _Plan(gutter, 2, _even(keys, room // 2), numbers=False, words=False)
    return None


def _even(keys: int, most: int) -> int:
    """Columns of each panel, so that the last is not much smaller than the others."""
    panels = -(-keys // most)
    return -(-keys // panels)


def _gutter(query: Labels, screen: Screen) -> int:
    longest = max((labels.width(labels.clean(text, unicode=screen.unicode)) for text in query.texts), default=0)
    return _digits(query) + 1 + min(longest, LONGEST_LABEL, screen.width // 5) + 1


def _digits(axis: Labels) -> int:
    return len(str(max(axis.positions, default=0)))


def _header(key: Labels, part: slice, plan: _Plan, screen: Screen) -> Iterator[Text]:
    texts, special = key.texts[part], key.special[part]
    styles = [DIM if dim else PLAIN for dim in special]
    margin = (" " * plan.gutter, PLAIN)
    if plan.words:
        cells = [" " + fit(text, plan.cell - 1, align="right", unicode=screen.unicode) for text in texts]
        yield line(margin, *zip(cells, styles, strict=True))
        return
    stacks = [_stack(text, unicode=screen.unicode) for text in texts]
    tallest = max(map(len, stacks), default=0)
    for row in range(tallest):
        parts = [margin]
        for stack, style in zip(stacks, styles, strict=True):
            place = row - (tallest - len(stack))
            letter = stack[place] if place >= 0 else ""
            parts.append(
                (fit(letter, plan.cell, align="right" if plan.numbers else "left", unicode=screen.unicode), style)
            )
        yield line(*parts)


def _stack(text: str, *, unicode: bool) -> list[str]:
    letters = labels.letters(labels.clean(text, unicode=unicode))
    if len(letters) > TALLEST_HEADER:
        letters = [*letters[: TALLEST_HEADER - 1], "…" if unicode else "~"]
    return letters


def _rows(
    view: MapView,
    values: Float[np.ndarray, "query key"],
    written: Sequence[Sequence[str]],
    scale: Scale,
    part: slice,
    plan: _Plan,
    screen: Screen,
    mark_strongest: bool,
) -> Iterator[Text]:
    levels, shades = scale.levels(values), scale.shades(values)
    glyphs = marks(unicode=screen.unicode)
    marked = marks(unicode=screen.unicode, strongest=True)
    digits = _digits(view.query)
    for row, text in enumerate(view.query.texts):
        position = f"{view.query.positions[row]:>{digits}} "
        label = fit(text, plan.gutter - digits - 2, unicode=screen.unicode) + " "
        parts: list[Part] = [(position, DIM), (label, DIM if view.query.special[row] else PLAIN)]
        known = np.isfinite(values[row])
        best = int(np.nanargmax(values[row])) if known.any() else -1
        for column in range(*part.indices(len(view.key))):
            level, shade = int(levels[row, column]), int(shades[row, column])
            if level == BLANK:
                parts.append((" " * plan.cell, PLAIN))
                continue
            style = painted(level, screen.theme, bold=column == best)
            if mark_strongest:
                sign = marked[5 if column == best else shade]
            else:
                sign = glyphs[shade]
            if plan.numbers:
                text_ = written[row][column]
                if not screen.color and text_ != "·":
                    text_ = f"{sign if shade else ' '}{text_}"
                if screen.color:
                    parts.append((f"{text_:>{plan.cell - 1}} " if plan.cell > 4 else f"{text_:>{plan.cell}}", style))
                else:
                    parts.append((f"{text_:>{plan.cell}}", style))
            elif screen.color:
                parts.append((f"{sign if mark_strongest and column == best else ' '} ", style))
            else:
                parts.append((sign * 2 if shade and not mark_strongest else f"{sign} ", style))
        yield line(*parts)


def _mosaic(
    view: MapView, values: Float[np.ndarray, "query key"], scale: Scale, screen: Screen
) -> tuple[list[Text], str]:
    """Lines, and how many units one cell stands for (empty where it is one)."""
    digits = _digits(view.query)
    room = screen.width - digits - 1
    tallest = 2 * (max(12, screen.height - 8) if screen.height else 60)
    size = max(-(-len(view.key) // room), -(-len(view.query) // tallest), 1)
    small = pool(values, size, size)
    rows_per_line = 2 * size
    lines = [line((" " * (digits + 1), PLAIN), (_ticks(view.key.positions, size, small.shape[1]), DIM))]
    last = None
    for index, parts in enumerate(mosaic(small, scale, screen)):
        tick = ""
        if index % 5 == 0:
            tick = str(view.query.positions[index * rows_per_line])
        lines.append(line((f"{tick:>{digits}} ", DIM), *parts))
        last = index
    del last
    times = "×" if screen.unicode else "x"
    high = size if screen.color else 2 * size
    return lines, "" if high == size == 1 else f"{high} {times} {size}"


def _ticks(positions: Sequence[int], size: int, cells: int) -> str:
    """Position numbers, each starting above its column."""
    step = 10 if cells > 30 else 5
    text = ""
    for cell in range(0, cells, step):
        label = str(positions[cell * size])
        if cell + len(label) <= cells:
            text = text.ljust(cell) + label
    return text


def _legend(
    view: MapView, scale: Scale, screen: Screen, notes: list[list[Part]], *, masked: bool, marked: bool
) -> list[list[Part]]:
    rows, columns = ("output", "input") if view.kind == "cross" else ("queries", "keys")
    pieces = [swatches(scale, view.measure, screen, strongest=marked and not screen.color)]
    pieces.append([(f"rows ({rows}) attend to columns ({columns})", DIM)])
    if masked:
        pieces.append([("blank: masked", DIM)])
    return pieces + notes
