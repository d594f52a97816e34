"""Whole documents: the record, and what the documents of the questions extend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from attn_cli.data.selection import Measure, SortKey, Unit, View
from attn_cli.io.structs.base import Array, AttentionKind, Entry, Number, Segment, StepRows
from attn_cli.io.structs.heads import ChosenHeadEntry, HeadEntry, MapEntry
from attn_cli.io.structs.models import ModelEntry
from attn_cli.io.structs.outcomes import OutputCheckEntry, RelevanceEntry, WrittenEntry
from attn_cli.io.structs.shares import PromptPartsEntry, SegmentShareEntry, SpreadEntry
from attn_cli.io.structs.texts import TokensEntry

__all__ = [
    "FOUND",
    "AttnDocument",
    "FindingDocument",
    "Notes",
    "NumberUnits",
    "RecordDocument",
    "RelevanceOfTokens",
    "RowsMeaning",
    "SelectionEntry",
    "Source",
    "Target",
    "TextDocument",
    "ToolEntry",
    "UnitsEntry",
    "Verified",
    "VerifiedOutput",
]

RowsMeaning = Literal[
    "output row: the step that outputs the token",
    "input row: the step that reads the token",
    "row of a matrix, which does not say whose step it is",
]
Source = Annotated[TokensEntry, Meta(description="The text; the encoder's side in an encoder-decoder.")]
Target = Annotated[
    TokensEntry | None,
    Meta(
        description="The decoder's side of an encoder-decoder, where there is one: the start token, then all that it "
        "writes. Query i of a map is the step that reads token i and outputs token i + 1."
    ),
]
Verified = Annotated[
    float | None,
    Meta(
        description="Largest absolute difference between softmax(scores) · values and what the layers computed; null "
        "where --verify was not given."
    ),
]
VerifiedOutput = Annotated[
    OutputCheckEntry | None,
    Meta(
        description="How far the model's output is from that of a plain run of it in transformers, without attn; null "
        "where --verify was not given or nothing can be compared. Older records do not have it."
    ),
]
Notes = Annotated[Sequence[str], Meta(description="What a reader must know, one sentence each.")]
RelevanceOfTokens = Annotated[
    RelevanceEntry | UnsetType, Meta(description="What each token is for the output; with --measure relevance only.")
]
NumberUnits = Annotated[Mapping[str, str], Meta(description="What the numbers mean.")]
FOUND = Meta(description="Which command found it.")


class ToolEntry(Entry):
    """The tool that made the document."""

    name: Literal["attn"]
    version: Annotated[str, Meta(description="Version of the tool that saw this, not of the one that copied it.")]


class SelectionEntry(Entry):
    """The user's selection, as it was typed; `attn view` starts from it."""

    view: View
    kind: AttentionKind | None
    layer: str | None
    head: str | None
    query: str | None
    unit: Unit
    special: Annotated[bool, Meta(description="Special tokens are shown.")]
    sink: Annotated[
        bool | None, Meta(description="The first token is shown; null: but for that of a decoder's relevance.")
    ]
    rows: Annotated[
        StepRows | None, Meta(description="null: as the model declares, else input; units.rows says which it came to.")
    ]
    measure: Annotated[
        Measure,
        Meta(
            description="norms, relevance, rollout and flow stand in the place of the weights, as shares of their row; "
            "rollout and flow as those of a layer's only head."
        ),
    ]
    top_k: Annotated[int, Meta(ge=1)]
    sort: SortKey
    all: bool
    translation: Annotated[
        bool,
        Meta(description="The target is shown as a translation: its text first, and the heads that align best."),
    ]
    relevant_to: Annotated[
        str | UnsetType, Meta(description="The output that relevance is measured for; absent: what the model makes.")
    ] = UNSET
    from_segment: Annotated[
        Segment | UnsetType, Meta(description="The segment whose words are the rows; absent: all rows.")
    ] = UNSET
    to_segment: Annotated[
        Segment | UnsetType, Meta(description="The segment whose words are the columns; absent: all columns.")
    ] = UNSET


class UnitsEntry(Entry):
    """The meaning of the numbers."""

    weight: Annotated[str, Meta(description="share of 1, or what the measure makes of it.")]
    score: Literal["query·key after scaling, bias, soft-capping and mask, before softmax"]
    entropy: Literal["nats"]
    focus: Literal["1 - entropy / ln(visible keys)"]
    positions: Annotated[
        Literal["tokens, from 0"], Meta(description="The rows and columns of maps, and indices of tokens.")
    ]
    offsets: Literal["characters (Unicode code points)"]
    distance: Literal["words", "tokens", "patches"]
    rows: Annotated[
        RowsMeaning,
        Meta(
            description="What query_text means in cross-attention, and in a decoder's where rows were selected or a "
            "prompt written on. On an output row, query i is token i + 1 of the decoder's; on an input row, token i."
        ),
    ]
    maps: Annotated[
        Literal["token"], Meta(description="What the rows and columns of maps are. Older records do not say it.")
    ] = "token"
    links: Annotated[
        Unit | UnsetType,
        Meta(description="What the queries and keys of heads and of chosen are. Older records do not say it."),
    ] = UNSET


class AttnDocument(Entry, kw_only=True):
    """Anything that attn writes as JSON."""

    schema_version: Annotated[
        Literal[1], Meta(description="Rises when a reader of the older form would misread the newer one.")
    ]
    tool: ToolEntry


class RecordDocument(AttnDocument, kw_only=True):
    """An attention record, as attn writes and reads it."""

    model: ModelEntry
    source: Source
    target: Target
    selection: SelectionEntry
    units: UnitsEntry
    verified: Verified
    verified_output: VerifiedOutput = None
    notes: Notes
    relevance: RelevanceOfTokens = UNSET
    vector: Annotated[
        Array[Number] | UnsetType,
        Meta(description="The one vector that carries the text to the decoder of a model without attention."),
    ] = UNSET
    written: Annotated[
        WrittenEntry | UnsetType, Meta(description="The probabilities of what was written (attn generate).")
    ] = UNSET
    heads: Annotated[
        Sequence[HeadEntry] | UnsetType,
        Meta(
            description="One row per head, as the table shows it, in the unit of the selection. Derived: reading a "
            "record ignores it."
        ),
    ] = UNSET
    chosen: Annotated[
        ChosenHeadEntry | UnsetType,
        Meta(description="The head that is drawn where none is selected. Derived, as the table is."),
    ] = UNSET
    spread: Annotated[
        SpreadEntry | UnsetType,
        Meta(description="Where the weight of the map drawn lies; of a text of 1,000 units or more. Derived."),
    ] = UNSET
    parts: Annotated[
        PromptPartsEntry | UnsetType,
        Meta(description="How much each part of the text is looked at. Derived, as the table is."),
    ] = UNSET
    segments: Annotated[
        Sequence[SegmentShareEntry] | UnsetType,
        Meta(
            description="With selection.to_segment, how much of each head's weight is there before rows are "
            "renormalized; the largest first. Derived, as the table is."
        ),
    ] = UNSET
    maps: Annotated[Sequence[MapEntry], Meta(description="One map per head, always between tokens.")]


class FindingDocument(AttnDocument, kw_only=True):
    """The answer of one command."""

    finding: Annotated[str, FOUND]


class TextDocument(FindingDocument, kw_only=True):
    """The answer of one command about a model and its text."""

    model: ModelEntry
    source: Source
    target: Target
    selection: SelectionEntry
    units: NumberUnits
    verified: Verified
    verified_output: VerifiedOutput = None
    notes: Notes
    relevance: RelevanceOfTokens = UNSET
