"""Statistics of rows without their weights, held against the weights that transformers itself returns."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.statistics import LayerStatistics, StatisticsRequest
from attn_cli.errors import ExactnessError
from attn_cli.models.capture import delivery, summing, tile_sums
from attn_cli.models.capture.summing import repeat_heads, sum_up
from attn_cli.models.capture.tile_sums import sum_up_tiles
from attn_cli.models.capture.tiles import LayerTiles
from tests.models.boundary import Boundary
from tests.models.families import BART, BERT, GPT, LLAMA, T5, spread

LONG = {"max_position_embeddings": 1024}
QUERIES, KEYS = 211, 307
CASES: dict[str, tuple[Kind, str, dict[str, Any]]] = {
    "gpt2": ("decoder", "gpt2", GPT | {"n_positions": 1024}),
    "grouped heads": ("decoder", "llama", LLAMA | LONG),
    "window": ("decoder", "mistral", LLAMA | LONG | {"sliding_window": 53}),
    "bert": ("encoder", "bert", BERT | LONG),
    "local": ("encoder", "modernbert", BERT | LONG | {"local_attention": 32, "global_attn_every_n_layers": 2}),
    "cross": ("cross", "bart", BART | LONG),
}


def read(name: str, options: dict[str, Any], kind: Kind) -> tuple[Any, dict[str, torch.Tensor]]:
    """Return a tiny model and a text for it."""
    torch.manual_seed(1)
    made: Any = AutoModel
    model = spread(made.from_config(AutoConfig.for_model(name, **options), attn_implementation="eager").eval())
    inputs = {"input_ids": torch.randint(3, 97, (1, KEYS))}
    if kind == "cross":
        inputs["decoder_input_ids"] = torch.randint(3, 97, (1, QUERIES))
    return model, inputs


def returned(model: Any, inputs: dict[str, torch.Tensor], kind: Kind) -> list[Float[np.ndarray, "head query key"]]:
    """Return the weights of each layer, as transformers returns them."""
    with torch.no_grad():
        out = model(**inputs, output_attentions=True)
    found = out.cross_attentions if kind == "cross" else out.attentions
    return [one[0].double().numpy() for one in found]


def asked(model: Any, kind: Kind, shape: tuple[int, int], square: int | None = None) -> StatisticsRequest:
    """Ask for all heads, with every tenth row no word, and every twentieth key one where heads rest."""
    config = model.config
    decoding = kind == "cross"
    heads = config.decoder_attention_heads if decoding else config.num_attention_heads
    layers = config.decoder_layers if decoding else config.num_hidden_layers
    return StatisticsRequest(
        kind=kind,
        heads={layer: tuple(range(heads)) for layer in range(layers)},
        words=np.arange(shape[0]) % 10 != 3,
        rests=np.arange(shape[1]) % 20 == 0,
        crosses=kind == "cross",
        links=3,
        square=square,
    )


def summed(model: Any, inputs: dict[str, torch.Tensor], request: StatisticsRequest) -> list[LayerStatistics]:
    """Sum up every layer."""
    found: list[LayerStatistics] = []
    assert sum_up(model, inputs, request, found.append) is not None
    return found


def links(
    weights: Float[np.ndarray, "head query key"], request: StatisticsRequest
) -> Float[np.ndarray, "head query key"]:
    """Return the weights that may be links, and -1 elsewhere."""
    free: Bool[np.ndarray, "query key"] = request.words[:, None] & ~request.rests
    if not request.crosses:
        free = free & ~np.eye(len(free), dtype=np.bool_)
    return np.where(free, weights, -1.0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [(7, 5), (32, 64)], ids=str)
def test_statistics_equal_those_of_the_weights(case: str, size: tuple[int, int], monkeypatch: Any) -> None:
    monkeypatch.setattr(tile_sums, "ROWS", size[0])
    monkeypatch.setattr(tile_sums, "COLUMNS", size[1])
    kind, name, options = CASES[case]
    model, inputs = read(name, options, kind)
    every = returned(model, inputs, kind)
    request = asked(model, kind, every[0].shape[1:])
    found = summed(model, inputs, request)
    assert len(found) == len(every)
    for got, weights in zip(found, every, strict=True):
        queries, keys = np.arange(weights.shape[1]), np.arange(weights.shape[2])
        np.testing.assert_allclose(got.entropy, -(weights * np.log(weights + 1e-300)).sum(2), atol=1e-4)
        np.testing.assert_allclose(got.first, weights[:, :, 0], atol=1e-5)
        np.testing.assert_allclose(got.sums, (weights * request.words[:, None]).sum(1), atol=1e-5)
        np.testing.assert_allclose(got.weight, weights.max(2), atol=1e-5)
        at = np.take_along_axis(weights, got.key[..., None], 2)[..., 0]
        np.testing.assert_allclose(at, weights.max(2), atol=1e-5)
        may = links(weights, request)
        for head, own in enumerate(got.links):
            best = np.sort(may[head].ravel())[::-1][:3]
            np.testing.assert_allclose([weight for *_, weight in own], best, atol=1e-5)
            np.testing.assert_allclose([may[head, query, key] for query, key, _ in own], best, atol=1e-5)
        if got.distance is None or got.itself is None or got.previous is None:
            assert kind == "cross"
            continue
        away = np.abs(queries[:, None] - keys)
        np.testing.assert_allclose(got.distance, (weights * away).sum((1, 2)), rtol=1e-5)
        np.testing.assert_allclose(got.itself, weights[:, queries, queries], atol=1e-5)
        np.testing.assert_allclose(got.previous[:, 1:], weights[:, queries[1:], queries[:-1]], atol=1e-5)
        assert (got.previous[:, 0] == 0).all()


def test_keys_that_heads_share_are_repeated_for_each() -> None:
    keys = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two heads of one key
    assert repeat_heads(keys, 6)[0, :, 0].tolist() == [[1, 2], [1, 2], [1, 2], [3, 4], [3, 4], [3, 4]]
    assert repeat_heads(keys, 2) is keys
    one = keys[:, 1:]
    every = repeat_heads(one, 3)
    assert every[0, :, 0].tolist() == [[3, 4]] * 3
    assert every.data_ptr() == one.data_ptr()


@pytest.mark.parametrize("case", ["grouped heads", "window"])
def test_kernels_that_take_as_many_heads_of_keys_as_of_queries(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch had them before 2.9."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    given: list[tuple[int, int, int]] = []

    def older(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any, **more: Any) -> Any:
        given.append((query.shape[1], key.shape[1], value.shape[1]))
        return kernel(query, key, value, *rest, **more)

    kind, name, options = CASES[case]
    model, inputs = read(name, options, kind)
    request = asked(model, kind, (KEYS, KEYS))
    expected = summed(model, inputs, request)
    monkeypatch.setattr(summing, "SHARES_HEADS", False)
    monkeypatch.setattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", older)
    for got, other in zip(summed(model, inputs, request), expected, strict=True):
        np.testing.assert_allclose(got.entropy, other.entropy, atol=1e-5)
    assert set(given) == {(6, 6, 6)}


@pytest.mark.parametrize("case", ["gpt2", "window", "bert", "cross"])
@pytest.mark.parametrize("square", [7, 300])
def test_squares_hold_the_largest_weight_of_each(case: str, square: int) -> None:
    kind, name, options = CASES[case]
    model, inputs = read(name, options, kind)
    every = returned(model, inputs, kind)
    for got, weights in zip(summed(model, inputs, asked(model, kind, every[0].shape[1:], square)), every, strict=True):
        assert got.pooled is not None
        keys = np.arange(weights.shape[2])
        seen = (keys >= got.visible[:, :1]) & (keys < got.visible[:, 1:])
        shown = np.where(seen, weights, -np.inf)
        rows, columns = (np.arange(0, length, square) for length in shown.shape[1:])
        largest = np.maximum.reduceat(np.maximum.reduceat(shown, rows, axis=1), columns, axis=2)
        np.testing.assert_array_equal(np.isnan(got.pooled), np.isinf(largest))
        np.testing.assert_allclose(np.nan_to_num(got.pooled), np.where(np.isinf(largest), 0, largest), atol=1e-5)


@pytest.mark.parametrize("case", ["grouped heads", "window", "cross"])
def test_a_heads_map_can_be_computed_after_the_run(case: str) -> None:
    kind, name, options = CASES[case]
    model, inputs = read(name, options, kind)
    every = returned(model, inputs, kind)
    found = summed(model, inputs, asked(model, kind, every[0].shape[1:]))
    for got, weights in zip(found, every, strict=True):
        whole = np.zeros(weights.shape[1:])
        visible: Int[np.ndarray, "query 2"] = np.zeros_like(got.visible)
        for block in got.blocks_of(1)():
            assert block.heads == (1,)
            rows = slice(block.start, block.start + len(block.visible))
            whole[rows, : block.weights.shape[2]] = block.weights[0]
            visible[rows] = block.visible
        np.testing.assert_allclose(whole, weights[1], atol=1e-5)
        np.testing.assert_array_equal(visible, got.visible)


@pytest.mark.parametrize("name", ["window", "local"])
def test_a_masked_layer_is_computed_a_strip_of_rows_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, family, options = CASES[name]
    model, inputs = read(family, options, kind)
    every = returned(model, inputs, kind)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    monkeypatch.setattr(delivery, "BLOCK", 20 * KEYS)
    for got, weights in zip(summed(model, inputs, asked(model, kind, every[0].shape[1:])), every, strict=True):
        logarithms = np.log(weights, where=weights > 0, out=np.zeros_like(weights))
        np.testing.assert_allclose(got.entropy, -(weights * logarithms).sum(2), atol=1e-4)


def test_equal_keys_in_two_tiles_give_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Part and place of the strongest key must be those of one key where two have the largest weight."""
    monkeypatch.setattr(tile_sums, "ROWS", 4)
    monkeypatch.setattr(tile_sums, "COLUMNS", 8)
    keys = torch.zeros(1, 24, 2)
    keys[0, 13] = keys[0, 18] = torch.tensor([3.0, 0.0])  # place 5 of the second tile, 2 of the third
    query = torch.ones(1, 4, 2)
    layer = LayerTiles(
        query, keys, torch.logsumexp(query @ keys.mT, -1), None, False, np.tile(np.array([0, 24]), (4, 1))
    )
    request = StatisticsRequest("cross", {0: (0,)}, np.ones(4, np.bool_), np.zeros(24, np.bool_), True, 2)
    got = sum_up_tiles(layer, "cross", 0, (0,), request)
    assert (got.key == 13).all()
    assert {(query, key) for query, key, _ in got.links[0]} <= {(row, key) for row in range(4) for key in (13, 18)}
    np.testing.assert_allclose(got.weight, np.exp(3) / (2 * np.exp(3) + 22), rtol=1e-6)


def test_rows_that_do_not_sum_to_1_are_an_error() -> None:
    query, keys = torch.ones(1, 4, 2), torch.zeros(1, 24, 2)
    layer = LayerTiles(query, keys, torch.ones(1, 4), None, False, np.tile(np.array([0, 24]), (4, 1)))
    request = StatisticsRequest("cross", {0: (0,)}, np.ones(4, np.bool_), np.zeros(24, np.bool_), True, 2)
    with pytest.raises(ExactnessError, match=r"4 rows of head 0 from row 0 on sum to 35\.3"):
        sum_up_tiles(layer, "cross", 0, (0,), request)


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("encoder", "t5", T5),  # a bias
        ("decoder", "gemma2", LLAMA | LONG | {"sliding_window": 53, "query_pre_attn_scalar": 8}),  # soft-capping
        ("decoder", "ctrl", GPT | {"dff": 37, "n_positions": 1024}),
        ("decoder", "bloom", {"vocab_size": 97, "hidden_size": 30, "n_layer": 2, "n_head": 3}),  # a mask with a bias
    ],
    ids=["t5", "gemma2", "ctrl", "bloom"],
)
def test_other_attention_must_be_streamed_or_is_exact(kind: Kind, name: str, options: dict[str, Any]) -> None:
    model, inputs = read(name, options, kind)
    if name == "t5":
        inputs["decoder_input_ids"] = inputs["input_ids"][:, :1]
    request = StatisticsRequest(kind, {0: (0, 1)}, np.ones(KEYS, np.bool_), np.zeros(KEYS, np.bool_), False, 3)
    found: list[LayerStatistics] = []
    report = sum_up(model, inputs, request, found.append)
    if report is None:
        assert name != "ctrl"
        return
    (got,) = found
    weights = returned(model, inputs, kind)[0][:2]
    np.testing.assert_allclose(got.entropy, -(weights * np.log(weights + 1e-300)).sum(2), atol=1e-4)


def test_half_precision_must_be_streamed() -> None:
    model, inputs = read("gpt2", CASES["gpt2"][2], "decoder")
    assert sum_up(model.to(torch.bfloat16), inputs, asked(model, "decoder", (KEYS, KEYS)), lambda _: None) is None


@pytest.mark.parametrize("case", ["gpt2", "grouped heads", "window", "cross"])
def test_on_another_device_only_sums_are_copied_to_the_host(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are those of the processor, and the bytes grow with the tokens, not with their square."""
    kind, name, options = CASES[case]
    model, inputs = read(name, options, kind)
    every = returned(model, inputs, kind)
    request = asked(model, kind, every[0].shape[1:], 7)
    expected = summed(model, inputs, request)
    monkeypatch.setattr(summing, "on_cpu", lambda _: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    with Boundary(*model.parameters(), *model.buffers(), *inputs.values()) as boundary:
        found = summed(model, inputs, request)
    heads, queries, keys = every[0].shape
    assert boundary.copied
    assert sum(boundary.copied) < len(every) * heads * 50 * (queries + keys)
    assert max(boundary.copied) < every[0].nbytes // 8
    for one, other in zip(found, expected, strict=True):
        for field in ("entropy", "first", "key", "weight", "sums", "pooled"):
            np.testing.assert_allclose(getattr(one, field), getattr(other, field), atol=1e-5)
        assert [link[:2] for own in one.links for link in own] == [link[:2] for own in other.links for link in own]


def test_half_precision_is_summed_up_on_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are computed in float32 from queries and keys in half precision, and a note says so."""
    kind, name, options = CASES["grouped heads"]
    model, inputs = read(name, options, kind)
    request = asked(model, kind, returned(model, inputs, kind)[0].shape[1:])
    expected = summed(model, inputs, request)
    monkeypatch.setattr(summing, "on_cpu", lambda _: False)
    found: list[LayerStatistics] = []
    report = sum_up(copy.deepcopy(model).half(), inputs, request, found.append)
    assert report is not None
    assert report.notes == (summing.IN_FLOAT32.format("float16"),)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.entropy, other.entropy, atol=0.02)
