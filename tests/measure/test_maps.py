"""Collectors that keep maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attn_cli.data.stream import Block
from attn_cli.errors import ExactnessError
from attn_cli.measure.maps import KeepMaps, MeanMap, PoolMaps, map_bytes
from tests.samples import random_map


@pytest.mark.parametrize("rows", [1, 2, 64])
def test_keeping_some_rows(rows: int) -> None:
    map_ = random_map("cross", 5, 7, 11)
    kept = KeepMaps(7, 11, only=(1, 2, 6))
    for block in map_.blocks((0, 2), rows):
        kept(block)
    (result,) = kept.maps()
    assert (result.kind, result.layer, result.heads, result.queries) == ("cross", 5, (0, 2), (1, 2, 6))
    np.testing.assert_array_equal(result.weights, map_.weights[[0, 2]][:, [1, 2, 6]])
    assert map_.scores is not None
    assert result.scores is not None
    np.testing.assert_array_equal(result.scores, map_.scores[[0, 2]][:, [1, 2, 6]])


def test_kept_maps_are_checked() -> None:
    kept = KeepMaps(2, 3)
    kept(Block("encoder", 1, (4,), 0, np.full((1, 2, 3), 0.3, np.float32), np.tile([0, 3], (2, 1))))
    with pytest.raises(ExactnessError, match=r"encoder layer 1: row 0 of head number 0 sums to 0\.9"):
        kept.maps()


def test_mean_over_heads_and_layers() -> None:
    first, second = random_map("decoder", 0, 7, 7, causal=True), random_map("decoder", 2, 7, 7, causal=True)
    mean = MeanMap(7, 7, layers=(0, 2))
    for block in (
        *first.blocks((0, 1, 2), 3),
        *second.blocks((1,), 3),
        *random_map("decoder", 1, 7, 7).blocks((0,), 7),
    ):
        mean(block)
    expected = (first.weights.sum(axis=0) + second.weights[1]) / 4
    np.testing.assert_allclose(mean.values, expected, atol=1e-6)
    np.testing.assert_array_equal(mean.visible, first.visible)
    assert mean.heads == 4


def test_mean_of_scores_keeps_what_is_masked_masked() -> None:
    map_ = random_map("decoder", 0, 5, 5, causal=True)
    mean = MeanMap(5, 5, layers=(0,), scores=True)
    for block in map_.blocks((0, 1, 2), 2):
        stop = block.start + block.visible.shape[0]
        assert block.scores is not None
        mean(
            Block(
                "decoder",
                0,
                block.heads,
                block.start,
                block.weights[:, :, :stop],
                block.visible,
                block.scores[:, :, :stop],
            )
        )
    assert map_.scores is not None
    np.testing.assert_allclose(mean.values, map_.scores.mean(axis=0), atol=1e-6)
    assert np.isneginf(mean.values[0, 1:]).all()


@pytest.mark.parametrize("rows", [1, 2, 64])
@pytest.mark.parametrize("limit", [3, 4, 11, 100])
@pytest.mark.parametrize("scores", [False, True])
def test_pooling_takes_the_largest_of_each_square(rows: int, limit: int, scores: bool) -> None:
    map_ = random_map("cross", 3, 7, 11)
    assert map_.scores is not None
    whole = map_.scores if scores else map_.weights
    pooled = PoolMaps(7, 11, limit, scores=scores)
    for block in map_.blocks((1, 2), rows):
        pooled(block)
    size = pooled.size
    assert size == -(-11 // limit)
    assert set(pooled.maps) == {(3, 1), (3, 2)}
    cells = pooled.maps[3, 2]
    assert cells.shape == (-(-7 // size), -(-11 // size))
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            square = whole[2, i * size : (i + 1) * size, j * size : (j + 1) * size]
            assert cells[i, j] == square.max()


@pytest.mark.parametrize("scores", [False, True])
def test_pooling_leaves_what_is_masked_blank(scores: bool) -> None:
    map_ = random_map("decoder", 0, 5, 5, causal=True)
    pooled = PoolMaps(5, 5, 3, scores=scores)
    for block in map_.blocks((0,), 2):
        stop = block.start + block.visible.shape[0]
        assert block.scores is not None
        pooled(replace(block, weights=block.weights[:, :, :stop], scores=block.scores[:, :, :stop]))
    np.testing.assert_array_equal(np.isnan(pooled.maps[0, 0]), [[False, True, True], [False, False, True], [False] * 3])


def test_bytes_of_maps() -> None:
    assert map_bytes(3, 5, 7) == 3 * 5 * 7 * 4 == np.zeros((3, 5, 7), np.float32).nbytes
    assert map_bytes(3, 5, 7, scores=True) == 2 * map_bytes(3, 5, 7)
