"""Drawing of one row of a map on the grid of an image's patches, beside the image itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Literal

import numpy as np
from rich.console import Group
from rich.style import Style
from rich.text import Text

from attn_cli.data.pooling import pool
from attn_cli.data.shapes import Float, UInt8
from attn_cli.draw.captions import cell_note, scale_note
from attn_cli.draw.colors import BLANK, Scale, marks, painted
from attn_cli.draw.labels import clean, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import (
    BOLD,
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
from attn_cli.draw.viewport import NOWHERE, Drawn

__all__ = ["PatchRow", "patch_lines", "patch_picture", "patch_scale", "patch_window", "thumbnail_lines"]

GAP = 3
"""Cells between the weights and the image."""
LOWEST = 6
"""Lines that a picture may take, however little room there is."""
MOST_LINES = 48
"""Most lines of a picture where nothing limits them."""
MOST_NUMBERED = 10
"""Most columns of patches whose numbers are written."""
DENSE_LINES = 10
"""Most lines, of two rows of patches each, of which every second is numbered; of more, every fifth is."""
MOST_NAMED = 3
"""Patches that are named below a picture."""
LEAST = 0.25
"""Least end of a row's scale, as a share of its largest weight."""
MARK = "[]"
"""The mark of the query's own patch."""

Form = Literal["numbers", "squares", "halves"]
"""The form of a patch: two lines with its number, two cells, or half of a cell."""


def _wide(form: Form, screen: Screen) -> int:
    """Return the cells across a patch; without colour, a gap keeps numbers apart."""
    return {"numbers": 4 if screen.color else 5, "squares": 2, "halves": 1}[form]


@dataclass(frozen=True, eq=False)
class PatchRow:
    """One row of a map on the grid of patches: what one query gives each patch, or several on average."""

    values: Float[np.ndarray, "row column"]
    """Weights or scores; not-a-number where a patch is not shown."""
    mark: tuple[int, int] | None = None
    """Row and column of the query, if it is a patch."""
    beside: Sequence[tuple[str, float]] = ()
    """Name of each special token, and the weight or score that the row gives it."""
    thumbnail: UInt8[np.ndarray, "height width 3"] | None = None
    """The part of the image that the patches cover."""
    measure: Literal["weight", "score"] = "weight"
    noun: str = "weight"
    """The name of one value."""


def patch_scale(values: Float[np.ndarray, "..."], measure: Literal["weight", "score"] = "weight") -> Scale:
    """Choose a scale for one row, or two of one head.

    Weights are drawn up to a round number that covers nearly all, and a quarter of the largest at least: no patch looks
    like the strongest that has much less than its weight.
    """
    return Scale.reaching(values, LEAST) if measure == "weight" else Scale.around(values)


def patch_picture(
    row: PatchRow, screen: Screen, *, title: str = "", caption: str = "", room: int | None = None
) -> Group:
    """Draw a row on the grid of patches, with a legend, and beside it the image where there is colour and room.

    Args:
        row: the row.
        screen: the screen to draw on.
        title: a line above the picture.
        caption: a line below the picture.
        room: most lines that the drawing should take; None for no limit.
    """
    above, below = title_lines(title, screen), [*_said(row, screen), *caption_lines(caption, screen)]
    room = (MOST_LINES if room is None else room) - len(above) - len(below) - 4
    scale = patch_scale(row.values, row.measure)
    picture = _pictured(row, scale, screen, _form(row, screen, max(room, LOWEST)))
    return drawing([*above, *picture.lines, line(), *picture.legend, *below])


def patch_window(row: PatchRow, screen: Screen, scale: Scale | None = None) -> Drawn:
    """Draw a row on the grid of patches in a part of the screen, with its legend where there is room for it.

    Args:
        row: the row.
        screen: the part of the screen to draw on.
        scale: the scale of the colours; that of the row by default.
    """
    scale = patch_scale(row.values, row.measure) if scale is None else scale
    room = max((screen.height or MOST_LINES) - 2, 1)
    picture = _pictured(row, scale, screen, _form(row, screen, room))
    tall, wide = (2 if picture.form == "numbers" else 1), _wide(picture.form, screen)

    def at(x: int, y: int) -> tuple[int, int] | None:
        down, across = (y - 1) // tall, (x - picture.gutter) // wide
        if y < 1 or x < picture.gutter:
            return None
        down *= 2 * picture.size if picture.form == "halves" else 1
        across *= picture.size
        rows, columns = row.values.shape
        return (down, across) if down < rows and across < columns else None

    legend = [one for one in picture.legend if width(one.plain) <= screen.width]
    left = (screen.height or MOST_LINES) - len(picture.lines)
    return Drawn([*picture.lines, *legend[: max(left, 0)]], NOWHERE, at)


@dataclass(frozen=True)
class _Picture:
    """A row that was drawn: below one line of ticks the patches, and the legend."""

    lines: Sequence[Text]
    legend: Sequence[Text]
    form: Form
    size: int
    """Patches along a side of the square that one stands for."""
    gutter: int
    """Cells before the first patch."""


def _pictured(row: PatchRow, scale: Scale, screen: Screen, how: tuple[Form, int, bool]) -> _Picture:
    """Draw a row in a form that `_form` has chosen."""
    form, size, shows = how
    values = pool(row.values, size, size, signed=scale.signed) if size > 1 else row.values
    legend = _legend(row, scale, screen, form, size)
    gutter = len(str(len(row.values) - 1)) + 1
    picture = patch_lines(values, row.mark if size == 1 else None, scale, screen, form)
    across = values.shape[1] * _wide(form, screen)
    lines = [line((" " * gutter, PLAIN), (_ticks(values.shape[1], size, form, _wide(form, screen)), DIM))]
    image: list[list[Part]] = [[] for _ in picture]
    if shows and row.thumbnail is not None:
        image = thumbnail_lines(row.thumbnail, across, len(picture), screen)
    for index, (parts, seen) in enumerate(zip(picture, image, strict=True)):
        tick = _tick(index, size, form, last=len(row.values) - 1)
        blank: list[Part] = [(" " * (across - cells(parts) + GAP), PLAIN)] if seen else []
        lines.append(line((tick.rjust(gutter - 1) + " ", DIM), *parts, *blank, *seen))
    return _Picture(lines, legend, form, size, gutter)


def _form(row: PatchRow, screen: Screen, room: int) -> tuple[Form, int, bool]:
    """Choose how to draw a row.

    Args:
        row: the row.
        screen: the screen to draw on.
        room: lines that there are for the patches.

    Returns:
        The form of a patch, the patches along a side of the square that one stands for, and whether the image has room
        beside them.
    """
    rows, columns = row.values.shape
    width = screen.width - len(str(rows - 1)) - 1
    shows = row.thumbnail is not None and screen.color
    forms: Sequence[Form] = ("numbers", "squares") if columns <= MOST_NUMBERED else ("squares",)
    for beside in (True, False) if shows else (False,):
        for form in forms:
            tall = rows * (2 if form == "numbers" else 1)
            if tall <= room and (1 + beside) * columns * _wide(form, screen) + beside * GAP <= width:
                return form, 1, beside
        size = 1
        while beside and (-(-rows // size) > 2 * room or 2 * -(-columns // size) + GAP > width):
            size += 1
        if beside and size == 1:
            return "halves", 1, True
    size = max(1, -(-rows // (2 * room)), -(-columns // width))
    return "halves", size, shows and 2 * -(-columns // size) + GAP <= width


def patch_lines(
    values: Float[np.ndarray, "row column"],
    mark: tuple[int, int] | None,
    scale: Scale,
    screen: Screen,
    form: Form = "squares",
) -> list[list[Part]]:
    """Draw the patches alone, without labels.

    Args:
        values: weights or scores.
        mark: row and column of the query, if it is a patch.
        scale: the scale of the colours and shades.
        screen: the screen to draw on.
        form: the form of a patch.

    Returns:
        The parts of each line; all lines are equally wide.
    """
    if form == "halves":
        lines = mosaic(values, scale, screen)
        if mark is not None:
            parts = [(glyph, style) for text, style in lines[mark[0] // 2] for glyph in text]
            style = parts[mark[1]][1]
            # A half cannot hold a mark: it takes the place of both.
            parts[mark[1]] = ("×" if screen.unicode else "x", _over(style))
            lines[mark[0] // 2] = parts
        return lines
    levels, shades = scale.levels(values), scale.shades(values)
    glyphs = (*marks(unicode=screen.unicode), " ")
    lines = []
    for index, (level_row, shade_row) in enumerate(zip(levels.tolist(), shades.tolist(), strict=True)):
        strips: tuple[list[Part], list[Part]] = ([], [])
        for column, (level, shade) in enumerate(zip(level_row, shade_row, strict=True)):
            own = mark == (index, column)
            style = painted(level, screen, bold=own)
            glyph = " " if screen.color else glyphs[shade]
            if form == "squares":
                strips[0].append((MARK if own else 2 * glyph, style))
                continue
            value = float(values[index, column])
            text = "" if level == BLANK else _number(value, scale, screen)
            gap = "" if screen.color else " "
            strips[0].append((f"{text:>4}{gap}", style))
            strips[1].append((f"{f' {MARK} ' if own else 4 * glyph}{gap}", style))
        lines += [strips[0]] if form == "squares" else list(strips)
    return lines


def _number(value: float, scale: Scale, screen: Screen) -> str:
    if not scale.signed:
        return number(value, unicode=screen.unicode)
    return f"{value:z.1f}" if abs(value) < 9.95 else f"{value:z.0f}"


def _over(style: Style) -> Style:
    """Return the style of a mark in a cell of two halves, on the colour of one."""
    return style + Style(color="#ffffff", bgcolor="#000000", bold=True) if style.color is not None else style


def thumbnail_lines(
    pixels: UInt8[np.ndarray, "height width 3"], width: int, height: int, screen: Screen
) -> list[list[Part]]:
    """Draw a picture in half-blocks, or in cells where there are none.

    Args:
        pixels: red, green and blue.
        width: cells across.
        height: lines.
        screen: the screen to draw on, which has colours.
    """
    if not screen.unicode:
        small = _resized(pixels, height, width)
        return [[(" ", _ink(None, tuple(pixel))) for pixel in row] for row in small.tolist()]
    small = _resized(pixels, 2 * height, width)
    return [
        [("▀", _ink(tuple(up), tuple(low))) for up, low in zip(upper, lower, strict=True)]
        for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True)
    ]


@lru_cache(maxsize=4096)
def _ink(upper: tuple[int, ...] | None, lower: tuple[int, ...]) -> Style:
    """Style two pixels in one cell: `▀` of the upper's colour on the lower's."""
    color = None if upper is None else "#{:02x}{:02x}{:02x}".format(*upper)
    return Style(color=color, bgcolor="#{:02x}{:02x}{:02x}".format(*lower))


def _resized(
    pixels: UInt8[np.ndarray, "height width 3"], height: int, width: int
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """Scale a picture: each new pixel is the mean of those that it covers."""
    whole = pixels.astype(np.float64)
    for axis, size in ((0, height), (1, width)):
        old = whole.shape[axis]
        starts = np.arange(size) * old // size
        stops = np.maximum(-(-(np.arange(size) + 1) * old // size), starts + 1)
        sums = np.concatenate([np.zeros_like(whole.take([0], axis)), whole.cumsum(axis)], axis)
        shape = [size if place == axis else 1 for place in range(3)]
        whole = (sums.take(stops, axis) - sums.take(starts, axis)) / (stops - starts).reshape(shape)
    resized: UInt8[np.ndarray, "new_height new_width 3"] = np.rint(whole).astype(np.uint8)
    return resized


def _ticks(columns: int, size: int, form: Form, wide: int) -> str:
    """Return the numbers of some columns, above them."""
    step = 1 if form != "halves" and len(str(columns - 1)) < wide else 5
    return "".join(str(column * size).ljust(wide * step) for column in range(0, columns, step)).rstrip()


def _tick(index: int, size: int, form: Form, *, last: int) -> str:
    """Return the number of the row on a line of a picture; empty where the line has none of its own."""
    if form == "numbers":
        return "" if index % 2 else str(index // 2)
    if form == "squares":
        return str(index)
    lines = last // (2 * size)
    step = 2 if lines <= DENSE_LINES else 5
    named = index % step == 0 or (index == lines and lines % step > 1)  # no number just below another
    return str(2 * index * size) if named else ""


def _legend(row: PatchRow, scale: Scale, screen: Screen, form: Form, size: int) -> list[Text]:
    notes = [scale_note(scale) if row.measure == "weight" else ""]
    if form == "halves":
        notes.append(cell_note(size, size, "patch", row.noun, screen))
    if row.mark is not None and size == 1:
        sign = MARK if form != "halves" else "×" if screen.unicode else "x"
        notes.insert(0, f"{sign} r{row.mark[0]}c{row.mark[1]} itself")
    return flow([swatches(scale, row.noun, screen), *([(note, DIM)] for note in notes if note)], screen)


def _said(row: PatchRow, screen: Screen) -> list[Text]:
    """Name the strongest patches, and say what is given to special tokens; no name is parted from its value."""
    groups = [_pairs("most", _strongest(row), screen), _pairs("beside the patches", row.beside, screen)]
    pieces = [list(chain.from_iterable(group)) for group in groups if group]
    if all(cells(piece) <= screen.width for piece in pieces):
        return flow(pieces, screen)
    return list(chain.from_iterable(flow(group, screen, between="") for group in groups))


def _strongest(row: PatchRow) -> Iterator[tuple[str, float]]:
    """Yield the strongest patch, and the next ones whose values are not 0 in two decimals."""
    flat = np.where(np.isfinite(row.values), row.values, -np.inf).ravel()
    for rank, place in enumerate(np.argsort(-flat, kind="stable")[:MOST_NAMED].tolist()):
        if np.isfinite(flat[place]) and (not rank or flat[place] >= 0.005 or row.measure == "score"):
            down, across = divmod(place, row.values.shape[1])
            yield f"r{down}c{across}", float(flat[place])


def _pairs(lead: str, values: Iterable[tuple[str, float]], screen: Screen) -> list[list[Part]]:
    """Name each value, with a comma before the next; the lead stands before the first name."""
    pairs: list[list[Part]] = [
        [(f" {clean(name, unicode=screen.unicode)}", BOLD), (f" {value:z.2f}", PLAIN)] for name, value in values
    ]
    for pair in pairs[:-1]:
        pair.append((",", DIM))
    return [[(lead, DIM), *pairs[0]], *pairs[1:]] if pairs else []
