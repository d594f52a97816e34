"""Divergences by hand and against an independent reference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.questions.diff.layers import divergence
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
