"""The input of a heatmap: a map's values, whole or pooled, and the labels of its rows and columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from attn_cli.data.pooling import Pooled, pool, seen_values
from attn_cli.data.selection import Kind, Rows
from attn_cli.data.shapes import Float, Int
from attn_cli.draw.labels import Labels

__all__ = ["MapView"]


@dataclass(frozen=True, eq=False)
class MapView:
    """A map with the labels of its rows and columns.

    Raises:
        ValueError: values and labels differ in shape.
    """

    values: Float[np.ndarray, "query key"] | Pooled
    """Weights, scores with minus infinity where masked, or changes of either; or a map too large to be kept whole,
    which can only be drawn as a mosaic."""
    query: Labels
    key: Labels
    kind: Kind = "encoder"
    measure: Literal["weight", "score", "change"] = "weight"
    unit: str = "word"
    visible: Int[np.ndarray, "query 2"] | None = None
    """First key that each query can see, and one past the last; all keys by default. Not used with `Pooled` values."""
    rows: Rows | None = "input"
    """Decoder step that a word's row belongs to; None where it goes without saying, or is not known (`Plan.step`)."""
    noun: str = ""
    """Name of one value; empty for the measure."""

    @property
    def name(self) -> str:
        """The name of one value."""
        return self.noun or self.measure

    def __post_init__(self) -> None:
        shape = (len(self.query), len(self.key))
        if self.values.shape != shape:
            raise ValueError(f"values have shape {self.values.shape}, the labels say {shape}")

    @property
    def whole(self) -> bool:
        """True if every value is kept."""
        return not isinstance(self.values, Pooled)

    @cached_property
    def shown(self) -> Float[np.ndarray, "query key"]:
        """The values, not-a-number where masked.

        Raises:
            ValueError: not all of them are kept.
        """
        if isinstance(self.values, Pooled):
            raise ValueError("only the largest values of this map are kept")  # noqa: TRY004 - it is no wrong type
        queries, keys = self.values.shape
        visible = np.tile([0, keys], (queries, 1)) if self.visible is None else self.visible
        return seen_values(self.values, visible).astype(np.float32, copy=False)

    def within(self, rows: range, columns: range) -> MapView:
        """Return a part of a map that is kept whole: some rows and columns, each in a row.

        Raises:
            ValueError: not all values are kept.
        """
        values = self.shown[rows.start : rows.stop, columns.start : columns.stop]
        return replace(self, values=values, query=self.query.within(rows), key=self.key.within(columns), visible=None)

    def height_from(self, least: int) -> int:
        """Return the smallest available height of rectangles that is `least` or more.

        Raises:
            ValueError: the pooled map has no rectangles as high as this.
        """
        if not isinstance(self.values, Pooled):
            return least
        found = [height for height in self.values.cuts.heights if height >= least]
        if not found:
            raise ValueError(f"the map is not cut into parts of {least} rows or more")
        return found[0]

    def pooled(self, height: int, width: int) -> Float[np.ndarray, "row column"]:
        """Return the largest value of each rectangle of `height` x `width`; for changes, the value furthest from 0.

        Raises:
            ValueError: the pooled map has no rectangles of this size.
        """
        if isinstance(self.values, Pooled):
            return self.values.rectangles(height, width)
        return pool(self.shown, height, width, signed=self.measure == "change")

    @cached_property
    def masked(self) -> bool:
        """True if some key is masked for some query."""
        if isinstance(self.values, Pooled):
            return self.values.masked
        return not bool(np.isfinite(self.shown).all())

    @cached_property
    def totals(self) -> Float[np.ndarray, "key"]:
        """The sum of each column."""
        if isinstance(self.values, Pooled):
            return self.values.totals
        totals: Float[np.ndarray, "key"] = np.nansum(self.shown, axis=0)
        return totals
