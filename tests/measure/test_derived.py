"""Norms, rollout and flow: cases worked by hand, and what is true of any of them."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attn_cli.data.record import Record
from attn_cli.data.selection import JOINT, Kind, Measure, Selection, check_syntax
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Request, Source
from attn_cli.errors import ExactnessError, SelectionError, UsageError
from attn_cli.measure.derived import Measured, centred, measured
from attn_cli.measure.flow import flows
from attn_cli.measure.measures import MEASURES, LayerMeasure, Norms, RelevantWeights
from attn_cli.measure.paths import with_residual
from attn_cli.models import Input, load
from attn_cli.models.prepare import read
from attn_cli.questions.find.measure import find
from attn_cli.questions.inspect.measure import look
from attn_cli.questions.terms.glossary import find_terms
from tests.samples import decoder_record, encoder_record, random_map, softmax, translation_record

TOKENS = 11


def test_the_table_has_every_measure_that_can_be_chosen() -> None:
    assert tuple(MEASURES) == get_args(Measure)
    assert tuple(name for name, one in MEASURES.items() if isinstance(one, LayerMeasure)) == JOINT
    assert all(one.unit and find_terms(name) for name, one in MEASURES.items())


def streamed(source: Source, measure: Measure, kind: Kind = "encoder", layers: tuple[int, ...] = (0, 1)) -> list[Block]:
    blocks: list[Block] = []
    Measured(source, measure).stream(Request(heads={kind: dict.fromkeys(layers, (0,))}), blocks.append)
    return blocks


def means(record: Record, kind: Kind = "encoder") -> list[Float[np.ndarray, "query key"]]:
    return [map_.weights.mean(axis=0) for map_ in record.maps if map_.kind == kind]


def test_in_the_first_layer_rollout_is_half_the_mean_and_half_itself() -> None:
    record = encoder_record()
    (first, second) = streamed(record, "rollout")
    half = 0.5 * means(record)[0] + 0.5 * np.eye(TOKENS)
    assert np.allclose(first.weights[0], half, atol=1e-6)
    assert np.allclose(second.weights[0], (0.5 * means(record)[1] + 0.5 * np.eye(TOKENS)) @ half, atol=1e-6)


def test_a_long_text_is_handed_over_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attn_cli.measure.derived.BLOCK", 3 * TOKENS)
    record = encoder_record()
    blocks = streamed(record, "rollout", layers=(1,))
    assert [(block.start, len(block.visible)) for block in blocks] == [(0, 3), (3, 3), (6, 3), (9, 2)]
    first, second = (0.5 * mean + 0.5 * np.eye(TOKENS) for mean in means(record))
    whole = np.concatenate([block.weights[0] for block in blocks])
    assert np.allclose(whole, second @ first, atol=1e-6)


@pytest.mark.parametrize("measure", ["rollout", "flow"])
def test_rows_sum_to_one(measure: Measure) -> None:
    for record, kind, layers in (
        (encoder_record(), "encoder", (0, 1)),
        (decoder_record(), "decoder", (0, 2)),
        (translation_record(), "decoder", (0, 1)),
        (translation_record(), "cross", (0, 1)),
    ):
        blocks = streamed(record, measure, kind, layers)  # type: ignore[arg-type]
        assert [block.layer for block in blocks] == list(layers)
        for block in blocks:
            assert block.heads == (0,)
            assert np.allclose(block.weights.sum(axis=2), 1, atol=1e-5)
            if kind == "decoder":
                assert not np.triu(block.weights[0], 1).any()
                assert block.visible.tolist() == [[0, row + 1] for row in range(len(block.visible))]


def test_rollout_and_flow_agree_in_the_first_layer() -> None:
    for record, kind in ((encoder_record(), "encoder"), (decoder_record(), "decoder")):
        (rolled,), (flowed,) = (streamed(record, measure, kind, (0,)) for measure in ("rollout", "flow"))  # type: ignore[arg-type]
        assert np.allclose(rolled.weights, flowed.weights, atol=1e-6)


def test_two_layers_by_hand() -> None:
    """Two tokens. Layer 0 has rows [1, 0] and [.4, .6]; layer 1 has [.2, .8] and [0, 1].

    With the residual connection: A0 = [[1, 0], [.2, .8]] and A1 = [[.6, .4], [0, 1]].
    Rollout of state 0: .6 . [1, 0] + .4 . [.2, .8] = [.68, .32]; of state 1: A0's second row.
    Flow from state 0 to token 0: .6 by the first way, and by the second the lesser of .4 and .2: .8 in all; to token 1:
    the lesser of .4 and .8: .4. As shares: 2/3 and 1/3. From state 1: .2 and .8, whose sum is 1.
    """
    first, second = np.array([[1.0, 0.0], [0.4, 0.6]]), np.array([[0.2, 0.8], [0.0, 1.0]])
    layers = [with_residual(first), with_residual(second)]
    assert np.allclose(layers[0], np.array([[1, 0], [0.2, 0.8]]))
    assert np.allclose(layers[1] @ layers[0], [[0.68, 0.32], [0.2, 0.8]])
    found = flows(layers, (0, 1), np.array([[0, 2], [0, 2]]))
    assert np.allclose(found, [[2 / 3, 1 / 3], [0.2, 0.8]], atol=1e-6)


def test_only_the_queries_asked_for_are_followed() -> None:
    blocks: list[Block] = []
    request = Request(heads={"encoder": {1: (0,)}}, queries={"encoder": (3,)})
    Measured(encoder_record(), "flow").stream(request, blocks.append)
    (whole,) = streamed(encoder_record(), "flow", layers=(1,))
    assert np.array_equal(blocks[0].weights[0, 3], whole.weights[0, 3])
    assert not blocks[0].weights[0, 4].any()


@settings(max_examples=20)
@given(arrays(np.float64, (2, 5, 5), elements=st.floats(-5, 5)))
def test_flow_is_never_below_any_one_way(scores: Float[np.ndarray, "layer query key"]) -> None:
    """The maximum flow is at least that of the widest way, and at most what leaves the state or enters the token."""
    layers = [with_residual(softmax(layer)) for layer in scores]
    everything = np.tile([0, 5], (5, 1))
    found = flows(layers, (2,), everything)[2]
    ways = np.minimum(layers[1][2][:, None], layers[0])
    lower, upper = ways.max(axis=0), np.minimum(1, np.minimum(layers[1][2][:, None], layers[0]).sum(axis=0))
    assert np.allclose(found, upper / upper.sum(), atol=1e-5)  # with two layers, each way has a middle of its own
    assert (upper + 1e-9 >= lower).all()


def test_cross_attention_goes_on_through_the_encoder() -> None:
    record = translation_record()
    encoder, cross = means(record), means(record, "cross")
    rolled = streamed(record, "rollout", "cross")
    reached = with_residual(encoder[1]) @ with_residual(encoder[0])
    for layer in (0, 1):
        assert np.allclose(rolled[layer].weights[0], cross[layer] @ reached, atol=1e-6)


def test_a_layer_without_attention_hands_everything_on() -> None:
    record = decoder_record()
    blocks = streamed(record, "rollout", "decoder", (0, 2))
    first, last = means(record, "decoder")
    assert np.allclose(blocks[1].weights[0], with_residual(last) @ with_residual(first), atol=1e-6)


def test_a_learned_sink_leaves_rows_that_sum_to_one() -> None:
    """And half of each row stays with the residual connection."""
    weights = np.array([[0.25, 0.25, 0.25], [0.0, 0.0, 0.0], [0.1, 0.2, 0.1]])
    found = with_residual(weights)
    assert np.allclose(found, np.array([[2 / 3, 1 / 6, 1 / 6], [0, 1, 0], [0.125, 0.25, 0.625]]))


def norm_block(weights: Float[np.ndarray, "head query key"], norms: Float[np.ndarray, "head all_keys"]) -> Block:
    rows = weights.shape[1]
    return Block("encoder", 0, (0,), 0, weights, np.tile([0, weights.shape[2]], (rows, 1)), norms=norms)


def test_norms_by_hand() -> None:
    """Weights .5 .25 .25 of values as long as 1, 2 and 6: .5 .5 1.5, of 2.5 in all."""
    weights = np.array([[[0.5, 0.25, 0.25]]], np.float32)
    found = Norms().of_block(norm_block(weights, np.array([[1, 2, 6, 9]], np.float32)))
    assert np.allclose(found.weights, [[[0.2, 0.2, 0.6]]])
    assert np.array_equal(Norms().of_block(norm_block(weights, np.zeros((1, 4), np.float32))).weights, weights)
    with pytest.raises(SelectionError, match="without its norms"):
        Norms().of_block(replace(found, norms=None))


def test_norms_that_are_no_numbers_are_refused() -> None:
    block = norm_block(np.full((1, 2, 2), 0.5, np.float32), np.array([[1, np.nan]], np.float32))
    with pytest.raises(ExactnessError, match="encoder layer 0 has values that are not numbers"):
        Norms().of_block(block)


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_norms_of_the_built_in_model(kind: Kind) -> None:
    """By the model's own weights, once more from its values."""
    model = load("toy")
    source = model.prepare(Input("The cat sat on the mat", target="Le chat"))
    blocks: list[Block] = []
    source.stream(Request(heads={kind: {1: (2, 5)}}, steps=True, norms=True), blocks.append)
    (block,) = blocks
    assert block.steps is not None
    assert block.steps.values is not None
    assert block.norms is not None
    side, part = ("encoder", "self_attn") if kind == "encoder" else ("decoder", "self_attn")
    part = "encoder_attn" if kind == "cross" else part
    projection = model.network.weights[f"model.{side}.layers.1.{part}.out_proj.weight"]  # type: ignore[attr-defined]
    for index, head in enumerate((2, 5)):
        expected = np.linalg.norm(block.steps.values[index] @ projection[:, 32 * head : 32 * head + 32].T, axis=1)
        assert np.allclose(block.norms[index], expected, atol=1e-4)


@pytest.mark.parametrize("measure", ["norms", "relevance", "rollout", "flow"])
def test_views_and_records_hold_what_was_measured(measure: Measure) -> None:
    choice = Selection(measure=measure, layer="1")
    record = look(read(load("toy"), Input("The cat sat on the mat"), choice), choice, keep=True)
    assert record.selection.measure == measure
    (map_,) = record.maps
    assert map_.heads == ((0,) if measure in JOINT else tuple(range(8)))
    again = look(record, record.selection, keep=True)
    assert np.array_equal(again.maps[0].weights, map_.weights)
    others: set[Measure] = {"weights", "norms", "relevance", "rollout", "flow"}
    for other in others - {measure}:
        with pytest.raises(SelectionError, match=f"This record holds {measure} instead of weights"):
            look(record, replace(record.selection, measure=other), keep=False)


def test_a_record_of_weights_can_be_rolled_out_but_has_no_values() -> None:
    assert measured(encoder_record(), Selection(measure="rollout")).model.stacks["encoder"].total == 2
    with pytest.raises(SelectionError, match="holds no values"):
        look(encoder_record(), Selection(measure="norms"), keep=False)
    with pytest.raises(SelectionError, match="holds no gradients"):
        look(encoder_record(), Selection(measure="relevance"), keep=False)
    some = replace(encoder_record(), maps=(random_map("encoder", 1, TOKENS, TOKENS),))
    with pytest.raises(SelectionError, match="does not hold encoder layer 0"):
        look(some, Selection(measure="rollout"), keep=False)


def test_relevance_is_a_share_of_its_row() -> None:
    """Rows without any are even, and so is the rest of a row that has all of it on one key."""
    weights = np.array([[[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]]], np.float32)
    relevance = np.array([[[0.1, 0, 0], [0, 0, 0], [0.03, 0, 0.01], [0.2, 0, 0]]], np.float32)
    visible = np.array([[0, 1], [0, 2], [0, 3], [0, 3]])
    block = Block("decoder", 0, (0,), 0, weights, visible, relevance=relevance)
    shares = RelevantWeights().of_block(block).weights[0]
    expected = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.75, 0, 0.25], [1, 0, 0]])
    assert np.allclose(shares, expected, atol=1e-5)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert shares[3, 1] == pytest.approx(shares[3, 2])
    assert shares[3, 1] > 0
    with pytest.raises(SelectionError, match="was streamed without its relevance"):
        RelevantWeights().of_block(replace(block, relevance=None))
    with pytest.raises(ExactnessError, match="gradients that are not numbers"):
        RelevantWeights().of_block(replace(block, relevance=np.full_like(relevance, np.inf)))


def test_a_record_holds_relevance_for_one_output() -> None:
    choice = Selection(measure="relevance", relevant_to="chat", layer="1")
    record = look(read(load("toy"), Input("The cat sat"), choice), choice, keep=True)
    assert record.relevance is not None
    assert record.relevance.output == "chat in its translation"
    with pytest.raises(SelectionError, match="relevance for one output, and --relevant-to names another"):
        look(record, replace(choice, relevant_to="le"), keep=False)


def test_find_by_other_measures() -> None:
    record = encoder_record()
    (link,) = find(record, Selection(measure="rollout", unit="token", layer="0"), "fit", "tro").links
    assert link.weight == pytest.approx(0.5 * means(record)[0][7, 2])


def score_block(scores: Float[np.ndarray, "head query key"]) -> Block:
    heads, queries, keys = scores.shape
    visible = np.tile([0, keys], (queries, 1))
    return Block("encoder", 0, tuple(range(heads)), 0, softmax(scores), visible, scores=scores)


def test_scores_less_the_mean_of_their_row_by_hand() -> None:
    scores = np.array([[[1.0, 2.0, 6.0], [4.0, -np.inf, 2.0]]], np.float32)
    assert centred(score_block(scores)).tolist() == [[[-2, -1, 3], [1, -1, -1]]]
    with pytest.raises(SelectionError, match="has no scores here"):
        centred(replace(score_block(scores), scores=None))


@given(
    scores=arrays(np.float32, (2, 3, 5), elements=st.floats(-50, 50, width=32)),
    added=arrays(np.float32, (2, 3, 1), elements=st.floats(-50, 50, width=32)),
)
def test_what_is_added_to_a_whole_row_changes_nothing(
    scores: Float[np.ndarray, "head query key"], added: Float[np.ndarray, "head query 1"]
) -> None:
    found = centred(score_block(scores))
    assert np.allclose(found, centred(score_block(scores + added)), atol=1e-4)
    assert np.allclose(found.sum(axis=2), 0, atol=1e-4)


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(UsageError, match="rollout averages the heads of each layer"):
        check_syntax(Selection(measure="rollout", head="3"))
