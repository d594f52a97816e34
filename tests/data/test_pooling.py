"""Maps made small while their rows come, held against the whole map made small in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_cli.data.pooling import Cuts, Pooled, pool


def square(whole: np.ndarray, visible: np.ndarray, size: int, row: int, column: int) -> float:
    """The largest value of a square that can be seen; not-a-number where there is none."""
    seen = [
        float(whole[query, key])
        for query in range(row * size, min((row + 1) * size, len(whole)))
        for key in range(column * size, min((column + 1) * size, whole.shape[1]))
        if visible[query][0] <= key < visible[query][1] and np.isfinite(whole[query, key])
    ]
    return max(seen, default=math.nan)


@settings(max_examples=25, deadline=None)
@given(
    queries=st.sampled_from([1, 2, 13]),
    keys=st.sampled_from([3, 17, 29]),
    sizes=st.lists(st.integers(1, 37), min_size=1, max_size=4),
    rows=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_squares_put_together_are_those_of_the_whole_map(
    queries: int, keys: int, sizes: list[int], rows: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    whole = random.normal(size=(queries, keys)).astype(np.float32)
    whole[random.random(whole.shape) < 0.1] = -np.inf
    visible = np.sort(random.integers(0, keys + 1, size=(queries, 2)), axis=1)
    pooled = Pooled(Cuts.into_squares(queries, keys, sizes))
    for start in range(0, queries, rows):
        part = slice(start, start + rows)
        pooled.add(start, whole[part, : visible[part, 1].max()], visible[part])
    for size in sizes:
        found = pooled.squares(size)
        assert found.shape == (-(-queries // size), -(-keys // size))
        for (row, column), value in np.ndenumerate(found):
            assert value == pytest.approx(square(whole, visible, size, row, column), nan_ok=True, abs=0)
    spread = np.array([square(whole, visible, 1, query, key) for query, key in np.ndindex(whole.shape)])
    shown = spread.reshape(whole.shape).astype(np.float32)
    np.testing.assert_array_equal(pooled.totals, np.nansum(shown, axis=0))
    assert pooled.masked == np.isnan(shown).any()


def test_a_size_that_it_is_not_cut_into() -> None:
    pooled = Pooled(Cuts.into_squares(31, 29, [3, 7]))
    with pytest.raises(ValueError, match="not cut into squares of 5"):
        pooled.squares(5)


def test_changes_count_by_their_distance_from_none() -> None:
    values = np.array([[0.1, -0.3, np.nan], [0.2, 0.0, np.nan]], np.float32)
    np.testing.assert_array_equal(pool(values, 2, 2, signed=True), np.array([[-0.3, np.nan]], np.float32))
