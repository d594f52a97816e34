"""Small random networks, of distinct prime sizes where they may be."""

from __future__ import annotations

import numpy as np

from attn_cli.data.shapes import Float
from attn_cli.models.toy import recurrent, transformer
from attn_cli.models.toy.folder import Shape, build, weight_shapes

__all__ = ["RNN", "RNN_ATTENTION", "TRANSFORMER", "network", "random_weights"]

TRANSFORMER = transformer.TransformerShape(
    vocabulary=31, dim=22, heads=11, feed_forward=13, encoder_layers=2, decoder_layers=3, positions=37
)
RNN_ATTENTION = recurrent.RecurrentShape(vocabulary=31, dim=7, hidden=5, attention=True, positions=37)
RNN = recurrent.RecurrentShape(vocabulary=31, dim=7, hidden=5, attention=False, positions=37)


def random_weights(shape: Shape, seed: int = 3) -> dict[str, Float[np.ndarray, "..."]]:
    """Weights large enough for attention that is not even, and for texts that do not repeat one token."""
    random = np.random.default_rng(seed)

    def draw(name: str, size: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        scale = 0.1 if len(size) == 1 else 0.2 if shape.vocabulary in size else 0.7
        return (random.normal(scale=scale, size=size) + ("norm.weight" in name)).astype(np.float32)

    return {name: draw(name, size) for name, size in weight_shapes(shape).items()}


def network(shape: Shape, seed: int = 3) -> transformer.Transformer | recurrent.Recurrent:
    """A network with random weights."""
    return build(shape, random_weights(shape, seed))
