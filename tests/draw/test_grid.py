from __future__ import annotations

import numpy as np
import pytest

from attn_cli.data.pooling import pool
from attn_cli.data.shapes import Float
from attn_cli.draw.grid import grid
from attn_cli.draw.screen import Screen
from tests.drawings import longest, shown, weights


def maps(layers: int, heads: int, side: int) -> dict[tuple[int, int], Float[np.ndarray, "query key"]]:
    return {(layer, head): weights(layer, head, side, side) for layer in range(layers) for head in range(heads)}


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize(
    ("width", "per_line", "cells"), [(60, 6, 8), (80, 12, 5), (120, 12, 8), (160, 12, 12), (260, 12, 16)]
)
def test_twelve_by_twelve(width: int, per_line: int, cells: int, color: bool) -> None:
    side = {5: 23, 8: 16, 12: 23, 16: 16}[cells]
    screen = Screen(width=width, color=color)
    lines = shown(grid(maps(12, 12, side), screen), screen)
    assert longest(lines) <= width
    assert lines[0].split() == [f"0.{head}" for head in range(per_line)]
    strips = lines[1].split()
    assert [len(strip) for strip in strips] == [cells] * per_line
    # A name and its map of two rows a line; a blank line sets layers apart, and nothing the lines of one layer.
    after = lines[1 + -(-cells // 2) : 3 + -(-cells // 2)]
    assert after[0].split()[:1] == (["0.6"] if per_line == 6 else [])
    assert per_line == 6 or after[1].startswith("1.0")
    assert lines.count("") == 12


def test_a_layer_is_a_row_but_one_alone_is_spread() -> None:
    screen = Screen(width=120)
    for layers, side, per_line, cells in ((2, 10, 12, 5), (2, 14, 12, 7), (1, 10, 6, 10), (1, 16, 6, 16)):
        lines = shown(grid(maps(layers, 12, side), screen), screen)
        assert len(lines[0].split()) == per_line
        assert len(lines[1].split()[0]) == cells
        pooled = "or a greater --width shows more of each" in " ".join(lines)
        assert pooled == (cells < side)


def test_long_sides_are_pooled_more() -> None:
    screen = Screen(width=80)
    values = {(layer, head): weights(0, 1, 6, 60) for layer in range(2) for head in range(12)}
    lines = shown(grid(values, screen), screen)
    assert len(lines[0].split()) == 12
    assert len(lines[1].split()[0]) == 5
    assert "cell = largest weight of 2 × 12 words" in " ".join(lines)


def test_many_heads() -> None:
    for width, per_layer in ((80, 3), (160, 2), (200, 1)):
        lines = shown(grid(maps(32, 32, 13), Screen(width=width)), Screen(width=width))
        assert longest(lines) <= width
        assert len([line for line in lines if line.startswith("31.")]) == per_layer


def test_small_maps_are_not_made_smaller() -> None:
    screen = Screen(color=False)
    lines = shown(grid({(0, 3): weights(0, 1, 4, 4), (11, 11): weights(0, 0, 4, 4)}, screen), screen)
    # Head 0.1 looks at the word before and its first row is even; the larger of two rows shows.
    assert lines[:7] == ["0.3", "█▓▓▓", "·██·", "", "11.11", "▓▓▓▓", "▓▓▓▓"]
    assert "cell = largest weight of 2 × 1 words" in "\n".join(lines)


def test_what_was_pooled_before_counts() -> None:
    screen = Screen()
    text = "\n".join(shown(grid(maps(1, 1, 8), screen, pooled=16, unit="token"), screen))
    assert "cell = largest weight of 16 × 16 tokens" in text
    text = "\n".join(shown(grid(maps(1, 2, 60), Screen(width=41), pooled=3), Screen(width=41)))
    assert "cell = largest weight of 12 × 12 words" in text


def test_what_cannot_be_seen_is_blank() -> None:
    screen = Screen(color=False)
    seen = np.where(np.tri(4, dtype=np.bool_), weights(0, 0, 4, 4), np.float32(np.nan))
    lines = shown(grid({(0, 0): seen}, screen), screen)  # all .25, of .5
    assert lines[1:3] == ["██", "████"]


def test_scores_have_a_scale_of_their_own() -> None:
    screen = Screen(color=False)
    values = np.array([[-4.0, 1.0], [np.nan, 6.0]], np.float32)
    lines = shown(grid({(0, 0): values, (0, 1): values - 10}, screen, kind="cross", measure="score"), screen)
    assert lines[1] == "-▲    ▼-"
    assert "▼ -5  - -1  · 0  + +1  ▲ +5" in lines[3]
    assert "layer.head; rows (target, when read) attend to columns (source)" in lines
    assert "cell = largest score of 2 × 1 words" in lines


def test_the_scale_says_where_it_ends() -> None:
    screen = Screen(color=False)
    faint = np.full((5, 5), 0.02, np.float32)
    assert "weight · <.001  ░ .001  ▒ .002  ▓ .005  █ .01–.02" in "\n".join(
        shown(grid({(0, 0): faint}, screen), screen)
    )


def test_pool_keeps_the_largest() -> None:
    values = np.array([[0.1, 0.9, np.nan], [0.2, 0.3, np.nan], [0.5, 0.4, 0.7]], np.float32)
    np.testing.assert_array_equal(pool(values, 2, 2), np.array([[0.9, np.nan], [0.5, 0.7]], np.float32))
