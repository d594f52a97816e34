"""The conversion of maps of tokens to maps of words, or of other units.

The weight *to* a word is the sum over its pieces and the weight *from* a word is the mean over its pieces (Clark et al.
2019, "What Does BERT Look At?", section 4.1), so rows still sum to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Batch, Block, Eat, Kind
from attn_cli.data.units import Units

__all__ = ["Regroup", "RegroupBatch"]


class Regroup:
    """A collector that turns blocks of tokens into blocks of units, and passes those to another collector.

    It sums over a key's tokens, averages over a query's, drops hidden units and renormalizes the rows. `start`, rows
    and columns of the blocks it passes on are counted in shown units. Scores are only possible where each token is a
    unit: a word of several pieces has no single score.

    Args:
        queries: the units along the rows.
        keys: the units along the columns.
        eat: the collector of the blocks of units.
        renormalize: make rows with hidden keys sum to 1 again.
    """

    def __init__(self, queries: Units, keys: Units, eat: Eat, *, renormalize: bool = True) -> None:
        self.queries, self.keys, self.eat, self.renormalize = queries, keys, eat, renormalize
        self._query_unit = queries.unit_of_token()
        self._query_before = queries.shown_before()
        self._see = _See(keys)
        self._pieces = np.diff([*queries.starts, queries.tokens])
        self._pending: dict[tuple[Kind, int], tuple[int, Block]] = {}

    def __call__(self, block: Block) -> None:
        rows, columns = self.queries.tokens - block.start, self.keys.tokens
        if rows < len(block.visible) or columns < block.weights.shape[2]:  # the last step, which outputs nothing
            block = block.within(max(rows, 0), columns)
        if not len(block.visible):
            return
        if self.queries.plain and self.keys.plain:
            self.eat(block)
            return
        block = self._join_pending(self._merge_keys(block))
        units = self._query_unit[block.start : block.start + block.visible.shape[0]]
        stop = block.start + len(units)
        last = int(units[-1])
        end = self.queries.tokens if last + 1 == len(self.queries.starts) else int(self.queries.starts[last + 1])
        if end > stop:  # the last word continues in the next block
            cut = int(np.searchsorted(units, last))
            self._pending[block.kind, block.layer] = (stop, block.take(rows=slice(cut, None)))
            if cut == 0:
                return
            block, units = block.take(rows=slice(0, cut)), units[:cut]
        merged = self._merge_queries(block, units)
        if merged.visible.shape[0]:
            self.eat(merged)

    def _join_pending(self, block: Block) -> Block:
        stop, rest = self._pending.pop((block.kind, block.layer), (-1, block))
        if stop != block.start:
            return block
        keys = max(rest.weights.shape[2], block.weights.shape[2])
        return replace(
            block,
            start=rest.start,
            weights=np.concatenate([_widen(rest.weights, keys), _widen(block.weights, keys)], axis=1),
            visible=np.concatenate([rest.visible, block.visible]),
            sink=None if block.sink is None or rest.sink is None else np.concatenate([rest.sink, block.sink], axis=1),
            steps=None,
        )

    def _merge_keys(self, block: Block) -> Block:
        present = int(np.searchsorted(self.keys.starts, block.weights.shape[2]))
        shown = self.keys.shown[:present]
        weights, scores, sink = block.weights, block.scores, block.sink
        if present != weights.shape[2]:
            weights, scores = np.add.reduceat(weights, self.keys.starts[:present], axis=2), None
        if not shown.all():
            weights = weights[:, :, shown]
        if self.keys.hides and self.renormalize:
            total = weights.sum(axis=2, keepdims=True)
            weights, sink = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0), None
        if self.keys.hides and scores is not None:
            scores = scores[:, :, shown]
        return replace(block, weights=weights, visible=self._see.units(block.visible), scores=scores, sink=sink)

    def _merge_queries(self, block: Block, units: Int[np.ndarray, "query"]) -> Block:
        firsts = np.flatnonzero(np.diff(units, prepend=-1))
        present = units[firsts]
        shown = self.queries.shown[present]
        start = int(self._query_before[present[0]])
        if len(firsts) == len(units):
            return replace(block.take(rows=shown), start=start)
        pieces = self._pieces[present].astype(np.float32)
        merged = replace(
            block,
            weights=np.add.reduceat(block.weights, firsts, axis=1) / pieces[:, None],
            visible=_any_of(block.visible, firsts),
            scores=None,
            sink=None if block.sink is None else np.add.reduceat(block.sink, firsts, axis=1) / pieces,
            steps=None,
        )
        return replace(merged.take(rows=shown), start=start)


class RegroupBatch:
    """A collector that turns batches of texts into blocks of units, each text's rows below those of the one before it.

    It does what `Regroup` does, by products with matrices of zeros and ones: for short texts, where a call costs more
    than the sums that it computes.

    Args:
        sides: the units along the rows and along the columns of each text.
        eat: the collector of the blocks.
    """

    def __init__(self, sides: Sequence[tuple[Units, Units]], eat: Eat) -> None:
        self._sides, self._eat = sides, eat
        queries, keys = [rows for rows, _ in sides], [columns for _, columns in sides]
        self._gather = None if all(units.plain for units in keys) else _membership(keys)
        self._average: Float[np.ndarray, "text unit token"] | None = None
        if not all(units.plain for units in queries):
            self._average = _membership(queries).swapaxes(1, 2)
            self._average /= np.maximum(self._average.sum(axis=2, keepdims=True), 1)
        self._hides = np.array([units.hides for units in keys])[:, None, None, None]
        self._rows = np.concatenate([np.arange(len(units)) for units in queries])
        self._seen: tuple[Int[np.ndarray, "text query 2"], Int[np.ndarray, "row 2"]] | None = None

    def __call__(self, batch: Batch) -> None:
        rows, columns = (max(units.tokens for units in side) for side in zip(*self._sides, strict=True))
        weights = batch.weights[:, :, :rows, :columns]
        texts, heads, queries, keys = weights.shape
        if self._gather is not None:
            weights = (weights.reshape(texts, heads * queries, keys) @ self._gather).reshape(texts, heads, queries, -1)
        if self._hides.any():
            total = weights.sum(axis=3, keepdims=True)
            weights = weights / np.where(self._hides & (total > 0), total, np.float32(1))
        if self._average is not None:
            weights = self._average[:, None] @ weights
        self._eat(
            Block(
                kind=batch.kind,
                layer=batch.layer,
                heads=batch.heads,
                start=0,
                weights=np.concatenate(
                    [own[:, : len(rows)] for own, (rows, _) in zip(weights, self._sides, strict=True)], 1
                ),
                visible=self._visible(batch.visible),
                rows=self._rows,
            )
        )

    def _visible(self, visible: Int[np.ndarray, "text query 2"]) -> Int[np.ndarray, "row 2"]:
        """Convert visible tokens to visible units; keep the result for the next layer, which mostly sees the same."""
        if self._seen is None or self._seen[0] is not visible:
            found = [
                _any_of(_See(keys).units(own[: queries.tokens]), queries.starts)[queries.shown]
                for (queries, keys), own in zip(self._sides, visible, strict=True)
            ]
            self._seen = visible, np.concatenate(found)
        return self._seen[1]


class _See:
    """The conversion of visible tokens to visible units."""

    def __init__(self, keys: Units) -> None:
        self._last = keys.tokens - 1
        self._unit = keys.unit_of_token()
        self._before = keys.shown_before()

    def units(self, visible: Int[np.ndarray, "query 2"]) -> Int[np.ndarray, "query 2"]:
        """Return the first unit of which each query sees any token, and one past the last."""
        first = self._before[self._unit[np.minimum(visible[:, 0], self._last)]]
        stop = self._before[self._unit[visible[:, 1] - 1] + 1]
        empty = visible[:, 0] >= visible[:, 1]
        return np.where(empty[:, None], 0, np.stack([first, stop], axis=1))


def _any_of(visible: Int[np.ndarray, "query 2"], firsts: Int[np.ndarray, "unit"]) -> Int[np.ndarray, "unit 2"]:
    """Merge what the tokens of each unit see, given where each unit begins."""
    lowest, highest = np.minimum.reduceat(visible[:, 0], firsts), np.maximum.reduceat(visible[:, 1], firsts)
    return np.stack([lowest, highest], axis=1)


def _membership(texts: Sequence[Units]) -> Float[np.ndarray, "text token unit"]:
    """Return matrices that are 1 where a token is part of a shown unit, and 0 elsewhere and where a text has ended."""
    member = np.zeros((len(texts), max(units.tokens for units in texts), max(map(len, texts))), np.float32)
    for text, units in enumerate(texts):
        unit = units.unit_of_token()
        shown = np.flatnonzero(units.shown[unit])
        member[text, shown, units.shown_before()[unit[shown]]] = 1
    return member


def _widen(weights: Float[np.ndarray, "head query some_keys"], keys: int) -> Float[np.ndarray, "head query key"]:
    """Append keys of weight zero."""
    missing = keys - weights.shape[2]
    return np.pad(weights, ((0, 0), (0, 0), (0, missing))) if missing else weights
