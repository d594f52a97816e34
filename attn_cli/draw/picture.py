"""A picture for a paper as data: values with the labels of their rows and columns, and what the colours mean.

`attn_cli.draw.figure` makes a figure of it, and `attn_cli.draw.latex` a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from attn_cli.data.plan import name_head
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.shapes import Float, UInt8
from attn_cli.draw.captions import sides
from attn_cli.draw.colors import WEIGHTS, Scale
from attn_cli.draw.heatmap import scale_of
from attn_cli.draw.labels import Labels
from attn_cli.draw.map_view import MapView
from attn_cli.draw.patches import PatchRow, patch_scale

__all__ = [
    "ImageBelow",
    "PaperPicture",
    "picture_of_grid",
    "picture_of_heads",
    "picture_of_images",
    "picture_of_map",
    "picture_of_patches",
    "picture_of_rows",
    "quantity_of",
]

MOST_ON_ONE_SCALE = 48
"""Most columns of a map whose scale runs to 1; in a larger one hardly any weight is large."""


@dataclass(frozen=True, eq=False)
class ImageBelow:
    """The image below values that are of its patches."""

    pixels: UInt8[np.ndarray, "height width 3"] | None
    """The part of the image that the patches cover; None if it was not kept."""
    marks: tuple[tuple[int, int] | None, ...]
    """Row and column of the patch that looks in each image, row by row; None if it is none of the patches, or all."""
    beside: tuple[tuple[str, float], ...] = ()
    """The special tokens, which have no place in the image, with their values."""


@dataclass(frozen=True, eq=False)
class PaperPicture:
    """Values in rows and columns, each a coloured cell.

    Raises:
        ValueError: the values and the labels differ in number.
    """

    values: Float[np.ndarray, "row column"]
    """The values, not-a-number where there is none (masked)."""
    rows: Labels
    columns: Labels
    sides: tuple[str, str]
    """The names of the two axes, rows first."""
    scale: Scale
    quantity: str
    """The name of a value, with its unit in brackets."""
    tile: tuple[int, int] = (1, 1)
    """Values down and across that share a label: those of one head's map, in a grid of maps."""
    landmarks: tuple[int, ...] = ()
    """Rows that are named where there is no room to name all; if empty, positions stand in their place."""
    image: ImageBelow | None = None
    """The image that the values, or those of each tile, are patches of."""

    @property
    def pixels(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """The part of the image that the patches cover; None if there is no image, or it was not kept."""
        return None if self.image is None else self.image.pixels

    def __post_init__(self) -> None:
        down, across = self.tile
        labelled = len(self.rows) * down, len(self.columns) * across
        if self.values.shape != labelled:
            raise ValueError(f"values have shape {self.values.shape}, the labels say {labelled}")


def quantity_of(selection: Selection, *, unscaled: bool = False, query: str = "") -> str:
    """Say what a value of a selection is, with its unit in brackets.

    Args:
        selection: the selection.
        unscaled: True if rows need not sum to 1.
        query: the query whose values alone are shown; empty if it is named elsewhere.
    """
    name = f"{selection.noun} of {query}" if query else selection.noun
    if selection.scores:
        return f"{name} (before the softmax)"
    return f"{name} ({'as given' if unscaled else 'share of its row'})"


def picture_of_map(view: MapView, quantity: str) -> PaperPicture:
    """Make the picture of one map.

    Args:
        view: the map, which must be whole.
        quantity: what one value is, with its unit in brackets.
    """
    scale = scale_of(view, view.shown, same=len(view.key) <= MOST_ON_ONE_SCALE)
    return PaperPicture(view.shown, view.query, view.key, sides(view.kind, view.rows), scale, quantity)


def picture_of_grid(
    maps: Mapping[tuple[int, int], Float[np.ndarray, "query key"]], quantity: str, *, signed: bool = False
) -> PaperPicture:
    """Make the picture of many heads' maps, layers down and heads across.

    Args:
        maps: (layer, head) -> map, all of one shape; not-a-number where masked.
        quantity: what one value is, with its unit in brackets.
        signed: True if values may be less than 0, as scores are.
    """
    layers, heads = (sorted({place[side] for place in maps}) for side in (0, 1))
    down, across = next(iter(maps.values())).shape
    values = np.full((len(layers) * down, len(heads) * across), np.nan, np.float32)
    for (layer, head), map_ in maps.items():
        row, column = layers.index(layer) * down, heads.index(head) * across
        values[row : row + down, column : column + across] = map_
    scale = Scale.around(values) if signed else Scale.reaching(values)
    return PaperPicture(
        values, _numbered(layers), _numbered(heads), ("layers", "heads"), scale, quantity, (down, across)
    )


def picture_of_heads(
    values: Mapping[tuple[int, int], float] | Mapping[Kind, Mapping[tuple[int, int], float]],
    scale: Scale,
    quantity: str,
) -> PaperPicture:
    """Make the picture of one value for each head, layers down and heads across.

    Args:
        values: (layer, head) -> value, not-a-number where there is none; or such values of each kind of attention,
            which come below one another.
        scale: the scale of the colours.
        quantity: what one value is, with its unit in brackets.
    """
    kinds: dict[str, dict[tuple[int, int], float]] = {}
    for place, value in values.items():
        if isinstance(value, Mapping):
            kinds[str(place)] = dict(value)
        elif isinstance(place, tuple):
            kinds.setdefault("", {})[place] = value
    heads = sorted({head for one in kinds.values() for _, head in one})
    rows = [(kind, layer) for kind, one in kinds.items() for layer in sorted({layer for layer, _ in one})]
    cells = [[kinds[kind].get((layer, head), np.nan) for head in heads] for kind, layer in rows]
    names = [str(layer) if len(kinds) == 1 else f"{kind} {layer}" for kind, layer in rows]
    return PaperPicture(
        np.array(cells, np.float32), Labels(names), _numbered(heads), ("layers", "heads"), scale, quantity
    )


def picture_of_rows(
    rows: Mapping[tuple[int, int], Float[np.ndarray, "query key"]],
    queries: Sequence[str],
    keys: Labels,
    sides: tuple[str, str],
    quantity: str,
    *,
    signed: bool = False,
    joint: bool = False,
) -> PaperPicture:
    """Make the picture of the rows of a few queries in each head, the heads of a query below one another.

    Args:
        rows: (layer, head) -> the rows of the queries; not-a-number where masked.
        queries: names of the queries.
        keys: labels of the columns.
        sides: what a query and the columns are.
        quantity: what one value is, with its unit in brackets.
        signed: True if values may be less than 0, as scores are.
        joint: True if the heads of a layer are one.
    """
    values = np.stack([map_[row] for row in range(len(queries)) for map_ in rows.values()]).astype(np.float32)
    heads, each = [name_head(*place) for place in rows], "head"
    if joint:
        heads, each = [str(layer) for layer, _ in rows], "layer"
    names = [f"{query} {head}" if queries[1:] else head for query in queries for head in heads]
    left = f"{sides[0]} and {each}s"
    if len(heads) == 1:
        names, left = list(queries), sides[0]
    elif not queries[1:]:
        left = f"{queries[0]} in each {each}"
    scale = Scale.around(values) if signed else WEIGHTS
    layers = [layer for layer, _ in rows] * len(queries)
    firsts = tuple(row for row, layer in enumerate(layers) if row % len(rows) == 0 or layer != layers[row - 1])
    return PaperPicture(values, Labels(names), keys, (left, sides[1]), scale, quantity, landmarks=firsts)


def picture_of_patches(row: PatchRow, quantity: str) -> PaperPicture:
    """Make the picture of one row on the grid of an image's patches.

    Args:
        row: the row.
        quantity: what one value is, with its unit in brackets.
    """
    rows, columns = (_numbered(range(count)) for count in row.values.shape)
    scale = patch_scale(row.values, row.measure)
    image = ImageBelow(row.thumbnail, (row.mark,), tuple(row.beside))
    return PaperPicture(row.values.astype(np.float32), rows, columns, ("row", "column"), scale, quantity, image=image)


def picture_of_images(
    tiles: Sequence[Sequence[PatchRow | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    sides: tuple[str, str],
    quantity: str,
) -> PaperPicture:
    """Make the picture of many rows, each on the grid of the image's patches.

    Args:
        tiles: the rows to draw, from left to right and then down; None where there is none.
        rows: names of the rows of images.
        columns: names of the columns of images.
        sides: what these are.
        quantity: what one value is, with its unit in brackets.
    """
    known = [tile for line in tiles for tile in line if tile is not None]
    shape = down, across = known[0].values.shape
    blank = np.full(shape, np.nan)
    values = np.block([[blank if tile is None else tile.values for tile in line] for line in tiles])
    marks = tuple(None if tile is None else tile.mark for line in tiles for tile in line)
    return PaperPicture(
        values.astype(np.float32),
        Labels(rows),
        Labels(columns),
        sides,
        Scale.reaching(values) if known[0].measure == "weight" else Scale.around(values),
        quantity,
        (down, across),
        image=ImageBelow(known[0].thumbnail, marks),
    )


def _numbered(numbers: Sequence[int]) -> Labels:
    return Labels([str(number) for number in numbers], positions=tuple(numbers))
