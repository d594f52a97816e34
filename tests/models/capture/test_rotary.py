"""Rotary positions that dynamic NTK stretches to a long text are not those of the next, whatever is computed of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attn_cli.data.cuts import ZeroedHeads
from attn_cli.data.stream import Block, Request
from attn_cli.models import Decoding, Input, RelevantTo
from attn_cli.models.capture.stream import stream
from attn_cli.models.hf.generate import Meanwhile, go_on
from attn_cli.models.hf.model import Pretrained
from tests.models import folders
from tests.models.families import spread

LONG, TEXT = "the trophy was too big because it did suit the trophy", "the trophy was big because"
SIZES: dict[str, Any] = folders.BERT | {"vocab_size": 85, "max_position_embeddings": 6}
HEADS = Request({"decoder": {0: (0, 1, 2), 1: (0, 1, 2)}})
"""Of positions that are stretched, a first layer's weights show it."""


def dynamic(**more: Any) -> dict[str, Any]:
    return {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0} | more


def llama() -> Pretrained:
    """A decoder whose positions are stretched in a text of more than 6 tokens."""
    model = folders.made("Llama", "ForCausalLM", **SIZES, num_key_value_heads=3, rope_parameters=dynamic())
    return Pretrained("tiny", spread(model), folders.wordpiece())


def maps(model: Pretrained, text: str) -> np.ndarray:
    blocks: list[Block] = []
    model.prepare(Input(text)).stream(HEADS, blocks.append)
    return np.stack([block.weights for block in blocks])


def ablation(model: Pretrained, text: str) -> np.ndarray:
    ((_, outcome),) = model.run(model.prepare(Input(text)), [(ZeroedHeads("decoder", 1, (0,)),)])
    assert outcome.logits is not None
    return outcome.logits


def attribution(model: Pretrained, text: str) -> np.ndarray:
    source = model.prepare(Input(text))
    return model.attribute(source, len(source.source) - 1).logits


def contexts(model: Pretrained, text: str) -> np.ndarray:
    sums: list[np.ndarray] = []
    model.contexts(model.prepare(Input(text)), lambda _, __, own: sums.append(own))
    return np.stack(sums)


def relevance(model: Pretrained, text: str) -> np.ndarray:
    source = model.prepare(Input(text, relevant_to=RelevantTo()))
    found = source.stream(Request(HEADS.heads, relevance=True), lambda _: None).relevance
    assert found is not None
    return found.source


def logits_while(model: Pretrained, run: Callable[[], object]) -> np.ndarray:
    """The logits of each step of a model that writes."""
    steps: list[np.ndarray] = []
    whole: nn.Module = model._with_head()
    hook = whole.register_forward_hook(lambda _, __, result: steps.append(result.logits[0, -1].detach().numpy()))
    run()
    hook.remove()
    return np.stack(steps)


def writing(model: Pretrained, text: str) -> np.ndarray:
    return logits_while(model, lambda: model.write(Input(text), Decoding(max_length=3)))


def search(model: Pretrained, text: str) -> np.ndarray:
    inputs = model.prepare(Input(text)).inputs
    return logits_while(model, lambda: go_on(model._with_head(), inputs, Decoding(), 3, Meanwhile(lambda _: "")))


@pytest.mark.parametrize("route", [maps, ablation, attribution, contexts, relevance, writing, search])
def test_a_text_does_not_keep_what_a_longer_one_stretched(route: Callable[[Pretrained, str], np.ndarray]) -> None:
    expected = route(llama(), TEXT)
    model = llama()
    rotary: Any = model.model.rotary_emb
    fresh = rotary.inv_freq.clone()
    route(model, LONG)
    np.testing.assert_allclose(route(model, TEXT), expected, atol=1e-5)
    assert torch.equal(rotary.inv_freq, fresh)

    with torch.no_grad():  # as whoever the model belongs to may run it
        model.model(**model.prepare(Input(LONG)).inputs)
    stretched, tokens = rotary.inv_freq.clone(), int(rotary.max_seq_len_cached)
    assert not torch.allclose(stretched, fresh)
    np.testing.assert_allclose(route(model, TEXT), expected, atol=1e-5)
    assert torch.equal(rotary.inv_freq, stretched)
    assert rotary.max_seq_len_cached == tokens == len(model.prepare(Input(LONG)).source)


def test_positions_that_only_some_layers_stretch() -> None:
    rope = {"full_attention": dynamic(), "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
    special = {"pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2}
    settings = SIZES | special | {"local_attention": 4, "global_attn_every_n_layers": 2, "rope_parameters": rope}
    ids = torch.arange(3, 20)[None]

    def weights(model: Any, count: int) -> np.ndarray:
        blocks: list[Block] = []
        stream(model, {"input_ids": ids[:, :count]}, Request({"encoder": {0: (0, 1, 2)}}), blocks.append)
        return blocks[0].weights

    expected = weights(spread(folders.made("ModernBert", **settings)), 8)
    model = spread(folders.made("ModernBert", **settings))
    assert model.rotary_emb.rope_type["full_attention"] == "dynamic"
    weights(model, 17)
    np.testing.assert_allclose(weights(model, 8), expected, atol=1e-6)
    with torch.no_grad():
        model(input_ids=ids)
    stretched = model.rotary_emb.full_attention_inv_freq.clone()
    np.testing.assert_allclose(weights(model, 8), expected, atol=1e-6)
    assert torch.equal(model.rotary_emb.full_attention_inv_freq, stretched)
