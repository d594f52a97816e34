"""Tests of what becomes of weights and weighted sums: changes come with a note, and norms are of what is projected."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attn_cli.data.stream import Block, Request
from attn_cli.errors import ModelError
from attn_cli.models.capture.batch import pad, run_together
from attn_cli.models.capture.stream import stream
from tests.models.families import BERT, PADDING, SOURCE, build, everything, inputs_of, make, run

WEIGHTS = "changes its weights between the softmax and their product with the values"
OUTPUT = "changes each head's output after the weighted sum"


@pytest.mark.parametrize("options", [{}, {"scores": True, "verify": True}, {"steps": True}])
def test_heads_that_are_mixed_after_the_softmax_are_noted(options: dict[str, Any]) -> None:
    """DeBERTa's talking heads (Shazeer et al. 2020): what multiplies the values is a mix of the heads shown."""
    model = make("deberta", BERT | {"talking_head": True, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]})
    inputs = inputs_of(model)
    with torch.no_grad():
        expected = model(**inputs, output_attentions=True)
    streamed = run(model, inputs, everything(model, **options))
    np.testing.assert_allclose(streamed.output, expected.last_hidden_state.numpy(), atol=1e-5)
    assert [WEIGHTS in note for note in streamed.report.notes].count(True) == 1
    for layer, mixed in enumerate(expected.attentions):
        shown = np.stack([list(streamed.map("encoder", layer, head, SOURCE).values()) for head in range(3)])
        np.testing.assert_allclose(shown.sum(-1), 1, atol=1e-5)
        mix = model.encoder.layer[layer].attention.self.head_weights_proj.weight.detach().numpy()
        np.testing.assert_allclose(np.einsum("hg,gqk->hqk", mix, shown), mixed[0].numpy(), atol=1e-5)
        assert np.abs(shown - mixed[0].numpy()).max() > 0.01
    if options.get("verify"):
        assert "against its own product in 0 of 3 layers" in streamed.report.notes[-1]


@pytest.mark.parametrize("name", ["diffllama", "qwen3_next"])
def test_heads_that_are_changed_after_the_weighted_sum_are_noted(name: str) -> None:
    model = build(name)
    for rows in (5, None):
        notes = run(model, inputs_of(model), everything(model), rows).report.notes
        assert [OUTPUT in note for note in notes] == [True]
    assert not run(model, inputs_of(model), Request(heads={})).report.notes


@pytest.mark.parametrize(("name", "noted"), [("qwen3_next", True), ("llama", False), ("gpt2", False)])
def test_it_is_noted_where_several_texts_are_run_at_once(name: str, noted: bool) -> None:
    model = build(name)
    texts = [inputs_of(model) | {"attention_mask": torch.ones(1, SOURCE, dtype=torch.long)}] * 2
    assert noted == any(OUTPUT in note for note in run(model, texts[0], everything(model)).report.notes)
    heads = everything(model).heads["decoder"]
    last = Request(heads={"decoder": {max(heads): (0,)}})  # where nothing more is run
    notes: list[str] = []
    assert len(list(run_together(model, [pad(texts, PADDING)] * 3, last, notes.append))) == 3
    assert {OUTPUT in note for note in notes} == ({True} if noted else set())


@pytest.mark.parametrize(
    "name",
    [
        *("bert", "gpt2", "gemma2", "gpt_oss", "deepseek_v2", "albert", "jamba", "t5", "bart", "deberta", "deberta-v2"),
        *("xlnet", "funnel", "longformer", "bloom", "led", "squeezebert", "layoutlmv3"),
    ],
)
@pytest.mark.parametrize("rows", [5, None])
def test_nothing_is_noted_where_nothing_is_changed(name: str, rows: int | None) -> None:
    model = build(name)
    assert not run(model, inputs_of(model), everything(model), rows).report.notes


@pytest.mark.parametrize("name", ["bloom", "deberta", "xlm", "prophetnet", "mpt"])
def test_weights_that_are_rounded_are_not_taken_for_changed(name: str) -> None:
    model = copy.deepcopy(build(name)).to(torch.bfloat16)

    assert not stream(model, inputs_of(model), everything(model), lambda _: None).notes


def test_weights_below_a_threshold_that_are_left_out_are_noted() -> None:
    model = copy.deepcopy(build("rembert"))
    attention = model.encoder.layer[1].attention.self
    attention.dropout = torch.nn.Threshold(0.1, 0.0)
    with torch.no_grad():
        expected = model(**inputs_of(model)).last_hidden_state.numpy()
    streamed = run(model, inputs_of(model), everything(model))
    np.testing.assert_allclose(streamed.output, expected, atol=1e-5)
    assert [WEIGHTS in note for note in streamed.report.notes] == [True]
    first = Request(heads={"encoder": {0: (0,)}})
    assert not run(model, inputs_of(model), first).report.notes


class Beside(nn.Module):
    """An adapter by hand: what it adds is computed first, from the same input."""

    def __init__(self, base: nn.Module, bend: nn.Module) -> None:
        super().__init__()
        self.down, self.bend, self.up = nn.Linear(48, 3, bias=False), bend, nn.Linear(3, 48, bias=False)
        self.base = base
        for layer in (self.down, self.up):
            nn.init.normal_(layer.weight, std=0.3)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        sum_: torch.Tensor = self.up(self.bend(self.down(given))) + self.base(given)
        return sum_


class Packed(nn.Module):
    """A linear layer that is not one of torch, as quantized ones are."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.halves = nn.Buffer(layer.weight.detach().T / 2)
        self.bias = nn.Buffer(torch.arange(48.0))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given @ (2 * self.halves) + self.bias


def norms_of(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the norms of a LLaMA's second layer, and its values, each `[head, key, ...]`."""
    blocks: list[Block] = []
    heads = tuple(range(6))
    stream(model, inputs_of(model), Request({"decoder": {1: heads}}, norms=True, steps=True), blocks.append)
    (block,) = blocks
    assert block.norms is not None
    assert block.steps is not None
    assert block.steps.values is not None
    return block.norms, block.steps.values


def projected(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the lengths of values after a matrix `[out, in]`."""
    arrived = np.einsum("hkd,ohd->hko", values, matrix.reshape(48, 6, 8))
    lengths: np.ndarray = np.linalg.norm(arrived, axis=2)
    return lengths


@pytest.mark.parametrize("packed", [False, True])
def test_norms_are_of_what_an_adapter_makes_of_the_values_too(packed: bool) -> None:
    model: Any = copy.deepcopy(build("llama"))
    attention = model.layers[1].self_attn
    own = attention.o_proj.weight.detach().numpy()
    before, values = norms_of(model)
    np.testing.assert_allclose(before, projected(values, own), rtol=1e-4)
    attention.o_proj = adapter = Beside(Packed(attention.o_proj) if packed else attention.o_proj, nn.Identity())
    found, values = norms_of(model)  # with the projection of the run before forgotten
    matrix = own + (adapter.up.weight @ adapter.down.weight).detach().numpy()
    np.testing.assert_allclose(found, projected(values, matrix), rtol=1e-4)
    assert np.abs(found - before).max() > 0.1


def test_norms_are_of_an_output_that_a_hook_changes() -> None:
    model: Any = copy.deepcopy(build("llama"))
    before, _ = norms_of(model)
    model.layers[1].self_attn.o_proj.register_forward_hook(lambda _, __, output: 3 * output + 1)
    np.testing.assert_allclose(norms_of(model)[0], 3 * before, rtol=1e-4)


@pytest.mark.parametrize("bend", [nn.ReLU(), nn.Tanh()])
def test_norms_are_refused_where_the_projection_is_not_linear(bend: nn.Module) -> None:
    model: Any = copy.deepcopy(build("llama"))
    attention = model.layers[1].self_attn
    attention.o_proj = Beside(attention.o_proj, bend)
    with pytest.raises(ModelError, match="the output projection, a Beside, is not linear, so norms cannot be measured"):
        norms_of(model)
