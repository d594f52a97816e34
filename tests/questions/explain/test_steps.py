"""The three steps, worked by hand and held against the layer's own numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Steps
from attn_cli.errors import ExactnessError, InputError, UsageError
from attn_cli.questions.explain.steps import Explanation, explain_numbers, explain_row
from tests.samples import softmax

HEADS, QUERIES, KEYS, DIM, VALUE_DIM = 2, 3, 5, 7, 11

finite = st.floats(-50, 50, allow_nan=False, width=32)


def test_the_textbook_numbers() -> None:
    found = explain_numbers(np.array([2.1, 5.8, 0.4, 0.3, 0.5, 0.4]))
    assert found.weights.round(3).tolist() == [0.024, 0.959, 0.004, 0.004, 0.005, 0.004]
    assert found.maximum == 5.8
    assert found.exponentials[1] == 1
    assert found.context is None
    assert found.differences is None
    assert found.largest_difference is None


def test_values_by_hand() -> None:
    """exp(ln 3) = 3 and exp(0) = 1 make weights of 3/4 and 1/4."""
    found = explain_numbers(np.log(np.array([3.0, 1.0])), np.array([[4.0, 0.0], [0.0, 8.0]]))
    assert found.context is not None
    assert np.allclose(found.weights, [0.75, 0.25])
    assert np.allclose(found.context.vector, [3, 2])
    assert found.context.norm == pytest.approx(np.sqrt(13))
    assert np.allclose(found.context.value_norms, [4, 8])
    assert np.allclose(found.context.shares, [0.75 * 12 / 13, 0.25 * 16 / 13])


def test_a_temperature_divides_the_scores() -> None:
    scores = np.array([2.0, 4.0, -np.inf])
    found = explain_numbers(scores, temperature=2.0)
    assert found.products is not None
    assert found.scores.tolist() == [1, 2, -np.inf]
    assert np.allclose(found.weights, [1 / (1 + np.e), np.e / (1 + np.e), 0])
    assert found.products.tolist() == [2, 4, -np.inf]
    assert {name: part.tolist() for name, part in found.parts.items()} == {"scaled": [1, 2, -np.inf]}


def test_values_that_cancel_share_nothing() -> None:
    found = explain_numbers(np.zeros(2), np.array([[1.0], [-1.0]]))
    assert found.context is not None
    assert found.context.norm == 0
    assert found.context.shares.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("scores", "values", "temperature", "problem"),
    [
        ([], None, 1.0, "no scores"),
        ([1.0, np.nan], None, 1.0, "not a number"),
        ([1.0, np.inf], None, 1.0, "not a number"),
        ([-np.inf], None, 1.0, "Every key is masked"),
        ([1e300, 2.0], None, 1e-300, "makes these scores infinite"),
        ([1.0, 2.0], [[1.0]], 1.0, "There are 2 scores and 1 value"),
        ([1.0], [[np.nan]], 1.0, "not a number"),
    ],
)
def test_what_are_no_scores(
    scores: list[float], values: list[list[float]] | None, temperature: float, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        explain_numbers(np.array(scores), None if values is None else np.array(values), temperature)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_what_is_no_temperature(temperature: float) -> None:
    with pytest.raises(UsageError, match=f"--temperature must be above 0, and {temperature:g} is not"):
        explain_numbers(np.array([1.0]), None, temperature)


@given(arrays(np.float64, KEYS, elements=finite), arrays(np.float64, (KEYS, VALUE_DIM), elements=finite))
def test_what_is_true_of_any_numbers(scores: Float[np.ndarray, "key"], values: Float[np.ndarray, "key dim"]) -> None:
    found = explain_numbers(scores, values)
    assert found.weights.sum() == pytest.approx(1)
    assert found.exponentials.max() == 1
    assert scores[np.argmax(found.weights)] == pytest.approx(scores.max())
    moved = explain_numbers(scores + 17, values)
    assert np.allclose(moved.weights, found.weights)
    assert found.context is not None
    assert found.context.shares.sum() == pytest.approx(1) or found.context.norm < 1e-100
    assert (found.context.vector <= values.max(axis=0) + 1e-9).all()
    assert (found.context.vector >= values.min(axis=0) - 1e-9).all()


def block(steps: Steps | None, scores: Float[np.ndarray, "head query key"], start: int = 4) -> Block:
    """Rows from `start` on, of heads 1 and 6."""
    return Block(
        kind="encoder",
        layer=2,
        heads=(1, 6),
        start=start,
        weights=softmax(scores).astype(np.float32),
        visible=np.tile([0, scores.shape[2]], (scores.shape[1], 1)),
        scores=scores.astype(np.float32),
        steps=steps,
    )


def made(**more: object) -> tuple[Steps, Float[np.ndarray, "head query key"]]:
    """Random queries, keys and values; and their scaled products."""
    random = np.random.default_rng(3)
    queries, keys = random.normal(size=(HEADS, QUERIES, DIM)), random.normal(size=(HEADS, KEYS, DIM))
    values = random.normal(size=(HEADS, KEYS, VALUE_DIM)).astype(np.float32)
    steps = Steps(queries.astype(np.float32), keys.astype(np.float32), values, None, scaling=0.5)
    return replace(steps, **more), 0.5 * queries @ keys.swapaxes(1, 2)  # type: ignore[arg-type]


def parts_sum(found: Explanation) -> Float[np.ndarray, "key"]:
    return sum(found.parts.values(), np.zeros(len(found.scores)))


def test_a_row_of_a_layer() -> None:
    steps, scores = made()
    assert steps.values is not None
    contexts = (softmax(scores) @ steps.values).astype(np.float32)
    found = explain_row(block(replace(steps, contexts=contexts), scores), 6, 5, KEYS)
    assert list(found.parts) == ["scaled"]
    assert found.products is not None
    assert np.allclose(found.products * 0.5, scores[1, 1], atol=1e-5)
    assert np.allclose(found.weights, softmax(scores)[1, 1], atol=1e-6)
    assert found.context is not None
    assert np.allclose(found.context.vector, contexts[1, 1], atol=1e-5)
    assert found.differences is not None
    assert set(found.differences) == {"scores", "weights", "context"}
    assert 0 < found.largest_difference < 1e-5  # type: ignore[operator]


def test_a_difference_from_the_layer_is_found() -> None:
    steps, scores = made()
    assert steps.values is not None
    contexts = (softmax(scores) @ steps.values).astype(np.float32)
    contexts[1, 1, 3] += 0.25
    found = explain_row(block(replace(steps, contexts=contexts), scores), 6, 5, KEYS)
    assert found.largest_difference == pytest.approx(0.25, abs=1e-5)


def test_every_part_in_its_column() -> None:
    random = np.random.default_rng(5)
    bias = random.normal(size=(HEADS, QUERIES, KEYS)).astype(np.float32)
    steps, scaled = made(bias=bias, soft_cap=1.5)
    scores = 1.5 * np.tanh(scaled / 1.5) + bias
    scores[:, :, 3:] = -np.inf
    found = explain_row(block(steps, scores), 1, 4, KEYS)
    assert list(found.parts) == ["scaled", "soft_capping", "bias", "mask"]
    assert np.allclose(found.parts["bias"], bias[0, 0])
    assert np.allclose(found.parts["soft_capping"], 1.5 * np.tanh(scaled[0, 0] / 1.5) - scaled[0, 0], atol=1e-6)
    assert found.parts["mask"].tolist() == [0, 0, 0, -np.inf, -np.inf]
    assert np.array_equal(parts_sum(found), found.scores)
    assert found.weights[3:].tolist() == [0, 0]


def test_what_a_model_adds_unseen_is_other() -> None:
    steps, scaled = made()
    found = explain_row(block(steps, scaled + 3 * np.arange(KEYS)), 1, 6, KEYS)
    assert list(found.parts) == ["scaled", "other"]
    assert np.allclose(found.parts["other"], 3 * np.arange(KEYS), atol=1e-5)
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-5


def test_rounding_is_no_part() -> None:
    steps, scaled = made()
    noisy = scaled + 0.02 * np.random.default_rng(1).normal(size=scaled.shape)
    assert list(explain_row(block(steps, noisy), 1, 4, KEYS, "bfloat16").parts) == ["scaled"]
    assert list(explain_row(block(steps, noisy), 1, 4, KEYS, "float32").parts) == ["scaled", "other"]


def test_additive_scores() -> None:
    random = np.random.default_rng(8)
    vector = random.normal(size=DIM).astype(np.float32)
    steps, _ = made(vector=vector, scaling=None)
    assert steps.queries is not None
    assert steps.keys is not None
    scores = np.tanh(steps.queries[:, :, None] + steps.keys[:, None]) @ vector
    found = explain_row(block(steps, scores), 6, 6, KEYS)
    assert list(found.parts) == ["additive"]
    assert found.products is None
    assert np.allclose(found.scores, scores[1, 2], atol=1e-5)


def test_a_learned_sink_takes_its_share() -> None:
    steps, scaled = made(sink_scores=np.full((HEADS, QUERIES), 1.25, np.float32))
    whole = softmax(np.concatenate([scaled, np.full((HEADS, QUERIES, 1), 1.25)], axis=2))
    own = replace(block(steps, scaled), weights=whole[..., :KEYS].astype(np.float32))
    found = explain_row(own, 6, 4, KEYS)
    assert found.sink is not None
    assert found.sink.weight == pytest.approx(whole[1, 0, KEYS], abs=1e-6)
    assert found.weights.sum() + found.sink.weight == pytest.approx(1)
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-6


def test_keys_that_the_block_left_out_are_masked() -> None:
    steps, scaled = made()
    found = explain_row(block(steps, scaled[..., :3]), 1, 4, KEYS)
    assert found.scores[3:].tolist() == [-np.inf, -np.inf]
    assert found.products is not None
    assert len(found.products) == KEYS


def test_where_only_scores_are_known() -> None:
    _, scores = made()
    found = explain_row(block(None, scores), 1, 4, KEYS)
    assert found.parts == {}
    assert found.context is None
    assert np.allclose(found.weights, softmax(scores)[0, 0], atol=1e-6)
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-6


def test_nothing_to_explain() -> None:
    steps, scores = made()
    with pytest.raises(ExactnessError, match="can see no key"):
        explain_row(replace(block(steps, scores), scores=np.full(scores.shape, -np.inf, np.float32)), 1, 4, KEYS)
    with pytest.raises(ExactnessError, match="without its scores"):
        explain_row(replace(block(steps, scores), scores=None), 1, 4, KEYS)
