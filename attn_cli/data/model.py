"""The description of a model: its kinds of attention, layers and heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from attn_cli.data.selection import Kind, Rows
from attn_cli.errors import ModelError

__all__ = ["Alignment", "Heads", "ModelInfo", "Stack"]

Heads = Mapping[Kind, Mapping[int, tuple[int, ...]]]
"""kind -> layer -> heads."""


@dataclass(frozen=True)
class Stack:
    """The attention layers of one kind."""

    layers: int
    """The number of layers, including those without attention."""
    heads: Mapping[int, int]
    """layer -> number of heads, for the layers that have attention."""
    key_value_heads: int
    """The number of key-value heads; fewer than the heads if those share keys and values (grouped-query attention)."""
    without: Mapping[int, str] = field(default_factory=dict)
    """layer -> description of what it has instead of attention maps (`mamba`, `linear attention`)."""

    @property
    def total(self) -> int:
        """The number of heads in all layers."""
        return sum(self.heads.values())


@dataclass(frozen=True)
class Alignment:
    """Heads that are known to align each word of the output with the word of the input that it comes from."""

    layer: int
    heads: tuple[int, ...]
    """Cross-attention heads of that layer; if there are several, their mean is the alignment."""
    rows: Rows
    """The step at which a word's row is read: the one that outputs it, or the one that reads it as input."""
    how: str
    """The origin of the alignment, in one sentence with a full stop: trained, or found to be best on some data."""
    kind: Literal["cross"] = "cross"

    @classmethod
    def declared(cls, known: object, stacks: Mapping[Kind, Stack], name: str) -> Alignment | None:
        """Read the alignment heads that a model's `config.json` declares under `attn`, if any.

        Args:
            known: the value of `attn` in `config.json`.
            stacks: the model's attention layers.
            name: the model, as the user named it.

        Raises:
            ModelError: the declaration names heads that the model does not have, or is malformed.
        """
        found: Any = known.get("alignment") if isinstance(known, Mapping) else None
        if found is None:
            return None
        parts = ("layer", "heads", "rows", "how")
        values: list[Any] = [found.get(part) if isinstance(found, Mapping) else None for part in parts]
        layer, heads, rows, how = values
        counts = stacks["cross"].heads if "cross" in stacks else {}
        count = counts.get(layer, 0) if type(layer) is int else 0
        listed = heads if isinstance(heads, list) else []
        fits = (
            count > 0,
            len(listed) > 0 and all(type(head) is int and 0 <= head < count for head in listed),
            rows in get_args(Rows),
            isinstance(how, str),
        )
        for part, fit in zip(parts, fits, strict=True):
            if not fit:
                expected = "of its cross-attention" if part in {"layer", "heads"} else "that attn knows"
                raise ModelError(
                    f"config.json of {name}: attn.alignment.{part} must name {part} {expected}",
                    "Copy it again, or remove alignment from it",
                )
        return cls(layer, tuple(heads), rows, how)


@dataclass(frozen=True)
class ModelInfo:
    """The facts about a model that readers of its attention need."""

    name: str
    """The name that the user gave."""
    family: str
    """The `model_type` of transformers, or the name of the built-in model."""
    stacks: Mapping[Kind, Stack]
    captured: Literal["interface", "hooks", "numpy"]
    """The way in which the weights were captured: inside the model's own attention function, from what its layers
    return, or computed by the built-in model itself."""
    dtype: str = "float32"
    device: str = "cpu"
    parameters: int | None = None
    positions: int | None = None
    """The length of the longest input, in tokens; None if there is no limit."""
    alignment: Alignment | None = None
    """The alignment that the model declares for its cross-attention; None if nothing is known."""
    bottleneck: int | None = None
    """The size of the one vector that carries the whole text to the decoder, in a model without attention (whose
    `stacks` are empty); None in all others."""
    without: Heads = field(default_factory=dict)
    """The heads whose output is zero in every run of this model (`--without`)."""

    @property
    def one_sided(self) -> bool:
        """True if the model is an encoder or a decoder alone, which takes no target."""
        return bool(self.stacks) and "cross" not in self.stacks

    @property
    def without_attention(self) -> str:
        """The message about a model without attention, as a sentence without a full stop."""
        if self.bottleneck is None:
            return f"{self.name} has no attention"
        return (
            f"{self.name} has no attention to show: the whole text passes to its decoder through one vector of "
            f"{self.bottleneck:,} numbers"
        )
