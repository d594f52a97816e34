"""Documents as msgspec structs: what attn writes and reads, declared once; the JSON Schemas are generated from them.

The document of a question lies in its own folder, in `document.py`, and extends one of those here.

This module imports msgspec, which only reading and writing of documents needs: import it where that happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from attn_cli.data.model import Captured, GuidedRole
from attn_cli.data.relevance import OutputUnit
from attn_cli.data.selection import Kind, Measure, Rows, SortKey, Unit, View

__all__ = [
    "FOUND",
    "AlignmentEntry",
    "Array",
    "AttentionKind",
    "AttnDocument",
    "ChosenHeadEntry",
    "Count",
    "CutHeadsEntry",
    "Entry",
    "FindingDocument",
    "GridEntry",
    "GuidedHeadEntry",
    "HandedEntry",
    "HeadEntry",
    "LayerHeadsEntry",
    "LikeliestEntry",
    "LinkEntry",
    "LookbackEntry",
    "MapEntry",
    "ModelEntry",
    "Notes",
    "Number",
    "NumberUnits",
    "OutputCheckEntry",
    "PromptPartEntry",
    "PromptPartsEntry",
    "PromptShareEntry",
    "RecordDocument",
    "RelevanceEntry",
    "RelevanceOfTokens",
    "RowsMeaning",
    "SelectionEntry",
    "SinkKeyEntry",
    "SkippedLayerEntry",
    "SpreadEntry",
    "StackEntry",
    "StepRows",
    "TenthEntry",
    "TextDocument",
    "ThumbnailEntry",
    "TokenEntry",
    "TokensEntry",
    "ToolEntry",
    "UnitPosition",
    "UnitsEntry",
    "Verified",
    "VerifiedOutput",
    "WordEntry",
    "WrittenEntry",
    "WrittenTokenEntry",
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
RowsMeaning = Literal[
    "output row: the step that outputs the token",
    "input row: the step that reads the token",
    "row of a matrix, which does not say whose step it is",
]
UnitPosition = Annotated[Count, Meta(description="Index among the units shown; of several named as one, the first's.")]


class Entry(Struct, forbid_unknown_fields=True):
    """A part of a document. Its class is what the schema says of it."""


class ToolEntry(Entry):
    """The tool that made the document."""

    name: Literal["attn"]
    version: Annotated[str, Meta(description="Version of the tool that saw this, not of the one that copied it.")]


class LayerHeadsEntry(Entry):
    """How many heads one layer has."""

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


class TokenEntry(Entry):
    """One token of the model's input."""

    index: Annotated[Count, Meta(description="The position, which queries and keys refer to.")]
    id: Annotated[int | None, Meta(description="The piece's number in the vocabulary.")]
    piece: Annotated[str, Meta(description="As the vocabulary spells it.")]
    start: Annotated[Count, Meta(description="First character in the segment's text.")]
    end: Annotated[Count, Meta(description="One past the last; equal to start where it stands for none.")]
    word: Annotated[Count | None, Meta(description="Index of its word; null for special tokens.")]
    special: bool
    segment: Annotated[Segment, Meta(description="0: text, 1: pair.")]


class WordEntry(Entry):
    """One word of the text."""

    index: Count
    text: str
    start: Count
    end: Count
    segment: Segment


class PromptPartEntry(Entry):
    """A named part of a text: a turn of a chat, a document, a question."""

    name: str
    start: Annotated[Count, Meta(description="First character in the text.")]
    end: Annotated[Count, Meta(description="One past the last.")]


class ThumbnailEntry(Entry):
    """A small picture."""

    width: Annotated[int, Meta(ge=1)]
    height: Annotated[int, Meta(ge=1)]
    rgb: Annotated[
        bytes, Meta(description="Red, green and blue of each pixel, a byte each, row by row from the top; in Base64.")
    ]


class GridEntry(Entry):
    """The grid of patches that an image is divided into, whose tokens, row by row, are those that are not special."""

    rows: Annotated[int, Meta(ge=1)]
    columns: Annotated[int, Meta(ge=1)]
    name: Annotated[str, Meta(description="The name of the image.")]
    thumbnail: Annotated[
        ThumbnailEntry | None, Meta(description="The part of the image that the patches cover, as the model sees it.")
    ]


class TokensEntry(Entry):
    """One side of a model: a text, or two, or an image, and how it is divided."""

    text: str
    pair: Annotated[str | None, Meta(description="The second segment's text.")]
    tokens: Sequence[TokenEntry]
    words: Sequence[WordEntry]
    written: Annotated[
        Annotated[int, Meta(ge=1)] | UnsetType,
        Meta(
            description="The first token that a decoder wrote behind its prompt; absent where nothing was. The last "
            "token was not read, so maps have no row and no column for it."
        ),
    ] = UNSET
    parts: Annotated[
        Sequence[PromptPartEntry] | UnsetType,
        Meta(description="The parts of the text, in its order; absent where they are not told apart."),
    ] = UNSET
    grid: Annotated[
        GridEntry | UnsetType,
        Meta(description="The patches of an image; absent for a text. The text is then made of the patches' names."),
    ] = UNSET


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


class OutputCheckEntry(Entry):
    """How far the model's output is from that of a plain run."""

    difference: Annotated[float, Meta(ge=0, description="Largest absolute difference.")]
    compared: Annotated[
        Sequence[str],
        Meta(description="What of the output: last hidden state, encoder's last hidden state, logits."),
    ]
    attention: Annotated[str, Meta(description="The attention implementation of the plain run: sdpa or eager.")]


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


class HandedEntry(Entry):
    """Relevance that the heads of one layer handed on."""

    kind: AttentionKind
    layer: Count
    heads: Annotated[
        Array[Annotated[Number, Meta(ge=0)]],
        Meta(description="[head]. Over all heads of all layers, they add up to the relevance of all tokens."),
    ]


class RelevanceEntry(Entry):
    """The relevance of each token for an output, carried down through all layers (Chefer et al. 2021)."""

    output: Annotated[str, Meta(description="The output: a word that the model chooses, or a similarity.")]
    value: Annotated[float, Meta(description="Its value.")]
    unit: Annotated[OutputUnit, Meta(description="The unit of the value.")]
    source: Annotated[Array[Annotated[Number, Meta(ge=0)]], Meta(description="[token] of the source.")]
    target: Annotated[
        Array[Annotated[Number, Meta(ge=0)]] | None,
        Meta(description="[token] that an encoder-decoder's decoder reads; null for other models."),
    ]
    heads: Annotated[Sequence[HandedEntry], Meta(description="One for each layer of attention.")]


class LikeliestEntry(Entry):
    """One of the likeliest tokens of a step."""

    id: Count
    text: Annotated[str, Meta(description="What it adds to the text; its name if that is nothing.")]
    log_probability: Annotated[Number, Meta(le=0, description="In nats.")]


class WrittenTokenEntry(Entry):
    """A token that was written, and the model's own distribution there, at temperature 1."""

    index: Annotated[Count, Meta(description="The token's, on the side of the decoder.")]
    log_probability: Annotated[Number, Meta(le=0, description="In nats.")]
    entropy: Annotated[Number, Meta(description="Of the distribution over the vocabulary, in nats.")]
    likeliest: Annotated[Sequence[LikeliestEntry], Meta(description="The likeliest tokens, the likeliest first.")]
    lookback: Annotated[
        Number | UnsetType | None,
        Meta(
            description="m / (m + n), the mean over the heads shown: m is the mean weight of a token of the prompt, n "
            "that of a token written so far (Chuang et al. 2024); null where nothing was written yet. Derived."
        ),
    ] = UNSET


class LookbackEntry(Entry):
    """The lookback of one head, its mean over the tokens written."""

    layer: Count
    head: Count
    lookback: Number


class WrittenEntry(Entry):
    """What a model wrote, or what a known text is for it."""

    log_probability: Annotated[Number, Meta(description="Of all of it, in nats.")]
    perplexity: Annotated[Number, Meta(description="exp of the mean negative log-probability of a token.")]
    tokens: Annotated[Sequence[WrittenTokenEntry], Meta(min_length=1)]
    heads: Annotated[
        Sequence[LookbackEntry] | UnsetType,
        Meta(description="The heads shown, those that look back most first. Derived: reading a record ignores it."),
    ] = UNSET
    live: Annotated[
        bool,
        Meta(
            description="True if all of this and the weights were taken while the model wrote, at each step under its "
            "key-value cache (--live); false if in one pass over the tokens."
        ),
    ] = False


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


class AttnDocument(Entry, kw_only=True):
    """Anything that attn writes as JSON."""

    schema_version: Annotated[
        Literal[1], Meta(description="Rises when a reader of the older form would misread the newer one.")
    ]
    tool: ToolEntry


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
    """Where the weight of the map that is drawn lies in a long text, over all rows that are words."""

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
    """How much the rows look at one part."""

    name: str
    tokens: Annotated[Count, Meta(description="Tokens of the part that are shown.")]
    shares: Annotated[Sequence[Number], Meta(description="[row]: share of the row's weight.")]
    sink_aside: Annotated[
        Sequence[Number | None],
        Meta(description="[row]: share of the weight that is not on the first token; null where all of it is."),
    ]
    even: Annotated[Sequence[Number], Meta(description="[row]: share of a row that gives every token the same.")]


class PromptPartsEntry(Entry):
    """How much each part of the text is looked at, in the mean of the heads selected."""

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


FOUND = Meta(description="Which command found it.")


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
