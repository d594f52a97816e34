"""Errors for models that lack what they are asked for."""

from __future__ import annotations

from collections.abc import Iterable

from attn_cli.errors import InputError, ModelError, enumerated

__all__ = ["no_template", "reads_no_images", "writes_nothing"]


def no_template(name: str) -> ModelError:
    """Return the error for a model that is given a chat and has no template for one."""
    return ModelError(
        f"{name} has no chat template", "Give the text itself, or name a model that was trained for chats"
    )


def writes_nothing(name: str, kinds: Iterable[str]) -> ModelError:
    """Return the error for a model that is asked to write and cannot.

    Args:
        name: the model's name.
        kinds: its kinds of attention.
    """
    listed = enumerated(f"{'an' if kind == 'encoder' else 'a'} {kind}" for kind in kinds)
    return ModelError(
        f"{name} writes no text: it is {listed}"
        if "decoder" not in listed
        else f"{name} was saved without the layer that chooses words, so it cannot write",
        "Name a decoder (GPT-2, Llama, …) or an encoder-decoder with --model",
    )


def reads_no_images(name: str) -> InputError:
    """Return the error for a model that is given an image and reads texts alone."""
    return InputError(f"{name} reads text, not images", "Name a vision encoder (ViT, DINOv2, CLIP, …) with --model")
