"""The document of `attn find`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta, field

from attn_cli.io.document import describe_finding
from attn_cli.io.structs import FOUND, AttentionKind, Count, Entry, Number, TextDocument, UnitPosition

if TYPE_CHECKING:
    from attn_cli.questions.find.measure import FoundLinks

__all__ = ["DOCUMENT", "FindDocument", "FoundLinkEntry", "PairEntry", "describe"]

UNITS: Mapping[str, str] = {
    "weight": "share of 1",
    "even": "the weight if the row were the same for each token that it can see",
    "usual": "the head's mean weight between other units as far apart, in the same direction",
    "others": "the head's mean weight to the same key from all other units",
}
SCORE_UNITS: Mapping[str, str] = {
    "weight": "nats: a score less the mean of its row's",
    "even": "0: a row whose scores are all the same",
}


class PairEntry(Entry):
    """One occurrence of the one word with one occurrence of the other."""

    query: UnitPosition
    query_text: str
    key: UnitPosition
    key_text: str
    offset: Annotated[
        int | None,
        Meta(description="Key minus query, words that are named together counted as one; null in cross-attention."),
    ]
    alike: Annotated[
        Count,
        Meta(
            description="How many other pairs with this offset there are, special tokens aside, in the layer where "
            "most can be seen."
        ),
    ]
    visible: Annotated[bool, Meta(description="Whether some head looked at can see the key from the query.")]


class FoundLinkEntry(Entry):
    """The weight of one pair in one head."""

    layer: Count
    head: Count
    query: UnitPosition
    query_text: str
    key: UnitPosition
    key_text: str
    weight: Annotated[Number, Meta(description="The weight, or what `selection.measure` names.")]
    even: Annotated[Number, Meta(description="What a row would give that gives each token the same.")]
    usual: Annotated[
        Number | None,
        Meta(description="The head's mean between other pairs of units as far apart; null where there are none."),
    ]
    others: Annotated[
        Number | None,
        Meta(description="The head's mean to the same key from the other units; null where there are none."),
    ]


class FindDocument(TextDocument, kw_only=True):
    """The heads that link two words, as attn find prints them."""

    finding: Annotated[Literal["find"], FOUND]
    kind: AttentionKind
    start: Annotated[str, Meta(description="The query, as it was typed.")] = field(name="from")
    end: Annotated[str, Meta(description="The key, as it was typed.")] = field(name="to")
    both: Annotated[bool, Meta(description="Pairs go both ways.")]
    least: Annotated[Number | None, Meta(description="The smallest weight listed; null for all.")] = field(name="min")
    sort: Literal["weight", "usual", "others", "layer"]
    pairs: Annotated[
        Sequence[PairEntry],
        Meta(min_length=1, description="Every occurrence of the one with every occurrence of the other."),
    ]
    links: Annotated[
        Sequence[FoundLinkEntry],
        Meta(description="One for each head and each pair that it can see, in the order of `sort`."),
    ]


DOCUMENT = FindDocument


def describe(found: FoundLinks) -> FindDocument:
    """Describe the links that are listed, and the pairs that were looked up."""
    return FindDocument(
        **describe_finding("find", found.record, UNITS, SCORE_UNITS),
        kind=found.plan.kind,
        start=found.start,
        end=found.end,
        both=found.both,
        least=found.least,
        sort=found.sort,
        pairs=[
            PairEntry(
                *found.ends(pair),
                offset=None if found.plan.crosses else pair.key - pair.query,
                alike=found.alike.get(pair, 0),
                visible=pair not in found.masked,
            )
            for pair in found.pairs
        ],
        links=[
            FoundLinkEntry(
                link.layer,
                link.head,
                *found.ends(link.pair),
                weight=np.float32(link.weight),
                even=np.float32(link.even),
                usual=None if link.usual is None else np.float32(link.usual),
                others=None if link.others is None else np.float32(link.others),
            )
            for link in found.listed
        ],
    )
