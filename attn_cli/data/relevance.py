"""The relevance of the tokens of a text for one output of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float

__all__ = ["OutputUnit", "Relevance"]

OutputUnit = Literal["logit", "sum of logits", "cosine"]


@dataclass(frozen=True, eq=False)
class Relevance:
    """The relevance of each token for a model's output, carried down from the last layer to the first.

    It is a row of R - I in Chefer et al. 2021, "Generic Attention-model Explainability for Interpreting Bi-Modal and
    Encoder-Decoder Transformers": R begins as the identity, and each layer makes it R + Ā·R, where Ā is the mean over
    the heads of weight x gradient of the output, where that is positive (equations 5 and 6). The rows of all positions
    at which the output stands are added up. Cross-attention hands the relevance of a step on to the text by Ā·R̄, where
    R̄ is the encoder's R with each row of R - I divided by its sum, so that it counts as much as the identity (equations
    8 to 10). Unlike there, steps are not mixed once more before that: those of a causal decoder would take from later
    ones.
    """

    output: str
    """Description of the output: `the next token, Paris`."""
    value: float
    """Its value."""
    unit: OutputUnit
    """The unit of the value."""
    source: Float[np.ndarray, "token"]
    """Relevance of each token of the source, at least 0."""
    target: Float[np.ndarray, "target_token"] | None
    """Relevance of each token that the decoder of an encoder-decoder reads; None for other models."""
    heads: Mapping[Kind, Mapping[int, Float[np.ndarray, "_"]]]
    """kind -> layer -> what of the relevance each head handed on; over all heads, it adds up to that of all tokens."""
