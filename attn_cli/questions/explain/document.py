"""The document of `attn explain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from attn_cli.io.document import begin, describe_finding
from attn_cli.io.structs import (
    FOUND,
    Array,
    AttentionKind,
    Count,
    Entry,
    FindingDocument,
    ModelEntry,
    Notes,
    Number,
    NumberUnits,
    SelectionEntry,
    Source,
    StepRows,
    Target,
    Verified,
    VerifiedOutput,
)
from attn_cli.questions.explain.measure import Explained, ExplainedNumbers
from attn_cli.questions.explain.steps import Explanation

__all__ = [
    "DOCUMENT",
    "ContextEntry",
    "DifferencesEntry",
    "ExplainDocument",
    "ExplainedHeadEntry",
    "KeyEntry",
    "NormalizeEntry",
    "PartsEntry",
    "QueryEntry",
    "ScoreEntry",
    "SinkEntry",
    "describe",
]

UNITS: Mapping[str, str] = {
    "query_key": "query·key before scaling",
    "parts": "what adds up to the score",
    "score": "before softmax; null where masked",
    "exponential": "exp(score - maximum)",
    "weight": "share of 1",
    "value_norm": "Euclidean length",
    "share": "weight · value · context / |context|²; shares sum to 1",
}


class QueryEntry(Entry):
    """The query whose row is explained."""

    index: Annotated[Count, Meta(description="Index of the token that its row belongs to.")]
    position: Annotated[Count, Meta(description="What --query calls it: its word's, or with --tokens its own.")]
    text: str
    rows: Annotated[StepRows | None, Meta(description="null where rows and columns are the same tokens.")]


class ExplainedHeadEntry(Entry):
    """The head whose steps are shown."""

    kind: AttentionKind
    layer: Count
    head: Count
    chosen_from: Annotated[
        int,
        Meta(ge=1, description="From how many heads this one was chosen, whose row shows most; 1 where it was named."),
    ]


class ScoreEntry(Entry):
    """The formula of a score."""

    how: Annotated[
        Literal["product", "additive"] | None,
        Meta(
            description="query·key · scaling, or v·tanh(query + key); null where only the scores themselves are known."
        ),
    ]
    scaling: Annotated[
        Number | None, Meta(description="What query·key is multiplied with; 1 / temperature for plain numbers.")
    ]
    soft_cap: Number | None


class SinkEntry(Entry):
    """A learned sink's term in the softmax."""

    score: Number
    exponential: Number
    weight: Number


class NormalizeEntry(Entry):
    """The divisor of the softmax."""

    maximum: Annotated[Number, Meta(description="The largest score, a learned sink's included.")]
    sum: Annotated[Number, Meta(description="Of the exponentials, a learned sink's included.")]
    sink: Annotated[SinkEntry | None, Meta(description="A learned sink, where the model has one.")]


class ContextEntry(Entry):
    """A context vector."""

    norm: Number
    vector: Array[Number]


class PartsEntry(Entry, kw_only=True):
    """Summands of a score."""

    scaled: Annotated[Number | UnsetType | None, Meta(description="query·key, times the scaling.")] = UNSET
    additive: Annotated[Number | UnsetType | None, Meta(description="v·tanh(query + key).")] = UNSET
    soft_capping: Annotated[Number | UnsetType | None, Meta(description="What soft-capping adds or takes.")] = UNSET
    bias: Annotated[Number | UnsetType | None, Meta(description="A bias of the position.")] = UNSET
    other: Annotated[Number | UnsetType | None, Meta(description="What the model adds without showing it.")] = UNSET
    mask: Annotated[Number | UnsetType | None, Meta(description="What the mask adds.")] = UNSET


class KeyEntry(Entry):
    """One key's score, weight and share in the context vector."""

    index: Count
    position: Annotated[Count, Meta(description="Of its word, or with --tokens its own.")]
    text: Annotated[str, Meta(description="The token.")]
    query_key: Annotated[Number | None, Meta(description="Before scaling.")]
    parts: Annotated[
        PartsEntry,
        Meta(
            description="They add up to the score; null is minus infinity. Empty where only the scores themselves are "
            "known."
        ),
    ]
    score: Annotated[Number | None, Meta(description="null where masked.")]
    exponential: Annotated[Number, Meta(description="exp(score less the largest score).")]
    weight: Annotated[Number, Meta(ge=0, le=1)]
    value_norm: Annotated[Number | None, Meta(description="Length of the value.")]
    share: Annotated[Number | None, Meta(description="weight · value · context / |context|².")]


class DifferencesEntry(Entry, kw_only=True):
    """Largest differences from what a layer computed."""

    scores: Number | UnsetType = UNSET
    weights: Number
    context: Number | UnsetType = UNSET


class ExplainDocument(FindingDocument, kw_only=True):
    """The three steps of one query in one head, as attn explain prints them."""

    finding: Annotated[Literal["explain"], FOUND]
    model: Annotated[
        ModelEntry | None,
        Meta(description="null for plain numbers, as are source, target, selection, query and head."),
    ]
    source: Source | None
    target: Target
    selection: SelectionEntry | None
    units: NumberUnits
    verified: Verified
    verified_output: VerifiedOutput = None
    notes: Notes
    query: QueryEntry | None
    head: ExplainedHeadEntry | None
    score: ScoreEntry
    normalize: NormalizeEntry
    context: Annotated[
        ContextEntry | None, Meta(description="The weighted sum of the values; null where there are none.")
    ]
    keys: Annotated[Sequence[KeyEntry], Meta(min_length=1)]
    missing: Annotated[Sequence[str], Meta(description="What cannot be seen in this family.")]
    differences: Annotated[
        DifferencesEntry | None,
        Meta(description="The largest difference of each from what the layer itself computed; null for plain numbers."),
    ]


DOCUMENT = ExplainDocument


def describe(answer: Explained | ExplainedNumbers) -> ExplainDocument:
    """Describe the steps, below the model and the text that they are from, if they are not of plain numbers."""
    steps, context = answer.steps, answer.steps.context
    return ExplainDocument(
        **_asked(answer),
        score=ScoreEntry(
            how="additive" if "additive" in steps.parts else None if steps.products is None else "product",
            scaling=steps.scaling,
            soft_cap=steps.soft_cap,
        ),
        normalize=NormalizeEntry(
            maximum=steps.maximum,
            sum=steps.total,
            sink=None if steps.sink is None else SinkEntry(steps.sink.score, steps.sink.exponential, steps.sink.weight),
        ),
        context=None if context is None else ContextEntry(context.norm, context.vector),
        keys=[
            _key(steps, index, position, text)
            for index, (position, text) in enumerate(zip(answer.places, answer.labels, strict=True))
        ],
        missing=steps.missing,
        differences=None
        if steps.differences is None
        else DifferencesEntry(**dict[str, float](steps.differences.items())),
    )


def _asked(answer: Explained | ExplainedNumbers) -> dict[str, Any]:
    """Make the fields before the steps."""
    if isinstance(answer, ExplainedNumbers):
        nothing = dict.fromkeys(("model", "source", "target", "selection", "verified", "query", "head"))
        return {**begin(), "finding": "explain", **nothing, "units": UNITS, "notes": ()}
    plan = answer.plan
    return {
        **describe_finding("explain", answer.record, UNITS),
        "query": QueryEntry(
            index=answer.query,
            position=answer.place,
            text=answer.query_label,
            rows=plan.step,
        ),
        "head": ExplainedHeadEntry(kind=plan.kind, layer=answer.layer, head=answer.head, chosen_from=plan.head_count),
    }


def _key(steps: Explanation, index: int, position: int, text: str) -> KeyEntry:
    context = steps.context
    # orjson writes minus infinity as null.
    parts = dict[str, float]((name, values[index]) for name, values in steps.parts.items())
    return KeyEntry(
        index=index,
        position=position,
        text=text,
        query_key=None if steps.products is None else steps.products[index],
        parts=PartsEntry(**parts),
        score=steps.scores[index],
        exponential=steps.exponentials[index],
        weight=steps.weights[index],
        value_norm=None if context is None else context.value_norms[index],
        share=None if context is None else context.shares[index],
    )
