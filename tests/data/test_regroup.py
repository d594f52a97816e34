"""Maps of tokens to maps of words, of one text or of several at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.record import AttentionMap
from attn_cli.data.regroup import Regroup, RegroupBatch
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Batch, Block, Kind, query_tokens
from attn_cli.data.text import Tokens, make_tokens
from attn_cli.data.units import Units
from attn_cli.measure.maps import KeepMaps
from tests.samples import encoder_record, random_map, source_tokens, translation_record


def regrouped(map_: AttentionMap, queries: Units, keys: Units, rows: int) -> AttentionMap:
    kept = KeepMaps(len(queries), len(keys))
    regroup = Regroup(queries, keys, kept)
    for block in map_.blocks(map_.heads, rows):
        regroup(block)
    (result,) = kept.maps()
    return result


def by_hand(map_: AttentionMap, queries: Units, keys: Units) -> Float[np.ndarray, "head query key"]:
    """Sum over a key's tokens, mean over a query's, then renormalize what is shown: written as slowly as it can be."""
    result = np.zeros((len(map_.heads), len(queries), len(keys)))
    for i in range(len(queries)):
        for j in range(len(keys)):
            for q in queries.token_positions(i):
                for k in keys.token_positions(j):
                    result[:, i, j] += map_.weights[:, q, k] / len(queries.token_positions(i))
    if keys.hides:
        # Each token's row is renormalized over the keys shown before a word's rows are averaged.
        result[:] = 0
        for i in range(len(queries)):
            for q in queries.token_positions(i):
                row = np.stack(
                    [map_.weights[:, q, list(keys.token_positions(j))].sum(axis=1) for j in range(len(keys))], 1
                )
                result[:, i] += row / row.sum(axis=1, keepdims=True) / len(queries.token_positions(i))
    return result


@pytest.mark.parametrize("rows", [1, 2, 3, 64])
@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("sink", [True, False])
@pytest.mark.parametrize("unit", ["word", "token"])
def test_maps_of_words(rows: int, special: bool, sink: bool, unit: str) -> None:
    assert unit in ("word", "token")
    units = Units.of(source_tokens(), "word" if unit == "word" else "token", special=special, sink=sink)
    map_ = encoder_record().maps[1]
    result = regrouped(map_, units, units, rows)
    np.testing.assert_allclose(result.weights, by_hand(map_, units, units), atol=1e-6)
    np.testing.assert_array_equal(result.visible, np.tile([0, len(units)], (len(units), 1)))


@pytest.mark.parametrize("rows", [1, 2, 64])
def test_cross_maps_keep_rows_and_columns_apart(rows: int) -> None:
    record = translation_record()
    queries, keys = Units.of(query_tokens(record, "cross")), Units.of(record.source, sink=False)
    assert (len(queries), len(keys)) == (4, 7)
    map_ = record.maps[-1]
    np.testing.assert_allclose(regrouped(map_, queries, keys, rows).weights, by_hand(map_, queries, keys), atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 3, 64])
def test_causal_words_see_what_any_of_their_pieces_sees(rows: int) -> None:
    units = Units.of(source_tokens())
    result = regrouped(random_map("decoder", 0, 11, 11, causal=True), units, units, rows)
    np.testing.assert_array_equal(result.visible, [[0, i + 1] for i in range(8)])
    np.testing.assert_allclose(result.weights.sum(axis=2), 1, atol=1e-6)


def test_keys_cut_off_at_the_diagonal_count_as_unseen() -> None:
    units = Units.of(source_tokens())
    whole = random_map("decoder", 0, 11, 11, causal=True)
    kept = KeepMaps(8, 8)
    regroup = Regroup(units, units, kept)
    for block in whole.blocks(whole.heads, 3):
        stop = block.start + block.visible.shape[0]
        regroup(Block("decoder", 0, block.heads, block.start, block.weights[:, :, :stop], block.visible))
    np.testing.assert_allclose(kept.maps()[0].weights, regrouped(whole, units, units, 64).weights, atol=1e-6)


def test_a_row_that_saw_only_what_is_hidden_is_left_empty() -> None:
    units = Units.of(source_tokens(), "token", sink=False)
    result = regrouped(random_map("decoder", 0, 11, 11, causal=True), units, units, 64)
    assert len(units) == 10
    np.testing.assert_allclose(result.weights.sum(axis=2), 1, atol=1e-6)
    hidden = Tokens("ab", source_tokens().tokens[:3], source_tokens().words)
    only_first = Units.of(hidden, "token", sink=False)
    kept = KeepMaps(3, 2)
    row = np.array([[[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]], np.float32)
    Regroup(Units.of(hidden, "token"), only_first, kept)(
        Block("decoder", 0, (0,), 0, row, np.array([[0, 1], [0, 2], [0, 3]]))
    )
    np.testing.assert_array_equal(kept.maps()[0].weights[0], [[0, 0], [1, 0], [0, 1]])
    np.testing.assert_array_equal(kept.maps()[0].visible, [[0, 0], [0, 1], [0, 2]])


def test_what_is_hidden_may_leave_the_rest_as_it_is() -> None:
    units = Units.of(source_tokens(), special=False)
    map_ = random_map("encoder", 0, 11, 11)
    seen: list[Block] = []
    regroup = Regroup(units, units, seen.append, renormalize=False)
    for block in map_.blocks(map_.heads):
        regroup(block)
    whole = Units.of(source_tokens())
    every = regrouped(map_, whole, whole, 64)
    shown = np.flatnonzero(~np.asarray(whole.special))
    np.testing.assert_allclose(seen[0].weights, every.weights[:, shown][:, :, shown], atol=1e-6)


def test_a_learned_sink_is_averaged_over_a_words_pieces() -> None:
    units = Units.of(source_tokens())
    weights = np.full((1, 11, 11), 1 / 22, np.float32)
    sink = np.linspace(0.4, 0.6, 11, dtype=np.float32)[None]
    seen: list[Block] = []
    Regroup(units, units, seen.append)(Block("decoder", 0, (0,), 0, weights, np.tile([0, 11], (11, 1)), sink=sink))
    assert seen[0].sink is not None
    np.testing.assert_allclose(seen[0].sink[0, 3], sink[0, 4:7].mean(), rtol=1e-6)


def text_of(pieces: Sequence[int]) -> Tokens:
    """A text of words of so many pieces each, between two special tokens."""
    text = " ".join("x" * count for count in pieces)
    places = [(index, index + 1) for index, letter in enumerate(text) if letter == "x"]
    end = len(text)
    offsets = [(0, 0), *places, (end, end)]
    special = [True, *(False for _ in places), True]
    return make_tokens(text, ["<s>", *("x" for _ in places), "</s>"], offsets, special)


def batch_of(maps: Sequence[AttentionMap]) -> Batch:
    sizes = [map_.weights.shape[1:] for map_ in maps]
    most = [max(size[axis] for size in sizes) for axis in (0, 1)]
    weights = np.zeros((len(maps), len(maps[0].heads), *most), np.float32)
    visible = np.zeros((len(maps), most[0], 2), np.intp)
    for index, (map_, (queries, keys)) in enumerate(zip(maps, sizes, strict=True)):
        weights[index, :, :queries, :keys] = map_.weights
        visible[index, :queries] = map_.visible
    return Batch(maps[0].kind, maps[0].layer, maps[0].heads, weights, visible, [(q, k) for q, k in sizes])


@given(
    texts=st.lists(st.tuples(*[st.lists(st.integers(1, 4), min_size=1, max_size=5)] * 2), min_size=1, max_size=4),
    kind=st.sampled_from(["encoder", "decoder", "cross"]),
    unit=st.sampled_from(["word", "token"]),
    special=st.booleans(),
    sink=st.booleans(),
)
def test_several_texts_at_once_have_the_maps_that_each_has(
    texts: list[tuple[list[int], list[int]]], kind: Kind, unit: Literal["word", "token"], special: bool, sink: bool
) -> None:
    sides, maps = [], []
    for index, (target, source) in enumerate(texts):
        rows, columns = text_of(target), text_of(source if kind == "cross" else target)
        queries = Units.of(rows, unit, special=special, sink=sink or kind == "cross")
        sides.append((queries, Units.of(columns, unit, special=special, sink=sink)))
        maps.append(random_map(kind, 0, len(rows), len(columns), causal=kind == "decoder", seed=index))
    seen: list[Block] = []
    RegroupBatch(sides, seen.append)(batch_of(maps))
    (block,) = seen
    first = 0
    for map_, (queries, keys) in zip(maps, sides, strict=True):
        alone = regrouped(map_, queries, keys, 64)
        own = slice(first, first + len(queries))
        first += len(queries)
        np.testing.assert_allclose(block.weights[:, own, : len(keys)], alone.weights, atol=1e-6)
        np.testing.assert_array_equal(block.weights[:, own, len(keys) :], 0)
        np.testing.assert_array_equal(block.visible[own], alone.visible)
        np.testing.assert_array_equal(block.positions[own], np.arange(len(queries)))
    assert block.weights.shape[1] == len(block.visible) == len(block.positions) == first


def test_what_is_found_of_a_layer_is_not_taken_for_another_that_sees_less() -> None:
    units = Units.of(source_tokens())
    regroup_to: list[Block] = []
    regroup = RegroupBatch([(units, units)], regroup_to.append)
    regroup(batch_of([random_map("decoder", 0, 11, 11, causal=True)]))
    regroup(batch_of([random_map("decoder", 1, 11, 11)]))
    causal, whole = (block.visible for block in regroup_to)
    np.testing.assert_array_equal(causal, [[0, row + 1] for row in range(8)])
    np.testing.assert_array_equal(whole, [[0, 8]] * 8)


def test_a_batch_can_be_cut_into_its_texts() -> None:
    maps = [random_map("encoder", 0, size, size, seed=size) for size in (5, 3, 7)]
    batch = batch_of(maps)
    for index, map_ in enumerate(maps):
        block = batch.block(index)
        np.testing.assert_array_equal(block.weights, map_.weights)
        np.testing.assert_array_equal(block.visible, map_.visible)
