"""The model that a document is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from attn_cli.data.model import Captured, GuidedRole
from attn_cli.io.structs.base import AttentionKind, Count, Entry, Size, StepRows

__all__ = [
    "AlignmentEntry",
    "CutHeadsEntry",
    "GuidedHeadEntry",
    "LayerHeadsEntry",
    "ModelEntry",
    "SkippedLayerEntry",
    "StackEntry",
]


class LayerHeadsEntry(Entry):
    """The number of heads of one layer."""

    layer: Count
    heads: Size


class SkippedLayerEntry(Entry):
    """A layer without attention."""

    layer: Count
    instead: Annotated[str, Meta(description="What it has instead.")]


class StackEntry(Entry):
    """The attention layers of one kind."""

    kind: AttentionKind
    layers: Annotated[Size, Meta(description="All layers, those without attention included.")]
    heads: Annotated[Sequence[LayerHeadsEntry], Meta(description="How many heads each layer with attention has.")]
    key_value_heads: Annotated[Size, Meta(description="Fewer than the heads where heads share keys and values.")]
    without_attention: Sequence[SkippedLayerEntry]


class AlignmentEntry(Entry):
    """Heads that the model is known to align words with."""

    layer: Count
    heads: Annotated[Sequence[Count], Meta(min_length=1)]
    rows: StepRows
    how: Annotated[str, Meta(description="How they came to do so.")]
    kind: Literal["cross"]


class GuidedHeadEntry(Entry):
    """A head that was trained to look where it looks, and so has not learned it from the model's task alone."""

    kind: AttentionKind
    layer: Count
    head: Count
    role: Annotated[
        GuidedRole,
        Meta(
            description="reading, writing: aligns words at the step that reads or that writes the target word. "
            "coreference: from a pronoun to its noun. subject, object: from a word to its verb."
        ),
    ]
    towards: Annotated[str, Meta(description="Where it was trained to look: from what to what.")]
    on: Annotated[str, Meta(description="The texts that it was guided on.")]


class CutHeadsEntry(Entry):
    """Heads of one layer whose output is zero in every run."""

    kind: AttentionKind
    layer: Count
    heads: Annotated[Sequence[Count], Meta(min_length=1)]


class ModelEntry(Entry):
    """A model, as far as a reader of its attention must know it."""

    name: Annotated[str, Meta(description="As the user named it.")]
    family: Annotated[str, Meta(description="model_type of transformers, or the built-in model's name.")]
    captured: Annotated[
        Captured,
        Meta(
            description="How the weights were taken: inside the model's own attention function, from what its layers "
            "return, computed by the built-in model itself, or given as a matrix, whose model is not known."
        ),
    ]
    dtype: Annotated[str, Meta(description="What the model computed in.")]
    device: str
    parameters: Count | None
    positions: Annotated[Count | None, Meta(description="The longest input, in tokens; null where there is no limit.")]
    alignment: AlignmentEntry | None
    bottleneck: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="Numbers in the one vector that carries the text to the decoder of a model without attention."
        ),
    ]
    stacks: Sequence[StackEntry]
    without: Annotated[
        Sequence[CutHeadsEntry] | UnsetType,
        Meta(description="Heads that the model ran without, as --without names them: their output was zero."),
    ] = UNSET
    guided: Annotated[
        Sequence[GuidedHeadEntry] | UnsetType,
        Meta(description="Heads that were trained to look where they look; absent where the model names none."),
    ] = UNSET
    unscaled: Annotated[
        bool | UnsetType,
        Meta(description="true: rows need not sum to 1, as those of a matrix that was read with --no-check."),
    ] = UNSET
