"""Pooled maps, whose cells are the largest weights of squares; also built row by row while a map streams."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from attn_cli.data.shapes import Bool, Float, Int

__all__ = ["Cuts", "Pooled", "pool", "seen_values"]


def pool(
    values: Float[np.ndarray, "query key"], rows: int, columns: int, *, signed: bool = False
) -> Float[np.ndarray, "row column"]:
    """Reduce each rectangle of `rows` x `columns` values to its largest; not-a-number only where all of it is.

    Args:
        values: the map to reduce.
        rows: the number of rows of a rectangle.
        columns: the number of columns of a rectangle.
        signed: take the value that is furthest from 0 instead of the largest, for changes.
    """
    if signed:
        most, least = pool(values, rows, columns), -pool(-values, rows, columns)
        return np.where(-least > most, least, most)
    if rows > 1:
        values = np.fmax.reduceat(values, np.arange(0, values.shape[0], rows), axis=0)
    if columns > 1:
        values = np.fmax.reduceat(values, np.arange(0, values.shape[1], columns), axis=1)
    return values


def seen_values(
    values: Float[np.ndarray, "*heads query some_keys"], visible: Int[np.ndarray, "query 2"]
) -> Float[np.ndarray, "*heads query some_keys"]:
    """Replace values by not-a-number at hidden keys and where a score is masked."""
    keys, visible = np.arange(values.shape[-1]), np.asarray(visible, like=values)
    seen: Bool[np.ndarray, "*heads query some_keys"] = np.isfinite(values)
    seen &= (keys >= visible[:, :1]) & (keys < visible[:, 1:])
    return np.where(seen, values, np.float32(np.nan))


@dataclass(frozen=True, eq=False)
class Cuts:
    """The boundaries of a map's parts, from which rectangles of any of some heights and widths can be composed.

    The number of parts follows that of the rectangles: a map that is drawn on one screen has few, whatever its length.
    """

    queries: int
    keys: int
    heights: tuple[int, ...]
    """The numbers of rows that a rectangle may have, ascending."""
    widths: tuple[int, ...]
    """The numbers of columns that a rectangle may have, ascending."""
    rows: Int[np.ndarray, "row_part"]
    """First row of each part."""
    columns: Int[np.ndarray, "column_part"]
    """First column of each part."""

    @classmethod
    def into(cls, queries: int, keys: int, heights: Iterable[int], widths: Iterable[int]) -> Cuts:
        """Cut a map of `queries` x `keys` into the fewest parts that make up rectangles of all these sizes."""
        heights, widths = tuple(sorted(set(heights))), tuple(sorted(set(widths)))
        rows, columns = (
            np.unique(np.concatenate([np.arange(0, length, size) for size in sizes]))
            for length, sizes in ((queries, heights), (keys, widths))
        )
        return cls(queries, keys, heights, widths, rows, columns)

    @property
    def parts(self) -> tuple[int, int]:
        """The number of parts along the rows and along the columns."""
        return len(self.rows), len(self.columns)

    def pool(
        self, start: int, values: Float[np.ndarray, "*heads query some_keys"]
    ) -> tuple[int, Float[np.ndarray, "*heads row_part column_part"]]:
        """Reduce some rows to the largest value of each part.

        Args:
            start: the index of the first row.
            values: the rows, not-a-number where nothing is visible; a part is not-a-number only where all of it is.

        Returns:
            The index of the part that holds the first row, and the values.
        """
        rows, width = values.shape[-2:]
        parts = np.searchsorted(self.rows, np.arange(start, start + rows), side="right") - 1
        values = np.fmax.reduceat(values, self.columns[: np.searchsorted(self.columns, width)], axis=-1)
        return int(parts[0]), np.fmax.reduceat(values, np.flatnonzero(np.diff(parts, prepend=-1)), axis=-2)


class Pooled:
    """A map of which only the largest value of each part is kept, with the sums of columns and a count of visible keys.

    Args:
        cuts: the parts.
    """

    def __init__(self, cuts: Cuts) -> None:
        self.cuts = cuts
        self._totals: Float[np.ndarray, "key"] = np.zeros(cuts.keys, np.float32)
        self._parts: Float[np.ndarray, "row_part column_part"] = np.full(cuts.parts, np.nan, np.float32)
        self._seen = 0

    def fetch(self) -> None:
        """Copy what is kept from the device where it was collected."""
        self._totals, self._parts = np.asarray(self._totals), np.asarray(self._parts)

    @property
    def totals(self) -> Float[np.ndarray, "key"]:
        """Sums of the columns."""
        self.fetch()
        return self._totals

    def add(
        self, start: int, values: Float[np.ndarray, "query some_keys"], visible: Int[np.ndarray, "query 2"]
    ) -> None:
        """Add the next rows.

        Args:
            start: the index of the first of them.
            values: the rows; keys that none of them can see may be cut off at the end.
            visible: the first key that each row can see, and one past the last.
        """
        if not values.size:
            return
        values = seen_values(values, visible)
        self._seen += int(np.isfinite(values).sum())
        self._totals, self._parts = (np.asarray(own, like=values) for own in (self._totals, self._parts))
        first, parts = self.cuts.pool(start, values)
        place = self._parts[first : first + len(parts), : parts.shape[1]]
        np.fmax(place, parts, out=place)
        # Row by row, as NumPy would add up the columns of the whole map, so that the sums are the same to the last bit.
        np.nan_to_num(values, copy=False)
        totals = self._totals[: values.shape[1]]
        values[0] += totals
        totals[:] = values.sum(axis=0)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the whole map."""
        return self.cuts.queries, self.cuts.keys

    @property
    def masked(self) -> bool:
        """True if some keys are hidden or masked."""
        return self._seen < math.prod(self.shape)

    def rectangles(self, height: int, width: int) -> Float[np.ndarray, "row column"]:
        """Return the largest value of each rectangle, as `pool` computes it from the whole map.

        Raises:
            ValueError: the map is cut into parts that do not make up rectangles of this size.
        """
        if height not in self.cuts.heights or width not in self.cuts.widths:
            raise ValueError(f"the map is not cut into parts of {height} x {width}")
        self.fetch()
        rows = np.searchsorted(self.cuts.rows, np.arange(0, self.cuts.queries, height))
        columns = np.searchsorted(self.cuts.columns, np.arange(0, self.cuts.keys, width))
        return np.fmax.reduceat(np.fmax.reduceat(self._parts, rows, axis=0), columns, axis=1)
