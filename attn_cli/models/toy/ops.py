"""The three steps of attention, and the other operations that the built-in models are made of.

All functions use array operations that NumPy and torch share: NumPy runs them for users, torch differentiates the same
lines in training.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from attn_cli.data.shapes import Bool, Float

__all__ = ["Array", "hide", "layer_norm", "linear", "namespace", "normalize", "score", "sigmoid", "weighted_sum"]

Array = Any
"""A NumPy array or a torch tensor."""


def namespace(array: Array) -> Any:
    """Return the module that works on this array: numpy or torch."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def score(
    query: Float[Array, "*batch query dim"],
    key: Float[Array, "*batch key dim"],
    vector: Float[Array, "dim"] | None = None,
) -> Float[Array, "*batch query key"]:
    """Score each key for each query.

    Without `vector`: query . key / sqrt(dim) (Vaswani et al. 2017, equation 1). With it, additive: vector . tanh(query
    + key), where query and key have been projected (Bahdanau et al. 2015, appendix A.1.2).
    """
    if vector is None:
        return (query @ key.mT) * (1 / math.sqrt(query.shape[-1]))
    return namespace(query).tanh(query[..., :, None, :] + key[..., None, :, :]) @ vector


def normalize(scores: Float[Array, "*batch query key"]) -> Float[Array, "*batch query key"]:
    """Turn scores into weights by softmax over the keys; a score of minus infinity gives weight 0."""
    xp = namespace(scores)
    exponentials = xp.exp(scores - xp.amax(scores, axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def weighted_sum(
    weights: Float[Array, "*batch query key"], values: Float[Array, "*batch key dim"]
) -> Float[Array, "*batch query dim"]:
    """Return the context vectors: for each query, the sum of the values times its weights."""
    return weights @ values


def hide(visible: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return the mask to add to scores: 0 where a key is visible, minus infinity elsewhere."""
    xp = namespace(visible)
    nothing, everything = (xp.asarray(value, dtype=xp.float32) for value in (0.0, -math.inf))
    return xp.where(visible, nothing, everything)


def linear(
    states: Float[Array, "*batch from_dim"],
    weight: Float[Array, "to_dim from_dim"],
    bias: Float[Array, "to_dim"] | None = None,
) -> Float[Array, "*batch to_dim"]:
    """Multiply states by the transposed weight, and add the bias."""
    # Flattened to two axes, because NumPy would make a separate product for each index of the others.
    product = (states.reshape(-1, states.shape[-1]) @ weight.mT).reshape(*states.shape[:-1], weight.shape[0])
    return product if bias is None else product + bias


def layer_norm(
    states: Float[Array, "*batch dim"], weight: Float[Array, "dim"], bias: Float[Array, "dim"], epsilon: float = 1e-5
) -> Float[Array, "*batch dim"]:
    """Normalize each vector to mean 0 and variance 1, then scale and shift it (Ba et al. 2016)."""
    centred = states - states.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred / (variance + epsilon) ** 0.5 * weight + bias


def sigmoid(values: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Compute 1 / (1 + exp(-x)) in a form that cannot overflow."""
    xp = namespace(values)
    if xp is not np:
        sigmoids: Float[Array, "*shape"] = xp.sigmoid(values)  # compiled, quicker than the other form
        return sigmoids
    return 0.5 * np.tanh(0.5 * values) + 0.5
