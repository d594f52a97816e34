"""Whether a model's texts are the same beside longer ones as they are alone.

A text may feel its padding where a family looks past its mask: through a convolution or an embedding of neighbours
(MobileBERT), or through positions that are stretched to the longest text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from attn_cli.data.record import ROW_TOLERANCE
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Kind, Request
from attn_cli.errors import ExactnessError, ModelError
from attn_cli.models.capture import stream as capture
from attn_cli.models.capture.batch import pad, run_together

__all__ = ["as_before_long_texts", "same_together", "stretches"]

MOST = 64
"""Tokens of the text that is tried; what padding does to a text shows in a short one."""
ROUNDING = 1e-4
"""How far two single-precision runs may be from each other; in half precision, as far as a row's sum may be from 1."""


def same_together(
    model: PreTrainedModel, text: Mapping[str, torch.Tensor], padding: Mapping[str, Any], request: Request
) -> bool:
    """Run a text and half of it side by side and alone, and compare the weights asked for.

    Args:
        model: loaded as for `capture.stream`.
        text: what its forward is given of a text of two tokens or more.
        padding: what fills up each input.
        request: which heads.

    Raises:
        NotTogetherError: the model must be given one text at a time.
    """
    longer = {name: tensor[:, :MOST] for name, tensor in text.items()}
    shorter = {name: tensor[:, : -(-tensor.shape[1] // 2)] for name, tensor in longer.items()}
    dtype = str(model.dtype).removeprefix("torch.")
    most = ROUNDING if dtype in ("float32", "float64") else ROW_TOLERANCE.get(dtype, ROUNDING)
    try:
        ((batches),) = run_together(model, [pad([longer, shorter], padding)], request)
        for index, one in enumerate((longer, shorter)):
            alone = _alone(model, one, request)
            for batch in batches:
                found, expected = batch.block(index).weights, alone[batch.kind, batch.layer]
                if found.shape != expected.shape or not np.abs(found - expected).max() <= most:
                    return False
    except (ModelError, ExactnessError):  # of half a text; if it is one of the whole, it is raised there
        return False
    return True


def _alone(
    model: PreTrainedModel, text: Mapping[str, torch.Tensor], request: Request
) -> dict[tuple[Kind, int], Float[np.ndarray, "head query key"]]:
    """Whole maps of a text that is run alone."""
    parts: dict[tuple[Kind, int], list[Block]] = {}
    capture.stream(model, text, request, lambda block: parts.setdefault((block.kind, block.layer), []).append(block))
    maps = {}
    for place, blocks in parts.items():
        sides = {"cross": ("decoder_input_ids", "input_ids"), "encoder": ("input_ids", "input_ids")}
        target = "decoder_input_ids" if "decoder_input_ids" in text else "input_ids"
        keys = text[sides.get(place[0], (target, target))[1]].shape[1]
        rows = [np.pad(one.weights, ((0, 0), (0, 0), (0, keys - one.weights.shape[2]))) for one in blocks]
        maps[place] = np.concatenate(rows, axis=1)
    return maps


def stretches(model: PreTrainedModel, tokens: int) -> bool:
    """Whether texts of so many tokens change the rotary positions of those beside them (dynamic NTK, LongRoPE)."""
    return any(tokens > most for module in model.modules() for most in _unstretched(module))


def _unstretched(module: Any) -> Iterator[int]:
    """The longest text for which a module leaves its rotary frequencies as they are, where there is one."""
    found = getattr(module, "rope_type", None)
    parameters = getattr(getattr(module, "config", None), "rope_parameters", None) or {}
    for kind, own in (
        ((found[one], parameters[one]) for one in found) if isinstance(found, dict) else ((found, parameters),)
    ):
        if kind == "longrope":
            yield int(own["original_max_position_embeddings"])
        elif isinstance(kind, str) and "dynamic" in kind:
            yield int(module.original_max_seq_len)


def as_before_long_texts(model: PreTrainedModel) -> None:
    """Forget what dynamic NTK stretched for a longer text, which would be used for this one too."""
    for module in model.modules():
        kind: Any = getattr(module, "rope_type", None)
        original: Any = getattr(module, "original_inv_freq", None)
        if isinstance(kind, str) and "dynamic" in kind and original is not None:
            module.inv_freq = original.to(module.inv_freq.device)
            module.max_seq_len_cached = module.original_max_seq_len
