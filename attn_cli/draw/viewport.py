"""Pieces of a screen that somebody walks about in: a part of a map, of an atlas or of a text, around a cursor.

Each is drawn in exactly the lines that its part of the screen has, or fewer, and knows what stands in which cell, so
that a mouse can point at it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from rich.text import Text

from attn_cli.data.shapes import Float
from attn_cli.draw.colors import BLANK, Scale, marks, painted
from attn_cli.draw.heatmap import scale_of
from attn_cli.draw.labels import Labels, clean, clipped_name, letters, width
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen
from attn_cli.draw.sheet import (
    LONGEST_LABEL,
    SHORTEST_HEADER,
    TALLEST_HEADER,
    Layout,
    Sheet,
    digits_of,
    longest_of,
    number_width,
)
from attn_cli.draw.strokes import BOLD, DIM, MARKED, PLAIN, Part, line, mosaic, number, title_lines

__all__ = ["At", "Drawn", "Window", "board", "board_width", "map_window", "overview", "shaded_text", "slid"]

MARGIN = 2
"""Rows or columns that stay in sight beside the cursor, where there are more."""
SHORTEST = 2
"""Fewest letters of a label written downwards."""
NUMBERED, SQUARE, NARROW = 5, 2, 1
"""Widths of a head's cell: with its number, as a square, and as narrow as can be."""
BOARD_GUTTER = 3
"""Width before the first cell of an atlas: the layer's number."""

At = Callable[[int, int], tuple[int, int] | None]
"""A function from a column and a line of a drawing to the row and the column of what stands there, if anything does."""


@dataclass(frozen=True)
class Window:
    """The rows and columns of a map, or the layers and heads of an atlas, that are in sight."""

    rows: range
    columns: range

    def holds(self, rows: int, columns: int) -> bool:
        """Return whether all of so many rows and columns are in sight."""
        return len(self.rows) >= rows and len(self.columns) >= columns


NOWHERE = Window(range(0), range(0))


@dataclass(frozen=True)
class Drawn:
    """Lines that were drawn, what of it is in sight, and what stands where."""

    lines: Sequence[Text]
    window: Window = NOWHERE
    at: At = lambda _column, _line: None


def slid(before: int, room: int, count: int, cursor: int) -> range:
    """Return the places in sight: those before, slid as little as it takes to have the cursor and its margin in sight.

    Args:
        before: the first place that was in sight.
        room: places that there is room for.
        count: all places.
        cursor: the place to have in sight.
    """
    room = max(min(room, count), 1)
    margin = min(MARGIN, (room - 1) // 2)
    first = min(max(before, cursor + margin - room + 1), cursor - margin)
    first = min(max(first, 0), count - room)
    return range(first, first + room)


def map_window(
    view: MapView,
    scale: Scale,
    screen: Screen,
    *,
    cursor: tuple[int, int],
    before: Window = NOWHERE,
    title: str = "",
) -> Drawn:
    """Draw as much of a map as there is room for around a cursor: with numbers if all columns fit, else as squares.

    Args:
        view: the whole map.
        scale: the scale of its colours.
        screen: the part of the screen to draw on.
        cursor: the row and the column to mark.
        before: what was in sight before.
        title: a line above the map.
    """
    above = title_lines(title, screen)
    height = (screen.height or 1000) - len(above)
    gutter = digits_of(view.query) + 1 + min(longest_of(view.query, screen), LONGEST_LABEL, screen.width // 5) + 1
    across = screen.width - gutter - (view.key.second_segment is not None)
    least = number_width(view) + (1 if screen.color or view.measure == "change" else 2)
    longest = min(longest_of(view.key, screen), LONGEST_LABEL)
    each = across // max(len(view.key), 1)
    if each >= least:
        cell = max(least, min(each, longest + 1))
        tiers = next((count for count in (1, 2) if count * cell - 1 >= longest), min(3, max(height // 4, 1)))
        layout = Layout(gutter, cell, len(view.key), tiers, 0, numbers=True)
        header = min(tiers, len(view.key))
    else:
        header = max(min(longest, TALLEST_HEADER, height // 3), SHORTEST)
        layout = Layout(gutter, SQUARE, max(min(len(view.key), across // SQUARE), 1), 0, header, numbers=False)
    split = view.query.second_segment is not None
    rows = slid(before.rows.start, height - header - split, len(view.query), cursor[0])
    columns = slid(before.columns.start, layout.columns, len(view.key), cursor[1])
    part = view.within(rows, columns)
    if 0 < layout.header < SHORTEST_HEADER:  # too few letters for one of them to be a mark of more
        short = [letters(clean(text, unicode=screen.unicode))[: layout.header] for text in part.key.texts]
        part = replace(part, key=replace(part.key, texts=["".join(one) for one in short]))
    sheet = Sheet(part, scale, layout, screen, False, (cursor[0] - rows.start, cursor[1] - columns.start))
    every = range(len(columns))
    drawn = list(sheet.header(every))
    top = len(above) + len(drawn)
    # A mark between two segments takes a line, and a column.
    lower, right = part.query.second_segment, part.key.second_segment

    def at(x: int, y: int) -> tuple[int, int] | None:
        row = y - top - (lower is not None and y - top > lower)
        across = x - gutter
        across -= right is not None and across > right * layout.cell
        column = min(max(across // layout.cell, 0), len(columns) - 1) if x >= gutter else cursor[1] - columns.start
        return (rows[row], columns[column]) if 0 <= row < len(rows) else None

    return Drawn([*above, *drawn, *sheet.rows(every)], Window(rows, columns), at)


def overview(view: MapView, window: Window, screen: Screen, *, title: str = "") -> Drawn:
    """Draw a whole map as a small mosaic, with rulers that say which part of it is in sight.

    Args:
        view: the whole map.
        window: what is in sight.
        screen: the part of the screen to draw on.
        title: a line above it.
    """
    above = title_lines(title, screen)
    tall = max((screen.height or 1000) - len(above) - 1, 1)
    size = max(-(-len(view.query) // (2 * tall)), -(-len(view.key) // max(screen.width - 1, 1)), 1)
    small = view.pooled(size, size)
    flat, upright = ("━", "┃") if screen.unicode else ("=", "|")

    def seen(cell: int, places: range, span: int) -> bool:
        return cell * span < places.stop and (cell + 1) * span > places.start

    ruler = "".join(flat if seen(cell, window.columns, size) else " " for cell in range(small.shape[1]))
    drawn = [line((" " + ruler, BOLD))]
    for index, parts in enumerate(mosaic(small, scale_of(view, small, same=False), screen, largest=True)):
        drawn.append(line((upright if seen(index, window.rows, 2 * size) else " ", BOLD), *parts))
    top = len(above) + 1

    def at(x: int, y: int) -> tuple[int, int] | None:
        row, column = (y - top) * 2 * size + size, (x - 1) * size + size // 2
        if not 0 <= y - top < len(drawn) - 1:
            return None
        return min(max(row, 0), len(view.query) - 1), min(max(column, 0), len(view.key) - 1)

    return Drawn([*above, *drawn], window, at)


def board_width(heads: int, room: int) -> int:
    """Return the width of an atlas of so many heads side by side, in the widest cells that there is room for."""
    cell = _board_cell(heads, room)
    return min(BOARD_GUTTER + heads * cell, room)


def _board_cell(heads: int, room: int) -> int:
    sizes = (NUMBERED, SQUARE, NARROW)
    return next((cell for cell in sizes if BOARD_GUTTER + heads * cell <= room), NARROW)


def board(
    values: Mapping[tuple[int, int], float],
    scale: Scale,
    screen: Screen,
    *,
    cursor: tuple[int, int],
    before: Window = NOWHERE,
    title: str = "",
    write: Callable[[float], str] | None = None,
) -> Drawn:
    """Draw as much of an atlas as there is room for around a cursor, a line for each layer and a cell for each head.

    Args:
        values: (layer, head) -> value; not-a-number where there is none.
        scale: the scale of the colours and shades.
        screen: the part of the screen to draw on.
        cursor: the layer and the head to mark.
        before: what was in sight before.
        title: a line above it.
        write: a function that writes a value in at most four cells; by default as a weight is written.
    """
    above = title_lines(title, screen)
    layers = sorted({layer for layer, _ in values})
    heads = max((head for _, head in values), default=0) + 1
    cell = _board_cell(heads, screen.width)
    tall = (screen.height or 1000) - len(above) - 1
    rows = slid(before.rows.start, tall, len(layers), layers.index(cursor[0]))
    columns = slid(before.columns.start, max((screen.width - BOARD_GUTTER) // cell, 1), heads, cursor[1])
    glyphs = marks(unicode=screen.unicode)
    write = write or partial(number, unicode=screen.unicode)
    drawn = [line((" " * BOARD_GUTTER + _ruler(columns, cell), DIM))]
    for row in rows:
        layer = layers[row]
        here = layer == cursor[0]
        parts: list[Part] = [(f"{layer:>{BOARD_GUTTER - 1}}", MARKED if here else DIM), (" ", PLAIN)]
        known = np.array([values.get((layer, head), np.nan) for head in columns])
        for head, level, shade, value in zip(
            columns, scale.levels(known).tolist(), scale.shades(known).tolist(), known.tolist(), strict=True
        ):
            chosen = here and head == cursor[1]
            if (layer, head) not in values:
                parts.append((" " * cell, PLAIN))
                continue
            text = " " * cell if screen.color or level == BLANK else glyphs[shade] * cell
            if cell == NUMBERED:
                written = "" if level == BLANK else write(value)
                text = f"[{written:>{cell - 2}}]"[:cell] if chosen else f"{written:>{cell - 1}} "
            elif chosen:
                text = "[]" if cell == SQUARE else "◆" if screen.unicode else "@"
            style = painted(level, screen)
            parts.append((text, style + BOLD if chosen else style))
        drawn.append(line(*parts))
    top = len(above) + 1

    def at(x: int, y: int) -> tuple[int, int] | None:
        row, column = y - top, (x - BOARD_GUTTER) // cell
        if not (0 <= row < len(rows) and 0 <= column < len(columns)):
            return None
        place = layers[rows[row]], columns[column]
        return place if place in values else None

    return Drawn([*above, *drawn], Window(rows, columns), at)


def _ruler(heads: range, cell: int) -> str:
    """Write the numbers of heads above their cells, or of as many as there is room for."""
    step = 1 if cell == NUMBERED else 2 if cell == SQUARE and heads.stop <= 10 else 5
    ruler = ""
    for place, head in enumerate(heads):
        if head % step == 0:
            ruler = ruler.ljust(place * cell) + (f"{head:>{cell - 1}}" if cell == NUMBERED else str(head))
    return ruler[: len(heads) * cell]


def shaded_text(
    labels: Labels,
    weights: Float[np.ndarray, "unit"] | None,
    scale: Scale,
    screen: Screen,
    *,
    marked: int | None = None,
    pointed: int | None = None,
    lead: str = "",
) -> Drawn:
    """Draw the lines of a text around a cursor, with each word's weight as a bar of colour or shade below it.

    Args:
        labels: the words.
        weights: the weight of each; not-a-number where it is masked. None to draw the words alone.
        scale: the scale of the colours and shades.
        screen: the part of the screen to draw on; its height is that of the text.
        marked: the word whose row it is.
        pointed: the word to keep in sight and set in bold.
        lead: a name before the text.
    """
    start = width(lead)
    placed: list[tuple[int, int, int, str]] = []
    row, column = 0, start
    for index in range(len(labels)):
        name = clipped_name((labels.texts[index], ""), LONGEST_LABEL * 2, unicode=screen.unicode) or " "
        size = width(name)
        if column > start and column + size > screen.width:
            row, column = row + 1, start
        placed.append((row, column, index, name))
        column += size + 1
    each = 1 if weights is None else 2
    room = max((screen.height or 1000) // each, 1)
    focus = marked if marked is not None else pointed
    sight = slid(0, room, row + 1, placed[focus][0] if focus is not None and placed else 0)
    levels = None if weights is None else scale.levels(weights).tolist()
    shades = None if weights is None else scale.shades(weights).tolist()
    glyphs = marks(unicode=screen.unicode)
    words: dict[int, list[Part]] = {one: [(lead if one == sight.start else " " * start, DIM)] for one in sight}
    below: dict[int, list[Part]] = {one: [(" " * start, PLAIN)] for one in sight}
    ends = dict.fromkeys(sight, start)
    for row, column, index, name in placed:
        if row not in words:
            continue
        size = width(name)
        for parts in (words[row], below[row]):
            parts.append((" " * (column - ends[row]), PLAIN))
        ends[row] = column + size
        style = DIM if labels.special[index] else PLAIN
        words[row].append((name, MARKED if index == marked else BOLD if index == pointed else style))
        if levels is not None and shades is not None:
            blank = levels[index] == BLANK
            text = " " if blank or screen.color else glyphs[shades[index]]
            below[row].append((text * size, painted(levels[index], screen)))
    lines = [line(*parts) for one in sight for parts in ((words[one], below[one]) if each == 2 else (words[one],))]

    def at(x: int, y: int) -> tuple[int, int] | None:
        row = sight.start + y // each
        found = [index for line, column, index, name in placed if line == row and column <= x < column + width(name)]
        return (found[0], found[0]) if found else None

    return Drawn(lines, Window(sight, range(0)), at)
