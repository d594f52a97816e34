"""Weights between two words and what they are held against, worked out by hand and held against plain loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block
from attn_cli.data.text import Token, Tokens
from attn_cli.data.units import Units
from attn_cli.errors import SelectionError, UsageError
from attn_cli.measure.measures import even_rows
from attn_cli.questions.find.measure import CollectLinks, FoundLink, Pair, find
from attn_cli.questions.heads.measure import find_heads
from attn_cli.questions.inspect.measure import look
from tests.records import may_check_shapes
from tests.samples import decoder_record, encoder_record, random_map, translation_record

FOUR = np.array([[[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.2, 0.3, 0.5, 0], [0.1, 0.15, 0.5, 0.25]]], np.float32)


def record_of(weights: Float[np.ndarray, "head query key"], words: Sequence[str], kind: Kind = "encoder") -> Record:
    """One layer over these words, each a token; those in brackets are special."""
    heads, count, _ = weights.shape
    tokens = Tokens(" ".join(words), tuple(Token(word, 0, 0, None, word.startswith("[")) for word in words), ())
    visible = np.array([[0, row + 1 if kind == "decoder" else count] for row in range(count)])
    map_ = AttentionMap(kind, 0, tuple(range(heads)), tuple(range(count)), weights, visible)
    return Record(ModelInfo("made", "made", {kind: Stack(1, {0: heads}, heads)}, "interface"), tokens, None, (map_,))


def only(found: Sequence[FoundLink]) -> FoundLink:
    (link,) = found
    return link


def test_by_hand() -> None:
    link = only(find(record_of(FOUR, "abcd"), Selection(), "d", "c").links)
    assert (link.layer, link.head, link.pair) == (0, 0, Pair(3, 2))
    assert link.weight == 0.5
    assert link.even == 0.25
    # one back: b to a and c to b
    assert link.usual == pytest.approx((0.5 + 0.3) / 2)
    # to c, but for c itself: a and b
    assert link.others == 0


def test_a_learned_sink_takes_its_mean_over_rows_and_not_over_blocks() -> None:
    """A record streams 64 rows at a time: by hand (64 · 0.1 + 0.9) / 65."""
    sink = np.full((1, 65), 0.1, np.float32)
    sink[0, 64] = 0.9
    weights = np.eye(65, dtype=np.float32)[None] * (1 - sink[:, :, None])
    names = [f"w{number}" for number in range(65)]
    record = record_of(np.eye(65, dtype=np.float32)[None], names)
    record = replace(record, maps=(replace(record.maps[0], weights=weights, sink=sink),))
    share = (64 * 0.1 + 0.9) / 65
    assert find(record, Selection(), "w3", "w1").sink == pytest.approx(share)
    shown = look(record, Selection(), keep=True)
    assert shown.figures.sink.mean == pytest.approx(share)
    assert find_heads(record, Selection()).sink == pytest.approx(share)


@pytest.mark.parametrize(("least", "count"), [(0.5, 1), (0.50001, 0), (0.3, 1)])
def test_a_weight_as_large_as_asked_for_is_listed(least: float, count: int) -> None:
    for query, key, weight in (("d", "c", 0.5), ("c", "b", 0.3)):
        found = replace(find(record_of(FOUR, "abcd"), Selection(), query, key), least=least)
        assert len(found.listed) == (count if weight == 0.5 else int(least == 0.3))


def test_what_cannot_be_seen_counts_nowhere() -> None:
    found = find(record_of(FOUR, "abcd", "decoder"), Selection(), "d", "c")
    link = only(found.links)
    assert link.even == 0.25
    assert link.usual == pytest.approx(0.4)
    assert link.others is None
    assert found.alike == {Pair(3, 2): 2}
    link = only(find(record_of(FOUR, "abcd", "decoder"), Selection(), "c", "a").links)
    assert link.even == np.float32(1 / 3)
    assert link.usual == pytest.approx(0.15)
    assert link.others == pytest.approx((0.5 + 0.1) / 2)


def test_a_key_that_comes_later_is_masked() -> None:
    found = find(record_of(FOUR, "abcd", "decoder"), Selection(), "a", "d")
    assert (found.links, found.masked) == ((), (Pair(0, 3),))
    found = find(record_of(FOUR, "abcd", "decoder"), Selection(), "a", "d", both=True)
    assert [link.pair for link in found.links] == [Pair(3, 0)]
    assert found.masked == (Pair(0, 3),)


def test_special_tokens_are_no_others() -> None:
    weights = np.full((1, 5, 5), 0.2, np.float32)
    weights[0, 3] = [0.1, 0.2, 0.4, 0.1, 0.2]
    weights[0, 4] = [0, 0.9, 0, 0.1, 0]
    link = only(find(record_of(weights, ["[CLS]", "a", "b", "c", "[SEP]"]), Selection(), "b", "a").links)
    # One back: c to b alone, for a to [CLS] and [SEP] to c are not between words.
    assert link.usual == pytest.approx(0.4)
    assert link.others == pytest.approx(0.2)
    link = only(find(record_of(weights, ["[CLS]", "a", "b", "c", "[SEP]"]), Selection(), "a", "[SEP]").links)
    assert link.usual is None
    assert link.others == pytest.approx((0.2 + 0.2) / 2)


def test_a_word_with_itself() -> None:
    weights = np.diag([0.9, 0.8, 0.1]).astype(np.float32)
    weights += (1 - weights.sum(axis=1, keepdims=True)) / 3
    link = only(find(record_of(weights[None], "abc"), Selection(), "b", "b").links)
    assert link.pair == Pair(1, 1)
    assert link.usual == pytest.approx((weights[0, 0] + weights[2, 2]) / 2)
    assert link.others == pytest.approx((weights[0, 1] + weights[2, 1]) / 2)
    # Where it occurs again, itself is not meant.
    pairs = find(record_of(weights[None], "aba"), Selection(), "a", "a").pairs
    assert pairs == (Pair(0, 2), Pair(2, 0))


def test_several_occurrences_and_the_second() -> None:
    record = record_of(FOUR, ["it", "cat", "it", "mat"])
    found = find(record, Selection(), "it", "cat,mat")
    assert set(found.pairs) == {Pair(0, 1), Pair(0, 3), Pair(2, 1), Pair(2, 3)}
    assert [round(link.weight, 2) for link in found.links] == [0.3, 0, 0, 0]
    assert find(record, Selection(), "it#2", "-1").pairs == (Pair(2, 3),)


def test_every_kind_on_samples() -> None:
    both = find(encoder_record(), Selection(), "trophy", "fit", both=True)
    assert len(both.links) == 2 * 2 * 3
    assert [link.weight for link in both.links] == sorted((link.weight for link in both.links), reverse=True)
    links = find(decoder_record(), Selection(layer="-1", head="0,2"), "fit", "trophy").links
    assert {(link.layer, link.head) for link in links} == {(2, 0), (2, 2)}
    found = find(translation_record(), Selection(), "trophée", "trophy")
    assert found.plan.kind == "cross"
    assert {link.usual for link in found.links} == {None}
    assert found.alike == {}
    with pytest.raises(UsageError, match="both"):
        find(translation_record(), Selection(), "trophée", "trophy", both=True)


def test_too_many_pairs() -> None:
    words = ["it"] * 37 + ["the"] * 37
    weights = np.full((1, 74, 74), 1 / 74, np.float32)
    with pytest.raises(SelectionError, match="37 × 37 pairs"):
        find(record_of(weights, words), Selection(), "it", "the")


def test_even_rows_of_words() -> None:
    found = find(encoder_record(), Selection(), "fit", "trophy")
    # trophy is two of eleven tokens
    assert {link.even for link in found.links} == {float(np.float32(2 / 11))}
    hidden = find(encoder_record(), Selection(special=False), "fit", "trophy")
    np.testing.assert_allclose([link.even for link in hidden.links], 2 / 8, rtol=1e-6)
    block = Block("decoder", 0, (3, 5), 1, np.zeros((2, 2, 3), np.float32), np.array([[0, 2], [3, 3]]))
    np.testing.assert_array_equal(even_rows(block).weights, [[[0.5, 0.5, 0], [0, 0, 0]]])


@may_check_shapes
@given(
    st.integers(2, 7),
    st.booleans(),
    st.sets(st.integers(0, 6)),
    st.integers(1, 3),
    st.data(),
)
def test_against_plain_loops(count: int, causal: bool, special: set[int], rows: int, data: st.DataObject) -> None:
    kind: Kind = "decoder" if causal else "encoder"
    words = [f"[{i}]" if i in special else f"w{i}" for i in range(count)]
    map_ = random_map(kind, 0, count, count, heads=2, causal=causal, seed=count)
    units = Units.of(Tokens("", tuple(Token(word, 0, 0, None, word[0] == "[") for word in words), ()), "token")
    query, key = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count - 1))
    collect = CollectLinks(units, units, [Pair(query, key)], crosses=kind == "cross")
    for block in map_.blocks((0, 1), rows=rows):
        collect.eat_even(even_rows(block))
        collect(block)
    sees = [[j < map_.visible[i, 1] for j in range(count)] for i in range(count)]
    plain = [i for i in range(count) if i not in special]
    links = list(collect.links())
    assert len(links) == (2 if sees[query][key] else 0)
    for link in links:
        weights = map_.weights[link.head]
        assert link.weight == weights[query, key]
        assert link.even == pytest.approx(1 / sum(sees[query]))
        for found, cells in (
            (link.usual, [(i, i + key - query) for i in plain if i + key - query in plain and i != query]),
            (link.others, [(i, key) for i in plain if i not in {query, key}]),
        ):
            seen = [weights[i, j] for i, j in cells if sees[i][j]]
            assert (found is None) == (not seen)
            if found is not None:
                assert found == pytest.approx(np.mean(seen), abs=1e-6)


def test_the_record_says_what_was_asked() -> None:
    selection = Selection(unit="token", layer="1")
    record = replace(encoder_record(), notes=("A note.",), verified=0.5)
    found = find(record, selection, "fit", "tro")
    assert found.record.selection == selection
    assert found.record.notes == ("A note.",)
    assert found.record.verified == 0.5
    assert found.record.maps == ()
