"""Tests of the choice of the head whose row is explained, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from attn_cli.data.stream import Block, Kind
from attn_cli.measure.telling import resting
from attn_cli.questions.explain.measure import _MostTelling

ROWS = {
    "one key": [0.0, 1.0, 0.0, 0.0, 0.0],
    "mostly one key": [0.0, 0.9, 0.1, 0.0, 0.0],
    "more even": [0.1, 0.6, 0.3, 0.0, 0.0],
    "the first": [0.94, 0.06, 0.0, 0.0, 0.0],
    "the query": [0.0, 0.06, 0.0, 0.94, 0.0],
    "the end": [0.0, 0.0, 0.06, 0.0, 0.94],
}
SPECIAL = [False] * 4 + [True]


def chosen(kind: Kind, *names: str) -> tuple[str, bool]:
    """The row that is kept when each stands in a layer of its own, and when all are heads of one, and if it tells."""
    best = _MostTelling(3, resting(SPECIAL, kind), crosses=kind == "cross")
    together = _MostTelling(3, resting(SPECIAL, kind), crosses=kind == "cross")
    visible = np.array([[0, 5]])
    weights = np.asarray([[ROWS[name]] for name in names], np.float32)
    for layer in range(len(names)):
        best(Block(kind, layer, (7,), 3, weights[layer : layer + 1], visible))
    together(Block(kind, 0, tuple(range(len(names))), 3, weights, visible))
    assert best._best is not None
    assert together._best is not None
    assert best._best[0].layer == together._best[1]
    assert best.tells == together.tells
    return names[together._best[1]], best.tells


def test_the_most_focused_row_with_more_than_one_key() -> None:
    assert chosen("encoder", *ROWS) == ("the first", True)
    assert chosen("encoder", "one key", "more even", "mostly one key") == ("mostly one key", True)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_rest_is_not_what_is_looked_for(kind: Kind) -> None:
    rest = ("the query", "the end", *(["the first"] if kind == "decoder" else []))
    assert chosen(kind, *rest, "mostly one key") == ("mostly one key", True)


def test_the_same_word_of_the_other_side_is_a_word() -> None:
    assert chosen("cross", "mostly one key", "the query") == ("the query", True)


def test_without_a_telling_row_the_most_focused_is_taken() -> None:
    assert chosen("decoder", "the end", "one key", "the query") == ("one key", False)
