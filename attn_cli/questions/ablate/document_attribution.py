"""The part of the document of `attn ablate` about a logit that is taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from msgspec import Meta

from attn_cli.io.structs import AttentionKind, Count, Entry, Number

if TYPE_CHECKING:
    from attn_cli.questions.ablate.attribution import Attributed

__all__ = ["AttributionEntry", "describe_attribution"]


class LogitTokenEntry(Entry):
    """A token of the vocabulary."""

    token: Annotated[Count, Meta(description="Its number in the vocabulary.")]
    text: str


class PartEntry(Entry):
    """The parts of one name, summed."""

    name: Annotated[str, Meta(description="embedding, heads, MLPs (or what layers have instead), or biases.")]
    part: Number


class HeadPartEntry(Entry):
    """Contribution of one head to the logit."""

    kind: AttentionKind
    layer: Count
    head: Count
    part: Number
    effect: Annotated[Number | None, Meta(description="Of cutting the head; null if nothing was cut.")]


class LayerPartEntry(Entry):
    """Contribution of a layer to the logit beside that of its heads."""

    name: Annotated[str, Meta(description="MLPs, or what the layer has instead.")]
    layer: Count
    part: Number


class AttributionEntry(Entry):
    """A logit taken apart: what each head, and all else that writes to the residual stream, adds to it by itself."""

    token: LogitTokenEntry
    likeliest: Annotated[bool, Meta(description="True if the token is the likeliest, as none was named.")]
    probability: Number
    against: Annotated[LogitTokenEntry | None, Meta(description="The token whose logit is taken off.")]
    logit: Annotated[Number, Meta(description="The model's own, or the difference; before a soft cap.")]
    capped: Annotated[Number | None, Meta(description="The same after the soft cap; null without one.")]
    sum: Annotated[Number, Meta(description="The sum of all parts, which is the logit but for rounding.")]
    parts: Sequence[PartEntry]
    heads: Sequence[HeadPartEntry]
    layers: Annotated[Sequence[LayerPartEntry], Meta(description="The rest of each layer.")]


def describe_attribution(found: Attributed) -> AttributionEntry:
    """Describe a logit and its parts."""
    one, parts = found.attribution, found.attribution.parts
    name, other = found.names
    return AttributionEntry(
        token=LogitTokenEntry(one.token, name),
        likeliest=found.is_likeliest,
        probability=np.float32(found.probability),
        against=None if one.against is None or other is None else LogitTokenEntry(one.against, other),
        logit=np.float32(one.logit),
        capped=None if one.capped is None else np.float32(one.capped),
        sum=np.float32(parts.total),
        parts=[PartEntry(group, np.float32(part)) for group, part in parts.groups.items()],
        heads=[
            HeadPartEntry(
                head.kind,
                head.layer,
                head.head,
                np.float32(head.part),
                None if head.effect is None else np.float32(head.effect),
            )
            for head in found.heads
        ],
        layers=[
            LayerPartEntry(what, layer, np.float32(part))
            for what, layers in parts.written.items()
            for layer, part in layers.items()
        ],
    )
