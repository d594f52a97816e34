"""Statistics of the rows of a layer's maps, computed without the maps: for texts whose weights would take too long.

A source that can (`Summable`) computes them from queries, keys and each row's normalizer, a tile of weights at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.stream import Block, Report

__all__ = ["EatStatistics", "LayerStatistics", "StatisticsRequest", "Summable"]


@dataclass(frozen=True, eq=False)
class StatisticsRequest:
    """The statistics that a source is asked for, of one kind of attention in the model's own tokens."""

    kind: Kind
    heads: Mapping[int, tuple[int, ...]]
    """layer -> heads; those that are absent are left out."""
    words: Bool[np.ndarray, "query"]
    """True for each row that is summed up in `LayerStatistics.sums`, and from which links are searched."""
    rests: Bool[np.ndarray, "key"]
    """True for each key that no link leads to, since heads rest there."""
    crosses: bool
    """True if a row and the column with its number are not the same token, so there are no distances."""
    links: int
    """The number of strongest links of each head."""
    square: int | None = None
    """Side of the squares of which the largest weight is kept; None to keep none."""

    def beginning(self, count: int) -> StatisticsRequest:
        """Return the same request for the first tokens alone, this many at most."""
        return replace(self, words=self.words[:count], rests=self.rests[:count])


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """The statistics of some heads of one layer, over all rows."""

    kind: Kind
    layer: int
    heads: tuple[int, ...]
    """The model's numbers of the heads along the first axis."""
    visible: Int[np.ndarray, "query 2"]
    """First key that each query can see, and one past the last."""
    entropy: Float[np.ndarray, "head query"]
    """Shannon entropy of each row, in nats."""
    distance: Float[np.ndarray, "head"] | None
    """Sum over all rows of the weighted mean distance from query to key; None where rows and columns have no common
    positions, as are the next two fields."""
    itself: Float[np.ndarray, "head query"] | None
    """Weight of each row on its own position."""
    previous: Float[np.ndarray, "head query"] | None
    """Weight of each row on the position before it; 0 in the first row."""
    first: Float[np.ndarray, "head query"]
    """Weight of each row on the first key."""
    key: Int[np.ndarray, "head query"]
    """The strongest key of each row."""
    weight: Float[np.ndarray, "head query"]
    """The weight on it."""
    sums: Float[np.ndarray, "head key"]
    """Sum of each key's weights over the rows that are words."""
    links: tuple[tuple[tuple[int, int, float], ...], ...]
    """For each head, its strongest links as query, key and weight, the strongest first: from a word to another token
    where heads do not rest."""
    pooled: Float[np.ndarray, "head query_square key_square"] | None
    """Largest weight in each square, not-a-number where none of it is visible."""
    blocks_of: Callable[[int], Callable[[], Iterator[Block]]]
    """Function of a head's number. It returns one that computes the head's weights once more, as blocks of all rows,
    also after the run; it keeps the queries and keys of that head alone."""


EatStatistics = Callable[[LayerStatistics], None]


@runtime_checkable
class Summable(Protocol):
    """A `Source` that can compute statistics of its rows without streaming their weights."""

    def free_bytes(self) -> int:
        """Return the memory that is left on the device where `sum_up` runs, in bytes."""

    def predict_bytes(self, request: StatisticsRequest) -> int | None:
        """Predict the memory that `sum_up` takes beyond what is held now, from short passes over the text's beginning.

        Returns:
            The bytes; None if this model's weights must be streamed.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: the weights of a row do not sum to 1.
        """

    def sum_up(self, request: StatisticsRequest, eat: EatStatistics) -> Report | None:
        """Run the model, and pass the statistics of each layer to `eat`, in order.

        Returns:
            The report; None if this model's weights must be streamed. What was passed on is of no use then.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: the weights of a row do not sum to 1.
        """
