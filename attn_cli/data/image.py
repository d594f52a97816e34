"""The grid of patches that a model divides an image into. Imports nothing heavy, as texts know of it as well."""

from __future__ import annotations

from dataclasses import dataclass, field

from attn_cli.errors import ExactnessError

__all__ = ["PatchGrid", "Thumbnail", "patch_name"]

MOST_PIXELS = 2**16
"""Most pixels of a thumbnail."""


def patch_name(row: int, column: int) -> str:
    """Name a patch by its place in the grid."""
    return f"r{row}c{column}"


@dataclass(frozen=True)
class Thumbnail:
    """A small picture, in 8-bit red, green and blue; `attn_cli.data.patches` makes arrays of it.

    Raises:
        ExactnessError: the bytes are not those of so many pixels, or they are too many.
    """

    width: int
    height: int
    rgb: bytes = field(repr=False)
    """Three bytes for each pixel, row by row from the top."""

    def __post_init__(self) -> None:
        size = self.width * self.height
        if self.width < 1 or self.height < 1 or size > MOST_PIXELS or len(self.rgb) != 3 * size:
            raise ExactnessError(f"A thumbnail of {self.width} x {self.height} pixels has {len(self.rgb):,} bytes")


@dataclass(frozen=True)
class PatchGrid:
    """The patches that a model divides an image into: rows from the top, columns from the left, both from 0.

    The patches are the tokens that are not special, row by row; each is a word of its own.

    Raises:
        ExactnessError: there is no patch, or the patches of the thumbnail are not all of the same whole pixels.
    """

    rows: int
    columns: int
    name: str = "image"
    """The name of the image, for titles."""
    thumbnail: Thumbnail | None = None
    """The part of the image that the patches cover, as the model sees it."""

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ExactnessError(f"A grid of {self.rows} x {self.columns} has no patch")
        small = self.thumbnail
        if small is not None and (small.height % self.rows or small.width % self.columns):
            raise ExactnessError(
                f"A thumbnail of {small.width} x {small.height} pixels is not divided by {self.rows} rows of "
                f"{self.columns} patches"
            )

    def __len__(self) -> int:
        return self.rows * self.columns
