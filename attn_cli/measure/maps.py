"""Collectors that keep maps: all of them, the mean over heads, or each one made small."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from attn_cli.data.plan import Plan
from attn_cli.data.pooling import Cuts, Pooled, seen_values
from attn_cli.data.record import AttentionMap
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block

__all__ = ["KeepMaps", "MeanMap", "PoolMaps", "layer_bytes", "map_bytes"]


def map_bytes(heads: int, queries: int, keys: int, *, scores: bool = False) -> int:
    """Memory that `KeepMaps` takes, in bytes: float32 for each weight, and again for each score."""
    return heads * queries * keys * 4 * (2 if scores else 1)


def layer_bytes(plan: Plan) -> int:
    """Memory that one layer takes while it passes, in bytes.

    Old-style code gives a layer's weights all at once, and needs the scores for them; others come in blocks. A measure
    that joins layers multiplies whole maps: one, what comes before it, their product, and what is made on the way.
    """
    queries, keys = plan.queries.tokens, plan.keys.tokens
    joined = 5 * map_bytes(1, max(queries, keys), keys) if plan.selection.joint else 0
    if plan.source.model.captured != "hooks":
        return joined
    heads = max(map(len, plan.heads.values()), default=0)
    return 3 * map_bytes(heads, queries, keys) + joined


@dataclass(eq=False)
class _Rows:
    """The rows of one layer seen so far; full-size arrays are made once, when the first block comes."""

    heads: tuple[int, ...]
    weights: Float[np.ndarray, "head query key"]
    visible: Int[np.ndarray, "query 2"]
    scores: Float[np.ndarray, "head query key"] | None
    sink: Float[np.ndarray, "head query"] | None


class KeepMaps:
    """A collector that keeps every weight of the rows it is told to keep.

    Args:
        queries: how many rows there are.
        keys: how many columns there are.
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

    def maps(self, dtype: str = "float32") -> tuple[AttentionMap, ...]:
        """What was kept, each map checked.

        Args:
            dtype: what the model computed in, which says how exact the rows can be.

        Raises:
            ExactnessError: these are not attention weights.
        """
        return tuple(
            AttentionMap(kind, layer, kept.heads, self.only, kept.weights, kept.visible, kept.scores, kept.sink, dtype)
            for (kind, layer), kept in self._rows.items()
        )


class MeanMap:
    """A collector of one map: the mean over all the heads of some layers (or of their scores).

    Args:
        queries: how many rows there are.
        keys: how many columns there are.
        layers: the layers to look at, all of which must come.
        scores: average the scores instead of the weights.
        cuts: keep only the largest value of each of these parts; every value by default.
    """

    def __init__(
        self, queries: int, keys: int, layers: Collection[int], *, scores: bool = False, cuts: Cuts | None = None
    ) -> None:
        self.layers, self.scores = layers, scores
        self.visible: Int[np.ndarray, "query 2"] = np.tile([keys, 0], (queries, 1))
        """What any of the heads can see."""
        self.pooled = None if cuts is None else Pooled(cuts)
        """The mean in parts, where it is not kept whole."""
        self._shape = queries, keys
        self._sum: Float[np.ndarray, "query key"] | None = None
        """Of every row, or only of those that another layer must be added to."""
        self._left: Int[np.ndarray, "query"] = np.full(queries, len(layers))
        """How many layers are to be added to each row."""
        self._heads: dict[int, int] = {}

    @property
    def bytes_kept(self) -> int:
        """Memory that it keeps, in bytes."""
        parts = 0 if self.pooled is None else map_bytes(1, *self.pooled.cuts.parts)
        return parts + (map_bytes(1, *self._shape) if self.pooled is None or len(self.layers) > 1 else 0)

    @property
    def bytes_needed(self) -> int:
        """With what drawing it takes."""
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
        if self.pooled is not None and not self._left[rows].any():
            self.pooled.add(block.start, total / np.float32(self.heads), self.visible[rows])
            if not self._left.any():
                self._sum = None

    def _add(self, rows: slice, values: Float[np.ndarray, "query some_keys"]) -> Float[np.ndarray, "query key"]:
        """Add to the sum of these rows, and give it."""
        if self._sum is None:
            self._sum = np.zeros(self._shape, np.float32)
        self._sum[rows, : values.shape[1]] += values
        if self.scores:
            self._sum[rows, values.shape[1] :] = -np.inf
        return self._sum[rows]

    @property
    def heads(self) -> int:
        """How many heads the mean is over."""
        return sum(self._heads.values())

    @property
    def values(self) -> Float[np.ndarray, "query key"]:
        """The mean, where it is kept whole; minus infinity where a score is masked."""
        whole = np.zeros(self._shape, np.float32) if self._sum is None else self._sum
        return whole / np.float32(max(self.heads, 1))


class PoolMaps:
    """A collector that keeps every map small: each cell is the largest weight (or score) of a square of units.

    Args:
        queries: how many rows there are.
        keys: how many columns there are.
        limit: the most cells along a side.
        scores: keep scores instead of weights.
    """

    def __init__(self, queries: int, keys: int, limit: int, *, scores: bool = False) -> None:
        self._scores = scores
        self.size = max(1, -(-max(queries, keys) // limit))
        """Units along a cell's side; 1 where nothing is made smaller."""
        self._cuts = Cuts.into_squares(queries, keys, [self.size])
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

    @property
    def maps(self) -> Mapping[tuple[int, int], Float[np.ndarray, "query_cell key_cell"]]:
        """(layer, head) -> map; not-a-number where no query of a cell can see any of its keys."""
        return self._maps
