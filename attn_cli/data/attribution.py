"""Direct logit attribution: the parts that add up to a model's logit of a token (Elhage et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float
from attn_cli.errors import ModelError

__all__ = ["Attribution", "Parts", "does_not_continue"]


@dataclass(frozen=True, eq=False)
class Parts:
    """Contribution of each part of a model to the logit of a token, or to the difference of two, at one place.

    Every normalization on the way keeps the scale that it has in this run, so that the parts add up.
    """

    heads: Mapping[tuple[Kind, int], Float[np.ndarray, "head"]]
    """Kind and layer -> the part of each head, through the output projection."""
    written: Mapping[str, Mapping[int, float]]
    """Kind of module beside attention (`MLPs`, `mamba`) -> layer -> its part."""
    embedding: float
    """The part of what enters the first layer: the token, and its position where that is added to it."""
    biases: float
    """The part of the biases of output projections, normalizations and the unembedding."""

    @property
    def groups(self) -> dict[str, float]:
        """The sum of each kind of part."""
        heads = sum(float(parts.sum(dtype=np.float64)) for parts in self.heads.values())
        written = {name: sum(parts.values()) for name, parts in self.written.items()}
        return {"embedding": self.embedding, "heads": heads, **written, "biases": self.biases}

    @property
    def total(self) -> float:
        """The sum of all parts: the logit, but for rounding."""
        return sum(self.groups.values())


@dataclass(frozen=True, eq=False)
class Attribution:
    """The logit of a token in one place of a text, or its difference from another token's, and the parts of it."""

    token: int
    against: int | None
    """The token whose logit is taken off; None for nothing."""
    parts: Parts
    logit: float
    """The model's own logit, or the difference, before a soft cap; the parts add up to it."""
    capped: float | None
    """The same after the soft cap, in a model that has one."""
    logits: Float[np.ndarray, "vocabulary"]
    """The model's own logits in this place."""


def does_not_continue(name: str) -> ModelError:
    """Return the error for a model that does not continue a text, so that it has no next token.

    Args:
        name: the model's name.
    """
    return ModelError(
        f"--attribution takes a model that continues a text (a decoder alone), and {name} does not",
        "Choose one with --model, or leave --attribution out to cut heads",
    )
