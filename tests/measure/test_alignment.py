"""Heads that pair words: answers worked out by hand, and what must hold for any map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.measure.alignment import MutualWeight, strongest
from tests.samples import softmax

# Three target words over five source words.
MAP = np.array(
    [
        [0.7, 0.1, 0.1, 0.1, 0.0],
        [0.2, 0.1, 0.6, 0.1, 0.0],
        [0.1, 0.1, 0.5, 0.3, 0.0],
    ],
    np.float32,
)


def mutual_weight(weights: np.ndarray, rows: int = 2) -> float:
    """Measure the mutual weight of a whole map, given a few rows at a time."""
    mutual = MutualWeight(weights.shape[1])
    for first in range(0, len(weights), rows):
        mutual.add(weights[first : first + rows])
    return mutual.result


def test_strongest_by_hand() -> None:
    assert strongest(MAP).tolist() == [0, 2, 2]
    assert strongest(np.array([[0.4, 0.4, 0.2]], np.float32)).tolist() == [0]


def test_mutual_weight_by_hand() -> None:
    # Rows 0 and 1 are their columns' strongest, row 2 has to share its own: (0.7 + 0.6) / 3.
    assert mutual_weight(MAP) == pytest.approx(1.3 / 3)
    assert mutual_weight(np.eye(3, 5, dtype=np.float32)[[1, 0, 2]]) == 1
    assert mutual_weight(np.full((3, 5), 0.2, np.float32)) == pytest.approx(0.2 / 3)
    assert mutual_weight(np.zeros((0, 5), np.float32)) == 0
    assert mutual_weight(np.zeros((3, 0), np.float32)) == 0


MAPS = st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(0, 99)).map(
    lambda drawn: softmax(np.random.default_rng(drawn[2]).normal(scale=3, size=drawn[:2])).astype(np.float32)
)


@given(MAPS)
def test_mutual_weight_of_any_map(weights: np.ndarray) -> None:
    found = mutual_weight(weights)
    assert 0 < found <= 1  # the largest weight of all is the strongest of its row and of its column
    assert found <= min(weights.shape) / len(weights) + 1e-6
    assert mutual_weight(weights, 1) == mutual_weight(weights, 7) == found
    pairs = [(row, int(keys.argmax())) for row, keys in enumerate(weights)]
    mutual = [float(weights[row, key]) for row, key in pairs if weights[:, key].argmax() == row]
    assert found == pytest.approx(sum(mutual) / len(weights))
    order = np.random.default_rng(0).permutation(weights.shape[1])
    assert mutual_weight(weights[:, order]) == pytest.approx(found, abs=1e-6)
