"""The architectures that can be trained, at sizes that a test can train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from attn_cli.models.toy import recurrent, transformer
from attn_cli.models.toy.folder import Shape
from attn_cli.train.architectures import ARCHITECTURES, Architecture

__all__ = ["SMALL", "small_architectures"]

SMALL: dict[str, Callable[[int], Shape]] = {
    "transformer": lambda size: transformer.TransformerShape(
        vocabulary=size, dim=22, heads=11, feed_forward=13, encoder_layers=3, decoder_layers=3, positions=97
    ),
    "rnn-attention": lambda size: recurrent.RecurrentShape(
        vocabulary=size, dim=11, hidden=7, attention=True, positions=97
    ),
    "rnn": lambda size: recurrent.RecurrentShape(vocabulary=size, dim=11, hidden=7, attention=False, positions=97),
}


def small_architectures() -> dict[str, Architecture]:
    """Return small architectures, to stand in for `ARCHITECTURES`."""
    return {name: replace(one, shape=SMALL[name]) for name, one in ARCHITECTURES.items()}
