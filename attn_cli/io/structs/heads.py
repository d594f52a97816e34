"""Heads: their row in the table, their links, and their maps of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from attn_cli.io.structs.base import Array, AttentionKind, Count, Entry, Number, Share, UnitPosition

__all__ = [
    "ChosenHeadEntry",
    "HeadEntry",
    "LinkEntry",
    "MapEntry",
]


class LinkEntry(Entry):
    """A weight between two different words."""

    query: UnitPosition
    query_text: str
    key: UnitPosition
    key_text: str
    weight: Number


class HeadEntry(Entry):
    """One row of the table of heads: means over its rows."""

    kind: AttentionKind
    layer: Count
    head: Count
    focus: Annotated[Share, Meta(description="0: even, 1: on one key.")]
    entropy: Annotated[Number | None, Meta(description="In nats.")]
    distance: Annotated[Number | None, Meta(description="Mean distance from query to key.")]
    first: Annotated[Share, Meta(description="Weight on the first key.")]
    itself: Annotated[Share, Meta(description="Weight on the query's own position.")]
    previous: Annotated[Share, Meta(description="Weight on the position before the query's.")]
    links: Annotated[
        Sequence[LinkEntry],
        Meta(description="The strongest weights between two different words, strongest first."),
    ]


class ChosenHeadEntry(Entry):
    """The head that is drawn where none is selected."""

    kind: AttentionKind
    layer: Count
    head: Count
    why: Annotated[
        Literal["guided", "telling", "first"],
        Meta(
            description="guided: it was trained to look from words of this text, or to align. telling: its words look "
            "most at words that others do not look at. first: in no head does a word look at another."
        ),
    ]
    telling: Annotated[
        Number,
        Meta(
            description="The mean over words of the weight of a word's strongest key less the mean weight of that key; "
            "0 for a word whose strongest key is itself, a neighbour or no word."
        ),
    ]
    link: Annotated[LinkEntry | None, Meta(description="The link that shows best what it does.")]


class MapEntry(Entry):
    """The weights of one head, always between tokens."""

    kind: AttentionKind
    layer: Count
    head: Count
    queries: Annotated[Sequence[Count], Meta(description="Positions of the rows, rising.")]
    visible: Annotated[
        Array[Annotated[Array[Count], Meta(min_length=2, max_length=2)]],
        Meta(description="[query][from, to]: the first key that each query can see, and one past the last."),
    ]
    weights: Annotated[
        Array[Array[Annotated[Number, Meta(ge=0)]]],
        Meta(
            description="[query][key]. float32 in the shortest digits that give it back. Each row sums to 1, or to 0 "
            "where a query sees nothing."
        ),
    ]
    scores: Annotated[Array[Array[Number | None]] | UnsetType, Meta(description="[query][key], null where masked.")] = (
        UNSET
    )
    sink: Annotated[
        Array[Annotated[Number, Meta(ge=0)]] | UnsetType,
        Meta(description="[query]: share that a learned sink takes; a row and its sink sum to 1 together."),
    ] = UNSET
