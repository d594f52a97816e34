"""A model as everything else sees it: its kinds of attention, layers and heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from attn_cli.data.selection import Kind, Rows
from attn_cli.errors import ModelError

__all__ = ["Alignment", "ModelInfo", "Stack"]


@dataclass(frozen=True)
class Stack:
    """The attention layers of one kind."""

    layers: int
    """How many layers the stack has, those without attention included."""
    heads: Mapping[int, int]
    """layer -> number of heads, for the layers that have attention."""
    key_value_heads: int
    """Fewer than the heads where heads share keys and values (grouped-query attention)."""
    without: Mapping[int, str] = field(default_factory=dict)
    """layer -> what stands in the place of attention there (`mamba`, `linear attention`)."""

    @property
    def total(self) -> int:
        """Heads in all layers together."""
        return sum(self.heads.values())


@dataclass(frozen=True)
class Alignment:
    """Heads that are known to say which word of the input a word of the output comes from."""

    layer: int
    heads: tuple[int, ...]
    """Cross-attention heads of that layer; where there are several, their mean aligns."""
    rows: Rows
    """At which step a word's row is read: the one that outputs it, or the one that reads it as input."""
    how: str
    """How they came to do so, in one sentence with a full stop: trained to, or found best on some data."""
    kind: Kind = "cross"

    @classmethod
    def declared(cls, known: object, stacks: Mapping[Kind, Stack], name: str) -> Alignment | None:
        """Read what a model's `config.json` says under `attn`, if it says anything of alignment.

        Args:
            known: what stands there.
            stacks: the model's attention layers.
            name: the model, as the user named it.

        Raises:
            ModelError: it names heads that the model does not have, or is no such statement at all.
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
                    f"config.json of {name}: attn.alignment.{part} names no {part} {expected}",
                    "Copy it again, or take alignment out there",
                )
        return cls(layer, tuple(heads), rows, how)


@dataclass(frozen=True)
class ModelInfo:
    """What a reader must know of a model."""

    name: str
    """As the user named it."""
    family: str
    """transformers' `model_type`, or the built-in's name."""
    stacks: Mapping[Kind, Stack]
    captured: Literal["interface", "hooks", "numpy"]
    """How the weights were taken: inside the model's own attention function, from what its layers return, or computed
    by the built-in model itself."""
    dtype: str = "float32"
    device: str = "cpu"
    parameters: int | None = None
    positions: int | None = None
    """The longest input, in tokens; None where there is no limit."""
    alignment: Alignment | None = None
    """What the model declares of its cross-attention; None where nothing is known."""
    bottleneck: int | None = None
    """How many numbers the one vector has that carries the whole text to the decoder, in a model without attention
    (whose `stacks` are empty); None in all others."""

    @property
    def one_sided(self) -> bool:
        """Whether it is an encoder or a decoder alone, which is given no target."""
        return bool(self.stacks) and "cross" not in self.stacks

    @property
    def without_attention(self) -> str:
        """What to say of a model that has none, in a sentence without a full stop."""
        if self.bottleneck is None:
            return f"{self.name} has no attention"
        return (
            f"{self.name} has no attention to show: the whole text passes to its decoder through one vector of "
            f"{self.bottleneck:,} numbers"
        )
