"""The parts of a figure that are an image's: the image below the weights of its patches, and the patch that looks.

They are drawn on axes of matplotlib that `attn_cli.draw.figure` makes, in points from the left and the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attn_cli.data.patches import GREY
from attn_cli.data.shapes import Float, UInt8
from attn_cli.draw.colors import Scale
from attn_cli.draw.picture import PaperPicture

__all__ = ["below", "blended", "draw_below", "draw_marks", "draw_photo", "opacities"]

VEIL = 0.88
"""Opacity of the largest weight over the image."""
PALE = 0.55
"""Share of the image in grey that is left below weights; the rest is white."""
FINE = 300
"""Pixels per inch of an image that is drawn smooth."""


def below(pixels: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width 3"]:
    """Return an image in pale grey, from 0 to 1, so that colours are weights alone."""
    grey = PALE * (pixels @ GREY) / 255 + 1 - PALE
    return np.repeat(grey[:, :, None], 3, axis=2)


def opacities(scale: Scale, values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return how much of the image each value hides: nothing if it is 0 or not a number."""
    shares = np.clip(np.abs(np.nan_to_num(values)) / scale.high, 0, 1)
    hidden: Float[np.ndarray, "*shape"] = VEIL * shares**scale.power
    return hidden


def blended(
    colors: Float[np.ndarray, "step 3"], hidden: Float[np.ndarray, "step"], pixels: UInt8[np.ndarray, "height width 3"]
) -> Float[np.ndarray, "step 3"]:
    """Return colours as they are seen over an image, where that is as light as it is on average.

    Args:
        colors: the colours, from 0 to 1.
        hidden: how much of the image each hides.
        pixels: the image.
    """
    seen: Float[np.ndarray, "step 3"] = colors * hidden[:, None] + below(pixels).mean() * (1 - hidden[:, None])
    return seen


def draw_below(
    box: Any,
    pixels: UInt8[np.ndarray, "height width 3"],
    corners: Sequence[tuple[float, float]],
    size: tuple[float, float],
) -> None:
    """Draw an image in pale grey at each of some corners, in this width and height."""
    grey = _smooth(below(pixels), size)
    for left, top in corners:
        _draw(box, grey, (left, top), size)


def draw_photo(box: Any, picture: PaperPicture) -> None:
    """Draw the image in its colours, with the patch that looks in a frame, so that it fills these axes."""
    if picture.pixels is None:
        return
    whole = box.get_position().size * box.get_figure().get_size_inches() * 72
    size = float(whole[0]), float(whole[1])
    _draw(box, _smooth(picture.pixels / 255, size), (0.0, 0.0), size)
    draw_marks(box, picture, [(0.0, 0.0)], size)
    box.set(xlim=(0, size[0]), ylim=(size[1], 0))
    box.axis("off")


def _draw(
    box: Any, image: Float[np.ndarray, "height width 3"], corner: tuple[float, float], size: tuple[float, float]
) -> None:
    (left, top), (across, down) = corner, size
    place = (left, left + across, top + down, top)
    box.imshow(np.rint(image * 255).astype(np.uint8), extent=place, interpolation="none", aspect="auto", zorder=0)


def draw_marks(
    box: Any, picture: PaperPicture, corners: Sequence[tuple[float, float]], size: tuple[float, float]
) -> None:
    """Frame the patch that looks, in each image.

    Args:
        box: the axes.
        picture: the picture, which says which patch that is.
        corners: left and top of each image, row by row.
        size: width and height of an image.
    """
    if picture.image is None:
        return
    down, across = picture.values.shape if picture.tile == (1, 1) else picture.tile
    for mark, corner in zip(picture.image.marks, corners, strict=True):
        if mark is not None:
            _draw_mark(box, mark, (down, across), corner, size)


def _draw_mark(
    box: Any, cell: tuple[int, int], shape: tuple[int, int], corner: tuple[float, float], size: tuple[float, float]
) -> None:
    """Draw a frame around the patch that looks, black within white, so that it is seen on any ground.

    Args:
        box: the axes.
        cell: row and column of the patch.
        shape: rows and columns of the grid of patches.
        corner: left and top of the grid.
        size: width and height of the grid.
    """
    wide, high = size[0] / shape[1], size[1] / shape[0]
    left, top = corner[0] + cell[1] * wide, corner[1] + cell[0] * high
    x, y = [left, left + wide, left + wide, left, left], [top, top, top + high, top + high, top]
    thick = min(1.0, wide / 5)
    for color, width in (("white", 2.5 * thick), ("black", thick)):
        box.plot(x, y, color=color, linewidth=width, solid_joinstyle="miter", zorder=5, clip_on=False)


def _smooth(image: Float[np.ndarray, "height width 3"], size: tuple[float, float]) -> Float[np.ndarray, "tall wide 3"]:
    """Draw the pixels of a small image out into more, with even steps between their middles.

    Args:
        image: the image.
        size: the width and the height that it is drawn in, in points.
    """
    for axis, length in ((0, size[1]), (1, size[0])):
        count = image.shape[axis]
        finer = max(int(np.ceil(length / 72 * FINE / count)), 1)
        place = np.clip((np.arange(finer * count) + 0.5) / finer - 0.5, 0, count - 1)
        first = np.minimum(place.astype(int), max(count - 2, 0))
        share = (place - first).reshape([-1 if axis == one else 1 for one in range(3)])
        image = image.take(first, axis) * (1 - share) + image.take(np.minimum(first + 1, count - 1), axis) * share
    smooth: Float[np.ndarray, "tall wide 3"] = image
    return smooth
