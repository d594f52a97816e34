"""`Entry`, which every part of a document is, and the numbers and names that several of them hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from msgspec import Meta, Struct

from attn_cli.data.selection import Kind, Rows

__all__ = [
    "Array",
    "AttentionKind",
    "Count",
    "Entry",
    "Number",
    "Segment",
    "Share",
    "Size",
    "StepRows",
    "UnitPosition",
]

Item = TypeVar("Item")

if TYPE_CHECKING:
    import numpy as np

    Number = float | np.float32
    Array = Sequence[Item] | np.ndarray[Any, Any]
else:  # NumPy's numbers and arrays are written as JSON's
    Number, Array = float, Sequence

Count = Annotated[int, Meta(ge=0)]
Size = Annotated[int, Meta(ge=0, le=65535, description="How many layers or heads there are.")]
Segment = Annotated[int, Meta(ge=0, le=1)]
Share = Annotated[Number | None, Meta(description="Share of 1; null where it has no meaning.")]
AttentionKind = Annotated[
    Kind, Meta(description="encoder: self-attention. decoder: causal self-attention. cross: decoder over encoder.")
]
StepRows = Annotated[
    Rows,
    Meta(description="Whose a decoder's step is: the token's that it outputs, or the one's that it reads."),
]
UnitPosition = Annotated[Count, Meta(description="Index among the units shown; of several named as one, the first's.")]


class Entry(Struct, forbid_unknown_fields=True):
    """A part of a document. Its class is what the schema says of it."""
