"""The image of a page: the picture itself, and maps with fewer rows where there are too many weights."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attn_cli.data.image import PatchGrid
from attn_cli.data.shapes import Float

__all__ = ["PageGridEntry", "describe_grid", "joined", "joined_ends", "squares_of"]


@dataclass(frozen=True, slots=True)
class PageGridEntry:
    """The grid of patches, and the picture below it."""

    rows: int
    columns: int
    side: int
    """Side of the squares of patches whose rows are joined into one; 1 if each patch has its row."""
    width: int
    """Pixels of the picture from left to right; 0 if there is none."""
    height: int
    rgb: str
    """Three bytes for each pixel, in base64."""


def describe_grid(grid: PatchGrid, side: int) -> PageGridEntry:
    """Describe a grid whose rows are joined in squares of so many patches."""
    small = grid.thumbnail
    if small is None:
        return PageGridEntry(grid.rows, grid.columns, side, 0, 0, "")
    return PageGridEntry(grid.rows, grid.columns, side, small.width, small.height, b64encode(small.rgb).decode())


def squares_of(cells: Sequence[tuple[int, int] | None], side: int) -> list[list[int]]:
    """Group rows by the square of the grid that their patches lie in.

    Args:
        cells: row and column of the patch of each row; None for a special token, which stays alone.
        side: side of a square, in patches.

    Returns:
        Indices of the rows of each group; special tokens come first, then the squares, row by row.
    """
    special = [[index] for index, cell in enumerate(cells) if cell is None]
    squares: dict[tuple[int, int], list[int]] = {}
    for index, cell in enumerate(cells):
        if cell is not None:
            squares.setdefault((cell[0] // side, cell[1] // side), []).append(index)
    return special + [squares[place] for place in sorted(squares)]


def joined(
    values: Float[np.ndarray, "head query key"], groups: Sequence[Sequence[int]]
) -> Float[np.ndarray, "head group key"]:
    """Average the rows of each group, as the rows of a word's tokens are averaged."""
    means: Float[np.ndarray, "head group key"] = np.stack([values[:, group].mean(axis=1) for group in groups], axis=1)
    return means


def joined_ends(ends: Sequence[int], groups: Sequence[Sequence[int]]) -> list[int]:
    """Return the first column that a row of each group sees and one past the last, one after the other.

    Args:
        ends: the same of each row.
        groups: indices of the rows of each group.
    """
    return [
        end
        for group in groups
        for end in (min(ends[2 * row] for row in group), max(ends[2 * row + 1] for row in group))
    ]
