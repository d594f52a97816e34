"""A check that a model gives a text the same weights in a padded batch as alone.

Padding may change a text's weights where a family looks past its mask: through a convolution or an embedding of
neighbours (MobileBERT), or through positions that are stretched to the longest text.
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
"""Most tokens of the trial text; the effects of padding show in a short text too."""
ROUNDING = 1e-4
"""Most that weights of two single-precision runs may differ by; in half precision, as much as a row's sum from 1."""


def same_together(
    model: PreTrainedModel, text: Mapping[str, torch.Tensor], padding: Mapping[str, Any], request: Request
) -> bool:
    """Return whether a text and half of it have the same weights in one batch as alone.

    Args:
        model: a model loaded as for `capture.stream`.
        text: inputs of its forward, for a text of two tokens or more.
        padding: padding value of each input.
        request: the heads to compare.

    Raises:
        NotTogetherError: the model must be run on one text at a time.
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
    except (ModelError, ExactnessError):  # perhaps of half the text alone; the whole text's own run raises it anyway
        return False
    return True


def _alone(
    model: PreTrainedModel, text: Mapping[str, torch.Tensor], request: Request
) -> dict[tuple[Kind, int], Float[np.ndarray, "head query key"]]:
    """Collect the whole maps of a text that is run alone."""
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
    """Return whether a text of that many tokens changes the rotary positions of the others (dynamic NTK, LongRoPE)."""
    return any(tokens > most for module in model.modules() for most in _unstretched(module))


def _unstretched(module: Any) -> Iterator[int]:
    """Yield the most tokens for which a module leaves its rotary frequencies unchanged, if it changes them at all."""
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
    """Reset the rotary frequencies that dynamic NTK stretched for a longer text, and would use for this one too."""
    for module in model.modules():
        kind: Any = getattr(module, "rope_type", None)
        original: Any = getattr(module, "original_inv_freq", None)
        if isinstance(kind, str) and "dynamic" in kind and original is not None:
            module.inv_freq = original.to(module.inv_freq.device)
            module.max_seq_len_cached = module.original_max_seq_len
