"""What a heatmap shows: a map's values or what is left of them, and what its rows and columns are called."""

from __future__ import annotations

from dataclasses import dataclass
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
    """What a heatmap shows.

    Raises:
        ValueError: values and labels disagree.
    """

    values: Float[np.ndarray, "query key"] | Pooled
    """Weights, scores with minus infinity where masked, or changes of weights; or a map too large to be kept whole,
    which can only be a mosaic."""
    query: Labels
    key: Labels
    kind: Kind = "encoder"
    measure: Literal["weight", "score", "change"] = "weight"
    unit: Literal["word", "token"] = "word"
    visible: Int[np.ndarray, "query 2"] | None = None
    """First key that each query can see, and one past the last; everything by default, or what `Pooled` was told."""
    rows: Rows = "input"
    """In cross-attention, which step a target word's row is."""
    noun: str = ""
    """What one value is called; as the measure by default."""

    @property
    def name(self) -> str:
        """What one value is called."""
        return self.noun or self.measure

    def __post_init__(self) -> None:
        shape = (len(self.query), len(self.key))
        if self.values.shape != shape:
            raise ValueError(f"values have shape {self.values.shape}, the labels say {shape}")

    @property
    def whole(self) -> bool:
        """Whether every value is known."""
        return not isinstance(self.values, Pooled)

    @cached_property
    def shown(self) -> Float[np.ndarray, "query key"]:
        """The values, not-a-number where there is nothing to see.

        Raises:
            ValueError: not all of them are kept.
        """
        if isinstance(self.values, Pooled):
            raise ValueError("only the largest values of this map are kept")  # noqa: TRY004 - it is no wrong type
        queries, keys = self.values.shape
        visible = np.tile([0, keys], (queries, 1)) if self.visible is None else self.visible
        return seen_values(self.values, visible).astype(np.float32, copy=False)

    def size_from(self, least: int) -> int:
        """The smallest size of squares, from the least that will do, that is to be had.

        Raises:
            ValueError: what is kept of the map was not meant for squares as large as this.
        """
        if not isinstance(self.values, Pooled):
            return least
        found = [size for size in self.values.cuts.sizes if size >= least]
        if not found:
            raise ValueError(f"the map is not cut into squares of {least} or more")
        return found[0]

    def pooled(self, size: int) -> Float[np.ndarray, "row column"]:
        """The largest value of each square of `size` x `size`; of changes, the one that is furthest from 0.

        Raises:
            ValueError: what is kept of the map was not meant for this size.
        """
        if isinstance(self.values, Pooled):
            return self.values.squares(size)
        return pool(self.shown, size, size, signed=self.measure == "change")

    @cached_property
    def masked(self) -> bool:
        """Whether there is anything that cannot be seen."""
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
