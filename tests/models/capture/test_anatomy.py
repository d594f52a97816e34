"""Layers that attend more than once: each gets a number of its own, or the model is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attn_cli.data.stream import Batch
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import dissect
from attn_cli.models.capture.batch import NotTogetherError, pad, run_together
from attn_cli.models.capture.stream import stacks
from tests.models.families import PADDING, SOURCE, build, everything, inputs_of, run

KINDS_OF_CODE = ("bert", "rembert")
"""One that goes through transformers' `AttentionInterface`, and one that takes its softmax itself."""


class Twice(nn.Module):
    """Attention that reads what another attention gave."""

    def __init__(self, one: nn.Module, other: nn.Module, *, backwards: bool = False) -> None:
        super().__init__()
        self.one, self.other, self.backwards = one, other, backwards

    def forward(self, states: torch.Tensor, *rest: Any, **options: Any) -> Any:
        first, second = (self.other, self.one) if self.backwards else (self.one, self.other)
        return second(first(states, *rest, **options)[0], *rest, **options)


def attending_twice(name: str, *, backwards: bool = False) -> Any:
    """A model whose second of three layers attends twice."""
    model = copy.deepcopy(build(name))
    layers = model.encoder.layer
    layers[1].attention = Twice(layers[1].attention, layers[0].attention, backwards=backwards)
    layers[0].attention = copy.deepcopy(layers[0].attention)
    return model


@pytest.mark.parametrize("name", KINDS_OF_CODE)
def test_both_attentions_of_a_layer_are_shown(name: str) -> None:
    model = attending_twice(name)
    maps: list[np.ndarray] = []
    hooks = [
        module.register_forward_hook(lambda _, __, result: maps.append(result[1][0].numpy()))
        for path, module in model.named_modules()
        if path.endswith(".self")
    ]
    with torch.no_grad():
        output = model(**inputs_of(model)).last_hidden_state.numpy()
    for hook in hooks:
        hook.remove()
    assert len(maps) == 4
    assert list(stacks(model)["encoder"].heads) == [0, 1, 2, 3]
    assert not stacks(model)["encoder"].without
    streamed = run(model, inputs_of(model), everything(model))
    np.testing.assert_allclose(streamed.output, output, atol=1e-5)
    for layer, weights in enumerate(maps):
        for head, expected in enumerate(weights):
            got = np.stack(list(streamed.map("encoder", layer, head, SOURCE).values()))
            np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.abs(maps[1] - maps[2]).max() > 0.01


@pytest.mark.parametrize("layer", [None, 2])
@pytest.mark.parametrize("name", KINDS_OF_CODE)
def test_attentions_that_run_in_another_order_than_they_stand_are_refused(name: str, layer: int | None) -> None:
    model = attending_twice(name, backwards=True)
    request = everything(model)
    if layer is not None:
        request = type(request)({"encoder": {layer: (0,)}})
    with pytest.raises(ModelError, match="runs encoder layer 2 before layer 1"):
        run(model, inputs_of(model), request)


def test_several_texts_with_attentions_in_another_order_are_not_run_together() -> None:
    texts = [inputs_of(build("bert")) | {"attention_mask": torch.ones(1, SOURCE, dtype=torch.long)}]

    def batches(model: Any) -> list[Batch]:
        return [batch for group in run_together(model, [pad(texts, PADDING)], everything(model)) for batch in group]

    assert {batch.layer for batch in batches(attending_twice("bert"))} == {0, 1, 2, 3}
    with pytest.raises(NotTogetherError):
        batches(attending_twice("bert", backwards=True))


def test_a_module_of_two_names_is_one_layer() -> None:
    model = copy.deepcopy(build("bert"))
    for layer in model.encoder.layer:
        layer.attention.also = layer.attention.self
    assert dissect(model).stacks == dissect(build("bert")).stacks


def test_lists_within_lists_are_counted_as_they_stand() -> None:
    model = copy.deepcopy(build("bert"))
    one, two, three = model.encoder.layer
    four, five = copy.deepcopy(one), copy.deepcopy(two)
    model.encoder.layer = nn.ModuleList([one, nn.ModuleList([nn.ModuleList([two, four]), three]), five])
    numbers = {
        path.removeprefix("encoder.layer.").removesuffix(".attention.self"): [place.layer for place in site.places]
        for path, module in model.named_modules()
        for site in (dissect(model).sites.get(module),)
        if site is not None
    }
    assert numbers == {"0": [0], "1.0.0": [1], "1.0.1": [2], "1.1": [3], "2": [4]}
    assert stacks(model)["encoder"].layers == 5


def test_layers_that_share_modules_in_groups_are_in_their_order() -> None:
    model = build("albert", num_hidden_layers=4, inner_group_num=2)
    with torch.no_grad():
        expected = model(**inputs_of(model), output_attentions=True).attentions
    assert len(expected) == 8
    streamed = run(model, inputs_of(model), everything(model))
    for layer, maps in enumerate(expected):
        got = np.stack(list(streamed.map("encoder", layer, 1, SOURCE).values()))
        np.testing.assert_allclose(got, maps[0, 1].numpy(), atol=1e-5)
