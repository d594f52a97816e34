"""Captured maps are held against those that transformers gives: each must be of the layer that it is shown as."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertModel

from attn_cli.errors import ExactnessError
from attn_cli.models import Input
from attn_cli.models.hf import reported
from tests.models import folders
from tests.models.families import FAMILIES, build, everything, inputs_of
from tests.models.hf.test_plain import TEXT, opened, stream


@contextmanager
def backwards(layers: nn.ModuleList) -> Iterator[None]:
    """Reverse the order in which these layers are iterated over, until the context is left."""

    class Backwards(nn.ModuleList):
        def __iter__(self) -> Iterator[nn.Module]:
            return iter([self[index] for index in range(len(self) - 1, -1, -1)])

    kind = type(layers)
    layers.__class__ = Backwards
    try:
        yield
    finally:
        layers.__class__ = kind


class Backwards(BertModel):  # type: ignore[no-untyped-call]
    """A model whose layers do not run in the order in which they stand."""

    def forward(self, input_ids: Any = None, **named: Any) -> Any:
        with backwards(self.encoder.layer):
            return super().forward(input_ids=input_ids, **named)


class Swapped(BertModel):  # type: ignore[no-untyped-call]
    """A model that says of two layers that each is the other."""

    def forward(self, input_ids: Any = None, **named: Any) -> Any:
        result = super().forward(input_ids=input_ids, **named)
        if result.attentions is not None:
            result.attentions = result.attentions[::-1]
        return result


class Silent(BertModel):  # type: ignore[no-untyped-call]
    """A model that gives no maps."""

    def forward(self, input_ids: Any = None, *, output_attentions: bool = False, **named: Any) -> Any:
        if output_attentions:
            raise ValueError("there are none")
        return super().forward(input_ids=input_ids, **named)


class Repeating(BertModel):  # type: ignore[no-untyped-call]
    """A model that gives more maps than it has layers."""

    def forward(self, input_ids: Any = None, **named: Any) -> Any:
        result = super().forward(input_ids=input_ids, **named)
        if result.attentions is not None:
            result.attentions = result.attentions * 2
        return result


class Scoring(BertModel):  # type: ignore[no-untyped-call]
    """A model that gives something else where its weights should be."""

    def forward(self, input_ids: Any = None, **named: Any) -> Any:
        result = super().forward(input_ids=input_ids, **named)
        if result.attentions is not None:
            result.attentions = tuple(one.log() for one in result.attentions)
        return result


class Mixing(BertModel):  # type: ignore[no-untyped-call]
    """A model that gives what it made of its weights (DeBERTa's talking heads)."""

    def forward(self, input_ids: Any = None, **named: Any) -> Any:
        result = super().forward(input_ids=input_ids, **named)
        if result.attentions is not None:
            result.attentions = tuple(one.flip(1) / 3 for one in result.attentions)
        return result


@pytest.mark.parametrize("kind", [Backwards, Swapped])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_map_on_another_layer_is_found_out_though_the_output_is_right(kind: Any, dtype: torch.dtype) -> None:
    model = opened(kind)
    nn.Module.to(model.model, dtype)
    with pytest.raises(ExactnessError, match="weights of encoder layer 0 of made differ by") as raised:
        stream(model.prepare(Input(TEXT)))
    assert raised.value.exit_code == 8


@pytest.mark.parametrize("kind", [Silent, Scoring, Mixing])
def test_a_model_that_gives_no_weights_is_not_held_against_them(kind: Any) -> None:
    assert stream(opened(kind).prepare(Input(TEXT))).notes == ()


def test_a_model_that_gives_more_maps_is_noted() -> None:
    assert stream(opened(Repeating).prepare(Input(TEXT))).notes == (
        "transformers gives 4 encoder maps where 2 are captured, so they could not be compared",
    )


def test_a_tested_family_is_compared_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = folders.opened(folders.bert(tmp_path)).prepare(Input(TEXT))
    attention: Any = BertModel.forward

    def swapped(self: Any, *given: Any, **named: Any) -> Any:
        result = attention(self, *given, **named)
        if result.attentions is not None:
            result.attentions = result.attentions[::-1]
        return result

    monkeypatch.setattr(BertModel, "forward", wraps(attention)(swapped))
    assert stream(source).notes == ()
    with pytest.raises(ExactnessError, match="encoder layer 0"):
        stream(source, verify=True)


def test_no_more_than_the_start_of_a_text_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reported, "START", 5)
    model = opened(Swapped)
    shapes: list[torch.Size] = []
    model.model.register_forward_hook(lambda _, __, result: shapes.extend(one.shape for one in result.attentions or ()))
    with pytest.raises(ExactnessError, match="encoder layer 0"):
        stream(model.prepare(Input(TEXT)))
    assert shapes == [(1, 3, 5, 5)] * 2


@pytest.mark.parametrize("family", list(FAMILIES.values()), ids=str)
def test_no_family_is_refused(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps that some families return in another form (bands, scores) are not taken for weights; most are compared."""
    compared: list[tuple[str, int]] = []
    init = reported._Reported.__init__

    def keep(self: Any, *given: Any) -> None:
        init(self, *given)
        compared.extend(self.maps)

    monkeypatch.setattr(reported._Reported, "__init__", keep)
    model = build(family.name)
    assert reported.check_maps(model, inputs_of(model), everything(model), family.name) == ()
    known = {(kind, layer) for kind, layers in everything(model).heads.items() for layer in layers}
    other = {"longformer", "led", "prophetnet"}
    assert family.name in other or family.returns_scores or set(compared) == known
