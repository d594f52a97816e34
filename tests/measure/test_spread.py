"""Tests of the spread of a map's weight, held against sums over its single weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_cli.measure.spread import Spread, WeightSpread


@dataclass(frozen=True)
class Expected:
    """The spread of a whole map, worked out weight by weight."""

    weights: np.ndarray
    visible: np.ndarray
    """`[query, key]`: True where a query can see a key."""
    words: np.ndarray
    rests: np.ndarray

    def total(self, keys: list[int], *, even: bool = False, resting: bool = False) -> float:
        """Weight on these keys, of all rows that are words, or what even rows would put there."""
        opened = self.visible[self.words] & (True if resting else ~self.rests)
        if even:
            weights = opened / np.maximum(opened.sum(axis=1, keepdims=True), 1)
        else:
            weights = np.where(opened, self.weights[self.words].astype(np.float64), 0.0)
        return float(weights[:, keys].sum())

    def check(self, spread: WeightSpread, *, crosses: bool = False, exact: bool = True) -> None:
        """Check what a collector says of the map, exactly or within a millionth."""
        count = self.weights.shape[1]
        every = list(range(count))
        whole = self.total(every, resting=True)
        resting = 1 - self.total(every) / whole if whole else 0.0
        assert spread.resting == pytest.approx(resting, abs=1e-5)
        assert [(one.start, one.stop) for one in spread.tenths] == [
            (count * tenth // 10, count * (tenth + 1) // 10) for tenth in range(10)
        ]
        for one in spread.tenths:
            keys = every[one.start : one.stop]
            for share, even in ((one.share, False), (one.even, True)):
                part, all_of_it = self.total(keys, even=even), self.total(every, even=even)
                assert share == pytest.approx(part / all_of_it if all_of_it else math.nan, abs=1e-5, nan_ok=True)
        shares = {key: self.total([key], resting=True) / max(whole, 1e-9) for key in every}
        evens = self.total(every, even=True, resting=True)
        sinks = {
            key: share
            for key, share in shares.items()
            if share >= max(0.01, 10 * self.total([key], even=True, resting=True) / max(evens, 1e-9))
        }
        assert {one.key: one.share for one in spread.sinks} == pytest.approx(
            dict(sorted(sinks.items(), key=lambda item: -item[1])[:5]), abs=1e-5
        )
        assert spread.apart == (None if crosses else math.ceil(count / 10))
        far: dict[int, tuple[float, int]] = {}
        for query, key in zip(*np.nonzero(self.visible), strict=True):
            weight = float(self.weights[query, key])
            distant = not crosses and abs(query - key) >= math.ceil(count / 10)
            if distant and self.words[query] and not self.rests[key] and key not in sinks:
                far[key] = max(far.get(key, (0.0, 0)), (weight, -query))
        best = sorted(((weight, -key, -query) for key, (weight, query) in far.items() if weight > 0), reverse=True)[:5]
        near = 0.0 if exact else 1e-6
        assert [-link.key for link in spread.links] == [key for _, key, _ in best]
        assert [link.weight for link in spread.links] == pytest.approx([weight for weight, _, _ in best], abs=near)
        for link in spread.links:
            assert self.weights[link.query, link.key] == pytest.approx(link.weight, abs=near)


@settings(max_examples=25, deadline=None)
@given(
    queries=st.integers(1, 50),
    keys=st.integers(10, 50),
    step=st.integers(1, 60),
    seed=st.integers(0, 99),
    crosses=st.booleans(),
)
def test_of_any_map(queries: int, keys: int, step: int, seed: int, crosses: bool) -> None:
    random = np.random.default_rng(seed)
    ends = np.sort(random.integers(0, keys + 1, size=(queries, 2)), axis=1)
    visible = (np.arange(keys) >= ends[:, :1]) & (np.arange(keys) < ends[:, 1:])
    weights = np.where(visible, np.exp(3 * random.normal(size=(queries, keys))), 0).astype(np.float32)
    weights[:, 7] *= 50
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    words, rests = random.random(queries) < 0.8, random.random(keys) < 0.2
    spread = Spread(words, rests, crosses=crosses)
    for start in range(0, queries, step):
        rows = slice(start, start + step)
        spread.add(start, weights[rows, : ends[rows, 1].max()], ends[rows])
    Expected(weights, visible, words, rests).check(spread.result, crosses=crosses)
