"""The document of `attn heads`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import UNSET, Meta, UnsetType

from attn_cli.data.plan import name_head
from attn_cli.io.document import describe_finding
from attn_cli.io.structs import FOUND, AttentionKind, Count, Entry, Number, TextDocument
from attn_cli.questions.heads.scores import RoleOrigin, RoleScore

if TYPE_CHECKING:
    from attn_cli.questions.heads.measure import HeadsFound
    from attn_cli.questions.heads.needles import NeedleCut, Needles

__all__ = [
    "DOCUMENT",
    "HeadFiguresEntry",
    "HeadsDocument",
    "NeedleCutEntry",
    "NeedleEntry",
    "NeedlesEntry",
    "RelationEntry",
    "RoleEntry",
    "RoleScoreEntry",
    "describe",
]

UNITS: Mapping[str, str] = {
    "focus": "1 - entropy / ln(visible keys), the mean over rows",
    "entropy": "nats, the mean over rows",
    "distance": "words or tokens, weighted by weight, the mean over rows",
    "first": "share of 1: weight on the first unit, the mean over rows",
    "score": "from 0 to 1, as the role's formula says",
    "baseline": "the score of what the role must beat, over the same rows",
    "margin": "by how much it must beat it",
    "share": "the weight that the score counts, of the weight of all rows",
    "rest": "the same, of what the rows leave for other keys than the first and their own",
    "accuracy": "share of the relation's words whose head is found",
}
SCORE_UNITS: Mapping[str, str] = {
    "score": "nats: scores of the role's keys less the mean of their row's; of an offset, a relation or "
    "coreference, a share of 1"
}


class RoleEntry(Entry):
    """A role that was looked for."""

    name: str
    looks_at: Annotated[str, Meta(description="Where a head of this role looks from a word i.")]
    formula: Annotated[str, Meta(description="Its score.")]
    threshold: Annotated[Number, Meta(description="The least score that it is given for.")]
    baseline: Annotated[str, Meta(description="What it must beat.")]
    source: Annotated[str, Meta(description="Who described it.")]


class RoleScoreEntry(Entry):
    """One head's score in one role."""

    role: str
    detail: Annotated[str, Meta(description="Which offset, or which relation and way.")]
    score: Annotated[Number | None, Meta(description="Null where no row has such a key.")]
    baseline: Number | None
    margin: Annotated[Number | None, Meta(description="By how much the score must be above the baseline.")]
    rows: Annotated[Count, Meta(description="How many rows it is over.")]
    share: Annotated[Number | None, Meta(description="The weight that the score counts, of that of all rows.")]
    rest: Annotated[
        Number | None,
        Meta(description="The same, of what the rows leave for other keys than the first and their own."),
    ]
    given: Annotated[bool, Meta(description="Whether the head has this role.")]
    origin: Annotated[
        RoleOrigin,
        Meta(
            description="measured: the head does so in the texts. training: it was trained to (see `model.guided`). "
            "declared: the model's config says so. A role that was only named has no rows."
        ),
    ] = "measured"


class HeadFiguresEntry(Entry):
    """One head's figures: means over rows, its roles, and its score in each."""

    layer: Count
    head: Count
    focus: Annotated[Number | None, Meta(description="0: even, 1: on one key.")]
    entropy: Annotated[Number | None, Meta(description="In nats.")]
    distance: Annotated[Number | None, Meta(description="Mean distance from query to key.")]
    first: Annotated[Number | None, Meta(description="Weight on the first key.")]
    repeats: Annotated[
        Number | None,
        Meta(description="Weight on the first token of texts that repeat one token; null without --probe."),
    ]
    roles: Annotated[
        Sequence[str],
        Meta(
            description="The roles that it has: those that the model names, then the one furthest above its baseline."
        ),
    ]
    scores: Sequence[RoleScoreEntry]


class RelationEntry(Entry):
    """One head's accuracy in finding a relation of a treebank, in one direction."""

    relation: Annotated[str, Meta(description="Its name in the treebank.")]
    way: Annotated[
        Literal["to head", "from head"],
        Meta(description="Whether the word gives its grammatical head most of its weight, or is given most by it."),
    ]
    count: Annotated[Count, Meta(description="How many words have it.")]
    layer: Count
    head: Count
    accuracy: Annotated[Number, Meta(description="Share of these for which the head is right.")]
    offset: Annotated[int, Meta(description="The best fixed offset from a word to its grammatical head.")]
    baseline: Annotated[Number, Meta(description="How often that offset is right.")]
    given: Annotated[bool, Meta(description="Whether the head has this role.")]


class NeedleEntry(Entry):
    """A made-up fact that was hidden in a text and asked for."""

    fact: str
    question: str
    copied: Annotated[str, Meta(description="The words of the fact that answer the question.")]
    depth: Annotated[Number, Meta(description="Share of the text that stands before the fact.")]
    tokens: Annotated[Count, Meta(description="How many tokens the words are.")]
    written: Annotated[
        Count, Meta(description="How many of them the model writes, each as its likeliest, until it writes another.")
    ]
    found: Annotated[bool, Meta(description="Whether it writes them all.")]


class NeedleCutEntry(Entry):
    """The number of facts found without some heads, whose output is zero."""

    heads: Annotated[Sequence[str], Meta(description="Their names, such as `17.3`.")]
    found: Annotated[Count, Meta(description="How many facts are found.")]
    share: Annotated[Number, Meta(description="The same, as a share of all facts.")]
    seed: Annotated[Count | None, Meta(description="The seed they were drawn with; null for the retrieval heads.")]


class NeedlesEntry(Entry):
    """The facts that were hidden, and what becomes of them without the retrieval heads."""

    sentences: Annotated[Count, Meta(description="Of how many sentences the text is that each fact is hidden in.")]
    found: Annotated[Count, Meta(description="How many facts the model finds with all its heads.")]
    needles: Sequence[NeedleEntry]
    cut: Annotated[
        NeedleCutEntry | None,
        Meta(description="Without the retrieval heads; null without --cut, or without such heads."),
    ]
    random: Annotated[
        Sequence[NeedleCutEntry], Meta(description="Without as many heads drawn from the others, once for each seed.")
    ]
    random_share: Annotated[Number | None, Meta(description="The mean share of facts found in these.")]


class HeadsDocument(TextDocument, kw_only=True):
    """The answer of attn heads: the purpose of each head."""

    finding: Annotated[Literal["heads"], FOUND]
    kind: AttentionKind
    seen: Annotated[str, Meta(description="What the figures are from; empty where it is the text in `source`.")]
    texts: Annotated[Count, Meta(description="How many texts the figures are over.")]
    tokens: Annotated[Count, Meta(description="Rows of these texts together, in tokens.")]
    by: Annotated[str, Meta(description="What was asked to be shown: `role`, `focus`, `distance`, or a role.")]
    roles: Annotated[Sequence[RoleEntry], Meta(description="The roles that were looked for.")]
    heads: Sequence[HeadFiguresEntry]
    relations: Annotated[
        Sequence[RelationEntry],
        Meta(description="Each relation of a treebank, way and head; empty without one."),
    ]
    needles: Annotated[NeedlesEntry | UnsetType, Meta(description="What --needle hid; absent without it.")] = UNSET


DOCUMENT = HeadsDocument


def describe(found: HeadsFound) -> HeadsDocument:
    """Describe each head's figures and roles, and the relations of a treebank."""
    return HeadsDocument(
        **describe_finding("heads", found.record, UNITS, SCORE_UNITS),
        kind=found.kind,
        seen=found.seen,
        texts=found.texts,
        tokens=found.tokens,
        by=found.by,
        roles=[
            RoleEntry(role.name, role.looks_at, role.formula, role.threshold, role.baseline, role.source)
            for role in found.roles
        ],
        heads=[
            HeadFiguresEntry(
                layer=one.layer,
                head=one.head,
                focus=_number(one.summary.focus),
                entropy=_number(one.summary.entropy),
                distance=_number(one.summary.distance),
                first=_number(one.summary.first),
                repeats=_number(one.control),
                roles=[score.name for score in one.roles],
                scores=[_score(score) for score in one.scores],
            )
            for one in found.heads
        ],
        relations=[
            RelationEntry(
                relation=score.relation,
                way=score.way,
                count=score.count,
                layer=score.layer,
                head=score.head,
                accuracy=np.float32(score.accuracy),
                offset=score.offset,
                baseline=np.float32(score.baseline),
                given=score.role.given,
            )
            for score in found.relations
        ],
        needles=UNSET if found.needles is None else _needles(found.needles),
    )


def _needles(needles: Needles) -> NeedlesEntry:
    count = len(needles.trials)

    def of_cut(one: NeedleCut) -> NeedleCutEntry:
        return NeedleCutEntry(
            [name_head(*place) for place in one.heads], one.found, np.float32(one.found / count), one.seed
        )

    return NeedlesEntry(
        sentences=needles.sentences,
        found=needles.found,
        needles=[
            NeedleEntry(
                fact=one.needle.fact,
                question=one.needle.question,
                copied=one.needle.copied,
                depth=np.float32(one.depth),
                tokens=one.tokens,
                written=one.written,
                found=one.found,
            )
            for one in needles.trials
        ],
        cut=None if needles.cut is None else of_cut(needles.cut),
        random=[of_cut(one) for one in needles.random],
        random_share=_number(needles.random_share),
    )


def _number(value: float | None) -> np.float32 | None:
    return None if value is None or not math.isfinite(value) else np.float32(value)


def _score(score: RoleScore) -> RoleScoreEntry:
    return RoleScoreEntry(
        role=score.role.name,
        detail=score.detail,
        score=_number(score.score),
        baseline=_number(score.baseline),
        margin=_number(score.margin),
        rows=score.rows,
        share=_number(score.share),
        rest=_number(score.rest),
        given=score.given,
        origin=score.origin,
    )
