"""Weights that are not in memory are refused: torch would multiply with whatever stood there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from attn_cli.errors import ModelError
from attn_cli.models.capture.batch import pad, run_together
from attn_cli.models.capture.stream import stream
from attn_cli.models.hf.model import Pretrained
from tests.models import folders
from tests.models.families import PADDING, build, everything, inputs_of, make

PLACES: dict[str, tuple[str, Callable[[Any], nn.Module]]] = {
    "bert": ("encoder.layer.2.attention.output.dense.weight", lambda model: model.encoder.layer[2].attention.output),
    "llama": ("layers.1.mlp.gate_proj.weight", lambda model: model.layers[1].mlp),
    "t5": ("decoder.block.0.layer.0.SelfAttention.q.weight", lambda model: model.decoder.block[0].layer[0]),
    "mpnet": ("encoder.layer.0.attention.attn.q.weight", lambda model: model.encoder.layer[0].attention),
    "gpt2": ("wpe.weight", lambda model: model.wpe),
}
"""A weight of each family, and a module that is put where no numbers are."""


@pytest.mark.parametrize("asked", [{}, {"scores": True}, {"norms": True}, {"steps": True}, {"verify": True}])
@pytest.mark.parametrize("name", PLACES)
def test_a_module_without_numbers_is_refused(name: str, asked: dict[str, bool]) -> None:
    model = copy.deepcopy(build(name))
    weight, part = PLACES[name]
    part(model).to("meta")
    with pytest.raises(ModelError, match=f"The weight {weight} is not in memory"):
        stream(model, inputs_of(model), everything(model, **asked), lambda _: None)


def test_several_texts_are_refused_too() -> None:
    model = copy.deepcopy(build("bert"))
    texts = [inputs_of(model) | {"attention_mask": torch.ones(1, 13, dtype=torch.long)}] * 2
    model.encoder.layer[1].to("meta")
    with pytest.raises(ModelError, match=r"The weight encoder.layer.1.\S+ is not in memory"):
        list(run_together(model, [pad(texts, PADDING)], everything(model)))


def test_a_whole_model_without_numbers_is_refused() -> None:
    with torch.device("meta"):
        model = make("bert", folders.BERT)
    with pytest.raises(ModelError, match=r"The weight embeddings.\S+ is not in memory"):
        Pretrained("made", model, folders.wordpiece())


def test_a_head_without_numbers_does_not_translate() -> None:
    """Its body is all there, and its attention can be shown."""
    settings = dict.fromkeys(("d_model", "encoder_ffn_dim", "decoder_ffn_dim"), 24)
    heads = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2)
    layers = dict.fromkeys(("encoder_layers", "decoder_layers"), 1)
    made = folders.made(
        "Bart", "ForConditionalGeneration", vocab_size=401, **settings, **heads, **layers, decoder_start_token_id=0
    )
    model = Pretrained("made", made, folders.roberta())
    made.lm_head = nn.Linear(24, 401, bias=False, device="meta")
    with pytest.raises(ModelError, match=r"The weight lm_head\.weight is not in memory"):
        model.translate(["The trophy"])


def offload(module: Any) -> None:
    """What accelerate does: the weight is in memory while the module runs."""
    kept = module.weight
    absent = nn.Parameter(torch.empty_like(kept, device="meta"), requires_grad=False)
    module._hf_hook = object()
    module.weight = absent

    def bring(_: nn.Module, __: Any) -> None:
        module.weight = kept

    def take(_: nn.Module, __: Any, ___: Any) -> None:
        module.weight = absent

    module.register_forward_pre_hook(bring)
    module.register_forward_hook(take)


def test_what_is_brought_into_memory_can_be_shown_and_its_norms_cannot() -> None:
    expected: list[Any] = []
    stream(build("bert"), inputs_of(build("bert")), everything(build("bert")), expected.append)
    model = copy.deepcopy(build("bert"))
    offload(model.encoder.layer[1].attention.output.dense)
    found: list[Any] = []
    stream(model, inputs_of(model), everything(model), found.append)
    assert all((one.weights == other.weights).all() for one, other in zip(found, expected, strict=True))
    with pytest.raises(ModelError, match="The output projection of encoder layer 1 is offloaded"):
        stream(model, inputs_of(model), everything(model, norms=True), lambda _: None)
