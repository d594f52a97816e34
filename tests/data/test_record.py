"""A record looks at itself when it is made, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jaxtyping
import numpy as np
import pytest

from attn_cli.data.record import AttentionMap
from attn_cli.data.stream import Request
from attn_cli.errors import ExactnessError, SelectionError
from tests.samples import decoder_record, encoder_record, random_map, translation_record

QUERIES, KEYS, HEADS = 5, 7, 3


def a_map(change: Callable[[np.ndarray], Any] | None = None, **parts: Any) -> AttentionMap:
    """A sound map, with one thing changed."""
    weights = random_map("encoder", 2, QUERIES, KEYS).weights.copy()
    if change is not None:
        change(weights)
    visible = np.tile([0, KEYS], (QUERIES, 1))
    values = {"weights": weights, "visible": visible, "heads": (0, 1, 2), "queries": tuple(range(QUERIES))}
    return AttentionMap("encoder", 2, **{**values, **parts})


def put(value: float, *place: int | slice) -> Callable[[np.ndarray], None]:
    def change(weights: np.ndarray) -> None:
        weights[place] = value

    return change


def scale(factor: float) -> Callable[[np.ndarray], None]:
    def change(weights: np.ndarray) -> None:
        weights[1, 3] *= factor

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(np.nan, 0, 1, 2), "encoder layer 2 has weights that are not numbers"),
        (put(np.inf, 2, 4, 6), "not numbers"),
        (put(-0.01, 1, 1, 1), "negative"),
        (scale(1.002), r"row 3 of head number 1 sums to 1\.0020 instead of 1"),
        (scale(0.998), r"sums to 0\.9980"),
        (put(0, 2, 0, slice(None)), r"row 0 of head number 2 sums to 0\.0000"),
    ],
)
def test_what_is_no_attention_is_refused(change: Callable[[np.ndarray], None], message: str) -> None:
    with pytest.raises(ExactnessError, match=message):
        a_map(change)


@pytest.mark.parametrize("factor", [1.0009, 0.9991, 1])
def test_rows_may_be_rounded(factor: float) -> None:
    assert a_map(scale(factor)).weights.shape == (HEADS, QUERIES, KEYS)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("float16", 5e-3), ("bfloat16", 3e-2)])
def test_half_precision_may_be_rounded_more(dtype: str, tolerance: float) -> None:
    assert a_map(scale(1 + 0.9 * tolerance), dtype=dtype).dtype == dtype
    with pytest.raises(ExactnessError, match="instead of 1"):
        a_map(scale(1 + 1.1 * tolerance), dtype=dtype)


def test_a_query_that_sees_nothing_may_weigh_nothing() -> None:
    visible = np.tile([0, KEYS], (QUERIES, 1))
    visible[4] = 0
    assert not a_map(put(0, slice(None), 4), visible=visible).weights[:, 4].any()


def test_a_learned_sink_takes_the_rest_of_a_row() -> None:
    sink = np.zeros((HEADS, QUERIES), np.float32)
    sink[1, 3] = 0.25
    assert a_map(scale(0.75), sink=sink).sink is sink
    with pytest.raises(ExactnessError, match=r"sums to 1\.2500"):
        a_map(sink=sink)
    sink[1, 3] = np.nan
    with pytest.raises(ExactnessError, match="not numbers"):
        a_map(sink=sink)


@pytest.fixture
def no_shape_checks() -> Iterator[None]:
    """As users run it, without the annotations being checked at every call."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"heads": (0, 1)}, r"weights has shape \(3, 5, 7\), expected \(2, 5, 7\)"),
        ({"queries": (0, 1, 2)}, r"weights has shape \(3, 5, 7\), expected \(3, 3, 7\)"),
        ({"visible": np.zeros((KEYS, 2), np.intp)}, r"visible has shape \(7, 2\), expected \(5, 2\)"),
        ({"scores": np.zeros((HEADS, KEYS, QUERIES), np.float32)}, r"scores has shape \(3, 7, 5\)"),
        ({"sink": np.zeros((QUERIES, HEADS), np.float32)}, r"sink has shape \(5, 3\), expected \(3, 5\)"),
    ],
)
def test_shapes_must_fit_each_other(parts: dict[str, Any], message: str, no_shape_checks: None) -> None:
    with pytest.raises(ExactnessError, match=message):
        a_map(**parts)


@pytest.mark.parametrize(
    ("map_", "message"),
    [
        (random_map("encoder", 1, 11, 13), "has 13 keys and queries up to 10, but there are 11 and 11 tokens"),
        (random_map("encoder", 1, 13, 11), "queries up to 12"),
        (random_map("encoder", 1, 11, 11, heads=5), "has a map of head 0, 1, 2, 3, 4, but the model has 3 heads there"),
        (random_map("encoder", 2, 11, 11), "layer 2 has a map of head 0, 1, 2, but the model has 0 heads there"),
        (random_map("decoder", 1, 11, 11), "decoder layer 1 has a map"),
        (random_map("encoder", 0, 11, 11), "A layer has two maps of one kind"),
    ],
)
def test_maps_must_fit_the_model_and_the_tokens(map_: AttentionMap, message: str) -> None:
    record = encoder_record()
    with pytest.raises(ExactnessError, match=message):
        replace(record, maps=(record.maps[0], map_))


def test_the_layers_of_a_hybrid_keep_their_numbers() -> None:
    record = decoder_record()
    assert [map_.layer for map_ in record.maps] == [0, 2]
    with pytest.raises(ExactnessError, match="decoder layer 1 has a map of head 0, 1, 2, but the model has 0 heads"):
        replace(record, maps=(random_map("decoder", 1, 11, 11, causal=True),))


def test_a_record_streams_what_it_holds_and_names_what_it_does_not() -> None:
    record = translation_record()
    seen: list[tuple[int, int, tuple[int, ...]]] = []
    request = Request({"cross": {1: (2, 0)}}, queries={"cross": (3,)})
    record.stream(request, lambda block: seen.append((block.layer, len(block.visible), block.heads)))
    assert seen == [(1, 5, (2, 0))]
    for heads, message in (({1: (3,)}, "cross layer 1, head 3"), ({7: (0,)}, "cross layer 7, head 0")):
        with pytest.raises(SelectionError, match=message):
            record.stream(Request({"cross": heads}), lambda _: None)
    light = replace(record, maps=(replace(record.maps[0], scores=None),))
    with pytest.raises(SelectionError, match="Save it again with --scores"):
        light.stream(Request({"encoder": {0: (0,)}}, scores=True), lambda _: None)
