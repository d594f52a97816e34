"""The spread of a map's weight over a long text: by tenths of the text, on sinks, and at the ends of far links."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.measure.summary import Link

__all__ = ["LONG", "SinkKey", "Spread", "Tenth", "WeightSpread"]

LONG = 1_000
"""Fewest columns of a map for which this is worth knowing: fewer can be read off the map."""
TENTHS = 10
MOST_LINKS, MOST_SINKS = 5, 5
LEAST_SINK = 0.01
"""Least share of all weight that a sink has."""
TIMES_EVEN = 10
"""Least number of times that a sink has the weight that even rows would give it."""


@dataclass(frozen=True, slots=True)
class Tenth:
    """A tenth of the keys, and how much of the weight is on those where heads do not rest."""

    start: int
    """The first of its keys."""
    stop: int
    """One past the last."""
    share: float
    """Share of the weight on all keys where heads do not rest; not-a-number if there is none."""
    even: float
    """The same if each row gave all of these keys that it sees the same weight."""


@dataclass(frozen=True, slots=True)
class SinkKey:
    """A key that takes much of the weight of all rows."""

    key: int
    share: float
    """Share of all weight."""


@dataclass(frozen=True, slots=True)
class WeightSpread:
    """The spread of a map's weight over its keys, in all rows that are words."""

    resting: float
    """Share of all weight on the keys where heads rest."""
    tenths: tuple[Tenth, ...]
    sinks: tuple[SinkKey, ...]
    """The keys with most of all weight, those that have `LEAST_SINK` of it or more and `TIMES_EVEN` times as much as
    even rows would give them; the largest first."""
    apart: int | None
    """Least distance of a far link, a tenth of the text; None where rows and columns have no common positions."""
    links: tuple[Link, ...]
    """The strongest far links, each to another key, which is neither a sink nor one where heads rest; the strongest
    first."""


class Spread:
    """A collector of the spread of one map's weight; its rows come in order, or all at once.

    Args:
        words: True for each row that is a word; the others are left out.
        rests: True for each key where heads rest (see `attn_cli.measure.telling.resting`).
        crosses: True if a row and the column with its number are not the same unit, so that no link is far.
    """

    def __init__(self, words: Bool[np.ndarray, "query"], rests: Bool[np.ndarray, "key"], *, crosses: bool) -> None:
        self._words, self._rests, self._crosses = words, rests, crosses
        keys = len(rests)
        self._apart = -(-keys // TENTHS)
        self._sums: Float[np.ndarray, "key"] = np.zeros(keys)
        self._open = np.concatenate([[0], np.cumsum(~rests)])
        """The number of keys before each, and before the end, where heads do not rest."""
        self._even, self._even_open = np.zeros((2, keys + 1))
        """Changes, from each key to the next, of the weight that even rows give a key: of all keys that they see, and
        of those where heads do not rest."""
        self._strongest: Float[np.ndarray, "key"] = np.zeros(keys, np.float32)
        """The largest weight on each key from a row that is far away."""
        self._from: Int[np.ndarray, "key"] = np.zeros(keys, np.intp)
        """The row that gives it."""

    def add(
        self, start: int, weights: Float[np.ndarray, "query some_keys"], visible: Int[np.ndarray, "query 2"]
    ) -> None:
        """Add rows of the map.

        Args:
            start: the index of the first of them.
            weights: the rows; keys that none of them can see may be cut off at the end.
            visible: the first key that each row can see, and one past the last.
        """
        queries = start + np.flatnonzero(self._words[start : start + len(weights)])
        if not len(queries) or not weights.shape[1]:
            return
        if len(queries) < len(weights):
            weights, visible = weights[queries - start], visible[queries - start]
        self._sums = np.asarray(self._sums, like=weights)
        self._sums[: weights.shape[1]] += weights.sum(axis=0)
        first, stop = visible.T
        for changes, counts in (
            (self._even, stop - first),
            (self._even_open, self._open[stop] - self._open[first]),
        ):
            each = np.divide(1, counts, where=counts > 0, out=np.zeros(len(counts)))
            np.add.at(changes, first, each)
            np.subtract.at(changes, stop, each)
        if not self._crosses:
            self._add_far(weights, queries)

    def _add_far(self, weights: Float[np.ndarray, "query some_keys"], queries: Int[np.ndarray, "query"]) -> None:
        first, last, apart, keys = int(queries[0]), int(queries[-1]), self._apart, weights.shape[1]
        self._strongest, self._from = (np.asarray(own, like=weights) for own in (self._strongest, self._from))
        rows = np.asarray(queries, like=weights)
        # Most keys are far from all of these rows, or from none; few are far from some.
        for begin, end, all_far in (
            (0, first - apart + 1, True),
            (first - apart + 1, last - apart + 1, False),
            (first + apart, last + apart, False),
            (last + apart, keys, True),
        ):
            part = slice(min(max(begin, 0), keys), min(max(end, 0), keys))
            if part.start >= part.stop:
                continue
            some = weights[:, part]
            if not all_far:
                some = np.where(np.abs(queries[:, None] - np.arange(part.start, part.stop)) >= apart, some, 0)
            strongest = some.max(axis=0)
            better = np.flatnonzero(strongest > self._strongest[part])
            self._strongest[part.start + better] = strongest[better]
            self._from[part.start + better] = rows[some[:, better].argmax(axis=0)]

    @property
    def result(self) -> WeightSpread:
        """The spread of the weight of the rows added so far."""
        self._sums, self._strongest, self._from = map(np.asarray, (self._sums, self._strongest, self._from))
        keys, whole = len(self._rests), max(float(self._sums.sum()), np.finfo(np.float64).tiny)
        shares = self._sums / whole
        even = np.cumsum(self._even[:-1])  # which rows are whole, as those with a learned sink are not
        large = shares >= np.maximum(LEAST_SINK, TIMES_EVEN * even / max(float(even.sum()), np.finfo(np.float64).tiny))
        best = [int(key) for key in np.argsort(-shares, kind="stable")[:MOST_SINKS] if large[key]]
        far = np.where(self._rests | large, 0, self._strongest)
        ends = [int(key) for key in np.argsort(-far, kind="stable")[:MOST_LINKS] if far[key] > 0]
        return WeightSpread(
            resting=float(shares[self._rests].sum()),
            tenths=self._tenths(keys),
            sinks=tuple(SinkKey(key, float(shares[key])) for key in best),
            apart=None if self._crosses else self._apart,
            links=tuple(Link(int(self._from[key]), key, float(far[key])) for key in ends),
        )

    def _tenths(self, keys: int) -> tuple[Tenth, ...]:
        weights = np.where(self._rests, 0, self._sums)
        evens = np.where(self._rests, 0, np.cumsum(self._even_open[:-1]))
        ends = [keys * tenth // TENTHS for tenth in range(TENTHS + 1)]
        found = []
        for start, stop in pairwise(ends):
            share, even = (
                float(part[start:stop].sum() / part.sum()) if part.sum() > 0 else float("nan")
                for part in (weights, evens)
            )
            found.append(Tenth(start, stop, share, even))
        return tuple(found)
