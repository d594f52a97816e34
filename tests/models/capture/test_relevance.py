"""Relevance in every modern family, held against whole maps of transformers' eager attention and their gradients."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attn_cli.data.relevance import Relevance
from attn_cli.data.selection import Kind
from attn_cli.data.stream import Block, Request
from attn_cli.errors import ModelError
from attn_cli.models.capture.interface import running
from attn_cli.models.capture.relevance import ModelOutput, stream_relevance
from attn_cli.models.capture.stream import stacks
from tests.models.families import FAMILIES, Family, build, everything, inputs_of, make, spread

EXACT = 2e-5
MODERN = [family for family in FAMILIES.values() if not family.older]


def output_of(model: Any, given: Mapping[str, Any], place: int = -1, **options: Any) -> torch.Tensor:
    """One number of a model's output: the last state at one position, in a direction that is always the same."""
    states = model(**given, **options).last_hidden_state[0, place].float()
    direction = torch.randn(states.shape, generator=torch.Generator().manual_seed(11))
    number: torch.Tensor = (states * direction).sum()
    return number


def ours(model: Any, inputs: Mapping[str, Any], place: int = -1, **options: Any) -> tuple[list[Block], Relevance]:
    """Stream the relevance of that output; return the blocks, and the relevance carried to the tokens."""
    side = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
    last = range(inputs[side].shape[1])[place]
    blocks: list[Block] = []
    report = stream_relevance(
        model,
        model,
        inputs,
        lambda given: ModelOutput(output_of(model, given, place), {last: 1.0}, "a direction", "logit"),
        everything(model),
        blocks.append,
        **{"rows": 5, **options},
    )
    assert report.relevance is not None
    return blocks, report.relevance


def full(
    model: Any, inputs: Mapping[str, Any], family: Family, place: int = -1
) -> tuple[dict[tuple[Kind, int], np.ndarray], np.ndarray, np.ndarray | None]:
    """The maps (A * dy/dA)⁺ of all layers, and the relevance of each token by the full rule, from whole maps."""
    kept: dict[str, Any] = {}

    def keep(_: nn.Module, __: Any, result: Any) -> None:
        kept["result"] = result

    hook = model.register_forward_hook(keep)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    try:
        output = output_of(model, inputs, place, output_attentions=True, **family.inputs)
        result = kept["result"]
        found: dict[Kind, Any]
        if model.config.is_encoder_decoder:
            found = {
                "encoder": result.encoder_attentions,
                "decoder": result.decoder_attentions,
                "cross": result.cross_attentions,
            }
        else:
            (kind,) = stacks(model)
            found = {kind: result.attentions}
        maps: dict[tuple[Kind, int], Any] = {}
        for kind, tensors in found.items():
            layers = sorted(stacks(model)[kind].heads)
            some = [tensor for tensor in tensors if tensor is not None]
            if len(some) > len(layers):  # linear attention is returned as well
                some = [some[layer] for layer in layers]
            maps |= {(kind, layer): one for layer, one in zip(layers, some, strict=True)}
        inside = {at: one for at, one in maps.items() if one.requires_grad}  # HRM runs some of its turns without
        slopes = dict(zip(inside, torch.autograd.grad(output, list(inside.values()), allow_unused=True), strict=True))
    finally:
        hook.remove()
    relevant = {
        at: (weights * (0 if slopes.get(at) is None else slopes[at])).clamp(min=0)[0].detach().double().numpy()
        for at, weights in maps.items()
    }
    sides = {kind: len(relevant[kind, min(stacks(model)[kind].heads)][0]) for kind in stacks(model)}
    own: Kind = "decoder" if "cross" in sides else next(iter(sides))
    first: Kind | None = "encoder" if "cross" in sides else None
    matrix = np.eye(sides[own])
    if first is None:
        for layer in sorted(stacks(model)[own].heads):
            matrix += relevant[own, layer].mean(axis=0) @ matrix
        return relevant, (matrix - np.eye(len(matrix)))[place], None
    source = np.eye(sides[first])
    for layer in sorted(stacks(model)[first].heads):
        source += relevant[first, layer].mean(axis=0) @ source
    source -= np.eye(len(source))
    source = source / source.sum(axis=1, keepdims=True) + np.eye(len(source))
    across = np.zeros((len(matrix), len(source)))
    for layer in sorted(stacks(model)[own].heads):
        self_attention = relevant[own, layer].mean(axis=0)
        matrix, across = matrix + self_attention @ matrix, across + self_attention @ across
        if ("cross", layer) in relevant:
            across += relevant["cross", layer].mean(axis=0) @ source
    return relevant, across[place], (matrix - np.eye(len(matrix)))[place]


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal but for rounding, beside the largest number."""
    return float(np.abs(one - other).max(initial=0)) <= EXACT * max(1.0, float(np.abs(other).max(initial=0)))


@pytest.mark.parametrize("family", MODERN, ids=str)
def test_relevance_is_that_of_whole_maps(family: Family) -> None:
    """Each row of each head, and the tokens' relevance by the full rule R = R + Ā·R on matrices."""
    model = build(family.name)
    inputs = inputs_of(model)
    if family.name == "diffllama":
        with pytest.raises(ModelError, match="attends twice, so its gradients cannot be told apart"):
            ours(model, inputs)
        return
    blocks, carried = ours(model, inputs)
    maps, source, target = full(model, inputs, family)
    seen = set()
    for block in blocks:
        assert block.relevance is not None
        whole = maps[block.kind, block.layer][list(block.heads), block.start : block.start + len(block.visible)]
        assert close(block.relevance, whole[..., : block.relevance.shape[2]]), (block.kind, block.layer)
        assert close(whole[..., block.relevance.shape[2] :], np.zeros(()))
        seen.add((block.kind, block.layer))
    assert seen == set(maps)
    assert source.max() > 0
    assert close(carried.source, source)
    if target is None:
        assert carried.target is None
    else:
        assert carried.target is not None
        assert close(carried.target, target)
    handed = sum(float(heads.sum()) for layers in carried.heads.values() for heads in layers.values())
    assert handed == pytest.approx(source.sum() + (0 if target is None else target.sum()), rel=1e-4)


def test_by_hand_in_one_layer() -> None:
    """The output is a direction times what the attention gives, so that its gradient is that direction times V."""
    model = spread(make("bert", dict(FAMILIES["bert"].options) | {"num_hidden_layers": 1}))
    inputs = inputs_of(model)
    direction = np.random.default_rng(1).normal(size=(13, 3, 10)).astype(np.float32)
    layer = model.encoder.layer[0].attention
    given: list[torch.Tensor] = []
    hooks = [
        layer.self.register_forward_pre_hook(lambda _, args: given.append(args[0].detach())),
        layer.output.dense.register_forward_pre_hook(lambda _, args: given.append(args[0])),
    ]

    def compute(given_: Mapping[str, Any]) -> ModelOutput:
        model(**given_)
        number = (given[1][0] * torch.from_numpy(direction.reshape(13, 30))).sum()
        return ModelOutput(number, dict.fromkeys(range(13), 1 / 13), "a direction", "logit")

    blocks: list[Block] = []
    try:
        report = stream_relevance(model, model, inputs, compute, everything(model), blocks.append, rows=4)
    finally:
        for hook in hooks:
            hook.remove()
    states = given[0][0].numpy()
    query, key, value = (
        (states @ part.weight.detach().numpy().T + part.bias.detach().numpy()).reshape(13, 3, 10).transpose(1, 0, 2)
        for part in (layer.self.query, layer.self.key, layer.self.value)
    )
    scores = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(10))
    weights = scores / scores.sum(axis=2, keepdims=True)
    expected = np.maximum(weights * (direction.transpose(1, 0, 2) @ value.transpose(0, 2, 1)), 0)
    found = np.concatenate([block.relevance for block in blocks if block.relevance is not None], axis=1)
    np.testing.assert_allclose(found, expected, atol=EXACT)
    assert report.relevance is not None
    np.testing.assert_allclose(report.relevance.source, expected.mean(axis=(0, 1)), atol=EXACT)


def test_only_what_is_requested_is_streamed() -> None:
    """Tokens' relevance is the same whatever is shown."""
    model = build("llama")
    inputs = inputs_of(model)
    whole, all_of_it = ours(model, inputs)
    blocks: list[Block] = []
    request = Request(heads={"decoder": {1: (4, 2)}}, queries={"decoder": (7, 8)})
    compute = lambda given: ModelOutput(output_of(model, given), {12: 1.0}, "a direction", "logit")  # noqa: E731
    report = stream_relevance(model, model, inputs, compute, request, blocks.append, rows=5)
    (block,) = blocks
    assert (block.layer, block.heads, block.positions.tolist()) == (1, (4, 2), [7, 8])
    for row in (7, 8):
        (same,) = [one for one in whole if one.layer == 1 and row in one.positions]
        assert block.relevance is not None
        assert same.relevance is not None
        own = same.relevance[[4, 2], row - same.start, : block.relevance.shape[2]]
        np.testing.assert_allclose(block.relevance[:, row - 7, : own.shape[1]], own, atol=1e-7)
    assert report.relevance is not None
    np.testing.assert_allclose(report.relevance.source, all_of_it.source, atol=1e-7)


@pytest.mark.parametrize("name", ["llama", "gemma2", "t5"])
def test_half_precision(name: str) -> None:
    """Slices are computed again for their gradients, as the model's own function rounds."""
    model = spread(make(name, FAMILIES[name].options), FAMILIES[name].gain)
    inputs = inputs_of(model)
    _, exact = ours(model, inputs)
    _, half = ours(model.to(torch.bfloat16), inputs)
    assert np.corrcoef(exact.source, half.source)[0, 1] > 0.98


@pytest.mark.parametrize("name", ["falcon", "bloom", "longformer"])
def test_older_code_is_refused(name: str) -> None:
    model = build(name)
    with pytest.raises(ModelError, match="is of older code, through which attn follows no gradients"):
        ours(model, inputs_of(model))


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("name", ["llama", "bart", "gpt_oss", "recurrent_gemma"])
def test_the_model_is_as_it_was(name: str, fault: type[BaseException]) -> None:
    """Parameters take part in graphs again or not, no hook is left, and nothing keeps a gradient: also after Ctrl-C."""
    model = spread(make(name, FAMILIES[name].options), FAMILIES[name].gain)
    some = next(parameter for parameter in model.parameters() if parameter.ndim > 1)
    some.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    inputs = inputs_of(model)

    def failing(_: Block) -> None:
        raise fault

    def interrupted(_: Mapping[str, Any]) -> ModelOutput:
        raise fault

    compute = lambda given: ModelOutput(output_of(model, given), {10: 1.0}, "a direction", "logit")  # noqa: E731
    for way, eat in ((compute, failing), (interrupted, lambda _: None)):
        with pytest.raises(fault):
            stream_relevance(model, model, inputs, way, everything(model), eat)
        assert [parameter.requires_grad for parameter in model.parameters()] == before
        assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())
        assert running() is None
        assert model.config._attn_implementation == "eager"
        assert torch.is_grad_enabled()
        copy.deepcopy(model)  # which no graph that a module keeps would allow


def test_an_output_without_a_gradient_is_refused() -> None:
    model = build("llama")
    with pytest.raises(ModelError, match="does not run under autograd"):
        stream_relevance(
            model,
            model,
            inputs_of(model),
            lambda given: ModelOutput(output_of(model, given).detach(), {12: 1.0}, "nothing", "logit"),
            everything(model),
            lambda _: None,
        )
