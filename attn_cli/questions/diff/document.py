"""The document of `attn diff`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import UNSET, Meta, UnsetType

from attn_cli.io.document import describe_checks, describe_finding, describe_text
from attn_cli.io.structs import (
    FOUND,
    Array,
    AttentionKind,
    Count,
    Entry,
    ModelEntry,
    Notes,
    Number,
    RelevanceOfTokens,
    Source,
    Target,
    TextDocument,
    Verified,
    VerifiedOutput,
)

if TYPE_CHECKING:
    from attn_cli.questions.diff.measure import Differences, HeadChange
    from attn_cli.questions.diff.overlay import Overlay

__all__ = [
    "DOCUMENT",
    "ChangedWeightEntry",
    "DiffDocument",
    "HeadChangeEntry",
    "OtherEntry",
    "OverlaidUnitEntry",
    "describe",
]

UNITS: Mapping[str, str] = {
    "weight": "share of 1",
    "divergence": "Jensen-Shannon divergence in bits: 0 the same, 1 no key in common",
}
SCORE_UNITS: Mapping[str, str] = {
    "weight": "nats: a score less the mean of its row's, over the keys that the row can see in both",
    "divergence": "nats: the root of the mean square change, over the keys that a row can see in both",
}


Bits = Annotated[Number, Meta(ge=0)] | None


class OverlaidUnitEntry(Entry):
    """Two units of A and B that are laid over each other."""

    a: Annotated[Count | None, Meta(description="Index among A's units; null where A has none there.")]
    b: Annotated[Count | None, Meta(description="Index among B's units; null where B has none there.")]
    a_text: str | None
    b_text: str | None


class OtherEntry(Entry, kw_only=True):
    """The model and the text of B."""

    model: ModelEntry
    source: Source
    target: Target
    verified: Verified
    verified_output: VerifiedOutput = None
    notes: Notes
    relevance: RelevanceOfTokens = UNSET


class ChangedWeightEntry(Entry):
    """One weight in A and in B."""

    query: Annotated[Count, Meta(description="Index into queries.")]
    key: Annotated[Count, Meta(description="Index into keys.")]
    a: Number
    b: Number


class HeadChangeEntry(Entry):
    """The change of one head between A and B."""

    layer: Count
    head: Count
    divergence: Annotated[
        Bits,
        Meta(description="Mean over the rows that can see two keys or more; of scores, two keys in A and B alike."),
    ]
    rows: Annotated[
        Array[Bits],
        Meta(
            description="Of each row compared; null where it can see no more than one key (of scores, in A and B "
            "alike)."
        ),
    ]
    largest: Annotated[ChangedWeightEntry | None, Meta(description="The weight that changed most.")]
    a: Annotated[
        Array[Array[Number | None]] | UnsetType, Meta(description="With --query: [row][key], the weights in A.")
    ] = UNSET
    b: Annotated[
        Array[Array[Number | None]] | UnsetType, Meta(description="With --query: [row][key], the weights in B.")
    ] = UNSET


class DiffDocument(TextDocument, kw_only=True):
    """The answer of attn diff: changes between A and B; the model and the text at the top are those of A."""

    finding: Annotated[Literal["diff"], FOUND]
    kind: AttentionKind
    other: OtherEntry
    queries: Annotated[Sequence[OverlaidUnitEntry], Meta(description="The units along the rows, laid over each other.")]
    keys: Annotated[Sequence[OverlaidUnitEntry], Meta(description="The units along the columns, laid over each other.")]
    rows: Annotated[Sequence[Count], Meta(description="Which of the queries are compared; both have them.")]
    most: Annotated[Number, Meta(ge=0, description="The largest divergence of a head; of scores, the largest change.")]
    fail_above: Annotated[Number | None, Meta(description="What --fail-above gave.")]
    heads: Annotated[
        Sequence[HeadChangeEntry],
        Meta(description="In the order asked for: those that changed most first, or by layer."),
    ]


DOCUMENT = DiffDocument


def describe(found: Differences) -> DiffDocument:
    """Describe how much each head changed, in the order asked for."""
    return DiffDocument(
        **describe_finding("diff", found.a, UNITS, SCORE_UNITS),
        kind=found.plans[0].kind,
        other=OtherEntry(**describe_text(found.b), **describe_checks(found.b)),
        queries=_overlaid(found.queries),
        keys=_overlaid(found.keys),
        rows=found.chosen,
        most=np.float32(found.most),
        fail_above=found.fail_above,
        heads=[_head(found, head) for head in found.listed],
    )


def _overlaid(axis: Overlay) -> list[OverlaidUnitEntry]:
    a, b = axis.units
    return [
        OverlaidUnitEntry(
            a=a.positions[one] if one >= 0 else None,
            b=b.positions[other] if other >= 0 else None,
            a_text=a.labels[one] if one >= 0 else None,
            b_text=b.labels[other] if other >= 0 else None,
        )
        for one, other in zip(axis.a.tolist(), axis.b.tolist(), strict=True)
    ]


def _head(found: Differences, head: HeadChange) -> HeadChangeEntry:
    largest = head.largest
    a, b = (UNSET, UNSET) if found.query is None else map(np.ascontiguousarray, found.maps(head.layer, head.head))
    return HeadChangeEntry(
        layer=head.layer,
        head=head.head,
        divergence=np.float32(head.divergence),
        rows=head.rows.astype(np.float32),
        largest=None
        if largest is None
        else ChangedWeightEntry(largest.query, largest.key, np.float32(largest.a), np.float32(largest.b)),
        a=a,
        b=b,
    )
