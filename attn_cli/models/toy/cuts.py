"""Cuts in the attention of the built-in models, each row of a batch with its own. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attn_cli.data.cuts import CutEdges, EvenHeads, ReplacedHeads, Variation, ZeroedHeads, cuts_by_layer, left_nothing
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.models.toy.ops import normalize, weighted_sum

__all__ = ["RowCuts"]


class RowCuts:
    """The cuts of each row of a batch, which follow their rows when a search reorders them.

    Args:
        variations: the variations.
        rows: for each row of the batch, the index of its variation; by default a row for each.
    """

    def __init__(self, variations: Sequence[Variation], rows: Int[np.ndarray, "row"] | None = None) -> None:
        self._variations = variations
        self._rows = np.arange(len(variations)) if rows is None else rows
        self._cuts = cuts_by_layer(variations)
        self._lost: dict[int, dict[tuple[Kind, int], None]] = {}

    def pick(self, rows: Int[np.ndarray, "picked"]) -> RowCuts:
        """Return the cuts of these rows of the batch, in this order."""
        picked = RowCuts(self._variations, self._rows[rows])
        picked._lost = self._lost
        return picked

    def notes(self, index: int) -> tuple[str, ...]:
        """Return the notes on one variation."""
        return left_nothing(self._lost.get(index, ()))

    def attend(
        self,
        kind: Kind,
        layer: int,
        scores: Float[np.ndarray, "row head query key"],
        values: Float[np.ndarray, "row head key value_dim"],
        start: int = 0,
    ) -> tuple[
        Float[np.ndarray, "row head query key"],
        Float[np.ndarray, "row head query key"],
        Float[np.ndarray, "row head query value_dim"],
    ]:
        """Return scores, weights and context vectors with the cuts of a layer made.

        Args:
            kind: the kind of attention.
            layer: the layer.
            scores: scores, minus infinity where masked.
            values: the values.
            start: position of the first query.
        """
        cuts = [
            (row, cut.heads_of(scores.shape[1]), cut)
            for index, cut in self._cuts.get((kind, layer), ())
            for row in np.flatnonzero(self._rows == index)
        ]
        if not cuts:
            weights = normalize(scores)
            return scores, weights, weighted_sum(weights, values)
        scores = scores.copy()
        for row, heads, cut in cuts:
            if isinstance(cut, EvenHeads):
                own = scores[row, list(heads)]
                scores[row, list(heads)] = np.where(np.isneginf(own), own, 0)
        for row, heads, cut in cuts:
            if isinstance(cut, CutEdges):
                for query, key in cut.edges:
                    if 0 <= query - start < scores.shape[2] and key < scores.shape[3]:
                        scores[row, list(heads), query - start, key] = -np.inf
        nothing: Bool[np.ndarray, "row head query"] = np.asarray(np.isneginf(scores).all(axis=-1))
        for row in np.unique(np.nonzero(nothing)[0]):
            self._lost.setdefault(int(self._rows[row]), {})[kind, layer] = None
        weights = normalize(np.where(nothing[..., None], 0, scores))
        weights[nothing] = 0
        context = weighted_sum(weights, values)
        for row, heads, cut in cuts:
            if isinstance(cut, ZeroedHeads):
                context[row, list(heads)] = 0
            elif isinstance(cut, ReplacedHeads):
                shape = (len(heads), *context.shape[2:])
                context[row, list(heads)] = cut.of_queries(start, shape)
        return scores, weights, context
