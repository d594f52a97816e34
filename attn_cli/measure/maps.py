"""Collectors that keep maps: every map, the mean over heads, or a reduced version of each map."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from attn_cli.data.plan import Plan
from attn_cli.data.pooling import Cuts, Pooled, seen_values
from attn_cli.data.record import AttentionMap
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float, Int
from attn_cli.data.statistics import LayerStatistics
from attn_cli.data.stream import Block
from attn_cli.measure.spread import Spread

__all__ = ["BestMap", "KeepMaps", "MeanMap", "PoolMaps", "Ranking", "layer_bytes", "map_bytes"]


def map_bytes(heads: int, queries: int, keys: int, *, scores: bool = False) -> int:
    """Return the memory that `KeepMaps` takes, in bytes: one float32 for each weight, and one for each score."""
    return heads * queries * keys * 4 * (2 if scores else 1)


def layer_bytes(plan: Plan) -> int:
    """Return the memory that one layer takes while it is streamed, in bytes.

    Older model code computes a layer's weights all at once, with their scores; other layers come in blocks. A measure
    that joins layers multiplies whole maps: the layer's, that of the layers below, their product, and temporary ones.
    """
    queries, keys = plan.queries.tokens, plan.keys.tokens
    joined = 5 * map_bytes(1, max(queries, keys), keys) if plan.selection.joint else 0
    if plan.source.model.captured != "hooks":
        return joined
    heads = max(map(len, plan.heads.values()), default=0)
    return 3 * map_bytes(heads, queries, keys) + joined


@dataclass(eq=False)
class _Rows:
    """The rows of one layer kept so far; full-size arrays are allocated once, at the layer's first block."""

    heads: tuple[int, ...]
    weights: Float[np.ndarray, "head query key"]
    visible: Int[np.ndarray, "query 2"]
    scores: Float[np.ndarray, "head query key"] | None
    sink: Float[np.ndarray, "head query"] | None


class KeepMaps:
    """A collector that keeps every weight of the chosen rows.

    Args:
        queries: number of rows.
        keys: number of columns.
        only: the rows to keep (sorted); all by default.
    """

    def __init__(self, queries: int, keys: int, only: tuple[int, ...] | None = None) -> None:
        self.keys = keys
        self.only = tuple(range(queries)) if only is None else only
        self._place = np.full(queries, -1)
        self._place[list(self.only)] = np.arange(len(self.only))
        self._rows: dict[tuple[Kind, int], _Rows] = {}

    def __call__(self, block: Block) -> None:
        stop = block.start + block.visible.shape[0]
        places = self._place[block.start : stop]
        wanted = np.flatnonzero(places >= 0)
        if not len(wanted):
            return
        kept = self._kept(block)
        places, width = places[wanted], block.weights.shape[2]
        kept.weights[:, places, :width] = block.weights[:, wanted]
        kept.visible[places] = block.visible[wanted]
        if kept.scores is not None and block.scores is not None:
            kept.scores[:, places, :width] = block.scores[:, wanted]
        if kept.sink is not None and block.sink is not None:
            kept.sink[:, places] = block.sink[:, wanted]

    def _kept(self, block: Block) -> _Rows:
        place = (block.kind, block.layer)
        if place not in self._rows:
            shape = (len(block.heads), len(self.only), self.keys)
            self._rows[place] = _Rows(
                heads=block.heads,
                weights=np.zeros(shape, np.float32),
                visible=np.zeros((shape[1], 2), np.intp),
                scores=None if block.scores is None else np.full(shape, -np.inf, np.float32),
                sink=None if block.sink is None else np.zeros(shape[:2], np.float32),
            )
        return self._rows[place]

    def maps(self, dtype: str = "float32", *, unscaled: bool = False) -> tuple[AttentionMap, ...]:
        """Return the kept maps, each checked.

        Args:
            dtype: number type that the model computed in, which determines how exactly rows must sum to 1.
            unscaled: allow rows that do not.

        Raises:
            ExactnessError: the values kept are not attention weights.
        """
        return tuple(
            AttentionMap(
                kind,
                layer,
                kept.heads,
                self.only,
                kept.weights,
                kept.visible,
                kept.scores,
                kept.sink,
                dtype,
                unscaled,
            )
            for (kind, layer), kept in self._rows.items()
        )


class MeanMap:
    """A collector of one map: the mean of the weights (or scores) over the heads of some layers.

    Args:
        queries: number of rows.
        keys: number of columns.
        layers: the layers to average, each of which must be streamed.
        scores: whether to average the scores instead of the weights.
        cuts: parts of the map of which only the largest value is kept; every value is kept by default.
        spread: a collector of where the mean weights lie.
    """

    def __init__(
        self,
        queries: int,
        keys: int,
        layers: Collection[int],
        *,
        scores: bool = False,
        cuts: Cuts | None = None,
        spread: Spread | None = None,
    ) -> None:
        self.layers, self.scores = layers, scores
        self.visible: Int[np.ndarray, "query 2"] = np.tile([keys, 0], (queries, 1))
        """First key that a query can see in any of the heads, and one past the last."""
        self.pooled = None if cuts is None else Pooled(cuts)
        """The largest mean value of each part, if the map is not kept whole."""
        self.spread = spread
        self._shape = queries, keys
        self._sum: Float[np.ndarray, "query key"] | None = None
        """The sum over heads of every row; None before the first block, if not needed, and once all rows are pooled."""
        self._left: Int[np.ndarray, "query"] = np.full(queries, len(layers))
        """The number of layers that are still to be added to each row."""
        self._heads: dict[int, int] = {}

    @property
    def bytes_kept(self) -> int:
        """The memory that the collector itself takes, in bytes."""
        parts = 0 if self.pooled is None else map_bytes(1, *self.pooled.cuts.parts)
        return parts + (map_bytes(1, *self._shape) if self.pooled is None or len(self.layers) > 1 else 0)

    @property
    def bytes_needed(self) -> int:
        """The memory that the collector takes together with drawing its map, in bytes."""
        return self.bytes_kept + (2 * map_bytes(1, *self._shape) if self.pooled is None else 0)

    def __call__(self, block: Block) -> None:
        values = block.scores if self.scores else block.weights
        if block.layer not in self.layers or values is None:
            return
        self._heads[block.layer] = len(block.heads)
        rows = slice(block.start, block.start + block.visible.shape[0])
        self.visible[rows, 0] = np.minimum(self.visible[rows, 0], block.visible[:, 0])
        self.visible[rows, 1] = np.maximum(self.visible[rows, 1], block.visible[:, 1])
        self._left[rows] -= 1
        total = values.sum(axis=0)
        if self.pooled is None or len(self.layers) > 1:
            total = self._add(rows, total)
        if not self._left[rows].any():
            self._complete(block.start, total, self.visible[rows])
            if self.pooled is not None and not self._left.any():
                self._sum = None

    def _complete(
        self, start: int, total: Float[np.ndarray, "query some_keys"], visible: Int[np.ndarray, "query 2"]
    ) -> None:
        """Pass on rows to which all layers have been added."""
        if self.pooled is None and self.spread is None:
            return
        mean = total / np.float32(self.heads)
        if self.pooled is not None:
            self.pooled.add(start, mean, visible)
        if self.spread is not None:
            self.spread.add(start, mean, visible)

    def _add(self, rows: slice, values: Float[np.ndarray, "query some_keys"]) -> Float[np.ndarray, "query key"]:
        """Add values to the sum of these rows, and return that sum."""
        if self._sum is None:
            self._sum = np.zeros(self._shape, np.float32, like=values)
        self._sum[rows, : values.shape[1]] += values
        if self.scores:
            self._sum[rows, values.shape[1] :] = -np.inf
        return self._sum[rows]

    def close(self) -> None:
        """Leave out the layers that have not been streamed."""
        if self._sum is not None and self._left.any():
            self._complete(0, self._sum, self.visible)
            if self.pooled is not None:
                self._sum = None

    def fetch(self) -> None:
        """Copy the map from the device where it was collected."""
        self._sum = None if self._sum is None else np.asarray(self._sum)
        if self.pooled is not None:
            self.pooled.fetch()

    @property
    def heads(self) -> int:
        """The number of heads in the mean."""
        return sum(self._heads.values())

    @property
    def values(self) -> Float[np.ndarray, "query key"]:
        """The mean map, if it is kept whole; minus infinity where a score is masked."""
        self.fetch()
        whole = np.zeros(self._shape, np.float32) if self._sum is None else self._sum
        return whole / np.float32(max(self.heads, 1))


@runtime_checkable
class Ranking(Protocol):
    """The running rank of one head; called with the head's blocks, in order."""

    def __call__(self, block: Block) -> None:
        """Add the next rows."""

    @property
    def result(self) -> Any:
        """The rank over all rows added so far; the largest is the best."""


Ranked = TypeVar("Ranked", bound=Ranking)


class BestMap(Generic[Ranked]):
    """A collector of the map of the best head; of equals, the first. It holds the maps of one layer at a time.

    Args:
        queries: number of rows.
        empty: function that makes an empty collector of the mean map of some layers.
        ranking: function that makes the empty ranking of a head, given its layer and its number.
    """

    def __init__(
        self, queries: int, empty: Callable[[Collection[int]], MeanMap], ranking: Callable[[int, int], Ranked]
    ) -> None:
        self._queries, self._empty, self._ranking = queries, empty, ranking
        self._layer: dict[int, tuple[MeanMap, Ranked]] = {}
        """head -> its map and its rank, for the layer that is being streamed."""
        self.best: tuple[int, int, MeanMap, Ranked] | None = None
        """Layer, head, map and rank of the best head so far."""

    def bytes_needed(self, heads: int) -> int:
        """Return the memory that the collector takes, in bytes, if no layer has more heads than these."""
        one = self._empty([0])
        return one.bytes_needed + heads * one.bytes_kept

    def rank(self, layer: int, head: int, ranking: Ranked) -> bool:
        """Rank a head whose map was not streamed; its map is empty, and left to be filled.

        Returns:
            True if it is the best so far.
        """
        better = self.best is None or ranking.result > self.best[3].result
        if better:
            self.best = layer, head, self._empty([layer]), ranking
        return better

    def __call__(self, block: Block) -> None:
        if block.start == 0:
            self._layer = {head: (self._empty([block.layer]), self._ranking(block.layer, head)) for head in block.heads}
        for head, (map_, ranking) in self._layer.items():
            one = block.take((head,))
            map_(one)
            ranking(one)
        if block.start + block.visible.shape[0] < self._queries:
            return
        for head, (map_, ranking) in self._layer.items():
            if self.best is None or ranking.result > self.best[3].result:
                self.best = block.layer, head, map_, ranking
        self._layer = {}


class PoolMaps:
    """A collector of a small version of every map, each cell of which is the largest weight (or score) of a square.

    Args:
        queries: number of rows.
        keys: number of columns.
        limit: most cells along a side.
        scores: whether to keep scores instead of weights.
    """

    def __init__(self, queries: int, keys: int, limit: int, *, scores: bool = False) -> None:
        self._scores = scores
        self.size = max(1, -(-max(queries, keys) // limit))
        """The number of units along a cell's side; 1 if the map is small enough as it is."""
        self._cuts = Cuts.into(queries, keys, [self.size], [self.size])
        self._maps: dict[tuple[int, int], Float[np.ndarray, "query_cell key_cell"]] = {}

    def __call__(self, block: Block) -> None:
        values = block.scores if self._scores else block.weights
        if values is None or not values.shape[1] or not values.shape[2]:
            return
        first, cells = self._cuts.pool(block.start, seen_values(values, block.visible))
        for index, head in enumerate(block.heads):
            whole = self._maps.setdefault((block.layer, head), np.full(self._cuts.parts, np.nan, np.float32))
            part = whole[first : first + cells.shape[1], : cells.shape[2]]
            np.fmax(part, cells[index], out=part)

    def add(self, layer: LayerStatistics) -> None:
        """Add the maps of one layer, which were pooled into squares of this size (see `StatisticsRequest.square`)."""
        if layer.pooled is not None:
            self._maps |= {(layer.layer, head): map_ for head, map_ in zip(layer.heads, layer.pooled, strict=True)}

    @property
    def maps(self) -> Mapping[tuple[int, int], Float[np.ndarray, "query_cell key_cell"]]:
        """The reduced map of each (layer, head); not-a-number where no query of a cell can see any of its keys."""
        return self._maps
