"""Drawings of all heads at once: small maps side by side, or one cell for each head."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
from rich.console import Group, RenderableType

from attn_cli.data.pooling import pool
from attn_cli.data.selection import Kind, Rows
from attn_cli.data.shapes import Float
from attn_cli.draw.captions import attends, cell_note
from attn_cli.draw.colors import BLANK, SHARES, Scale, marks, painted
from attn_cli.draw.labels import fit
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import (
    DIM,
    PLAIN,
    Part,
    caption_lines,
    cells,
    drawing,
    flow,
    line,
    mosaic,
    number,
    swatches,
    title_lines,
)

__all__ = ["Written", "atlas", "atlas_cell", "grid", "written_scores"]

SMALLEST = 7
"""Fewest cells along a small map's side; if there is no room for them, the heads of a layer take more lines."""


def grid(
    maps: Mapping[tuple[int, int], Float[np.ndarray, "query key"]],
    screen: Screen,
    *,
    kind: Kind = "encoder",
    rows: Rows = "input",
    measure: Literal["weight", "score"] = "weight",
    noun: str = "",
    pooled: int = 1,
    unit: str = "word",
    title: str = "",
    caption: str = "",
) -> Group:
    """Draw every head as a small heatmap, a row of the grid per layer.

    Args:
        maps: (layer, head) -> weights or scores, all of one shape; not-a-number where masked.
        screen: the screen to draw on.
        kind: the kind of attention.
        rows: in cross-attention, the decoder step that a target word's row belongs to.
        measure: the quantity that the maps hold.
        noun: name of one value; the measure by default.
        pooled: units along a side of the square that one value already stands for (`PoolMaps.size`).
        unit: name of one unit along an axis.
        title: a line above the grid.
        caption: a line below the grid.
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
    seen = {place: pool(values, size, size) for place, values in maps.items()}
    values = np.stack(list(seen.values())) if seen else np.zeros(0, np.float32)
    scale = Scale.reaching(values) if measure == "weight" else Scale.between(values)
    lines = title_lines(title, screen)
    for layer, heads in layers.items():
        for first in range(0, len(heads), per_line):
            chosen = heads[first : first + per_line]
            lines += [line()] if lines and not first else []
            lines.append(line(*((f"{layer}.{head}".ljust(slot + gap), DIM) for head in chosen)))
            for strips in zip(*(mosaic(seen[layer, head], scale, screen) for head in chosen), strict=True):
                fill: list[Part] = [(" " * (slot + gap - cells(strip)), PLAIN) for strip in strips]
                lines.append(
                    line(*chain.from_iterable([*strip, space] for strip, space in zip(strips, fill, strict=True)))
                )
    notes = [
        f"layer.head; {attends(kind, rows)}",
        cell_note(size * pooled, size * pooled, unit, noun or measure, screen),
    ]
    pieces = [swatches(scale, noun or measure, screen), *([(note, DIM)] for note in notes if note)]
    return drawing([*lines, line(), *flow(pieces, screen), *caption_lines(caption, screen)])


def _fit(heads: int, side: int, name: int, width: int) -> tuple[int, int]:
    """Return the number of heads on a line and the number of values along a cell's side.

    All heads of a layer go on one line if each keeps `SMALLEST` cells, else on as few lines as allow that.
    """
    for lines in range(1, heads + 1):
        per_line = -(-heads // lines)
        cells = width // per_line - 1
        size = -(-side // max(cells, 1))
        if cells >= name and -(-side // size) >= min(side, SMALLEST):
            return per_line, size
    return 1, -(-side // width)


ASIDE = " head"
"""The name of what the columns of an atlas are, beside their numbers."""


class Written(NamedTuple):
    """Text in a head's cell instead of its value."""

    wide: str
    """The text in a wide cell: at most four letters."""
    narrow: str
    """The text in a narrow cell: one letter."""


def atlas(
    values: Mapping[tuple[int, int], float],
    screen: Screen,
    *,
    name: str = "focus",
    scale: Scale = SHARES,
    places: int = 2,
    written: Mapping[tuple[int, int], Written] | None = None,
    title: str = "",
    caption: str = "",
) -> list[RenderableType]:
    """Draw each head as one cell with its value, layers down and heads across.

    Args:
        values: (layer, head) -> value on the scale; not-a-number where there is none.
        screen: the screen to draw on.
        name: name of the quantity.
        scale: the scale of the colours and shades.
        places: decimals of a value.
        written: (layer, head) -> text to write in the cell; by default its value.
        title: a line above the atlas.
        caption: a line below the atlas.

    Returns:
        The drawing; an empty list if all heads are of one layer, of which a table says as much.
    """
    layers = sorted({layer for layer, _ in values})
    if len(layers) < 2:
        return []
    gutter, heads = _gutter_and_heads(values)
    size = places + 2
    lettered = written is not None and any(one.narrow.strip() for one in written.values())
    cell = atlas_cell(values, screen, size=size, named=lettered)
    end = " " * (cell > size)
    # In cells too narrow for a head's number, only every fifth head is numbered.
    step = 1 if cell >= size else 5
    across = [
        str(head).rjust(cell - len(end)) + end if cell >= size else str(head).ljust(cell * step)
        for head in range(0, heads, step)
    ]
    corner = fit(name if cell >= size else "", gutter)
    aside = ASIDE if gutter + heads * cell + len(ASIDE) <= screen.width else ""
    lines = [line((corner + "".join(across)[: heads * cell].ljust(heads * cell) + aside, DIM))]
    glyphs = marks(unicode=screen.unicode)
    for layer in layers:
        row = np.array([values.get((layer, head), np.nan) for head in range(heads)])
        before = "layer " if layer == layers[0] else ""
        parts: list[Part] = [(before + f"{layer} ".rjust(gutter - len(before)), DIM)]
        for head, (level, shade) in enumerate(zip(scale.levels(row).tolist(), scale.shades(row).tolist(), strict=True)):
            if level == BLANK:
                text = " " * cell
            elif written and (cell >= size or lettered):
                words = written[layer, head]
                text = (fit(words.wide, size, align="right") + end if cell >= size else words.narrow).ljust(cell)
            elif cell >= size:
                text = number(values[layer, head], places=places, unicode=screen.unicode).rjust(cell - len(end)) + end
            else:
                text = (" " if screen.color else glyphs[shade]) * cell
            parts.append((text, painted(level, screen)))
        lines.append(line(*parts))
    if cell < size and not lettered:
        lines.append(line(*swatches(scale, name, screen)))
    return [drawing([*title_lines(title, screen), *lines, *caption_lines(caption, screen)])]


def written_scores(values: Mapping[tuple[int, int], float]) -> dict[tuple[int, int], Written]:
    """Format scores for the cells of an atlas, by layer and head."""
    return {place: Written(_four_cells(value), " ") for place, value in values.items() if np.isfinite(value)}


def _four_cells(value: float) -> str:
    text = f"{value if abs(value) >= 0.05 else 0.0:.1f}"
    return text if len(text) <= 4 else f"{value:.0f}"


def atlas_cell(places: Collection[tuple[int, int]], screen: Screen, *, size: int = 4, named: bool = False) -> int:
    """Return the width of a head's cell in an atlas; a cell narrower than `size` has room for one letter.

    Args:
        places: the heads, as (layer, head).
        screen: the screen to draw on.
        size: width of the text to write in a cell.
        named: True if letters are written in the cells, which need a space between them.
    """
    gutter, heads = _gutter_and_heads(places)
    room = screen.width - gutter
    widths = (size + 1, 2) if named else (size + 1, size, 2)
    # Narrower numbers are better than no name of what is numbered.
    with_name = [wide for wide in widths if wide >= size and heads * wide + len(ASIDE) <= room]
    return next((wide for wide in (*with_name, *widths) if heads * wide <= room), 1)


def _gutter_and_heads(places: Collection[tuple[int, int]]) -> tuple[int, int]:
    """Measure the names of the layers in cells, and count the heads side by side."""
    return len("layer ") + max(len(f"{layer} ") for layer, _ in places), max(head for _, head in places) + 1
