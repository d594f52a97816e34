"""Maps made small while their rows come, held against the whole map made small in plain Python."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_cli.data.pooling import Cuts, Pooled, pool


def largest(whole: np.ndarray, visible: np.ndarray, size: tuple[int, int], row: int, column: int) -> float:
    """The largest value of a rectangle that can be seen; not-a-number where there is none."""
    height, width = size
    seen = [
        float(whole[query, key])
        for query in range(row * height, min((row + 1) * height, len(whole)))
        for key in range(column * width, min((column + 1) * width, whole.shape[1]))
        if visible[query][0] <= key < visible[query][1] and np.isfinite(whole[query, key])
    ]
    return max(seen, default=math.nan)


@settings(max_examples=25, deadline=None)
@given(
    queries=st.sampled_from([1, 2, 13]),
    keys=st.sampled_from([3, 17, 29]),
    heights=st.lists(st.integers(1, 37), min_size=1, max_size=3),
    widths=st.lists(st.integers(1, 37), min_size=1, max_size=2),
    rows=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_rectangles_put_together_are_those_of_the_whole_map(
    queries: int, keys: int, heights: list[int], widths: list[int], rows: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    whole = random.normal(size=(queries, keys)).astype(np.float32)
    whole[random.random(whole.shape) < 0.1] = -np.inf
    visible = np.sort(random.integers(0, keys + 1, size=(queries, 2)), axis=1)
    pooled = Pooled(Cuts.into(queries, keys, heights, widths))
    for start in range(0, queries, rows):
        part = slice(start, start + rows)
        pooled.add(start, whole[part, : visible[part, 1].max()], visible[part])
    for height, width in product(heights, widths):
        found = pooled.rectangles(height, width)
        assert found.shape == (-(-queries // height), -(-keys // width))
        for (row, column), value in np.ndenumerate(found):
            assert value == pytest.approx(largest(whole, visible, (height, width), row, column), nan_ok=True, abs=0)
    spread = np.array([largest(whole, visible, (1, 1), query, key) for query, key in np.ndindex(whole.shape)])
    shown = spread.reshape(whole.shape).astype(np.float32)
    np.testing.assert_array_equal(pooled.totals, np.nansum(shown, axis=0))
    assert pooled.masked == np.isnan(shown).any()


def test_a_size_that_it_is_not_cut_into() -> None:
    pooled = Pooled(Cuts.into(31, 29, [3, 7], [5]))
    for height, width in (5, 5), (3, 7):
        with pytest.raises(ValueError, match=f"not cut into parts of {height} x {width}"):
            pooled.rectangles(height, width)


def test_changes_count_by_their_distance_from_none() -> None:
    values = np.array([[0.1, -0.3, np.nan], [0.2, 0.0, np.nan]], np.float32)
    np.testing.assert_array_equal(pool(values, 2, 2, signed=True), np.array([[-0.3, np.nan]], np.float32))
