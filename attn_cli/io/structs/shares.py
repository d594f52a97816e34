"""Shares of the weight: of the tenths of a long text, of its parts, and of the segments of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from attn_cli.io.structs.base import AttentionKind, Count, Entry, Number, Share, UnitPosition
from attn_cli.io.structs.heads import LinkEntry

__all__ = [
    "PromptPartsEntry",
    "PromptShareEntry",
    "SegmentShareEntry",
    "SinkKeyEntry",
    "SpreadEntry",
    "TenthEntry",
]


class TenthEntry(Entry):
    """A tenth of a long text, and the share of the weight on its keys where heads do not rest."""

    start: Annotated[UnitPosition, Meta(description="The first of its keys.")]
    last: Annotated[UnitPosition, Meta(description="The last.")]
    share: Annotated[Share, Meta(description="Share of the weight on all keys where heads do not rest.")]
    even: Annotated[Share, Meta(description="The same if each row gave all such keys that it sees the same weight.")]


class SinkKeyEntry(Entry):
    """A key that takes much of the weight of all rows."""

    key: UnitPosition
    key_text: str
    share: Annotated[Number, Meta(description="Share of all weight.")]


class SpreadEntry(Entry):
    """The places in a long text at which the weight of the map that is drawn lies, over all rows that are words."""

    kind: AttentionKind
    layers: Annotated[Sequence[Count], Meta(min_length=1)]
    head: Annotated[Count | None, Meta(description="The head; null: the mean of those shown of these layers.")]
    resting: Annotated[
        Number,
        Meta(description="Share of all weight where heads rest: on special tokens, and on a decoder's first token."),
    ]
    tenths: Annotated[Sequence[TenthEntry], Meta(min_length=10, max_length=10)]
    sinks: Annotated[
        Sequence[SinkKeyEntry],
        Meta(
            description="At most five keys with 0.01 of all weight or more, and ten times as much as rows would give "
            "them that gave all keys that they see the same; the largest first."
        ),
    ]
    apart: Annotated[
        Count | None,
        Meta(
            description="Least distance of a far link, a tenth of the text; null where rows and columns have no common "
            "positions."
        ),
    ]
    links: Annotated[
        Sequence[LinkEntry],
        Meta(
            description="The five strongest far links, each to another key, which is neither a sink nor one where "
            "heads rest; the strongest first."
        ),
    ]


class PromptShareEntry(Entry):
    """The weight that the rows give one part."""

    name: str
    tokens: Annotated[Count, Meta(description="Tokens of the part that are shown.")]
    shares: Annotated[Sequence[Number], Meta(description="[row]: share of the row's weight.")]
    sink_aside: Annotated[
        Sequence[Number | None],
        Meta(description="[row]: share of the weight that is not on the first token; null where all of it is."),
    ]
    even: Annotated[Sequence[Number], Meta(description="[row]: share of a row that gives every token the same.")]


class PromptPartsEntry(Entry):
    """The weight that each part of the text is given, in the mean of the heads selected."""

    heads: Annotated[Count, Meta(description="Heads that the mean is over.")]
    rows: Annotated[
        Sequence[UnitPosition], Meta(description="The rows: those written, or those of the query, or the last.")
    ]
    sinks: Annotated[
        Sequence[Number], Meta(description="[row]: share of its weight on the first token; 0 where that is hidden.")
    ]
    parts: Annotated[Sequence[PromptShareEntry], Meta(description="In the order of the text.")]


class SegmentShareEntry(Entry):
    """The share of one head's weight on the segment whose words are the columns, the mean over the rows shown."""

    layer: Count
    head: Count
    share: Number
