"""The heads' weighted sums of the values, kept whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float
from attn_cli.data.stream import EatContexts

__all__ = ["contexts_of"]


Contexts = dict[tuple[Kind, int], Float[np.ndarray, "head query dim"]]


def contexts_of(stream: Callable[..., None], *given: Any) -> Contexts:
    """Collect what `Model.contexts` or `capture.variations.contexts` passes on."""
    found: Contexts = {}

    def keep(kind: Kind, layer: int, sums: Float[np.ndarray, "head query dim"]) -> None:
        found[kind, layer] = sums

    eat: EatContexts = keep
    stream(*given, eat)
    return found
