"""A check that a model gives a text the same weights in a padded batch as alone.

Padding may change a text's weights where a family looks past its mask: through a convolution or an embedding of
neighbours (MobileBERT), or through positions that are stretched to the longest text.
"""

from __future__ import annotations

from collections.abc import Mapping
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

__all__ = ["same_together"]

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
