"""The fingerprint of a model of transformers."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from attn_cli.data.shapes import Float
from attn_cli.models.capture.offloaded import weights_of
from attn_cli.models.fingerprint import SAMPLES, fingerprint_of

__all__ = ["fingerprint"]


def fingerprint(model: PreTrainedModel) -> str:
    """Return a fingerprint of a model's weights, wherever they are; see `fingerprint_of`."""
    return fingerprint_of((name, tuple(weight.shape), _some_of(weight)) for name, weight in weights_of(model))


def _some_of(weight: torch.Tensor) -> Float[np.ndarray, "sample"]:
    """Take some numbers of a weight, evenly spaced."""
    flat = weight.detach().flatten()
    sample: Float[np.ndarray, "sample"] = flat[:: max(flat.numel() // SAMPLES, 1)].float().cpu().numpy()
    return sample
