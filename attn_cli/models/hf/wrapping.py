"""A model that is in memory already, loaded, trained or patched in Python, ready for text as one of a checkpoint is."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import ImageProcessingMixin, PreTrainedModel, PreTrainedTokenizerBase

from attn_cli.errors import ModelError
from attn_cli.models.capture import stream as capture
from attn_cli.models.hf.adapters import check_kind
from attn_cli.models.hf.loading import quiet
from attn_cli.models.hf.model import Pretrained
from attn_cli.models.hf.quantized import unpack
from attn_cli.models.hf.trial import doubt
from attn_cli.models.hf.vision import Vision, vision_of

__all__ = ["wrap"]

SHELLS = ("_orig_mod", "module", "base_model")
"""Attributes in which torch.compile, data parallelism and PEFT keep the model that they wrap."""
EAGER = 'Load it with attn_implementation="eager"'


def wrap(model: object, tokenizer: object, name: str | None = None) -> Pretrained | Vision:
    """Make a model in memory ready for text or images; its weights, its mode and its configuration stay as they are.

    Its output while attention is captured is compared with that of a plain run the first time, since its code may not
    be what the tests cover.

    Args:
        model: a model of transformers, or what PEFT, torch.compile or data parallelism has made of one.
        tokenizer: its tokenizer, or its image processor.
        name: the name to show; by default that of the checkpoint it was loaded from, or of its class.

    Raises:
        ModelError: it is not a model of transformers with attention, its attention cannot be captured as it was loaded,
            or the tokenizer is not one.
    """
    inner = _unwrapped(model)
    if not isinstance(tokenizer, PreTrainedTokenizerBase | ImageProcessingMixin):
        more = hasattr(tokenizer, "tokenizer")
        raise ModelError(
            f"attn needs a tokenizer of transformers, and was given {_named(tokenizer)}",
            "Give its .tokenizer" if more else "Give what AutoTokenizer.from_pretrained returns",
        )
    known = name or getattr(inner.config, "_name_or_path", "") or type(inner).__name__
    with quiet():
        unpack(inner)
        doubt(inner)
        if capture.captured_by(inner) == "hooks" and capture.plain_attention(inner) != "eager":
            raise ModelError(
                f"The attention of {known} can be seen only if it is loaded with eager attention, and it has "
                f"{capture.plain_attention(inner)}",
                EAGER,
            )
    if isinstance(tokenizer, ImageProcessingMixin):
        return vision_of(known, inner, tokenizer, _unheard(inner))
    return Pretrained(known, inner, tokenizer, _unheard(inner))


def _unwrapped(model: object) -> PreTrainedModel:
    """Return the model of transformers within its shells.

    Raises:
        ModelError: there is none, or what PEFT adds to it is not of weights.
    """
    inner: Any = model
    while isinstance(inner, nn.Module) and not isinstance(inner, PreTrainedModel):
        if hasattr(inner, "active_peft_config"):
            check_kind(inner.active_peft_config, "This model")
        held = [getattr(inner, name, None) for name in SHELLS]
        # (PEFT's `base_model` is its tuner, whose `model` is the model itself.)
        held += [getattr(inner, "model", None)] if type(inner).__module__.startswith("peft.") else []
        inner = next((one for one in held if isinstance(one, nn.Module)), None)
    if isinstance(inner, PreTrainedModel):
        return inner
    remedy = "Give what AutoModel.from_pretrained returns"
    if type(model).__module__.startswith("sentence_transformers"):
        remedy = "Give its first module's: model[0].auto_model"
    elif type(model).__module__.startswith("transformers.pipelines"):
        remedy = "Give its .model"
    raise ModelError(f"attn wraps models of transformers, and was given {_named(model)}", remedy)


def _unheard(model: PreTrainedModel) -> tuple[str, ...]:
    """Note that hooks of a model's outermost module are not run, as its body is run alone."""
    alone = model.base_model is not model and not model.config.is_encoder_decoder
    if not (alone and vars(model)["_forward_pre_hooks"]):
        return ()
    kinds = type(model).__name__, type(model.base_model).__name__
    return (f"Hooks that run before a whole {kinds[0]} are left out, as attn runs its {kinds[1]} alone",)


def _named(thing: object) -> str:
    return f"{type(thing).__module__.partition('.')[0]}'s {type(thing).__name__}".removeprefix("builtins's ")
