"""Tiny random vision encoders, and pictures that are drawn here."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from transformers import AutoConfig, AutoImageProcessor, AutoModel, PreTrainedModel

from attn_cli.models.hf.loading import quiet

ROWS, COLUMNS, PATCH = 3, 5, 4
"""A grid whose sides are different primes, so that swapped axes cannot pass."""
SIZE = (ROWS * PATCH, COLUMNS * PATCH)
SQUARE: dict[str, Any] = {"image_size": COLUMNS * PATCH}
"""Settings of families that read squares alone, of 5 x 5 patches."""
SETTINGS: dict[str, Any] = {
    "hidden_size": 33,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 17,
    "patch_size": PATCH,
    "image_size": SIZE,
}
FAMILIES: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "vit": ({}, ("[CLS]",)),
    "deit": ({}, ("[CLS]", "[DIST]")),
    "dinov2": (SQUARE, ("[CLS]",)),
    "dinov2_with_registers": (SQUARE | {"num_register_tokens": 2}, ("[CLS]", "[REG0]", "[REG1]")),
    "dinov3_vit": (SQUARE | {"num_register_tokens": 2, "hidden_size": 36}, ("[CLS]", "[REG0]", "[REG1]")),
    "beit": ({"use_relative_position_bias": True}, ("[CLS]",)),
    "ijepa": ({}, ()),
    "vit_msn": ({}, ("[CLS]",)),
    "clip_vision_model": (SQUARE, ("[CLS]",)),
    "siglip_vision_model": (SQUARE, ()),
}
"""`model_type` -> settings besides `SETTINGS`, and the special tokens before the patches."""


def made(family: str, **settings: Any) -> PreTrainedModel:
    """A random model, whose attention is far from even."""
    torch.manual_seed(11)
    model: Any = AutoModel.from_config(AutoConfig.for_model(family, **SETTINGS | settings))  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.3)
    found: PreTrainedModel = model.eval()
    return found


def read_processor(folder: Path | str, **settings: Any) -> Any:
    """The image processor of a folder, as transformers reads it."""
    with quiet():
        return AutoImageProcessor.from_pretrained(folder, **settings)  # type: ignore[no-untyped-call]


def processor(size: tuple[int, int], **settings: Any) -> Any:
    """An image processor that scales to a size: height and width."""
    with quiet():
        from transformers import ViTImageProcessor

        return ViTImageProcessor(size={"height": size[0], "width": size[1]}, **settings)


def save_vision(folder: Path, family: str, **settings: Any) -> Path:
    """Save a random model with its image processor."""
    model = made(family, **{**FAMILIES[family][0], **settings})
    own = model.config.image_size
    with quiet():
        model.save_pretrained(folder)
        processor((own, own) if isinstance(own, int) else tuple(own)).save_pretrained(folder)
    return folder


def pixels(height: int = 30, width: int = 40) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Red from left to right, green from top to bottom, and a blue spot."""
    down, across = np.mgrid[0:height, 0:width]
    spot = (down - height / 3) ** 2 + (across - width / 4) ** 2 < (height / 5) ** 2
    return np.stack([across * 255 // (width - 1), down * 255 // (height - 1), 200 * spot], -1).astype(np.uint8)


def draw_photo(path: Path, height: int = 30, width: int = 40) -> Path:
    """Save such a picture."""
    Image.fromarray(pixels(height, width)).save(path)
    return path


def states_by_hand(
    folder: Path | str, change: Callable[[int, torch.Tensor], None] | None = None, zeroed: tuple[int, int] | None = None
) -> np.ndarray:
    """The last states of transformers' own eager model.

    Args:
        folder: the model.
        change: what is done to the scores of each layer, by its number.
        zeroed: the layer and the head whose part of the output projection is made zero.
    """
    softmax, layers = functional.softmax, itertools.count()

    def changed(scores: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        if change is not None:
            change(next(layers), scores)
        return softmax(scores, *given, **named)

    with quiet():
        model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        found = read_processor(folder)(pixels(), return_tensors="pt")
    if zeroed is not None:
        layer, head = zeroed
        out = [
            module
            for name, module in model.named_modules()
            if re.search(r"att.*(output\.dense|out_proj|o_proj)$", name) and ".head." not in name
        ][layer]
        size = out.in_features // 3
        with torch.no_grad():
            out.weight[:, head * size : (head + 1) * size] = 0
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(functional, "softmax", changed)
        states: np.ndarray = model(**found).last_hidden_state[0].numpy()
    return states
