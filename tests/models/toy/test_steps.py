"""The three steps of attention, by hand and as properties, in NumPy and in torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attn_cli.models.toy.ops import hide, layer_norm, linear, namespace, normalize, score, sigmoid, weighted_sum


def test_the_scores_of_the_lesson_become_its_weights() -> None:
    weights = normalize(np.asarray([[2.1, 5.8, 0.4, 0.3, 0.5, 0.4]]))
    assert [round(weight, 3) for weight in weights[0].tolist()] == [0.024, 0.959, 0.004, 0.004, 0.005, 0.004]


def test_a_score_is_the_scaled_dot_product() -> None:
    query = np.asarray([[1.0, 2.0, 2.0, 0.0]])
    key = np.asarray([[1.0, 0.0, 0.0, 3.0], [0.0, 1.0, 2.0, 3.0], [4.0, -2.0, 0.0, 1.0]])
    assert score(query, key).tolist() == [[0.5, 3.0, 0.0]]


def test_an_additive_score_is_a_vector_times_tanh() -> None:
    query, key = np.asarray([[0.5, -1.0]]), np.asarray([[0.5, 1.0], [-0.5, 0.0], [1.5, 3.0]])
    expected = [2 * math.tanh(1.0) + 3 * math.tanh(0.0), 3 * math.tanh(-1.0), 2 * math.tanh(2.0) + 3 * math.tanh(2.0)]
    assert np.allclose(score(query, key, np.asarray([2.0, 3.0])), [expected])


def test_a_weighted_sum_mixes_values() -> None:
    weights = np.asarray([[0.25, 0.75], [1.0, 0.0]])
    values = np.asarray([[4.0, 0.0, 8.0], [0.0, 4.0, 0.0]])
    assert weighted_sum(weights, values).tolist() == [[1.0, 3.0, 2.0], [4.0, 0.0, 8.0]]


def test_what_is_hidden_gets_no_weight() -> None:
    scores = np.asarray([[1.0, 7.0, 1.0]]) + hide(np.asarray([True, False, True]))
    assert normalize(scores).tolist() == [[0.5, 0.0, 0.5]]


FINITE = st.floats(-80, 80, width=32)


@given(arrays(np.float32, (3, 5, 7), elements=FINITE), FINITE)
def test_weights_sum_to_one_and_do_not_depend_on_a_constant(scores: np.ndarray, shift: float) -> None:
    weights = normalize(scores)
    assert np.allclose(weights.sum(axis=-1), 1, atol=1e-5)
    assert (weights >= 0).all()
    assert np.allclose(normalize(scores + np.float32(shift)), weights, atol=1e-4)


@given(arrays(np.float32, (2, 3, 5), elements=FINITE), arrays(np.float32, (2, 7, 5), elements=FINITE))
def test_torch_and_numpy_agree(query: np.ndarray, key: np.ndarray) -> None:
    one, other = torch.from_numpy(query), torch.from_numpy(key)
    scores = score(query, key)
    assert np.allclose(score(one, other), scores, rtol=1e-4, atol=1e-2)
    assert np.allclose(normalize(torch.from_numpy(scores)), normalize(scores), atol=1e-5)
    assert np.allclose(sigmoid(one), torch.sigmoid(one), atol=1e-6)


def test_the_module_follows_the_array() -> None:
    assert namespace(np.zeros(2)) is np
    assert namespace(torch.zeros(2)) is torch


@pytest.mark.parametrize("make", [np.asarray, torch.tensor])
def test_layer_norm_and_linear_equal_torch(make: type) -> None:
    generator = np.random.default_rng(7)
    states, weight, bias = (generator.normal(size=size).astype(np.float32) for size in ((3, 5), (5,), (5,)))
    tensors = [torch.from_numpy(array) for array in (states, weight, bias)]
    expected = torch.nn.functional.layer_norm(tensors[0], (5,), tensors[1], tensors[2])
    assert np.allclose(layer_norm(make(states), make(weight), make(bias)), expected, atol=1e-5)
    matrix = generator.normal(size=(7, 5)).astype(np.float32)
    assert np.allclose(linear(make(states), make(matrix)), states @ matrix.T, atol=1e-5)
