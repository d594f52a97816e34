"""Divergences by hand and against an independent reference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.questions.diff.layers import Laid, compare_scores, divergence
from tests.samples import softmax


def by_definition(p: Sequence[float], q: Sequence[float]) -> float:
    """Jensen-Shannon divergence in bits, term by term."""
    total = 0.0
    for one, other in zip(p, q, strict=True):
        mean = (one + other) / 2
        total += sum(share / 2 * math.log2(share / mean) for share in (one, other) if share > 0)
    return total


def test_divergence_by_hand() -> None:
    p = np.array([[1, 0], [1, 0], [0.5, 0.5], [0.25, 0.75]], np.float32)
    q = np.array([[1, 0], [0, 1], [1, 0], [0.75, 0.25]], np.float32)
    # Third: m = (3/4, 1/4), and (1/2 log 2/3 + 1/2 log 2 + log 4/3) / 2; last: 1 - entropy of (1/4, 3/4).
    expected = [
        0,
        1,
        (0.5 * np.log2(2 / 3) + 0.5 + np.log2(4 / 3)) / 2,
        1 + 0.25 * np.log2(0.25) + 0.75 * np.log2(0.75),
    ]
    np.testing.assert_allclose(divergence(p, q), expected, atol=1e-12)


@given(st.integers(2, 11), st.integers(0, 2**31))
def test_divergence_by_definition_and_its_properties(keys: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    p, q = (softmax(random.normal(scale=3, size=(2, 3, keys))) for _ in range(2))
    found = divergence(p, q)
    for row in np.ndindex(found.shape):
        assert found[row] == pytest.approx(by_definition(p[row].tolist(), q[row].tolist()), abs=1e-9)
    np.testing.assert_allclose(found, divergence(q, p), atol=1e-12)
    assert (divergence(p, p) < 1e-12).all()
    order = random.permutation(keys)
    np.testing.assert_allclose(found, divergence(p[..., order], q[..., order]), atol=1e-12)


def test_scores_hidden_in_a_gap_of_the_mask_are_left_out_of_their_row_alone() -> None:
    """By hand: only the keys that both can see count, and the other rows and heads as if there were no gap."""
    random = np.random.default_rng(5)
    a, b = (random.normal(size=(2, 3, 5)).astype(np.float32) for _ in range(2))
    a[1, 0, 2] = b[1, 2, 1] = np.nan
    seen = np.ones((3, 5), np.bool_)
    found = compare_scores((4, 6), *(Laid(own.copy(), seen, np.zeros((2, 3), np.float32)) for own in (a, b)))
    for head, row in np.ndindex(2, 3):
        one, two = a[head, row].astype(np.float64), b[head, row].astype(np.float64)
        keys = np.isfinite(one) & np.isfinite(two)
        change = (two[keys] - two[keys].mean()) - (one[keys] - one[keys].mean())
        assert found.rows[head, row] == pytest.approx(np.sqrt(np.square(change).mean()), rel=1e-5)
    assert keys.sum() == 4
    assert found.seen.all()  # in the other head
