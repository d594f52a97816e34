"""Fingerprints of models, by which parts of an answer from several machines are known to be of the same weights."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from attn_cli.data.shapes import Float

__all__ = ["SAMPLES", "fingerprint_of"]

SAMPLES = 256
"""Most numbers that are taken of each weight."""


def fingerprint_of(weights: Iterable[tuple[str, tuple[int, ...], Float[np.ndarray, "sample"]]]) -> str:
    """Return a fingerprint of a model's weights, in hexadecimal digits.

    Args:
        weights: name and shape of each weight, and some of its numbers, evenly spaced.
    """
    digest = blake2b(digest_size=16)
    for name, shape, sample in sorted(weights, key=lambda weight: weight[0]):
        digest.update(f"{name} {shape}\n".encode())
        digest.update(np.ascontiguousarray(sample, "<f4").tobytes())
    return digest.hexdigest()
