"""Queries, keys and values of every family: worked through anew, they give the layer's own weights and vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from attn_cli.data.stream import Block, Kind, Request
from attn_cli.errors import ModelError
from attn_cli.models.capture.stream import stacks, stream
from attn_cli.questions.explain.steps import Explanation, explain_row
from tests.models.families import FAMILIES, SOURCE, TARGET, Family, build, everything, inputs_of, reference, run

EXACT = 1e-5
SOME_QUERIES = (0, 4, 10)
WITHOUT_VALUES = {"longformer", "funnel", "xlnet", "falcon", "led", "prophetnet"}
"""Older families in some of whose layers the product with the values has a form of its own."""
SINK_AFTERWARDS = {"granite_swa"}


def explained(family: Family) -> list[tuple[Kind, int, int, int, Explanation]]:
    """Some queries in the first and the last head of each layer: kind, layer, head, query, steps."""
    model = build(family.name)
    request = everything(model, steps=True, queries=dict.fromkeys(("encoder", "decoder", "cross"), SOME_QUERIES))
    streamed = run(model, inputs_of(model), request, rows=None)
    found = []
    for block in streamed.blocks:
        keys = TARGET if block.kind == "decoder" and model.config.is_encoder_decoder else SOURCE
        for query in SOME_QUERIES:
            if block.start <= query < block.start + len(block.visible):
                for head in {block.heads[0], block.heads[-1]}:
                    steps = explain_row(block, head, query, keys)
                    found.append((block.kind, block.layer, head, query, steps))
    return found


@pytest.mark.parametrize("family", FAMILIES.values(), ids=str)
def test_the_steps_are_the_models_own(family: Family) -> None:
    expected = reference(build(family.name), inputs_of(build(family.name)))
    found = explained(family)
    assert {kind for kind, *_ in found} == set(expected.maps)
    for kind, layer, head, query, steps in found:
        own = expected.maps[kind][layer][head][query]
        np.testing.assert_allclose(steps.weights, own, rtol=EXACT, atol=EXACT)
        assert "other" not in steps.parts
        assert steps.differences is not None
        if family.older:
            assert steps.parts == {}
            assert "how query and key make the score" in steps.missing[0]
        else:
            assert np.array_equal(sum(steps.parts.values(), np.zeros(len(own))), steps.scores)
            assert steps.differences["scores"] < EXACT * max(1, np.abs(steps.scores[steps.weights > 0]).max())
        if family.name in SINK_AFTERWARDS:
            assert "learned sink" in steps.missing[0]
            continue
        if steps.context is None:
            assert family.name in WITHOUT_VALUES
            assert "the values and the context vector" in steps.missing[1]
            continue
        size = max(1.0, float(steps.context.value_norms.max()))
        assert steps.differences["context"] < EXACT * size


@pytest.mark.parametrize(
    ("name", "kind", "parts"),
    [
        ("bert", "encoder", {"scaled"}),
        ("modernbert", "encoder", {"scaled", "mask"}),
        ("llama", "decoder", {"scaled", "mask"}),
        ("mistral", "decoder", {"scaled", "mask"}),
        ("gemma2", "decoder", {"scaled", "soft_capping", "mask"}),
        ("doge", "decoder", {"scaled", "bias", "mask"}),
        ("t5", "encoder", {"scaled", "bias"}),
        ("t5", "decoder", {"scaled", "bias", "mask"}),
        ("t5", "cross", {"scaled"}),
        ("marian", "cross", {"scaled"}),
        ("deepseek_v3", "decoder", {"scaled", "mask"}),
    ],
)
def test_each_part_where_it_belongs(name: str, kind: Kind, parts: set[str]) -> None:
    seen: set[str] = set()
    for found_kind, _, _, _, steps in explained(FAMILIES[name]):
        if found_kind == kind:
            seen |= set(steps.parts)
    assert seen == parts


def test_the_scaling_is_the_models() -> None:
    assert {steps.scaling for *_, steps in explained(FAMILIES["t5"])} == {1.0}
    assert {steps.scaling for *_, steps in explained(FAMILIES["bert"])} == {10**-0.5}


def test_heads_that_share_keys_have_the_same_values() -> None:
    """6 heads, 2 keys and values: heads 0 and 2 share theirs, 0 and 5 do not."""
    model: Any = build("llama")
    streamed = run(model, inputs_of(model), everything(model, steps=True), rows=None)
    steps = streamed.blocks[0].steps
    assert steps is not None
    assert steps.keys is not None
    assert steps.values is not None
    assert steps.keys.shape == (6, SOURCE, 8)
    assert np.array_equal(steps.values[0], steps.values[2])
    assert not np.array_equal(steps.values[0], steps.values[5])


def test_a_learned_sink_has_a_score_of_its_own() -> None:
    for *_, steps in explained(FAMILIES["gpt_oss"]):
        assert steps.sink is not None
        assert steps.weights.sum() + steps.sink.weight == pytest.approx(1)
        assert steps.sink.weight > 0


def test_only_the_heads_asked_for() -> None:
    model: Any = build("llama")
    streamed = run(model, inputs_of(model), Request(heads={"decoder": {1: (1, 4)}}, steps=True), rows=None)
    (block,) = streamed.blocks
    assert block.steps is not None
    assert block.steps.queries is not None
    assert block.steps.values is not None
    assert block.steps.queries.shape == (2, SOURCE, 8)
    whole = run(model, inputs_of(model), everything(model, steps=True), rows=None).blocks[1].steps
    assert whole is not None
    assert whole.values is not None
    assert np.allclose(block.steps.values, whole.values[[1, 4]], atol=1e-5)


def test_without_steps_nothing_is_given() -> None:
    model: Any = build("bert")
    assert all(block.steps is None for block in run(model, inputs_of(model), everything(model)).blocks)


PROJECTIONS: dict[str, tuple[Kind, int, Callable[[Any], Any]]] = {
    "bert": ("encoder", 1, lambda model: model.encoder.layer[1].attention.output.dense.weight),
    "albert": (
        "encoder",
        2,
        lambda model: model.encoder.albert_layer_groups[1].albert_layers[0].attention.dense.weight,
    ),
    "modernbert": ("encoder", 0, lambda model: model.layers[0].attn.Wo.weight),
    "gpt2": ("decoder", 2, lambda model: model.h[2].attn.c_proj.weight.T),
    "llama": ("decoder", 1, lambda model: model.layers[1].self_attn.o_proj.weight),
    "gpt_oss": ("decoder", 1, lambda model: model.layers[1].self_attn.o_proj.weight),
    "deepseek_v3": ("decoder", 2, lambda model: model.layers[2].self_attn.o_proj.weight),
    "t5": ("cross", 1, lambda model: model.decoder.block[1].layer[1].EncDecAttention.o.weight),
    "marian": ("decoder", 0, lambda model: model.decoder.layers[0].self_attn.out_proj.weight),
}
"""A layer of each family, and its output projection, `[out, in]`."""


@pytest.mark.parametrize("name", PROJECTIONS)
def test_norms_are_of_values_after_the_output_projection(name: str) -> None:
    kind, layer, projection = PROJECTIONS[name]
    model: Any = build(name)
    heads = stacks(model)[kind].heads[layer]
    blocks: list[Block] = []
    request = Request(heads={kind: {layer: (0, heads - 1)}}, steps=True, norms=True)
    stream(model, inputs_of(model), request, blocks.append)
    weight = projection(model).detach().numpy()
    for block in blocks:
        assert block.norms is not None
        assert block.steps is not None
        assert block.steps.values is not None
        size = block.steps.values.shape[2]
        for index, head in enumerate((0, heads - 1)):
            expected = block.steps.values[index] @ weight[:, head * size : (head + 1) * size].T
            np.testing.assert_allclose(block.norms[index], np.linalg.norm(expected, axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("diffllama", "something stands between the weighted sum and the output projection"),
        ("qwen3_next", "something stands between the weighted sum and the output projection"),
        ("mpnet", "keeps its values to itself"),
    ],
)
def test_norms_that_cannot_be_measured(name: str, said: str) -> None:
    model: Any = build(name)
    with pytest.raises(ModelError, match=said):
        stream(model, inputs_of(model), everything(model, norms=True), lambda _: None)


def test_finding_the_projections_leaves_the_model_as_it_was() -> None:
    model: Any = build("bert")
    before = {name: len(module._forward_pre_hooks) for name, module in model.named_modules()}
    stream(model, inputs_of(model), everything(model, norms=True), lambda _: None)
    assert {name: len(module._forward_pre_hooks) for name, module in model.named_modules()} == before
