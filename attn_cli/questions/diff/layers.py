"""One layer of A beside that of B: its rows laid out over the places of both, and how much each changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.stream import Block
from attn_cli.measure.derived import scores_of

__all__ = ["ComparedLayer", "Laid", "Lay", "compare_scores", "compare_weights", "divergence"]

EXACT = 1e-5
"""Precision of scores as a share of the head's largest; a smaller change is rounding."""


def divergence(p: Float[np.ndarray, "*rows key"], q: Float[np.ndarray, "*rows key"]) -> Float[np.ndarray, "*rows"]:
    """Compute the Jensen-Shannon divergence of each pair of rows, in bits: 0 if they are equal, 1 if they share no key.

    (KL(p ‖ m) + KL(q ‖ m)) / 2 with m = (p + q) / 2 (Lin 1991, "Divergence Measures Based on the Shannon Entropy",
    equations 3.2 and 4.1).
    """
    p, q = p.astype(np.float64), q.astype(np.float64)
    mean = (p + q) / 2
    total = np.zeros(p.shape[:-1])
    for rows in (p, q):
        terms = np.divide(rows, mean, out=np.ones_like(mean), where=rows > 0)
        np.log2(terms, out=terms)
        total += np.vecdot(rows, terms) / 2
    result: Float[np.ndarray, "*rows"] = np.clip(total, 0, 1)
    return result


@dataclass(frozen=True, eq=False)
class ComparedLayer:
    """Rows of one layer that A and B both have, over the keys of either."""

    heads: tuple[int, ...]
    a: Float[np.ndarray, "head row key"]
    b: Float[np.ndarray, "head row key"]
    seen: Bool[np.ndarray, "row key"]
    """Mask of the keys that the row can see in A or in B; for scores, in both, in any head."""
    rows: Float[np.ndarray, "head row"]
    """Divergence of each row; for scores, root mean square change."""


@dataclass(frozen=True, eq=False)
class Laid:
    """Rows of one layer, laid out over the places of an alignment."""

    weights: Float[np.ndarray, "head row key"]
    seen: Bool[np.ndarray, "row key"]
    sink: Float[np.ndarray, "head row"]


class Lay:
    """Collector that lays rows out over the places of an alignment.

    Args:
        rows: query of each row to keep; blocks must come in the same units (see `Regroup`).
        keys: key at each place; -1 if there is none.
        scores: lay out scores instead of weights.
    """

    def __init__(self, rows: Int[np.ndarray, "row"], keys: Int[np.ndarray, "key"], *, scores: bool = False) -> None:
        self.rows, self.keys, self._scores = rows, keys, scores
        self.layers: dict[int, Laid] = {}

    def __call__(self, block: Block) -> None:
        shape = len(block.heads), len(self.rows), len(self.keys)
        if block.layer not in self.layers:
            self.layers[block.layer] = Laid(
                np.zeros(shape, np.float32), np.zeros(shape[1:], np.bool_), np.zeros(shape[:2], np.float32)
            )
        laid = self.layers[block.layer]
        places = np.flatnonzero((self.rows >= block.start) & (self.rows < block.start + block.visible.shape[0]))
        rows = self.rows[places] - block.start
        own = np.flatnonzero((self.keys >= 0) & (self.keys < block.weights.shape[2]))
        weights = scores_of(block) if self._scores else block.weights
        laid.weights[:, places[:, None], own] = weights[:, rows[:, None], self.keys[own]]
        visible = block.visible[rows]
        laid.seen[places] = (self.keys >= visible[:, :1]) & (self.keys < visible[:, 1:]) & (self.keys >= 0)
        if self._scores:  # a key that the row cannot see has no score, nor has one that a mask with gaps hides
            shown = laid.seen[places] & np.isfinite(laid.weights[:, places])
            laid.weights[:, places] = np.where(shown, laid.weights[:, places], np.float32(np.nan))
        if block.sink is not None:
            laid.sink[:, places] = block.sink[:, rows]


def compare_weights(heads: Sequence[int], a: Laid, b: Laid) -> ComparedLayer:
    """Compare weights by the divergence of each row; a row that sees fewer than two keys in either is left out."""
    telling = np.maximum(a.seen.sum(axis=1), b.seen.sum(axis=1)) >= 2
    rows: list[Float[np.ndarray, "row"]] = []
    for index in range(len(heads)):  # all heads at once would need several copies of the weights
        # The weight of a learned sink counts as that of one more key, which both have.
        p, q = (np.concatenate([laid.weights[index], laid.sink[index, :, None]], axis=1) for laid in (a, b))
        # A row has no weight if it sees no key, or if all of its weight was on hidden keys.
        rows.append(np.where(telling & (p.sum(axis=1) > 0) & (q.sum(axis=1) > 0), divergence(p, q), np.nan))
    return ComparedLayer(tuple(heads), a.weights, b.weights, a.seen | b.seen, np.stack(rows))


def compare_scores(heads: Sequence[int], a: Laid, b: Laid) -> ComparedLayer:
    """Compare scores by the root mean square change, over the keys that the row of a head can see in both.

    A softmax is not affected by what is added to a whole row, so each row is taken less its mean over these keys.
    """
    rows = np.full((len(heads), len(a.seen)), np.nan)
    seen = np.zeros_like(a.seen)
    for index, (one, two) in enumerate(zip(a.weights, b.weights, strict=True)):
        both = np.isfinite(one) & np.isfinite(two)
        seen |= both
        count = both.sum(axis=1)
        largest = max(float(np.abs(scores).max(initial=0.0, where=np.isfinite(scores))) for scores in (one, two))
        for scores in (one, two):
            mean = scores.sum(axis=1, where=both, dtype=np.float64) / np.maximum(count, 1)
            scores -= mean[:, None].astype(np.float32)
        change = np.sqrt(np.square(two - one).sum(axis=1, where=both, dtype=np.float64) / np.maximum(count, 1))
        rows[index] = np.where(count < 2, np.nan, np.where(change > largest * EXACT, change, 0.0))
    return ComparedLayer(tuple(heads), a.weights, b.weights, seen, rows)
