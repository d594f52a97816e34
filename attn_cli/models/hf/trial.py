"""A trial run, when it is loaded, of a model of a family that the tests do not cover.

Attention modules are recognized by their code, and some of them play no part in reading a text: a projector for images,
the decoder of a model that needs sound. The trial run shows which these are, which layers have no map from token to
token, and whether the model can read a text alone at all.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import torch
from torch import nn
from transformers import PreTrainedModel

from attn_cli.data.model import Stack
from attn_cli.data.stream import Kind, Request
from attn_cli.errors import ExactnessError, ModelError
from attn_cli.models.capture import stream as capture
from attn_cli.models.capture.anatomy import OTHER_SENSES, Anatomy, dissect
from attn_cli.models.capture.delivery import OtherPositionsError
from attn_cli.models.hf.loading import faults_told

__all__ = ["TESTED", "TESTED_ON_IMAGES", "Trial", "body_of", "doubt", "is_tested", "of_long_text", "try_out"]

_NAMES = """
albert axk2 bamba bart bert bert-generation big_bird biogpt blenderbot blenderbot-small bloom camembert canine
clip_text_model codegen cohere cohere2 convbert ctrl data2vec-text deberta deberta-v2 deepseek_v2 deepseek_v3
deepseek_v32 diffllama distilbert doge dots3_note_text electra ernie esm eurobert falcon falcon_h1 flaubert fsmt
funnel gemma gemma2 gemma3_text glm4 glm5_next_text glm_moe_dsa gpt2 gpt_bigcode gpt_neo gpt_neox gpt_neox_japanese
gpt_oss gptj granite granite_swa granitemoe granitemoehybrid gte hrm_text hy_v4 ibert jamba jina_embeddings_v3
kimi_linear layoutlm layoutlmv3 led lfm2 llama llama4_text longcat_flash longformer luke m2m_100 marian mbart
megatron-bert mimo_v2_flash minimax minimax_m3_vl_text mistral mixtral modernbert modernbert-decoder mpnet mpt mt5 mvp
nemotron nemotron_h nllb-moe nomic_bert olmo olmo2 openai-gpt opt pegasus persimmon phi phi3 plbart prophetnet qwen2
qwen3 qwen3_moe qwen3_next recurrent_gemma rembert roberta roformer smollm3 squeezebert stablelm starcoder2
switch_transformers t5 tapas umt5 vaultgemma xglm xlm xlm-roberta xlnet zamba zamba2
"""
_IMAGES = """
beit clip_vision_model deit dinov2 dinov2_with_registers dinov3_vit ijepa siglip_vision_model vit vit_msn
"""
TESTED = frozenset(_NAMES.split())
"""`model_type` of each family that the tests compare with transformers' own eager attention, on the small models of
`tests/models/families.py`; others are tried out."""
TESTED_ON_IMAGES = frozenset(_IMAGES.split())
"""The same for families that read images, on those of `tests/models/vision.py`."""

READING = re.compile(r"text|language|thinker|llm|vlm")
"""Names of parts that read the tokens of a text."""

BESIDES = {
    "pixel_values": "images",
    "pixel_values_videos": "videos",
    "input_features": "sound",
    "input_values": "sound",
    "bbox": "the place of each token on its page",
    "visual_feats": "the features of an image",
    "visual_pos": "the places of things in an image",
}
"""Inputs that some models need with a text: arguments of their forward, and descriptions of them."""

OTHER_POSITIONS = "attention over positions other than the text's tokens"
"""Description of a layer that attends to or from summaries of tokens."""

Sample = Callable[[PreTrainedModel], Mapping[str, torch.Tensor] | None]
"""Function that makes a model's inputs for a short text; it returns None where the tokenizer cannot."""


_doubted: WeakSet[nn.Module] = WeakSet()
"""Models whose code may have been changed in memory, with all parts of each."""


def doubt(model: PreTrainedModel) -> None:
    """Take a model, and each part of it, for one that the tests do not cover: its code may have been changed."""
    _doubted.update(module for module in model.modules() if isinstance(module, PreTrainedModel))


def is_tested(model: PreTrainedModel) -> bool:
    """Return whether the tests cover a model's code: transformers' own, of a family that they name."""
    if model in _doubted:
        return False
    family = model.config.model_type
    return family in TESTED | TESTED_ON_IMAGES and type(model).__module__.startswith("transformers.models.")


@dataclass(frozen=True, eq=False)
class Trial:
    """The result of a trial run."""

    model: PreTrainedModel
    """The model that reads the text: the one that was tried, or the part of it that can do so alone."""
    notes: tuple[str, ...] = ()
    writes_text: bool = True
    """False if the model has a decoder that writes something other than text tokens."""


def body_of(model: PreTrainedModel) -> PreTrainedModel:
    """Return a model without the head that only its output needs."""
    body: Any = model.base_model
    # For BART's decoder alone, `base_model` is a mere shell.
    return body if "input_ids" in inspect.signature(body.forward).parameters else model


def try_out(name: str, model: PreTrainedModel, sample: Sample) -> Trial:
    """Run a model on a short text, and drop from its anatomy the modules that play no part in reading it.

    Args:
        name: the model's name, for messages.
        model: the model to try.
        sample: a function that makes its inputs.

    Raises:
        ModelError: the model cannot read a text alone, or none of its attention is from token to token.
        MemoryLimitError: memory ran out.
    """
    if "input_ids" not in inspect.signature(model.forward).parameters:  # Qwen2.5-Omni, a shell around other models
        none = ModelError(f"{name} takes no tokens of a text (input_ids)", "Give a model that reads text")
        return _try_parts(name, model, sample, {}, none)
    given = sample(model)
    if given is None:
        return Trial(model)
    try:
        stacks = capture.stacks(model)
        if not _is_lopsided(stacks, given) and _refusal(model, given, stacks) is None:
            return Trial(model)
        called = _run(model, given)
        if isinstance(called, ModelError):
            return _try_encoder(name, model, given) or _try_parts(name, model, sample, given, called)
        return Trial(model, _narrow(name, model, given, called))
    except ExactnessError:  # the run on the user's own text will report it
        return Trial(model)


def _run(model: PreTrainedModel, given: Mapping[str, torch.Tensor]) -> set[nn.Module] | ModelError:
    """Run a model without attn, and return the attention modules that took part, or the error that stopped it."""
    called: set[nn.Module] = set()

    def begin(module: nn.Module, _: tuple[Any, ...]) -> None:
        called.add(module)

    try:
        with faults_told("it could not be run", ""), ExitStack() as stack:
            stack.enter_context(capture.left_as_found(model, None))
            stack.enter_context(torch.no_grad())
            for module in capture.anatomy_of(model).sites:
                stack.callback(module.register_forward_pre_hook(begin).remove)
            model(**given)
    except ModelError as fault:
        return fault
    return called


def _refusal(
    model: PreTrainedModel, given: Mapping[str, torch.Tensor], stacks: Mapping[Kind, Stack]
) -> ModelError | None:
    """Return the error with which the maps of these layers cannot be captured; None where they can."""
    heads = {
        kind: {layer: tuple(range(count)) for layer, count in stack.heads.items()} for kind, stack in stacks.items()
    }
    try:
        with faults_told("it could not be run", ""):
            capture.stream(model, given, Request(heads), lambda _: None)
    except ModelError as fault:
        return fault
    return None


def _narrow(
    name: str, model: PreTrainedModel, given: Mapping[str, torch.Tensor], called: set[nn.Module]
) -> tuple[str, ...]:
    """Leave out modules that were not called and layers without a map, and return notes on them.

    Raises:
        ModelError: no layer is left.
    """
    anatomy = dissect(model, called)
    capture.narrow(model, anatomy)
    first = _refusal(model, given, anatomy.stacks)
    if first is None and not _is_lopsided(anatomy.stacks, given):
        return ()
    stacks = _with_maps(model, given, anatomy.stacks)
    if _is_lopsided(stacks, given):
        del stacks["decoder"]
    if not stacks:
        said = "" if first is None else f": {first.problem}"
        raise ModelError(f"{name} has no layer with a map from token to token{said}", "Choose another model")
    capture.narrow(model, Anatomy(stacks, anatomy.sites, anatomy.paths))
    lost = [kind for kind in anatomy.stacks if kind not in stacks]
    if not lost:
        return ()
    return (f"The {' and '.join(lost)} attention of {name} is not shown: it has no map from token to token",)


def _with_maps(
    model: PreTrainedModel, given: Mapping[str, torch.Tensor], stacks: Mapping[Kind, Stack]
) -> dict[Kind, Stack]:
    """Keep only the layers that have a map of this text; kinds without any such layer are left out."""
    found: dict[Kind, Stack] = {}
    for kind, stack in stacks.items():
        without = dict(stack.without)
        if _refusal(model, given, {kind: stack}) is not None:
            for layer, count in stack.heads.items():
                alone = Stack(stack.layers, {layer: count}, stack.key_value_heads)
                refusal = _refusal(model, given, {kind: alone})
                if refusal is not None:
                    without[layer] = _reason(refusal)
        heads = {layer: count for layer, count in stack.heads.items() if layer not in without}
        if heads:
            found[kind] = Stack(stack.layers, heads, stack.key_value_heads, dict(sorted(without.items())))
    return found


def of_long_text(
    model: PreTrainedModel, given: Mapping[str, torch.Tensor], stacks: Mapping[Kind, Stack]
) -> tuple[Mapping[Kind, Stack], tuple[str, ...]]:
    """Leave out the layers that have no map of a text of this length, in a model that has layers without maps.

    A layer that attends to summaries of many tokens (DeepSeek-V4: 128) still has a map of a text with fewer tokens.

    Args:
        model: a model that was tried.
        given: the model's inputs for the text.
        stacks: the model's layers, as determined on a short text.

    Returns:
        The layers for this text, or all of them where a kind would have none left; and notes on the layers left out.
    """
    if not any(OTHER_POSITIONS in stack.without.values() for stack in stacks.values()):
        return stacks, ()
    found = _with_maps(model, given, stacks)
    if found.keys() != stacks.keys():
        return stacks, ()
    notes = []
    for kind, stack in found.items():
        lost = [str(layer) for layer in stack.without if layer not in stacks[kind].without]
        if lost:
            notes.append(
                f"In a text of so many tokens, {kind} layer{'s' if len(lost) > 1 else ''} {', '.join(lost)} "
                f"{'have' if len(lost) > 1 else 'has'} {OTHER_POSITIONS}, and {'are' if len(lost) > 1 else 'is'} left "
                "out"
            )
    return found, tuple(notes)


def _is_lopsided(stacks: Mapping[Kind, Stack], given: Mapping[str, torch.Tensor]) -> bool:
    """Return whether a decoder's self-attention is in the stacks without the cross-attention that it depends on."""
    return "decoder_input_ids" in given and "decoder" in stacks and "cross" not in stacks


def _reason(refusal: ModelError) -> str:
    if isinstance(refusal, OtherPositionsError):
        return OTHER_POSITIONS
    return "attention that cannot be shown as one map"


def _try_encoder(name: str, model: PreTrainedModel, given: Mapping[str, torch.Tensor]) -> Trial | None:
    """Keep only the encoder of a model whose decoder writes something other than text (Dia: codes of sound)."""
    text = {argument: tensor for argument, tensor in given.items() if not argument.startswith("decoder_")}
    anatomy = capture.anatomy_of(model)
    stacks: dict[Kind, Stack] = {kind: stack for kind, stack in anatomy.stacks.items() if kind == "encoder"}
    if len(text) == len(given) or not stacks or _refusal(model, text, stacks) is not None:
        return None
    capture.narrow(model, Anatomy(stacks, anatomy.sites, anatomy.paths))
    return Trial(model, (f"{name} does not write text, so only its encoder is shown",), writes_text=False)


def _try_parts(
    name: str,
    model: PreTrainedModel,
    sample: Sample,
    given: Mapping[str, torch.Tensor],
    fault: ModelError,
) -> Trial:
    """Look for the part of a model that reads a text alone.

    Raises:
        ModelError: there is none, and the model takes no text or needs further inputs.
    """
    for path, part in _parts(model):
        try:
            stacks = capture.stacks(part)
        except ModelError:
            continue  # no attention
        some = sample(part)
        if some is None:
            continue
        called = _run(part, some)
        if isinstance(called, ModelError):
            continue
        notes = () if _refusal(part, some, stacks) is None else _narrow(name, part, some, called)
        return Trial(part, (f"The text part of {name} ({path}) is shown, on its own", *notes))
    needs = _needs(model, given, fault)
    if needs:
        raise ModelError(
            f"{name} does not run on a text alone: it is given {' and '.join(needs)} with it",
            "Give a model that reads text alone",
        ) from fault
    if not given:
        raise fault
    return Trial(model)  # another text may work


def _parts(model: PreTrainedModel) -> Iterator[tuple[str, PreTrainedModel]]:
    """Yield the models in a model that read tokens and have a config of their own."""
    for path, module in model.named_modules():
        if (
            isinstance(module, PreTrainedModel)
            and type(module.config) is not type(model.config)
            and READING.search(path)
            and not OTHER_SENSES.search(path)
            and "input_ids" in inspect.signature(module.forward).parameters
        ):
            yield path, body_of(module)


def _needs(model: PreTrainedModel, given: Mapping[str, torch.Tensor], fault: ModelError) -> list[str]:
    """List the missing inputs that a model seems to need, as its error suggests."""
    parameters = inspect.signature(model.forward).parameters
    said = str(fault.__cause__)
    lacking = [name for name in parameters if name not in given]
    named = [
        name
        for name in lacking
        if re.search(rf"\b{name}\b", said, re.IGNORECASE)
        and (name in BESIDES or parameters[name].default is inspect.Parameter.empty)
    ]
    if not named and "NoneType" in said:
        named = [name for name in lacking if name in BESIDES]
    return [f"{BESIDES[name]} ({name})" if name in BESIDES else name for name in named]
