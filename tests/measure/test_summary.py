"""Figures of a head, against figures worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block
from attn_cli.data.text import Token, Tokens, Word
from attn_cli.data.units import Units
from attn_cli.measure.summary import HeadSummary, Link, Summarize, entropy
from tests.samples import encoder_record, random_map, softmax


def units(count: int, special: tuple[int, ...] = ()) -> Units:
    tokens = tuple(Token(str(i), 0, 0, None if i in special else i, special=i in special) for i in range(count))
    return Units.of(Tokens("", tokens, tuple(Word(str(i), 0, 0) for i in range(count))), "token")


def summary(
    weights: Sequence[Sequence[float]],
    kind: Kind,
    counts: list[int],
    side: Units,
    keys: Units | None = None,
    links: int = 1,
) -> HeadSummary:
    collector = Summarize(side, keys or side, links)
    array = np.asarray([weights], np.float32)
    collector(Block(kind, 4, (2,), 0, array, np.asarray([[0, count] for count in counts])))
    (result,) = collector.result
    assert (result.kind, result.layer, result.head) == (kind, 4, 2)
    return result


def figures(summary: HeadSummary) -> Float[np.ndarray, "figure"]:
    figures = (summary.focus, summary.entropy, summary.distance, summary.first, summary.itself, summary.previous)
    return np.asarray(figures, np.float64)


def test_entropy_of_an_even_row_is_the_logarithm_and_of_a_sure_one_nothing() -> None:
    rows = np.asarray([[0.2] * 5, [0, 0, 1, 0, 0], [0.5, 0.5, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(entropy(rows), [math.log(5), 0, math.log(2)], atol=1e-6)


def test_a_causal_head_by_hand() -> None:
    weights = [[1.0, 0, 0], [0.25, 0.75, 0], [0.5, 0.25, 0.25]]
    result = summary(weights, "decoder", [1, 2, 3], units(3))
    first = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    second = 1.5 * math.log(2)
    assert result.entropy == pytest.approx((first + second) / 2)  # the first row sees one key and says nothing
    assert result.focus == pytest.approx(((1 - first / math.log(2)) + (1 - second / math.log(3))) / 2)
    assert result.distance == pytest.approx((0.25 + (2 * 0.5 + 0.25)) / 2)
    assert result.first == pytest.approx(0.375)
    assert result.itself == pytest.approx(0.5)
    assert result.previous == pytest.approx((0.25 + 0.25) / 2)
    assert result.links == (Link(2, 1, 0.25),)  # not to itself, not to the first


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_a_learned_sink_changes_neither_focus_nor_distance(share: float) -> None:
    """Rows that are even but for a sink are even, whatever it takes: by hand, ln 2 and ln 3, and 1/2 and 1 away."""
    side = units(3)
    even = np.array([[[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]]], np.float32)
    sink = np.full((1, 3), share, np.float32)
    visible = np.array([[0, 1], [0, 2], [0, 3]])
    collector = Summarize(side, side)
    collector(Block("decoder", 0, (0,), 0, even * np.float32(1 - share), visible, sink=sink))
    (result,) = collector.result
    assert result.focus == pytest.approx(0, abs=1e-4)
    assert result.entropy == pytest.approx((math.log(2) + math.log(3)) / 2, abs=1e-4)
    assert result.distance == pytest.approx((1 / 2 + (2 + 1) / 3) / 2, abs=1e-4)
    assert result.first == pytest.approx((1 - share) * (1 / 2 + 1 / 3) / 2)  # the model's own weights


def test_keys_that_no_row_sees_may_be_cut_off() -> None:
    """An indexer lets the last rows look at early keys only, so the block ends before their own place."""
    collector = Summarize(units(4), units(4))
    rows = np.asarray([[[1.0, 0], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25]]], np.float32)
    collector(Block("decoder", 0, (0,), 0, rows, np.asarray([[0, 1], [0, 2], [0, 2], [0, 2]])))
    (result,) = collector.result
    assert result.itself == pytest.approx(0.75 / 3)
    assert result.previous == pytest.approx((0.25 + 0.5) / 3)


def test_links_leave_special_tokens_and_the_query_itself_out() -> None:
    weights = [[0.9, 0.0, 0.1, 0], [0.6, 0.3, 0.1, 0], [0.5, 0.2, 0.2, 0.1], [0.0, 1, 0, 0]]
    result = summary(weights, "encoder", [4] * 4, units(4, special=(0, 3)), links=3)
    assert [(link.query, link.key) for link in result.links] == [(2, 1), (1, 2)]
    assert [link.weight for link in result.links] == pytest.approx([0.2, 0.1])


def test_cross_attention_has_no_positions_in_common() -> None:
    result = summary([[0.5, 0.5, 0], [0.1, 0.2, 0.7]], "cross", [3, 3], units(2), units(3), links=2)
    assert result.distance is result.itself is result.previous is None
    assert result.first == pytest.approx(0.3)
    assert [(link.query, link.key) for link in result.links] == [(1, 2), (0, 0)]


def test_a_hidden_first_token_has_no_figure() -> None:
    side = Units.of(encoder_record().source, "token", sink=False)
    collector = Summarize(side, side)
    collector(Block("encoder", 0, (0,), 0, np.full((1, 10, 10), 0.1, np.float32), np.tile([0, 10], (10, 1))))
    assert collector.result[0].first is None


def test_only_rows_that_show_the_first_token_say_what_it_takes() -> None:
    shown, hidden = (Units.of(encoder_record().source, "token", sink=sink) for sink in (True, False))
    collector = Summarize(shown, shown, links=0)
    collector.turn([(shown, shown), (hidden, hidden)])
    weights = np.full((1, 21, 11), 0.07, np.float32)
    weights[:, :11, 0], weights[:, 11:, 0] = 0.3, 0.9
    rows = np.concatenate([np.arange(11), np.arange(10)])
    collector(Block("encoder", 0, (0,), 0, weights, np.tile([0, 10], (21, 1)), rows=rows))
    assert collector.result[0].first == pytest.approx(0.3)


def test_one_token_says_nothing() -> None:
    result = summary([[1.0]], "encoder", [1], units(1))
    assert math.isnan(result.focus)
    assert math.isnan(result.entropy)
    assert result.links == ()


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_blocks_of_any_height_give_the_same_figures(rows: int) -> None:
    map_ = random_map("decoder", 0, 11, 11, causal=True)
    side = Units.of(encoder_record().source, "token")
    whole, parts = Summarize(side, side, 3), Summarize(side, side, 3)
    for block in map_.blocks(map_.heads, 64):
        whole(block)
    for block in map_.blocks(map_.heads, rows):
        parts(block)
    for one, other in zip(whole.result, parts.result, strict=True):
        assert one.links == other.links
        np.testing.assert_allclose(figures(one), figures(other), rtol=1e-6)


@given(st.integers(2, 17), st.floats(0.01, 20), st.integers(0, 2**32 - 1))
def test_focus_lies_between_even_and_sure(keys: int, scale: float, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(scale=scale, size=(5, keys))
    result = summary(softmax(scores).tolist(), "cross", [keys] * 5, units(5), units(keys))
    assert -1e-5 <= result.focus <= 1 + 1e-5
    assert -1e-5 <= result.entropy <= math.log(keys) + 1e-5
