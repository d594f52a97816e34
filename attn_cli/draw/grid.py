"""Drawing of all heads at once, as small maps side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Literal

import numpy as np
from rich.console import Group

from attn_cli.data.pooling import pool
from attn_cli.data.selection import Kind, Rows
from attn_cli.data.shapes import Float
from attn_cli.draw.captions import attends, cell_note, scale_note
from attn_cli.draw.colors import Scale
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import (
    DIM,
    MARKED,
    PLAIN,
    Part,
    caption_lines,
    cells,
    drawing,
    flow,
    line,
    mosaic,
    swatches,
    title_lines,
)

__all__ = ["grid"]

SMALLEST = 5
"""Fewest cells across a small map; if there is no room for them, the heads of a layer take more lines."""
SPREAD = 16
"""Fewest cells across a map of the heads of one layer, which may take more lines."""


def grid(
    maps: Mapping[tuple[int, int], Float[np.ndarray, "query key"]],
    screen: Screen,
    *,
    kind: Kind = "encoder",
    rows: Rows | None = "input",
    measure: Literal["weight", "score"] = "weight",
    noun: str = "",
    pooled: int = 1,
    unit: str = "word",
    title: str = "",
    caption: str = "",
    marked: tuple[int, int] | None = None,
    axes: str = "",
) -> Group:
    """Draw every head as a small heatmap, a row of the grid per layer.

    Args:
        maps: (layer, head) -> weights or scores, all of one shape; not-a-number where masked.
        screen: the screen to draw on.
        kind: the kind of attention.
        rows: in cross-attention, the decoder step that a target word's row belongs to; None if it is not known.
        measure: the quantity that the maps hold.
        noun: name of one value; the measure by default.
        pooled: units along a side of the square that one value already stands for (`PoolMaps.size`).
        unit: name of one unit along an axis.
        title: a line above the grid.
        caption: a line below the grid.
        marked: layer and number of a head to mark.
        axes: what rows and columns are; by default queries and keys.
    """
    layers: dict[int, list[int]] = {}
    for layer, head in sorted(maps):
        layers.setdefault(layer, []).append(head)
    shape = next(iter(maps.values())).shape if maps else (0, 0)
    most = max(map(len, layers.values()), default=1)
    name = max((len(f"{layer}.{head}") for layer, head in maps), default=3)
    fewest = min(max(shape[1], 1), SMALLEST if len(layers) > 1 else SPREAD)
    per_line, across = _fit(most, max(name, fewest), screen.width)
    # Two cells of half-blocks above each other are as tall as one is wide, so equal sides make a square.
    down, wide = (max(-(-length // across), 1) for length in shape)
    slot = max(-(-shape[1] // wide), name)
    gap = min(3, max(1, (screen.width - per_line * slot) // max(per_line, 1)))
    seen = {place: pool(values, down, wide) for place, values in maps.items()}
    values = np.stack(list(seen.values())) if seen else np.zeros(0, np.float32)
    scale = Scale.reaching(values) if measure == "weight" else Scale.around(values)
    lines = title_lines(title, screen)
    for layer, heads in layers.items():
        for first in range(0, len(heads), per_line):
            chosen = heads[first : first + per_line]
            lines += [line()] if lines and not first else []
            heading: list[Part] = []
            for head in chosen:
                named, style = f"{layer}.{head}", MARKED if marked == (layer, head) else DIM
                heading += [(named, style), (" " * (slot + gap - len(named)), PLAIN)]
            lines.append(line(*heading))
            drawn = [mosaic(seen[layer, head], scale, screen, largest=True) for head in chosen]
            for strips in zip(*drawn, strict=True):
                fill: list[Part] = [(" " * (slot + gap - cells(strip)), PLAIN) for strip in strips]
                lines.append(
                    line(*chain.from_iterable([*strip, space] for strip, space in zip(strips, fill, strict=True)))
                )
    notes = [
        f"layer.head; {axes or attends(kind, rows)}",
        "" if measure == "score" else scale_note(scale),
        cell_note(down * pooled, wide * pooled, unit, noun or measure, screen),
    ]
    if wide > 1 and marked is None:  # whoever walks gives no options
        notes.append(f"{'--layer' if len(layers) > 1 else '--head'} or a greater --width shows more of each")
    pieces = [swatches(scale, noun or measure, screen), *([(note, DIM)] for note in notes if note)]
    return drawing([*lines, line(), *flow(pieces, screen), *caption_lines(caption, screen)])


def _fit(heads: int, least: int, width: int) -> tuple[int, int]:
    """Return the number of heads on a line and the number of cells across for each.

    All heads of a layer go on one line if each has `least` cells or more, else on as few lines as allow that.
    """
    for lines in range(1, heads + 1):
        per_line = -(-heads // lines)
        cells = width // per_line - 1
        if cells >= least:
            return per_line, cells
    return 1, width
