"""Parts of a logit, held against the formula written out for each family, from hooks in plain transformers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from attn_cli.data.attribution import Parts
from attn_cli.errors import ModelError
from attn_cli.models.capture.attributed import attribute
from attn_cli.models.capture.stream import LOAD_WITH
from attn_cli.models.hf.trial import body_of
from tests.models.families import FAMILIES, inputs_of, spread

TOKENS = 5, 11


@cache
def causal(family: str, **options: Any) -> Any:
    """A tiny model with its layer that chooses words, whose normalizations weigh their dimensions unevenly."""
    torch.manual_seed(0)
    create: Any = AutoModelForCausalLM.from_config
    config = AutoConfig.for_model(family, **{**FAMILIES[family].options, **options})
    model = spread(create(config, attn_implementation=LOAD_WITH).eval(), FAMILIES[family].gain)
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if parameter.ndim == 1 and not path.endswith("bias") and ("norm" in path or "ln_" in path):
                parameter.add_(torch.linspace(-0.3, 0.3, len(parameter)))
    return model


def parts_of(model: Any, *, difference: bool = True) -> tuple[Parts, float, float]:
    """The parts, the logit that they add up to, and the model's own."""
    body = body_of(model)
    inputs = {"input_ids": inputs_of(body)["input_ids"]}

    def run() -> torch.Tensor:
        logits: torch.Tensor = model(**inputs).logits[0, -1]
        return logits

    def choose(logits: torch.Tensor) -> torch.Tensor:
        return logits[TOKENS[0]] - logits[TOKENS[1]] if difference else logits[TOKENS[0]]

    with torch.no_grad():
        own = run()
    parts, logit = attribute(body, model, inputs, run, choose, own)
    return parts, logit, float(choose(own))


@dataclass(frozen=True)
class Written:
    """The modules with which a family's plain code writes to its residual stream."""

    layers: str
    projection: str
    """Path in a layer of the output projection."""
    mlp: str
    """Path of the module that writes beside attention."""
    norm: str
    """Path of the last normalization."""
    rms: bool = True
    one_plus: bool = False
    """The normalizations multiply by 1 + weight."""
    after: tuple[str, str] | None = None
    """Paths of the normalizations of what attention and MLP write."""
    scale: Callable[[Any], float] = lambda _: 1.0
    """Function from a model's configuration to the factor of the unembedded state."""
    times: Callable[[Any], float] = lambda _: 1.0
    """Function from a model's configuration to the factor of each output before it is added to the stream."""


LLAMA = Written("model.layers", "self_attn.o_proj", "mlp", "model.norm")
SANDWICH = Written(
    "model.layers",
    "self_attn.o_proj",
    "mlp",
    "model.norm",
    one_plus=True,
    after=("post_attention_layernorm", "post_feedforward_layernorm"),
)
KNOWN: Mapping[str, Written] = {
    **dict.fromkeys(("llama", "qwen2", "qwen3", "mistral", "mixtral", "phi3", "smollm3"), LLAMA),
    **dict.fromkeys(
        ("gemma", "qwen3_next"), Written("model.layers", "self_attn.o_proj", "mlp", "model.norm", one_plus=True)
    ),
    "gemma2": SANDWICH,
    "gemma3_text": SANDWICH,
    "olmo2": Written(
        "model.layers",
        "self_attn.o_proj",
        "mlp",
        "model.norm",
        after=("post_attention_layernorm", "post_feedforward_layernorm"),
    ),
    "granite": Written(
        "model.layers",
        "self_attn.o_proj",
        "mlp",
        "model.norm",
        scale=lambda config: 1 / config.logits_scaling,
        times=lambda config: config.residual_multiplier,
    ),
    "cohere": Written(
        "model.layers",
        "self_attn.o_proj",
        "mlp",
        "model.norm",
        rms=False,
        scale=lambda config: config.logit_scale,
    ),
    "gpt2": Written("transformer.h", "attn.c_proj", "mlp", "transformer.ln_f", rms=False),
    "gpt_neox": Written("gpt_neox.layers", "attention.dense", "mlp", "gpt_neox.final_layer_norm", rms=False),
    "gpt_neo": Written("transformer.h", "attn.attention.out_proj", "mlp", "transformer.ln_f", rms=False),
    "gptj": Written("transformer.h", "attn.out_proj", "mlp", "transformer.ln_f", rms=False),
    "phi": Written("model.layers", "self_attn.dense", "mlp", "model.final_layernorm", rms=False),
    "opt": Written("model.decoder.layers", "self_attn.out_proj", "fc2", "model.decoder.final_layer_norm", rms=False),
    "xglm": Written("model.layers", "self_attn.out_proj", "fc2", "model.layer_norm", rms=False),
    "falcon": Written("transformer.h", "self_attention.dense", "mlp", "transformer.ln_f", rms=False),
    "bloom": Written("transformer.h", "self_attention.dense", "mlp.dense_4h_to_h", "transformer.ln_f", rms=False),
    "mpt": Written("transformer.blocks", "attn.out_proj", "ffn.down_proj", "transformer.norm_f", rms=False),
}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "granite": {"residual_multiplier": 0.7, "logits_scaling": 3.0},
    "cohere": {"logit_scale": 0.25},
}


def linear(module: nn.Module, state: torch.Tensor, *, rms: bool, one_plus: bool) -> torch.Tensor:
    """The matrix that a normalization multiplies with, at the scale that it has for `state`."""
    moved = state if rms else state - state.mean()
    eps = next(float(getattr(module, name)) for name in ("eps", "variance_epsilon") if hasattr(module, name))
    weight: Any = getattr(module, "weight", None)
    weight = torch.ones(len(state)) if weight is None else weight.detach()
    matrix = torch.eye(len(state)) if rms else torch.eye(len(state)) - 1 / len(state)
    scaled: torch.Tensor = matrix * ((1 + weight if one_plus else weight) / (moved.square().mean() + eps).sqrt())
    return scaled


@pytest.mark.parametrize("family", KNOWN)
def test_heads_and_mlps_are_those_of_the_formula(family: str) -> None:
    known, model = KNOWN[family], causal(family, **OPTIONS.get(family, {}))
    layers = model.get_submodule(known.layers)
    given: dict[nn.Module, torch.Tensor] = {}
    wrote: dict[nn.Module, torch.Tensor] = {}

    def keep(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        given[module] = inputs[0].flatten(0, -2)[-1].clone()  # Falcon adds to it in place
        wrote[module] = (output[0] if isinstance(output, tuple) else output).flatten(0, -2)[-1].clone()

    wanted = [model.get_submodule(known.norm), layers[0]]
    for layer in layers:
        own = [known.projection, known.mlp, *(known.after or ())]
        wanted += [module for path in own if (module := _inside(layer, path)) is not None]
    handles = [module.register_forward_hook(keep) for module in wanted]
    with torch.no_grad():
        model(input_ids=inputs_of(body_of(model))["input_ids"])
    for handle in handles:
        handle.remove()

    words = model.get_output_embeddings().weight.detach()
    norm = model.get_submodule(known.norm)
    ends = linear(norm, given[norm], rms=known.rms, one_plus=known.one_plus)
    config = model.config.get_text_config()
    direction = ends @ (words[TOKENS[0]] - words[TOKENS[1]]) * known.scale(config)
    parts, logit, own_logit = parts_of(model)
    assert parts.total == pytest.approx(logit, abs=1e-4 * max(map(abs, parts.groups.values())))
    assert parts.embedding == pytest.approx(float(given[layers[0]] @ direction), abs=1e-4)
    for (_, number), found in parts.heads.items():
        layer = layers[number]
        projection: Any = layer.get_submodule(known.projection)
        weight = projection.weight.detach()
        weight = weight if isinstance(projection, Conv1D) else weight.T
        through = direction * known.times(config)
        if known.after is not None:
            after = layer.get_submodule(known.after[0])
            through = linear(after, given[after], rms=True, one_plus=known.one_plus) @ through
        expected = (given[projection] * (weight @ through)).reshape(len(found), -1).sum(dim=1)
        assert found == pytest.approx(expected.numpy(), abs=1e-4), number
    for number, part in parts.written["MLPs"].items():
        mlp = layers[number].get_submodule(known.mlp)
        through = direction * known.times(config)
        if known.after is not None:
            after = layers[number].get_submodule(known.after[1])
            through = linear(after, given[after], rms=True, one_plus=known.one_plus) @ through
        assert part == pytest.approx(float(wrote[mlp] @ through), abs=2e-4), number
    if family != "gemma2":
        assert logit == pytest.approx(own_logit, abs=1e-3)


def _inside(layer: nn.Module, path: str) -> nn.Module | None:
    """The module at this path; None in a layer without attention."""
    try:
        return layer.get_submodule(path)
    except AttributeError:
        return None


SUMS = (
    "gpt_bigcode",
    "ctrl",
    "biogpt",
    "persimmon",
    "olmo",
    "stablelm",
    "glm4",
    "nemotron",
    "starcoder2",
    "qwen3_moe",
    "granitemoe",
    "vaultgemma",
    "cohere2",
    "gpt_oss",
    "mimo_v2_flash",
    "granite_swa",
    "llama4_text",
    "deepseek_v2",
    "deepseek_v3",
    "longcat_flash",
    "deepseek_v32",
    "diffllama",
    "jamba",
    "bamba",
    "granitemoehybrid",
    "falcon_h1",
    "nemotron_h",
    "lfm2",
    "kimi_linear",
    "recurrent_gemma",
    "codegen",
    "gpt_neox_japanese",
)


@pytest.mark.parametrize("family", SUMS)
def test_parts_add_up(family: str) -> None:
    model = causal(family)
    for difference in (True, False):
        parts, logit, own = parts_of(model, difference=difference)
        largest = max(1.0, *map(abs, parts.groups.values()))
        assert parts.total == pytest.approx(logit, abs=1e-3 * largest)
        if family not in ("vaultgemma", "recurrent_gemma"):
            assert logit == pytest.approx(own, abs=1e-3 * largest)


def test_half_precision_adds_up_as_far_as_it_goes() -> None:
    model = deepcopy(causal("llama")).to(torch.bfloat16)
    parts, logit, _ = parts_of(model)
    exact, _, _ = parts_of(causal("llama"))
    largest = max(1.0, *map(abs, exact.groups.values()))
    assert parts.total == pytest.approx(logit, abs=0.05 * largest)
    assert parts.groups["heads"] == pytest.approx(exact.groups["heads"], abs=0.05 * largest)


def test_a_soft_cap_is_left_out() -> None:
    model = causal("gemma2")
    _, logit, own = parts_of(model, difference=False)
    cap = model.config.final_logit_softcapping
    assert logit != pytest.approx(own, abs=0.1)
    assert cap * float(torch.tanh(torch.tensor(logit / cap))) == pytest.approx(own, abs=1e-3)


def test_what_hybrids_have_instead_is_named() -> None:
    assert {"mamba", "MLPs"} == set(parts_of(causal("jamba"))[0].written)
    assert {"recurrence", "MLPs"} == set(parts_of(causal("recurrent_gemma"))[0].written)
    assert {"convolution", "MLPs"} == set(parts_of(causal("lfm2"))[0].written)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("openai-gpt", "not the sum of what the layers write"),
        ("prophetnet", "not the sum"),
        ("minimax", "not the sum"),
        ("hrm_text", "not the sum"),
        ("zamba", "only through other modules"),
        ("hy_v4", "add up to"),
        ("modernbert-decoder", "add up to"),
    ],
)
def test_other_streams_are_refused(family: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parts_of(causal(family))


def test_a_post_norm_opt_is_refused() -> None:
    with pytest.raises(ModelError, match="In this model the residual stream is not the sum"):
        parts_of(causal("opt", do_layer_norm_before=False))


@pytest.mark.parametrize("family", ["gpt2", "recurrent_gemma"])
def test_the_model_is_as_it_was(family: str) -> None:
    model = causal(family)
    body = body_of(model)
    inputs = {"input_ids": inputs_of(body)["input_ids"]}
    with torch.no_grad():
        own = model(**inputs).logits[0, -1]
    required = [parameter.requires_grad for parameter in model.parameters()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]

    def run() -> torch.Tensor:
        model(**inputs)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attribute(body, model, inputs, run, lambda logits: logits[0], own)
    parts_of(model)
    assert torch.is_grad_enabled()
    assert [parameter.requires_grad for parameter in model.parameters()] == required
    assert [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()] == hooks
    assert all(parameter.grad is None for parameter in model.parameters())
    copy.deepcopy(model)  # which no graph that a module keeps would allow
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits[0, -1], own)
