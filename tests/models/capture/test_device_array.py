"""Tensors that take the place of arrays, held against NumPy's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from attn_cli.data.elsewhere import largest
from attn_cli.data.stream import Block, Request
from attn_cli.measure.derived import scores_of
from attn_cli.models.capture import delivery
from attn_cli.models.capture.device_array import DeviceArray, as_array
from attn_cli.models.capture.stream import stacks, stream
from tests.models.boundary import Boundary
from tests.models.families import build, inputs_of

ONE = np.random.default_rng(0).random((3, 5, 7)).astype(np.float32)
LINE = np.arange(7, dtype=np.float32)
ROWS, SOME = np.array([2, 0, 4]), np.array([True, False, True, True, False])
EXPRESSIONS: dict[str, Callable[[Any], Any]] = {
    "slices": lambda x: x[1:, :, 2:5],
    "a mask": lambda x: x[:, SOME, 0],
    "places": lambda x: x[:, ROWS, ROWS],
    "a list": lambda x: x[[2, 0]][:, None],
    "sums": lambda x: x.sum(axis=(1, 2), dtype=np.float64),
    "all": lambda x: x.sum(),
    "means": lambda x: x.mean(axis=0),
    "extremes": lambda x: x.max(axis=2) - x.min(axis=2, keepdims=True)[:, :, 0],
    "extreme of nothing": lambda x: x[:0].min(initial=0.0),
    "extreme and a first": lambda x: x.max(initial=0.99),
    "places of the largest": lambda x: x.argmax(axis=2),
    "any": lambda x: (x > 0.9).any(axis=1),
    "turned": lambda x: x[0].T @ np.ones(5, np.float32),
    "a product with a mask": lambda x: SOME @ x[0],
    "a product": lambda x: x.reshape(15, 7) @ LINE,
    "a lesser type": lambda x: x.astype(np.float64) / 3,
    "arithmetic": lambda x: (1 - x) * LINE / np.float32(3) + np.abs(-x),
    "masks": lambda x: ~((x > 0.5) & (x <= 0.9)) | (x == 0) | (x != x) | (x < 0.1) | (x >= 2),
    "where": lambda x: np.divide(x, x - 0.5, out=np.zeros_like(x), where=x > 0.5),
    "in place": lambda x: np.log(y := x + np.float32(1), out=y),
    "lengths": lambda x: np.vecdot(x, np.log(x + 1)),
    "of two": lambda x: np.maximum(np.minimum(x, 0.5), LINE / 9),
    "runs": lambda x: np.add.reduceat(x, [0, 2, 3], axis=1, dtype=np.float64),
    "largest of runs": lambda x: np.fmax.reduceat(np.where(x > 0.3, x, np.nan), np.array([0, 1, 5]), axis=-1),
    "no number": lambda x: np.fmax(np.where(x > 0.3, x, np.nan), 0.2),
    "numbers": lambda x: np.isfinite(np.where(x > 0.3, x, np.inf)),
    "filled": lambda x: np.nan_to_num(np.where(x > 0.3, x, np.nan), copy=False),
    "filled in a copy": lambda x: np.nan_to_num(np.where(x > 0.3, x, np.nan)),
    "joined": lambda x: np.concatenate([x, ONE], axis=1),
    "stacked": lambda x: np.stack([x[0, 0], x[1, 1]]),
    "widened": lambda x: np.pad(x, ((0, 0), (0, 1), (2, 3))),
    "flat": lambda x: np.flatnonzero(x > 0.7),
    "made": lambda x: np.zeros((2, 3), np.float32, like=x) + 2,
    "put there": lambda x: np.asarray(LINE, like=x) + np.zeros(7, like=x),
    "windows": lambda x: sliding_window_view(np.asarray(LINE, like=x), 3)[[1, 0]],
    "distances": lambda x: np.vdot(x[0], x[1]),
}


def is_there(array: object) -> bool:
    return type(array) is DeviceArray


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_gives_what_it_gives_of_an_array(name: str) -> None:
    """It is computed where the tensor is: nothing is copied until the result is asked for."""
    expected = EXPRESSIONS[name](ONE.copy())
    with Boundary(tensor := torch.from_numpy(ONE.copy())) as boundary:
        found = EXPRESSIONS[name](as_array(tensor))
        assert not boundary.copied
        assert type(found) is DeviceArray
        assert (found.shape, found.dtype) == (np.shape(expected), expected.dtype)
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)


def test_what_an_array_is_given_is_copied_to_it() -> None:
    array, kept = as_array(torch.from_numpy(ONE.copy())), np.zeros((5, 7), np.float32)
    kept += array[0]
    np.fmax(kept, array[1], out=kept)
    kept[2:] = array[2, 2:]
    expected = np.fmax(ONE[0], ONE[1])
    expected[2:] = ONE[2, 2:]
    np.testing.assert_array_equal(kept, expected)
    assert type(kept) is np.ndarray
    assert float(array[0, 0, 0]) == ONE[0, 0, 0]
    assert int(array.argmax(axis=2)[0, 0]) == ONE.argmax(axis=2)[0, 0]
    assert bool((array[0] > 2).any()) is False
    assert array[0, 0].tolist() == ONE[0, 0].tolist()
    assert [one.tolist() for one in array] == ONE.tolist()
    assert (len(array), array.ndim, array.size) == (3, 3, 105)


def test_what_it_is_given_is_put_there() -> None:
    array: Any = as_array(torch.from_numpy(ONE.copy()))
    expected = ONE.copy()
    for one in (array, expected):
        one[:, ROWS] -= LINE
        one[0, 1:3] = 2
        one[2] += array[1] if one is array else expected[1]
    np.testing.assert_array_equal(np.asarray(array), expected)


def test_other_functions_are_computed_from_a_copy() -> None:
    array = as_array(torch.from_numpy(ONE.copy()))
    np.testing.assert_array_equal(np.argsort(array, axis=2), np.argsort(ONE, axis=2))
    np.testing.assert_array_equal(np.sin(array), np.sin(ONE))
    np.testing.assert_array_equal(np.median(array, axis=(0, 2)), np.median(ONE, axis=(0, 2)))
    np.testing.assert_array_equal(np.add.accumulate(array, axis=1), np.add.accumulate(ONE, axis=1))
    np.testing.assert_array_equal(np.sin(array, out=array), np.sin(ONE))
    assert is_there(array)


def test_runs_follow_one_another() -> None:
    array = as_array(torch.from_numpy(ONE.copy()))
    for starts in ([1, 2], [0, 2, 2]):
        with pytest.raises(ValueError, match="from the first value on"):
            np.add.reduceat(array, starts, axis=1)


def test_the_largest_values() -> None:
    array = as_array(torch.from_numpy(ONE.copy()))
    assert largest(array, 4).tolist() == np.argsort(-ONE.ravel())[:4].tolist()
    assert largest(ONE, 200).tolist() == largest(array, 200).tolist()


def test_what_is_handed_to_another_process_is_an_array() -> None:
    copied = copy.deepcopy(as_array(torch.from_numpy(ONE.copy())))  # by `__reduce__`, as a pickle is made
    assert type(copied) is np.ndarray
    np.testing.assert_array_equal(copied, ONE)


@pytest.mark.parametrize("family", ["bart", "mistral", "gpt_oss", "bloom", "xlnet", "t5"])
def test_blocks_of_every_kind_stay_where_they_are(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cross-attention, windows, learned sinks, biases, and older code, which is watched in hooks."""
    model = build(family)
    inputs = inputs_of(model)
    heads = {kind: dict.fromkeys(stack.heads, (0, 2)) for kind, stack in stacks(model).items()}
    expected: list[Block] = []
    stream(model, inputs, Request(heads, scores=True), expected.append)
    monkeypatch.setattr(delivery, "stays", lambda _: True)
    found: list[Block] = []
    with Boundary(*model.parameters(), *model.buffers(), *inputs.values()):
        stream(model, inputs, Request(heads, scores=True, in_place=True), found.append)
        for own, other in zip(found, expected, strict=True):
            assert is_there(own.weights)
            assert is_there(own.scores)
            np.testing.assert_array_equal(own.visible, other.visible)
            np.testing.assert_allclose(own.at_hand().weights, other.weights, atol=1e-6)
            np.testing.assert_allclose(scores_of(own.at_hand()), scores_of(other), atol=1e-5)
