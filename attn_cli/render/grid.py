"""All heads at once: as small maps side by side, or each as one cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Group
from rich.text import Text

from attn_cli.render import labels
from attn_cli.render.paint import BOLD, DIM, PLAIN, Part, drawing, flow, line, mosaic, number, pool, swatches
from attn_cli.render.scale import BLANK, WEIGHTS, marks, painted
from attn_cli.render.screen import Screen
from attn_cli.shapes import Float, Int

__all__ = ["atlas", "grid"]

SMALLEST = 8
"""Cells along a small map's side below which heads go on another line instead."""


def grid(
    maps: Mapping[tuple[int, int], Float[np.ndarray, "query key"]],
    screen: Screen,
    *,
    pooled: int = 1,
    unit: str = "word",
    visible: Int[np.ndarray, "query 2"] | None = None,
    title: str = "",
    caption: str = "",
) -> Group:
    """Every head as a small heatmap, a row of the grid per layer.

    Args:
        maps: (layer, head) -> weights, all of one shape.
        screen: where.
        pooled: units that a side of one value stands for already (`PoolMaps.size`).
        unit: what they are.
        visible: first value of each row that can be seen, and one past the last; everything by default.
        title: a line above.
        caption: a line below.
    """
    layers: dict[int, list[int]] = {}
    for layer, head in sorted(maps):
        layers.setdefault(layer, []).append(head)
    shape = next(iter(maps.values())).shape if maps else (0, 0)
    most = max(map(len, layers.values()), default=1)
    side = max(*shape, 1)
    name = max((len(f"{layer}.{head}") for layer, head in maps), default=3)
    per_line, size = _fit(most, side, name, screen.width)
    slot = max(-(-shape[1] // size), name)
    gap = min(3, max(1, (screen.width - per_line * slot) // max(per_line, 1)))
    lines: list[Text] = [line((labels.clean(title, unicode=screen.unicode), BOLD))] if title else []
    for layer, heads in layers.items():
        for first in range(0, len(heads), per_line):
            if lines:
                lines.append(line())
            chosen = heads[first : first + per_line]
            lines.append(line(*((f"{layer}.{head}".ljust(slot + gap), DIM) for head in chosen)))
            drawn = [mosaic(pool(_seen(maps[layer, head], visible), size, size), WEIGHTS, screen) for head in chosen]
            for strips in zip(*drawn, strict=True):
                parts: list[Part] = []
                for strip in strips:
                    parts += strip
                    parts.append((" " * (slot + gap - sum(labels.width(text) for text, _ in strip)), PLAIN))
                lines.append(line(*parts))
    pieces = [swatches(WEIGHTS, "weight", screen)]
    across, down = size * pooled, size * pooled * (1 if screen.color else 2)
    if (across, down) != (1, 1):
        times = "×" if screen.unicode else "x"
        pieces.append([(f"one cell = {down} {times} {across} {unit}s, their largest weight", DIM)])
    pieces.append([("layer.head; rows attend to columns", DIM)])
    lines += [line(), *flow(pieces, screen.width)]
    if caption:
        lines += flow(
            [[(word, DIM)] for word in labels.clean(caption, unicode=screen.unicode).split()], screen.width, gap=1
        )
    return drawing(lines)


def _seen(
    values: Float[np.ndarray, "query key"], visible: Int[np.ndarray, "query 2"] | None
) -> Float[np.ndarray, "query key"]:
    if visible is None:
        return values
    keys = np.arange(values.shape[1])
    return np.where((keys >= visible[:, :1]) & (keys < visible[:, 1:]), values, np.nan).astype(np.float32)


def _fit(heads: int, side: int, name: int, width: int) -> tuple[int, int]:
    """How many heads go on a line, and how many values along a cell's side.

    All heads of a layer on one line if each gets `SMALLEST` cells, else on as few lines as give them that.
    """
    for lines in range(1, heads + 1):
        per_line = -(-heads // lines)
        cells = width // per_line - 1
        if cells >= max(min(side, SMALLEST), name):
            return per_line, -(-side // cells)
    return 1, -(-side // width)


def atlas(
    values: Float[np.ndarray, "layer head"],
    layers: Sequence[int],
    screen: Screen,
    *,
    name: str = "focus",
    caption: str = "",
) -> Group:
    """Each head as one cell with its value, layers down and heads across.

    Args:
        values: between 0 and 1; not-a-number where there is no such head.
        layers: the layers' numbers.
        screen: where.
        name: what the values are.
        caption: a line below.
    """
    heads = values.shape[1]
    digits = max((len(str(layer)) for layer in layers), default=1)
    gutter = len("layer ") + digits + 1
    cell = next((cells for cells in (5, 4, 2) if gutter + heads * cells <= screen.width), 1)
    margin = (" " * gutter, PLAIN)
    step = 1 if cell >= 4 else 5
    numbers = "".join(
        (str(head) if head % step == 0 else "").ljust(cell * step)[: cell * step] if head % step == 0 else ""
        for head in range(heads)
    )
    if cell >= 4:
        numbers = "".join(str(head).rjust(cell - 1) + " " for head in range(heads))
    lines = [line(margin, (numbers, DIM))]
    levels, shades = WEIGHTS.levels(values), WEIGHTS.shades(values)
    glyphs = marks(unicode=screen.unicode)
    for row, layer in enumerate(layers):
        head_ = "layer " if row == 0 else " " * 6
        parts: list[Part] = [(f"{head_}{layer:>{digits}} ", DIM)]
        for head in range(heads):
            level = int(levels[row, head])
            if level == BLANK:
                parts.append((" " * cell, PLAIN))
            elif cell >= 4:
                parts.append((number(float(values[row, head])).rjust(cell - 1) + " ", painted(level, screen.theme)))
            else:
                sign = " " if screen.color else glyphs[int(shades[row, head])]
                parts.append((sign * cell, painted(level, screen.theme)))
        lines.append(line(*parts))
    lines.append(line(*swatches(WEIGHTS, name, screen)))
    if caption:
        lines += flow(
            [[(word, DIM)] for word in labels.clean(caption, unicode=screen.unicode).split()], screen.width, gap=1
        )
    return drawing(lines)
