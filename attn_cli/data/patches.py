"""Images as models read them: pixels, and patches as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attn_cli.data.image import PatchGrid, Thumbnail, patch_name
from attn_cli.data.shapes import Float, UInt8
from attn_cli.data.text import Token, Tokens, Word

__all__ = ["GREY", "ImagePixels", "grey", "patch_tokens", "pixels_of", "thumbnail_of"]

BETWEEN = ";"
"""Separator between the names of patches in the text that they make, so that no name covers several of them."""
SIDE = 64
"""Most pixels along a side of a thumbnail, where the grid has fewer patches than that."""
MOST_FOR_A_PATCH = 8
GREY = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in lightness (ITU-R BT.601)."""


@dataclass(frozen=True, eq=False)
class ImagePixels:
    """An image as it was read, before a model's own processor scales and crops it."""

    name: str
    """The name to show: that of its file, or `image`."""
    pixels: UInt8[np.ndarray, "height width 3"]
    """Red, green and blue."""
    notes: tuple[str, ...] = ()
    """Remarks on how it was read, one sentence each without a full stop."""


def patch_tokens(grid: PatchGrid, before: Sequence[str] = (), behind: Sequence[str] = ()) -> Tokens:
    """Return the tokens of an image: each patch is a token and a word, `r3c5`.

    Args:
        grid: the grid of patches.
        before: names of the special tokens before the patches, in the model's order, such as `[CLS]`.
        behind: names of those behind them.
    """
    words: list[Word] = []
    start = 0
    for label in (patch_name(row, column) for row in range(grid.rows) for column in range(grid.columns)):
        words.append(Word(label, start, start + len(label)))
        start += len(label) + len(BETWEEN)
    text = BETWEEN.join(word.text for word in words)

    def special(names: Sequence[str], place: int) -> list[Token]:
        return [Token(name, place, place, None, special=True) for name in names]

    patches = [Token(word.text, word.start, word.end, index) for index, word in enumerate(words)]
    return Tokens(text, (*special(before, 0), *patches, *special(behind, len(text))), tuple(words), grid=grid)


def grey(pixels: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 1"]:
    """Return the lightness of each pixel, as Pillow does."""
    bright: UInt8[np.ndarray, "height width 1"] = np.rint(pixels @ GREY)[..., None].astype(np.uint8)
    return bright


def pixels_of(thumbnail: Thumbnail) -> UInt8[np.ndarray, "height width 3"]:
    """Return the pixels of a thumbnail."""
    return np.frombuffer(thumbnail.rgb, np.uint8).reshape(thumbnail.height, thumbnail.width, 3)


def thumbnail_of(image: Float[np.ndarray, "height width 3"], rows: int, columns: int) -> Thumbnail:
    """Make a thumbnail of an image whose sides are whole numbers of patches, with the same pixels for each patch.

    Args:
        image: red, green and blue, from 0 to 1.
        rows: rows of patches.
        columns: columns of patches.
    """
    height, width = image.shape[0] // rows, image.shape[1] // columns
    side = max(1, min(SIDE // max(rows, columns), MOST_FOR_A_PATCH, height, width))
    small = image
    for axis, count, size in ((0, rows, height), (1, columns, width)):
        inner = np.arange(side) * size // side
        starts = (np.arange(count)[:, None] * size + inner).ravel()
        sizes = np.tile(np.diff([*inner, size]), count).reshape([-1 if axis == place else 1 for place in range(3)])
        small = np.add.reduceat(small, starts, axis=axis) / sizes
    shown = np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)
    return Thumbnail(side * columns, side * rows, np.ascontiguousarray(shown).tobytes())
