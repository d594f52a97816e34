"""A picture as a figure for a paper: vectors in PDF and SVG, pixels in PNG, drawn with matplotlib.

A figure has the width that is asked for, to the point: every part is
placed here by the widths of its texts, in points from the left and the top.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import FuncNorm, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attn_cli.data.pooling import pool
from attn_cli.data.shapes import Float
from attn_cli.draw.colors import PALETTES, Scale
from attn_cli.draw.figure_fonts import fonts_for
from attn_cli.draw.figure_style import FigureStyle
from attn_cli.draw.labels import Labels, clean, clipped, width
from attn_cli.draw.patch_figure import blended, draw_below, draw_marks, draw_photo, opacities
from attn_cli.draw.picture import PaperPicture
from attn_cli.errors import UsageError

__all__ = ["make_figure", "ticks_of", "write_figure"]

SMALLEST = 4.5
"""Points below which labels cannot be read, so that positions stand in their place."""
LINE = 1.2
"""Height of a line of text, as a multiple of its size."""
TALLEST = 1.45
"""Most height of the cells, as a multiple of the figure's width, if rows need not be square for that."""
LONGEST = 0.28
"""Most of the figure's width that row labels take."""
LONGEST_ABOVE = 40
"""Most letters of a column label."""
MOST_VECTORS = 12_000
"""Most cells that are drawn as vectors; more become an image, a pixel for each."""
MOST_IN_SVG = 4_000
"""Most of them in SVG, where one takes some 250 bytes."""
FINEST = 1200
"""Dots per inch that a printer shows: the resolution of images in PDF and SVG."""
GAP = 2.0
"""Points between the maps of a grid."""
BAR = 5.0
"""Breadth of the colour bar in points."""
SHADES = 129
"""Steps of colour; an odd number, so that no change has a colour of its own."""
INK, DIMMED, FRAME = "#000000", "#8a8a8a", "#9a9a9a"
MOST_NAMED = 20
"""Most letters that no font has of which a note is made."""
SHORT_BAR = 9
"""Lines of text that a map must be tall to have its colour bar beside it, and not below."""
NARROW = 0.3
"""Least of the figure's width that the cells take with the colour bar beside them, and not below."""
PHOTO_GAP = 1.2
"""Space between an image and the cells beside it, as a multiple of the size of the text."""
LEAST = 2.5
"""Least width of the cells, as a multiple of the size of the text."""


def write_figure(picture: PaperPicture, style: FigureStyle, suffix: str, heading: str) -> tuple[bytes, tuple[str, ...]]:
    """Draw a picture and write it in a format; equal pictures give equal bytes.

    Args:
        picture: the picture.
        style: how it looks.
        suffix: `.pdf`, `.png` or `.svg`.
        heading: what the file is, for its metadata.

    Returns:
        The file, and notes to the user.
    """
    fonts, lacking = fonts_for(picture, style)
    with _settings(fonts):
        dots, vectors = FINEST, MOST_VECTORS
        if suffix == ".png":
            dots = style.dpi
        elif suffix == ".svg":
            vectors = MOST_IN_SVG
        drawing = _Drawing(picture, style, dots, vectors)
        file = BytesIO()
        drawing.figure.savefig(
            file,
            format=suffix.removeprefix("."),
            dpi=style.dpi if suffix == ".png" else 72,
            transparent=style.transparent,
            metadata=_metadata(suffix, heading),
        )
    letters = "".join(sorted(lacking))
    note = f"No installed font has {letters[:MOST_NAMED]}, which the figure shows as boxes; install one that has"
    return file.getvalue(), (note,) if lacking else ()


def make_figure(picture: PaperPicture, style: FigureStyle) -> Figure:
    """Draw a picture as a figure of matplotlib."""
    with _settings(fonts_for(picture, style)[0]):
        return _Drawing(picture, style, FINEST, MOST_VECTORS).figure


def ticks_of(scale: Scale) -> list[float]:
    """Return the values that a colour bar may name, the most telling first."""
    if not scale.signed and (scale.low != 0 or scale.power == 1):  # spread evenly
        return [scale.low, scale.high, *(scale.low + share * (scale.high - scale.low) for share in (0.5, 0.25, 0.75))]
    found = [0.0, scale.high, *(-scale.high for _ in range(scale.signed))]
    for share in (0.25, 0.5, 0.1, 0.05):
        found += [share * scale.high, *(-share * scale.high for _ in range(scale.signed))]
    return found


def _metadata(suffix: str, heading: str) -> dict[str, str | None]:
    """Return what a file says of itself: what it is, and no date."""
    heading = clean(heading)  # an XML file with a control character cannot be read
    if suffix == ".pdf":
        return {"Title": heading, "Creator": "attn", "Producer": "matplotlib", "CreationDate": None}
    if suffix == ".svg":
        return {"Title": heading, "Creator": "attn", "Date": None}
    return {"Title": heading, "Software": "attn"}


@contextmanager
def _settings(fonts: Sequence[str]) -> Iterator[None]:
    """Draw as it is said here and not in a user's own settings."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a note says so, once
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "font.family": list(fonts),
                "pdf.fonttype": 42,
                "svg.fonttype": "none",
                "svg.hashsalt": "attn",
                "text.parse_math": False,
                "text.usetex": False,
                "image.composite_image": False,
            }
        )
        yield


@dataclass(frozen=True)
class _SideLabels:
    """The labels of one side."""

    texts: tuple[str, ...]
    """The labels, one for each place."""
    places: tuple[int, ...]
    """The cells that are labelled."""
    dimmed: tuple[bool, ...]
    size: float
    """Size of the labels in points."""


@dataclass(frozen=True)
class _FigureLayout:
    """The places of a figure's parts, in points."""

    left: float
    """Width of the row labels and the name of the rows."""
    across: float
    """Width of the cells."""
    down: float
    """Height of the cells."""
    cell: tuple[float, float]
    """Width and height of what a label stands for: a value, or in a grid a map."""
    gap: float
    """Space between two of them."""
    columns: _SideLabels
    rows: _SideLabels
    turned: bool
    """True if the column labels stand upright."""
    beside: bool
    """True if the colour bar is beside the cells, and not below them."""
    photo: float
    """Width of the image that stands to the left of all this, with the space behind it; 0 if there is none."""

    @property
    def steps(self) -> tuple[float, float]:
        """The distance from one column to the next, and from one row to the next."""
        return self.cell[0] + self.gap, self.cell[1] + self.gap


class _Drawing:
    """A figure, part by part.

    Args:
        picture: what to draw.
        style: how it looks.
        dots: dots per inch of images.
        vectors: most cells that are drawn as vectors.
    """

    def __init__(self, picture: PaperPicture, style: FigureStyle, dots: int, vectors: int) -> None:
        self.picture, self.style, self.dots, self.vectors = picture, style, dots, vectors
        self._measuring: Any = RendererAgg(1, 1, 720)  # type: ignore[no-untyped-call]
        self._widths: dict[tuple[str, float], float] = {}
        self.size = style.font_size
        self.figure = self._draw()

    def _draw(self) -> Figure:
        """Draw all parts, each in its place."""
        size, whole, layout = self.size, self.style.width, self._lay_out()
        header, titles = self._header(layout), self._titles()
        top = len(titles) * (size + 1) * LINE + (size * 0.5 if titles else 0) + size * LINE + header
        bottom = size * 0.6 if layout.beside else size + BAR + 2.4 * size * LINE
        notes = self._notes(layout)
        bottom = max(bottom, size * 0.4 + len(notes) * size * LINE + size * 0.6 * bool(notes))
        tall = top + layout.down + bottom
        figure = Figure(figsize=(whole / 72, tall / 72), facecolor="none" if self.style.transparent else "white")
        box = figure.add_axes((layout.left / whole, bottom / tall, layout.across / whole, layout.down / tall))
        mesh = self._cells(box, layout)
        self._labels(box, layout)
        row, column = self.picture.sides
        middle = (layout.left + layout.across / 2) / whole, (bottom + layout.down / 2) / tall
        figure.text(middle[0], 1 - (top - header) / tall, column, size=size, ha="center", va="bottom", color=INK)
        figure.text(
            (1 + layout.photo) / whole, middle[1], row, size=size, ha="left", va="center", rotation=90, color=INK
        )
        for number, text in enumerate(titles):
            place = 1 - (number + 0.1) * (size + 1) * LINE / tall
            figure.text(0.5, place, text, size=size + 1, ha="center", va="top", color=INK)
        if layout.photo:
            wide = (layout.photo - PHOTO_GAP * size) / whole
            draw_photo(figure.add_axes((0, bottom / tall, wide, layout.down / tall)), self.picture)
        for number, text in enumerate(notes):
            place = (bottom - size * 0.4 - number * size * LINE) / tall
            left = 0 if layout.photo else layout.left / whole
            figure.text(left, place, text, size=size, ha="left", va="top", color=INK)
        right = layout.left + layout.across
        if layout.beside:
            bar = ((right + size) / whole, bottom / tall, BAR / whole, layout.down / tall)
            self._bar(figure, mesh, bar, layout.down, upright=True)
        else:
            length = min(layout.across, 16 * size)
            bar = ((right - length) / whole, (bottom - size - BAR) / tall, length / whole, BAR / tall)
            self._bar(figure, mesh, bar, length, upright=False)
        return figure

    def _lay_out(self) -> _FigureLayout:
        """Choose the size of the cells, the labels, and where the colour bar goes."""
        picture, size = self.picture, self.size
        rows, columns = len(picture.rows), len(picture.columns)
        gap = GAP if picture.tile != (1, 1) else 0.0
        left, right, beside = self._left(self._row_texts, size), self._bar_room(), True
        # The image itself stands beside the weights of one row, as large as they are.
        tall, shows = self._tallest(rows), picture.pixels is not None and picture.tile == (1, 1)
        for _ in range(3):  # again, if the labels or the bar are not where they were thought to be
            across = self.style.width - left - right
            across = (across - PHOTO_GAP * size) / 2 if shows else across
            wide = min((across - gap * (columns - 1)) / max(columns, 1), tall)
            across = wide * columns + gap * (columns - 1) if tall < np.inf else across
            high = self._cell_height(wide, rows, columns)
            down = high * rows + gap * (rows - 1)
            across_labels, down_labels = self._side(picture.columns, wide), self._side(picture.rows, high)
            left = self._left(down_labels.texts, down_labels.size)
            if down < SHORT_BAR * size or across < self.style.width * NARROW:
                right, beside = max(self._wide(self._number(picture.scale.high), size) / 2 + 2, size), False
        if across < size * LEAST or wide <= 0:
            raise UsageError(
                f"Beside text of {size:g} points, a figure of {self.style.size} has no room for its cells",
                "Take a larger --size or a smaller --font-size",
            )
        longest = max((self._wide(text, across_labels.size) for text in across_labels.texts), default=0.0)
        turned = longest > wide - 1.5 and len(across_labels.texts) == columns
        photo, cell = across + PHOTO_GAP * size if shows else 0.0, (wide, high)
        return _FigureLayout(left + photo, across, down, cell, gap, across_labels, down_labels, turned, beside, photo)

    def _tallest(self, rows: int) -> float:
        """Return the greatest width of a cell whose height is in proportion, as that of a part of an image is."""
        if self.picture.image is None:
            return np.inf
        down, across = self.picture.tile
        return self.style.width * TALLEST / rows * across / down

    def _notes(self, layout: _FigureLayout) -> list[str]:
        """Return lines on what has no place in the image."""
        image = self.picture.image
        if image is None or not image.beside:
            return []
        named = [f"{clean(name)} {value:z.2f}".replace("-", "−") for name, value in image.beside]
        room = layout.photo - PHOTO_GAP * self.size if layout.photo else layout.across
        return self._lines([*(f"{one}," for one in named[:-1]), named[-1]], self.size, room)

    def _wide(self, text: str, size: float) -> float:
        """Measure a text in points."""
        if (text, size) not in self._widths:
            found = font_manager.FontProperties(family=mpl.rcParams["font.family"], size=size)
            measured = self._measuring.get_text_width_height_descent(text, found, ismath=False)
            self._widths[text, size] = measured[0] / 10
        return self._widths[text, size]

    def _bar_room(self) -> float:
        """Return the width of the colour bar beside the map, with its numbers, its name and the space around it."""
        numbers = max(self._wide(self._number(one), self.size) for one in ticks_of(self.picture.scale))
        return self.size + BAR + 3.5 + numbers + self.size * LINE + 3

    @cached_property
    def _row_texts(self) -> list[str]:
        return _fitted(self.picture.rows, self.style.width * LONGEST / (0.55 * self.size))

    def _left(self, texts: Sequence[str], size: float) -> float:
        """Return the width of the row labels and the name of the rows."""
        return self.size * LINE + max((self._wide(text, size) for text in texts), default=0.0) + 4.5

    def _cell_height(self, wide: float, rows: int, columns: int) -> float:
        """Choose the height of a row: square, but for a few rows of words no more than these need, and no less."""
        tallest = self.style.width * TALLEST / rows
        if self.picture.tile != (1, 1):
            down, across = self.picture.tile
            return max(min(wide * down / across, tallest), 2.0)
        readable = self.size * 1.15
        if self.picture.image is not None:
            return wide
        if rows == columns and wide < readable:
            return wide
        if readable > tallest:
            return min(wide, tallest)
        return max(min(wide, self.size * 2.3), readable)

    def _side(self, labels: Labels, cell: float) -> _SideLabels:
        """Choose the labels of one side: words if there is room for them, or else some of the positions."""
        size = min(self.size, cell / 1.15)
        counted = self.picture.image is not None and self.picture.tile == (1, 1)
        if size >= SMALLEST and not counted:
            texts = self._row_texts if labels is self.picture.rows else _fitted(labels, LONGEST_ABOVE)
            return _SideLabels(tuple(texts), tuple(range(len(labels))), tuple(labels.special), size)
        if labels is self.picture.rows and self.picture.landmarks:
            return self._landmarks(cell)
        least = max(self.size * 3.2, self._wide(str(max(labels.positions, default=0)), self.size) * 1.8) / cell
        step = next(one * 10**power for power in range(9) for one in (1, 2, 5) if one * 10**power >= least)
        places = tuple(range(0, len(labels), step))
        named = tuple(str(labels.positions[place]) for place in places)
        return _SideLabels(named, places, (False,) * len(places), self.size)

    def _landmarks(self, cell: float) -> _SideLabels:
        """Name as many of the landmarks among the rows as there is room for."""
        places: list[int] = []
        for place in self.picture.landmarks:
            if not places or (place - places[-1]) * cell >= self.size * LINE:
                places.append(place)
        special = self.picture.rows.special
        texts, dimmed = zip(*((self._row_texts[place], special[place]) for place in places), strict=True)
        return _SideLabels(texts, tuple(places), dimmed, self.size)

    def _header(self, layout: _FigureLayout) -> float:
        """Return the height of the column labels."""
        size, texts = layout.columns.size, layout.columns.texts
        longest = max((self._wide(text, size) for text in texts), default=0.0)
        return (longest if layout.turned else size * LINE) + 3.5

    def _titles(self) -> list[str]:
        """Return the lines of the title."""
        return self._lines(clean(self.style.title_line).split(), self.size + 1, self.style.width - 2 * self.size)

    def _lines(self, words: Sequence[str], size: float, room: float) -> list[str]:
        """Join words to lines that have room, in points."""
        lines: list[str] = []
        for word in words:
            if lines and self._wide(f"{lines[-1]} {word}", size) <= room:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
        return lines

    def _cells(self, box: Any, layout: _FigureLayout) -> Any:
        """Draw the values, and a frame around each map; return what the colour bar explains."""
        values, cmap, norm = self.picture.values, _colors(self.picture.scale), _norm(self.picture.scale)
        look: dict[str, Any] = {"cmap": cmap, "norm": norm}
        tall, wide = self.picture.tile
        counts = len(self.picture.rows), len(self.picture.columns)
        framed = [((0.0, 0.0), (layout.across, layout.down))]
        if layout.gap:
            corners = ((column * layout.steps[0], row * layout.steps[1]) for row, column in np.ndindex(counts))
            framed = [(corner, layout.cell) for corner in corners]
        pixels = self.picture.pixels
        if pixels is not None:
            draw_below(box, pixels, [corner for corner, _ in framed], framed[0][1])
        draw_marks(box, self.picture, [corner for corner, _ in framed], framed[0][1])
        if values.size <= self.vectors:
            x, y = (
                _edges(count, cells, size, layout.gap)
                for count, cells, size in zip(counts[::-1], (wide, tall), layout.cell, strict=True)
            )
            spread = _apart(values, (tall, wide)) if layout.gap else values
            if pixels is None:
                look |= {"edgecolors": "face", "linewidth": 0.25}
            else:
                look |= {"alpha": opacities(self.picture.scale, spread), "linewidth": 0}
            mesh = box.pcolormesh(x, y, spread, **look)
            mesh.set_joinstyle("miter")
        else:
            parts = [values]
            if layout.gap:
                parts = [part for row in np.split(values, counts[0]) for part in np.split(row, counts[1], axis=1)]
            for part, ((left, top), (across, down)) in zip(parts, framed, strict=True):
                place = (left, left + across, top + down, top)
                seen = self._as_fine_as_seen(part, (across, down))
                whole = {"extent": place, "interpolation": "none", "aspect": "auto"}
                if pixels is None:
                    mesh = box.imshow(seen, **whole, **look)
                else:  # in which a vector format would leave out what is handed over as alpha
                    hidden = opacities(self.picture.scale, seen)
                    mesh = box.imshow(np.dstack([cmap(norm(seen))[:, :, :3], hidden]), **whole)
        box.set(xlim=(0, layout.across), ylim=(layout.down, 0), xticks=[], yticks=[], facecolor="none")
        box.spines[:].set_visible(False)
        frames = [Rectangle(corner, *size) for corner, size in framed]
        box.add_collection(
            PatchCollection(frames, facecolor="none", edgecolor=FRAME, linewidth=0.4, clip_on=False, zorder=3)
        )
        self._segments(box, layout)
        return mesh

    def _as_fine_as_seen(
        self, values: Float[np.ndarray, "row column"], shape: tuple[float, float]
    ) -> Float[np.ndarray, "pixel_row pixel_column"]:
        """Take the largest of the values that would share a dot, so that no single weight is lost."""
        down, across = (
            max(int(np.ceil(count / (points / 72 * self.dots))), 1)
            for count, points in zip(values.shape, shape[::-1], strict=True)
        )
        return pool(values, down, across, signed=self.picture.scale.signed) if max(down, across) > 1 else values

    def _segments(self, box: Any, layout: _FigureLayout) -> None:
        """Draw a line between the two segments of a text."""
        lines = []
        if (column := self.picture.columns.second_segment) is not None:
            lines.append([(column * layout.cell[0], 0), (column * layout.cell[0], layout.down)])
        if (row := self.picture.rows.second_segment) is not None:
            lines.append([(0, row * layout.cell[1]), (layout.across, row * layout.cell[1])])
        if lines:
            box.add_collection(LineCollection(lines, colors=INK, linewidths=0.6, zorder=4))

    def _labels(self, box: Any, layout: _FigureLayout) -> None:
        """Write the labels of columns and rows."""
        for side, (step, size) in zip((0, 1), zip(layout.steps, layout.cell, strict=True), strict=True):
            labels = (layout.columns, layout.rows)[side]
            for text, place, dim in zip(labels.texts, labels.places, labels.dimmed, strict=True):
                middle, color = place * step + size / 2, DIMMED if dim else INK
                if side:
                    box.text(-2.5, middle, text, size=labels.size, color=color, ha="right", va="center_baseline")
                else:
                    turn = 90 if layout.turned else 0
                    box.text(middle, -2.5, text, size=labels.size, color=color, ha="center", va="bottom", rotation=turn)

    def _bar(
        self, figure: Figure, mesh: Any, place: tuple[float, float, float, float], length: float, *, upright: bool
    ) -> None:
        """Draw the colour bar, with as many numbers as have room, and the unit."""
        scale = self.picture.scale
        box = figure.add_axes(place)
        if self.picture.pixels is not None:
            steps = np.linspace(0, 1, SHADES)
            hidden = opacities(scale, np.asarray(_norm(scale).inverse(steps), float))
            seen = blended(_colors(scale)(steps)[:, :3], hidden, self.picture.pixels)
            mesh = ScalarMappable(_norm(scale), ListedColormap(seen))
        bar = figure.colorbar(mesh, cax=box, orientation="vertical" if upright else "horizontal")
        norm = _norm(scale)
        chosen: list[float] = []
        for value in ticks_of(scale):
            apart = self.size * 1.25 if upright else self._wide(self._number(value), self.size) * 1.3
            places = [abs(float(norm(value)) - float(norm(other))) * length for other in chosen]
            if all(distance >= apart for distance in places):
                chosen.append(value)
        bar.set_ticks(sorted(chosen), labels=[self._number(value) for value in sorted(chosen)])
        box.tick_params(labelsize=self.size, length=1.5, width=0.4, pad=1.5, color=FRAME)
        bar.outline.set(linewidth=0.4, edgecolor=FRAME)
        if bar.solids is not None:
            bar.solids.set(edgecolor="face", linewidth=0.5, rasterized=False)
        name = self._bar_name(length + 2 * self.size if upright else self.style.width - self.size)
        beyond = max(self._wide(name, self.size) - length, 0.0) / 2
        # A name that is longer than the bar goes where there is room: to the top, or to the left.
        if upright:
            above = max(beyond - self.size * 0.5, 0.0)
            box.set_ylabel(name, size=self.size, labelpad=1.5, y=0.5 + above / length)
        else:
            left = (place[0] + place[2]) * self.style.width - length / 2 - beyond - self._wide(name, self.size) / 2
            box.set_xlabel(name, size=self.size, labelpad=1.5, x=0.5 - (beyond + min(left - 1, 0)) / length)

    def _bar_name(self, room: float) -> str:
        """Return what the bar shows, without the unit's explanation if there is no room for it."""
        quantity = self.picture.quantity
        return quantity if self._wide(quantity, self.size) <= room else quantity.partition(" (")[0]

    def _number(self, value: float) -> str:
        """Write a value beside the colour bar."""
        scale = self.picture.scale
        text = (f"{value:+.3g}" if scale.signed and value else f"{value:.3g}").replace("-", "−")
        if not scale.clipped:
            return text
        beyond = {scale.high: "≥ ", -scale.high: "≤ "} if scale.signed else {scale.high: "≥ "}
        return beyond.get(value, "") + text


def _fitted(labels: Labels, cells: float) -> list[str]:
    """Return the labels, each as one line of no more than some letters."""
    most = max(int(cells), 3)
    return [clipped(text, max(min(most, width(clean(text))), 1)) if text else "" for text in labels.texts]


def _edges(labels: int, cells: int, size: float, gap: float) -> Float[np.ndarray, "edge"]:
    """Return the edges of the cells under each label, with those of the gaps between labels."""
    inner = np.linspace(0.0, size, cells + 1)
    if not gap:
        return np.linspace(0.0, size * labels, cells * labels + 1)
    return np.concatenate([place * (size + gap) + inner for place in range(labels)])


def _apart(
    values: Float[np.ndarray, "row column"], tile: tuple[int, int]
) -> Float[np.ndarray, "spread_row spread_column"]:
    """Put an empty row and an empty column between the maps of a grid."""
    down, across = tile
    rows = np.arange(down, values.shape[0], down)
    columns = np.arange(across, values.shape[1], across)
    spread: Float[np.ndarray, "spread_row spread_column"] = np.insert(
        np.insert(values.astype(float), rows, np.nan, axis=0), columns, np.nan, axis=1
    )
    return spread


def _colors(scale: Scale) -> LinearSegmentedColormap:
    palette = PALETTES["light", "truecolor"]
    return LinearSegmentedColormap.from_list("attn", palette.changes if scale.signed else palette.cells, N=SHADES)


def _norm(scale: Scale) -> FuncNorm:
    """Map values to colours as the scale does."""
    low = -scale.high if scale.signed else scale.low
    high = scale.high if scale.high > low else low + 1.0

    def forward(values: Any) -> Any:
        return np.sign(values) * np.abs(values) ** scale.power

    def back(values: Any) -> Any:
        return np.sign(values) * np.abs(values) ** (1 / scale.power)

    return FuncNorm((forward, back), vmin=low, vmax=high, clip=True)
