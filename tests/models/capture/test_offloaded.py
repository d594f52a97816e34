"""Weights that nothing brings into memory are refused: torch would multiply with whatever stood there.

Those that accelerate brings there while their module runs give what they give where they stay in memory.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from torch import nn
from transformers import AutoModelForCausalLM

from attn_cli.data.stream import Block
from attn_cli.errors import ModelError
from attn_cli.models.capture.attributed import attribute
from attn_cli.models.capture.batch import pad, run_together
from attn_cli.models.capture.offloaded import device_of, weights_of
from attn_cli.models.capture.relevance import ModelOutput, stream_relevance
from attn_cli.models.capture.stream import LOAD_WITH, stream
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


def offloaded(model: Any) -> Any:
    """A copy of a model whose weights are on `meta`, and in memory while their module runs."""
    return cpu_offload(copy.deepcopy(model), execution_device=torch.device("cpu"))


@pytest.mark.parametrize("name", ["bert", "gpt2", "gpt_oss", "t5", "mpnet"])
def test_what_is_brought_into_memory_is_shown_as_if_it_were_there(name: str) -> None:
    """gpt2 has transposed projections, gpt_oss sinks beside them, mpnet is older code; t5 has shared weights."""
    model = build(name)
    blocks: list[tuple[Block, ...]] = []
    for one in (model, offloaded(model)):
        found: list[Block] = []
        asked = everything(one, norms=name != "mpnet", steps=True)
        stream(one, inputs_of(one), asked, found.append)
        blocks.append(tuple(found))
    for whole, brought in zip(*blocks, strict=True):
        assert (whole.weights == brought.weights).all()
        assert whole.norms is None or brought.norms is None or (whole.norms == brought.norms).all()
        assert whole.steps is not None
        assert brought.steps is not None
        assert (whole.steps.contexts == brought.steps.contexts).all()
    assert {whole.norms is None for whole in blocks[0]} == {name == "mpnet"}


@pytest.mark.parametrize("name", ["longcat_flash", "llama4_text"])
def test_weights_that_another_module_uses_are_not_brought_into_memory(name: str) -> None:
    """The router of longcat_flash multiplies with the weights of a layer in it, and would do so on `meta`."""
    model = offloaded(build(name))
    with pytest.raises(ModelError, match="a layer computes with the weights of another"):
        stream(model, inputs_of(model), everything(model), lambda _: None)


@pytest.mark.parametrize("name", ["gpt2", "gpt_oss"])
def test_relevance_of_what_is_brought_into_memory(name: str) -> None:
    """gpt_oss has a sink among its own weights, with which rows are computed again after the pass."""
    found = []
    for model in (build(name), offloaded(build(name))):

        def compute(given: Any, model: Any = model) -> ModelOutput:
            return ModelOutput(model(**given).last_hidden_state[0, -1, 3], {12: 1.0}, "a state", "logit")

        blocks: list[Block] = []
        report = stream_relevance(model, model, inputs_of(model), compute, everything(model), blocks.append, rows=5)
        assert report.relevance is not None
        found.append((report.relevance.source, *(block.relevance for block in blocks if block.relevance is not None)))
    assert all(map(np.array_equal, *found))
    assert found[0][0].any()


def test_parts_of_a_logit_of_what_is_brought_into_memory() -> None:
    """Every bias is another tensor each time that it is loaded."""
    torch.manual_seed(0)
    create: Any = AutoModelForCausalLM.from_config
    whole = create(build("gpt2").config, attn_implementation=LOAD_WITH).eval()
    with torch.no_grad():
        for name, weight in whole.named_parameters():
            if name.endswith("bias"):
                weight.normal_()
    found = []
    for model in (whole, offloaded(whole)):
        inputs = {"input_ids": inputs_of(model.transformer)["input_ids"]}

        def run(model: Any = model, inputs: Any = inputs) -> torch.Tensor:
            logits: torch.Tensor = model(**inputs).logits[0, -1]
            return logits

        with torch.no_grad():
            own = run()
        parts, logit = attribute(model.transformer, model, inputs, run, lambda logits: logits[5], own)
        found.append((logit, parts.total, parts.groups))
        assert all(weight.requires_grad for weight in model.parameters())
    assert found[0] == found[1]
    assert found[0][2]["biases"] != 0


def test_several_texts_run_in_one_thread_where_weights_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """In two threads, one would take away the weights that the other computes with."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    texts = [inputs_of(build("bert")) | {"attention_mask": torch.ones(1, 13, dtype=torch.long)}] * 2
    threads: list[set[int]] = []
    for model in (build("bert"), offloaded(build("bert"))):
        seen: set[int] = set()
        handle = model.register_forward_pre_hook(lambda *_, seen=seen: seen.add(threading.get_ident()))
        list(run_together(model, [pad(texts, PADDING)] * 2, everything(model)))
        handle.remove()
        threads.append(seen)
    assert threading.get_ident() not in threads[0]
    assert threads[1] == {threading.get_ident()}


def test_each_weight_has_one_name_wherever_it_is() -> None:
    """Once the model has run, weights that are shared are tensors of their own."""
    whole, brought = build("t5"), offloaded(build("t5"))
    brought(**inputs_of(brought))
    assert brought.encoder.embed_tokens.weight is not brought.shared.weight
    assert device_of(brought) == torch.device("cpu")
    there = dict(weights_of(whole))
    assert list(there) == [name for name, weight in weights_of(brought) if torch.equal(weight, there[name])]
    assert list(there) == [name for name, _ in whole.named_parameters()]
