"""The path from a layer's states down to the tokens, which measures of several layers are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attn_cli.data.shapes import Float, Int

__all__ = ["LayerPath", "rows_of_one", "with_residual"]

Square = Float[np.ndarray, "query key"]


def with_residual(weights: Square) -> Square:
    """Return 0.5 W + 0.5 I, with the rows of W scaled to sum to 1 first (a learned sink may take a share of a row)."""
    half = rows_of_one(weights)
    half *= 0.5
    half[np.diag_indices_from(half)] += 0.5
    return rows_of_one(half)


def rows_of_one(weights: Square) -> Square:
    """Return the rows scaled to sum to 1; a row of zeros stays."""
    total = weights.sum(axis=1, keepdims=True)
    shares: Square = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return shares


@dataclass(frozen=True, eq=False)
class LayerPath:
    """The path through the layers from the states of one layer down to the tokens."""

    layers: tuple[Float[np.ndarray, "_ _"], ...]
    """The share of each state before a layer in each state after it, `[state after, state before]`, first layer first;
    empty before the first layer, and if only the rollout is needed."""
    rollout: Float[np.ndarray, "query key"]
    """The product of the layers."""
    visible: Int[np.ndarray, "query 2"]
    """The first token that can reach a state, and one past the last."""

    @classmethod
    def start(cls, tokens: int) -> LayerPath:
        """Return the path before the first layer: each state is its own token."""
        each = np.arange(tokens)
        return cls((), np.eye(tokens, dtype=np.float32), np.stack([each, each + 1], axis=1))

    def through(
        self, layer: Float[np.ndarray, "row state"], visible: Int[np.ndarray, "row 2"], *, keep: bool
    ) -> LayerPath:
        """Return the path extended by one more layer, each state of which sees a run of the states before it.

        Args:
            layer: share of each state before the layer in each state after it.
            visible: first state before the layer that each state after it sees, and one past the last.
            keep: whether to keep the layer itself, which the flow needs.
        """
        spans = [
            (self.visible[first:stop, 0].min(), self.visible[first:stop, 1].max()) if first < stop else (0, 0)
            for first, stop in visible.tolist()
        ]
        return LayerPath(
            (*self.layers, layer) if keep else (), layer @ self.rollout, np.asarray(spans, np.intp).reshape(-1, 2)
        )
