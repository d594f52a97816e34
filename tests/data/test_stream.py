"""Blocks: what is taken of one is taken of everything in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attn_cli.data.stream import Block, Steps

HEADS, QUERIES, KEYS, DIM, VALUE_DIM = (3, 5, 8), 5, 7, 11, 13


def block() -> Block:
    """Three heads, numbered 3, 5 and 8, over queries 2 to 6; each number of an array says where it is."""
    count = len(HEADS)

    def numbered(*shape: int) -> Any:
        return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)

    return Block(
        kind="encoder",
        layer=1,
        heads=HEADS,
        start=2,
        weights=numbered(count, QUERIES, KEYS),
        visible=np.array([[row, KEYS] for row in range(QUERIES)]),
        scores=-numbered(count, QUERIES, KEYS),
        sink=numbered(count, QUERIES),
        norms=numbered(count, KEYS),
        steps=Steps(
            queries=numbered(count, QUERIES, DIM),
            keys=numbered(count, KEYS, DIM),
            values=numbered(count, KEYS, VALUE_DIM),
            contexts=numbered(count, QUERIES, VALUE_DIM),
            bias=numbered(count, QUERIES, KEYS),
            sink_scores=numbered(count, QUERIES),
        ),
        rows=np.array([4, 5, 0, 1, 2]),
    )


def test_heads_and_rows_are_taken_of_everything() -> None:
    whole, part = block(), block().take((8, 3), slice(1, 3))
    assert part.heads == (8, 3)
    assert part.start == 3
    assert part.positions.tolist() == [5, 0]
    assert part.visible.tolist() == [[1, 7], [2, 7]]
    assert whole.steps is not None
    assert part.steps is not None
    by_row = [
        (whole.weights, part.weights),
        (whole.scores, part.scores),
        (whole.sink, part.sink),
        (whole.steps.queries, part.steps.queries),
        (whole.steps.contexts, part.steps.contexts),
        (whole.steps.bias, part.steps.bias),
        (whole.steps.sink_scores, part.steps.sink_scores),
    ]
    by_key = [
        (whole.norms, part.norms),
        (whole.steps.keys, part.steps.keys),
        (whole.steps.values, part.steps.values),
    ]
    for arrays, rows in ((by_row, [1, 2]), (by_key, None)):
        for before, after in arrays:
            assert before is not None
            assert after is not None
            for place, head in enumerate((2, 0)):
                wanted = before[head] if rows is None else before[head][rows]
                assert np.array_equal(after[place], wanted)


def test_rows_with_gaps() -> None:
    part = block().take(rows=np.array([True, False, False, True, True]))
    assert part.heads == HEADS
    assert part.positions.tolist() == [4, 1, 2]
    assert part.weights[1, :, 0].tolist() == [35, 56, 63]


def test_a_head_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        block().take((4,))
