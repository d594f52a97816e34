"""Drawing of all heads at once, as one cell for each head: with numbers, with letters, or as a mosaic."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from attn_cli.data.pooling import pool
from attn_cli.draw.colors import BLANK, SHARES, Scale, painted
from attn_cli.draw.labels import fit
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import (
    DIM,
    Part,
    caption_lines,
    drawing,
    flow,
    line,
    mosaic,
    number,
    swatches,
    title_lines,
)
from attn_cli.errors import counted

__all__ = ["Form", "Written", "atlas", "atlas_form", "written_scores"]

Form = Literal["numbers", "letters", "mosaic"]
"""A number or a short word in each head's cell, a letter, or a colour or shade alone."""

MOST_LETTERED = 16
"""Most layers of an atlas of letters; with more, a mosaic tells more at a glance."""
TALLEST = 20
"""Most lines of a mosaic where nothing limits the room."""
LOWEST = 16
"""Lines that a mosaic may take, however little room there is."""
ASIDE = " head"
"""The name of what the columns are, beside their numbers."""
AROUND = 2
"""Lines of an atlas beside those of its layers: the numbers of the heads, and the legend."""
STEP = 5
"""Cells from one head's number to the next where cells are too narrow for all of them."""


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
    colored: str = "",
    scale: Scale = SHARES,
    places: int = 2,
    written: Mapping[tuple[int, int], Written] | None = None,
    title: str = "",
    caption: str = "",
    form: Form | None = None,
    legend: bool = True,
    room: int | None = None,
) -> list[RenderableType]:
    """Draw each head as one cell with its value, layers down and heads across.

    Where there is no room for numbers, the atlas is a mosaic: two layers on a line, or as many more as it takes to fit.

    Args:
        values: (layer, head) -> value on the scale; not-a-number where there is none.
        screen: the screen to draw on.
        name: name of the quantity.
        colored: name of the colours' quantity, if the cells hold another.
        scale: the scale of the colours and shades.
        places: decimals of a value.
        written: (layer, head) -> text to write in the cell; by default its value.
        title: a line above the atlas.
        caption: a line below the atlas.
        form: the form of the cells; by default the one that tells the most in the room there is.
        legend: explain the colours; False above another atlas on the same scale.
        room: most lines that the drawing should take; None for no limit.

    Returns:
        The drawing; an empty list if all heads are of one layer, of which a table says as much.
    """
    if len({layer for layer, _ in values}) < 2:
        return []
    above, below = title_lines(title, screen), caption_lines(caption, screen)
    room = None if room is None else room - len(above) - len(below)
    named = written is not None and any(one.narrow.strip() for one in written.values())
    form = form or atlas_form(values, screen, size=places + 2, named=named, room=room)
    if form == "mosaic":
        tallest = TALLEST if room is None else max(room - AROUND, LOWEST)
        lines = _mosaic(values, colored or name, scale, screen, tallest, legend=legend)
    else:
        lines = _sheet(values, name, scale, places, written, form, screen)
        lines += [line(*swatches(scale, colored or name, screen))] if legend and screen.color else []
    return [drawing([*above, *lines, *below])]


def atlas_form(
    places: Collection[tuple[int, int]],
    screen: Screen,
    *,
    size: int = 4,
    named: bool = False,
    room: int | None = None,
) -> Form:
    """Choose the form of an atlas that tells the most about each head in the room there is.

    Args:
        places: the heads, as (layer, head).
        screen: the screen to draw on.
        size: width of the text to write in a cell.
        named: True if letters can be written where there is no room for text.
        room: most lines of the atlas without its title and caption; None for no limit.
    """
    layers = len({layer for layer, _ in places})
    if room is not None and layers + AROUND > room:
        return "mosaic"
    if _cell(places, screen, size, named=named) >= size:
        return "numbers"
    return "letters" if named and layers <= MOST_LETTERED else "mosaic"


def written_scores(values: Mapping[tuple[int, int], float]) -> dict[tuple[int, int], Written]:
    """Format scores for the cells of an atlas, by layer and head."""
    return {place: Written(_four_cells(value), " ") for place, value in values.items() if np.isfinite(value)}


def _four_cells(value: float) -> str:
    text = f"{value if abs(value) >= 0.05 else 0.0:.1f}"
    return text if len(text) <= 4 else f"{value:.0f}"


def _cell(places: Collection[tuple[int, int]], screen: Screen, size: int, *, named: bool) -> int:
    """Return the width of a head's cell for a text of this size or, where it does not fit, for a letter."""
    gutter, heads = _gutter_and_heads(places)
    room = screen.width - gutter
    # A space keeps words and letters apart.
    wide = (size + 1,) if named else (size + 1, size)
    # Narrower numbers are better than no name of what is numbered.
    with_name = (cell for cell in wide if heads * cell + len(ASIDE) <= room)
    return next((cell for cell in (*with_name, *wide, 2) if heads * cell <= room), 1)


def _gutter_and_heads(places: Collection[tuple[int, int]]) -> tuple[int, int]:
    """Measure the names of the layers in cells, and count the heads side by side."""
    return len("layer ") + max(len(f"{layer} ") for layer, _ in places), max(head for _, head in places) + 1


def _sheet(
    values: Mapping[tuple[int, int], float],
    name: str,
    scale: Scale,
    places: int,
    written: Mapping[tuple[int, int], Written] | None,
    form: Form,
    screen: Screen,
) -> list[Text]:
    """Draw a line for each layer, with a text in each cell."""
    gutter, heads = _gutter_and_heads(values)
    size, wide = places + 2, form == "numbers"
    cell = _cell(values, screen, size, named=not wide)
    end = " " * (cell > size)
    across = [str(head).rjust(cell - len(end)) + end for head in range(heads)]
    if not wide:
        across = [str(head).ljust(cell * STEP) for head in range(0, heads, STEP)]
    lines = [_heads(name if wide else "", "".join(across)[: heads * cell].ljust(heads * cell), gutter, screen)]
    layers = sorted({layer for layer, _ in values})
    for layer in layers:
        row = np.array([values.get((layer, head), np.nan) for head in range(heads)])
        parts = [_layer(layer, gutter, first=layer == layers[0])]
        for head, level in enumerate(scale.levels(row).tolist()):
            if level == BLANK:
                text = ""
            elif written:
                text = fit(written[layer, head].wide, size, align="right") if wide else written[layer, head].narrow
            else:
                text = number(values[layer, head], places=places, unicode=screen.unicode)
            text = text.rjust(cell - len(end)) + end if wide else text.ljust(cell)
            parts.append((text, painted(level, screen)))
        lines.append(line(*parts))
    return lines


def _mosaic(
    values: Mapping[tuple[int, int], float], name: str, scale: Scale, screen: Screen, tallest: int, *, legend: bool
) -> list[Text]:
    """Draw two layers on a line, or one without half-blocks; several layers or heads share a cell where all do not fit.

    Args:
        values: (layer, head) -> value.
        name: name of the quantity.
        scale: the scale of the colours and shades.
        screen: the screen to draw on.
        tallest: most lines of cells.
        legend: explain the colours and shades.
    """
    gutter, heads = _gutter_and_heads(values)
    layers = sorted({layer for layer, _ in values})
    halves = 2 if screen.color and screen.unicode else 1
    down, across = -(-len(layers) // (halves * tallest)), -(-heads // (screen.width - gutter))
    every = np.array([[values.get((layer, head), np.nan) for head in range(heads)] for layer in layers])
    small = pool(every, down, across, signed=scale.signed)
    columns = small.shape[1]
    cell = 2 if gutter + columns * 2 <= screen.width else 1
    ticks = "".join(str(column * across).ljust(cell * STEP) for column in range(0, columns, STEP))
    lines = [_heads("", ticks[: columns * cell].ljust(columns * cell), gutter, screen)]
    rows = mosaic(small.repeat(cell, axis=1).repeat(3 - halves, axis=0), scale, screen)
    for layer, parts in zip(layers[:: halves * down], rows, strict=True):
        lines.append(line(_layer(layer, gutter, first=layer == layers[0]), *parts))
    shared = [counted(count, noun) for count, noun in ((down, "layer"), (across, "head")) if count > 1]
    times = " × " if screen.unicode else " x "
    note: list[Part] = [(f"cell = largest {name or 'value'} of {times.join(shared)}", DIM)]
    explained = [*([swatches(scale, name, screen)] if legend else []), *([note] if shared else [])]
    return [*lines, *flow(explained, screen)]


def _heads(name: str, numbers: str, gutter: int, screen: Screen) -> Text:
    """Draw the line above the layers: the quantity and the numbers of the heads."""
    aside = ASIDE if gutter + len(numbers) + len(ASIDE) <= screen.width else ""
    return line((fit(name, gutter) + numbers + aside, DIM))


def _layer(layer: int, gutter: int, *, first: bool) -> Part:
    """Write the number of a layer before its cells."""
    before = "layer " if first else ""
    return before + f"{layer} ".rjust(gutter - len(before)), DIM
