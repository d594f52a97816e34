"""Heatmap of one map, as large as the screen allows: with numbers, as squares, or as a mosaic of half-blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Group
from rich.text import Text

from attn_cli.data.pooling import Cuts
from attn_cli.data.shapes import Float
from attn_cli.draw.captions import attends, brightest, cell_note, scale_note
from attn_cli.draw.colors import CHANGES, ROUNDED, WEIGHTS, Scale, strongest_mark
from attn_cli.draw.labels import Labels, fit
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen
from attn_cli.draw.sheet import (
    LONGEST_LABEL,
    SEGMENTS,
    SEGMENTS_IN_ASCII,
    SHORTEST_HEADER,
    TALLEST_HEADER,
    Layout,
    Sheet,
    digits_of,
    longest_of,
    number_width,
)
from attn_cli.draw.strokes import (
    DIM,
    PLAIN,
    Part,
    caption_lines,
    drawing,
    flow,
    line,
    mosaic,
    swatches,
    title_lines,
)

__all__ = ["cuts", "heatmap", "panels", "scale_of"]

MOST_TIERS = 3
MOST_LINES = 120
"""Most lines of a map in panels of squares; a taller map becomes a mosaic."""
LABELLED = 20
"""Lines that a map with labels may take above its caption, however little room there is."""
LOWEST = 6
"""Lines that a mosaic may take, however little room there is."""
COARSER = 1.25
"""Most times as many columns that a mosaic's cell may stand for so that there is room for labels of rows."""
HEADER = 2
"""Lines of positions and of labels above a mosaic."""
SMALL = 2**20
"""Most values of a map that takes no more memory than a drawing does and may be kept whole."""


def heatmap(
    view: MapView,
    screen: Screen,
    *,
    title: str = "",
    caption: str = "",
    numbers: bool = False,
    mark_strongest: bool = False,
    room: int | None = None,
    legible: bool = False,
) -> Group:
    """Draw a map as a heatmap: rows are queries, columns are keys, and a legend says so.

    Args:
        view: the map with its labels.
        screen: the screen to draw on.
        title: a line above the map.
        caption: a line below the map, for further facts (a learned sink's share, renormalized rows).
        numbers: write every number, in as many panels of columns as needed: the full table of a head. Otherwise
            numbers are written only if there is room for all columns.
        mark_strongest: mark the strongest key of each row, except in a mosaic.
        room: most lines that the drawing should take. To keep to it, the drawing gives up the blank line above its
            legend, then panels, then the ends of labels written downwards, then labels and single cells. None for no
            limit.
        legible: give up nothing but that blank line for want of room.
    """
    above, below = title_lines(title, screen), caption_lines(caption, screen)
    lowest = None if legible else room
    for plan in _plans(view, screen, numbers=numbers, room=lowest) if view.whole else ():
        scale = scale_of(view, view.shown, same=plan.numbers or not screen.color)
        sheet = Sheet(view, scale, plan, screen, mark_strongest)
        legend = _legend(view, scale, screen, plan=plan, mark_strongest=mark_strongest)
        blank, *said = legend
        lines = [*above, *sheet.panels(), blank, *said, *below]
        if room is not None and len(lines) > room:
            lines = [*above, *sheet.panels(), *said, *below]
        if lowest is None or len(lines) <= max(lowest, LABELLED + len(below)):
            return drawing(lines)
    room = _tallest(screen) if lowest is None else lowest
    gutter = _gutter(view.query, view.key, screen)
    height = width = _narrowest(view.key, gutter, screen)
    while True:
        small = view.pooled(height, width)
        scale = scale_of(view, small, same=False)
        legend = _legend(view, scale, screen, cell=(height, width))
        picture = list(_mosaic(view, small, (height, width), scale, screen, gutter))
        tall = max(room - len(above) - len(legend) - len(below), LOWEST)
        if len(picture) <= tall:
            return drawing([*above, *picture, *legend, *below])
        height = view.height_from(max(height + 1, _lowest(view.query, tall - HEADER)))


def cuts(query: Labels, key: Labels, screens: Sequence[Screen]) -> Cuts | None:
    """Return where to cut a map while it streams, such that `heatmap` draws the same as from the whole map.

    The height of a mosaic's cells depends on the lines that are left for it, which is known only when all else is
    drawn; so the parts can be combined into cells of any height that may be chosen.

    Args:
        query: labels of the rows.
        key: labels of the columns.
        screens: the screens that the map may be drawn on, in no more lines than a screen has.

    Returns:
        The cuts, or None if the map is small or may be drawn as something other than a mosaic.
    """
    rows, columns = len(query), len(key)
    if rows * columns <= SMALL or any(
        rows <= max(MOST_LINES, screen.height or 0) or 2 * columns <= screen.width for screen in screens
    ):
        return None
    heights, widths = {max(rows, columns)}, {max(rows, columns)}
    for screen in screens:
        width = _narrowest(key, _gutter(query, key, screen), screen)
        # Only these heights change the number of lines of a mosaic; heights between them make no fewer.
        lower = (_lowest(query, tall) for tall in range(LOWEST - HEADER, max(_tallest(screen), LOWEST) - HEADER + 1))
        widths |= {width}
        heights |= {width, *(height for height in lower if height > width)}
    return Cuts.into(rows, columns, heights, widths)


def scale_of(view: MapView, values: Float[np.ndarray, "row column"], *, same: bool) -> Scale:
    """Choose a scale for the values; `same` makes it the one that all maps of weights, or of their changes, share."""
    if view.measure == "score":
        return Scale.around(values)
    if view.measure == "change":
        if np.nanmax(np.abs(values), initial=0.0) > 1:  # of scores
            return Scale.around(values)
        return CHANGES if same else Scale.reaching(np.abs(values)).both_ways()
    most = np.nanmax(values, initial=0.0)
    if most > ROUNDED:  # of rows that do not sum to 1
        return Scale.reaching(np.array([most]))
    return WEIGHTS if same else Scale.reaching(values)


def panels(view: MapView, screen: Screen) -> int:
    """Return the number of panels of columns that it takes to write every number."""
    (plan,) = _plans(view, screen, numbers=True, room=None)
    return -(-max(len(view.key), 1) // plan.columns)


def _legend(
    view: MapView,
    scale: Scale,
    screen: Screen,
    *,
    plan: Layout | None = None,
    mark_strongest: bool = False,
    cell: tuple[int, int] = (1, 1),
) -> list[Text]:
    """Explain the colours, rows and columns, below a blank line; without a plan, those of a mosaic of such cells."""
    notes = [attends(view.kind, view.rows), "" if view.measure == "score" else scale_note(scale)]
    swatch = swatches(scale, view.name, screen)
    if plan is None:
        notes.append(cell_note(*cell, view.unit, view.name, screen))
    elif mark_strongest:
        sign = "bold:" if plan.numbers and screen.color else strongest_mark(unicode=screen.unicode)
        notes.insert(0, f"{sign} strongest of its row")
    if view.masked:
        notes.append("blank: masked")
    notes.append(_segments(view, screen, drawn=plan is not None))
    lines = [line(), *flow([swatch, *([(note, DIM)] for note in notes if note)], screen)]
    if plan is None and view.measure == "weight":
        lines += brightest(view.key, view.totals, screen)
    return lines


def _segments(view: MapView, screen: Screen, *, drawn: bool) -> str:
    """Say where the second segment begins; nothing if there is none beside the first."""
    axes = ("row", view.query, 1), ("column", view.key, 0)
    found = [(name, axis, mark) for name, axis, mark in axes if axis.second_segment is not None]
    if not found:
        return ""
    if drawn:
        signs = SEGMENTS if screen.unicode else SEGMENTS_IN_ASCII
        return f"{' '.join(signs[mark] for _, _, mark in reversed(found))} between segments 0 and 1"
    places = (f"{name} {axis.positions[axis.second_segment or 0]}" for name, axis, _ in found)
    return f"segment 1 begins at {', '.join(places)}"


def _plans(view: MapView, screen: Screen, *, numbers: bool, room: int | None) -> Iterator[Layout]:
    """Yield layouts with labels, the most informative first; none if only a mosaic fits."""
    rows, keys = len(view.query), max(len(view.key), 1)
    if room is not None and rows > max(room, LABELLED):
        return
    longest = min(longest_of(view.key, screen), LONGEST_LABEL)
    gutter = digits_of(view.query) + 1 + min(longest_of(view.query, screen), LONGEST_LABEL, screen.width // 5) + 1
    across = screen.width - gutter - (view.key.second_segment is not None)
    # Without colour, a number is preceded by its shade, but a change by its sign.
    least = number_width(view) + (1 if screen.color or view.measure == "change" else 2)
    each = across // keys
    if each >= least or numbers:
        # Each number and its label have their own cell, up to a width that still looks like a heatmap.
        cell = max(least, min(each, longest + 1))
        tiers = next((t for t in range(1, MOST_TIERS) if t * cell - 1 >= longest), MOST_TIERS)
        yield Layout(gutter, cell, _even(keys, across // cell), tiers, 0, numbers=True)
    if numbers:
        return
    count = -(-keys // (across // 2))
    if room is None and count * (rows + TALLEST_HEADER) <= MOST_LINES:
        yield Layout(gutter, 2, _even(keys, across // 2), 0, TALLEST_HEADER, numbers=False)
    elif count == 1:
        for header in range(TALLEST_HEADER, SHORTEST_HEADER - 1, -1):
            yield Layout(gutter, 2, keys, 0, header, numbers=False)


def _even(keys: int, most: int) -> int:
    """Return the columns of each panel such that the last is not much smaller than the others."""
    panels = -(-keys // most)
    return -(-keys // panels)


def _gutter(query: Labels, key: Labels, screen: Screen) -> int:
    """Return the cells left of a mosaic for the positions of rows, and for their labels unless they cost too much."""
    bare = digits_of(query) + 1
    named = bare + min(longest_of(query, screen), LONGEST_LABEL, screen.width // 8) + 1
    few, many = (_narrowest(key, gutter, screen) for gutter in (named, bare))
    return named if few <= COARSER * many else bare


def _narrowest(key: Labels, gutter: int, screen: Screen) -> int:
    """Return how many columns a mosaic's cell must stand for, so that the map fits the screen's width."""
    return max(-(-len(key) // (screen.width - gutter)), 1)


def _lowest(query: Labels, tall: int) -> int:
    """Return how many rows a mosaic's cell must stand for, so that the map fits into `tall` lines without its header.

    A line holds two rows of cells.
    """
    return -(-len(query) // (2 * tall))


def _tallest(screen: Screen) -> int:
    """Return the default limit on the lines of a mosaic with its title and legend."""
    return screen.height - 2 if screen.height else MOST_LINES // 2


def _mosaic(
    view: MapView,
    small: Float[np.ndarray, "row column"],
    cell: tuple[int, int],
    scale: Scale,
    screen: Screen,
    gutter: int,
) -> Iterator[Text]:
    """Yield the lines of a mosaic, with the positions and labels of some words above and at the left."""
    query, key, digits, unicode = view.query, view.key, digits_of(view.query), screen.unicode
    height, width = cell
    step = 10 if small.shape[1] > 30 else 5
    every = range(0, -(-len(small) // 2), step // 2)
    rows = {index: _word_in(query, index * 2 * height, 2 * height) for index in every}
    ticks, words = "", ""
    for column in range(0, small.shape[1], step):
        place = _word_in(key, column * width, width)
        room = min(step - 1, small.shape[1] - column)
        if len(tick := str(key.positions[place])) <= room:
            ticks = ticks.ljust(column) + tick
            words += fit(key.texts[place], room, unicode=unicode) + " " * (step - room)
    yield line((" " * gutter, PLAIN), (ticks, DIM))
    if words.split() != ticks.split():
        yield line((" " * gutter, PLAIN), (words, DIM))
    for index, parts in enumerate(mosaic(small, scale, screen, largest=view.measure == "score")):
        beside: list[Part] = [(" " * gutter, PLAIN)]
        if (row := rows.get(index)) is not None:
            label = fit(query.texts[row], max(gutter - digits - 2, 0), unicode=unicode) + " " * (gutter > digits + 1)
            beside = [(f"{query.positions[row]:>{digits}} ", DIM), (label, DIM if query.special[row] else PLAIN)]
        yield line(*beside, *parts)


def _word_in(axis: Labels, start: int, count: int) -> int:
    """Return the index of the first of some labels that is a word, neither punctuation nor a special token.

    Without one it is the first that is not special, or the first of all.
    """
    plain = [index for index in range(start, min(start + count, len(axis))) if not axis.special[index]]
    words = (index for index in plain if any(map(str.isalnum, axis.texts[index])))
    return next(words, plain[0] if plain else start)
