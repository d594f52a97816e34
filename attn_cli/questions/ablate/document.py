"""The document of `attn ablate`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from msgspec.structs import replace

from attn_cli.io.document import describe_finding
from attn_cli.io.structs import FOUND, AttentionKind, Count, Entry, Number, TextDocument
from attn_cli.questions.ablate.attribution import Attributed
from attn_cli.questions.ablate.corpus import Correlations
from attn_cli.questions.ablate.document_attribution import AttributionEntry, describe_attribution

if TYPE_CHECKING:
    from attn_cli.questions.ablate.output import Likely, OutputFigures
    from attn_cli.questions.ablate.trials import Ablation, CutTrial

__all__ = ["DOCUMENT", "AblateDocument", "describe"]

UNITS: Mapping[str, str] = {
    "value": "nats: a log-probability, or a difference of logits; of states, 1 - cosine of them and those of the model "
    "as it is",
    "effect": "value after the cut less before",
    "weight": "share of a row, the mean over heads and rows",
    "probability": "from 0 to 1",
    "correlation": "Spearman's rank correlation of the weights and the sizes of the effects; of an attribution, of the "
    "heads' parts and what the output loses by their cuts",
    "part": "nats: what it adds to the logit, or to the difference of two",
}


class HeadPlace(Entry):
    """One head."""

    kind: AttentionKind
    layer: Count
    head: Count


class LayerOfHeads(Entry):
    """Some heads of one layer."""

    layer: Count
    heads: Sequence[Count]


class LikelyEntry(Entry):
    """A token that is likely in one place."""

    token: Annotated[Count, Meta(description="Its number in the vocabulary.")]
    text: str
    probability: Number


class PlaceEntry(Entry):
    """One place of the output where a token is chosen."""

    likeliest: Annotated[Sequence[LikelyEntry], Meta(description="The likeliest tokens, likeliest first.")]


class OutputWordEntry(Entry):
    """One word or token of the output."""

    text: str
    position: Annotated[Count, Meta(description="Its number among the words or tokens of its text.")]
    special: bool
    value: Number


class MeasuredOutputEntry(Entry):
    """The output that is measured, with nothing cut."""

    kind: Annotated[
        Literal["next", "target", "mask", "states"],
        Meta(
            description="next: what follows in a decoder's text. target: a translation. mask: the word at a mask. "
            "states: the last states."
        ),
    ]
    against: Annotated[Sequence[str] | None, Meta(description="The two tokens whose logits are compared.")]
    value: Annotated[Number, Meta(description="Of the whole output.")]
    words: Sequence[OutputWordEntry]
    places: Sequence[PlaceEntry]
    text: Annotated[str | None, Meta(description="What the model writes, if it was asked to.")]


class EdgeEntry(Entry):
    """Edges that are cut."""

    kind: AttentionKind
    query: Annotated[str | None, Meta(description="Null for all queries.")]
    key: Annotated[str | None, Meta(description="Null for all keys but the query itself.")]
    tokens: Annotated[Sequence[Sequence[int]], Meta(description="Pairs of the tokens' positions: query and key.")]


class TrialEntry(Entry):
    """One run with a cut."""

    kind: AttentionKind
    heads: Sequence[LayerOfHeads]
    edges: Annotated[Sequence[EdgeEntry], Meta(description="Empty where the heads are cut whole.")]
    weight: Number | None
    focus: Annotated[Number | None, Meta(description="Of the one head that is cut whole; else null.")]
    first: Annotated[Number | None, Meta(description="Its weight on the first unit, the mean over rows.")]
    effect: Number
    value: Number
    words: Annotated[Sequence[Number], Meta(description="The value of each word of the output.")]
    places: Sequence[PlaceEntry]
    text: str | None


class FlipEntry(Entry):
    """The heads that change the likeliest token of a place if they are cut together."""

    heads: Sequence[HeadPlace]
    place: Count
    after: LikelyEntry
    text: str | None


class HeadCorrelationEntry(Entry):
    """One head's rank correlations of weight and size of effect over the texts of a corpus."""

    layer: Count
    head: Count
    texts: Annotated[Count, Meta(description="Texts in which it is defined.")]
    mean: Number | None
    spread: Annotated[Number | None, Meta(description="Standard deviation.")]
    least: Number | None
    most: Number | None


class AblateDocument(TextDocument, kw_only=True):
    """The answer of attn ablate: changes of a model's output when its attention is cut."""

    finding: Annotated[Literal["ablate"], FOUND]
    view: Annotated[
        Literal["heads", "cut", "layers", "keys", "corpus", "attribution"],
        Meta(
            description="heads: each head in turn. cut: one cut. layers: edges in each band of layers in turn. keys: "
            "each key of a query in turn. corpus: the same in each head, over the texts of a corpus. attribution: "
            "each head in turn, or nothing, is cut, and the logit of a token taken apart."
        ),
    ]
    instead: Annotated[
        Literal["zero", "mean", "even"] | None,
        Meta(description="The replacement of a head's output; null where edges or nothing are cut."),
    ]
    output: Annotated[MeasuredOutputEntry | None, Meta(description="Null for a corpus, and where nothing is cut.")]
    trials: Sequence[TrialEntry]
    flip: Annotated[FlipEntry | None, Meta(description="Null where one head is enough, or ten are not.")]
    correlation: Number | None
    attribution: Annotated[AttributionEntry | None, Meta(description="Null unless a logit is taken apart.")]
    texts: Annotated[Count, Meta(description="How many texts were measured.")]
    heads: Annotated[
        Sequence[HeadCorrelationEntry], Meta(description="How weight and effect go together in each head of a corpus.")
    ]


DOCUMENT = AblateDocument


def describe(found: Ablation | Attributed | Correlations) -> AblateDocument:
    """Describe the output, and what each cut makes of it; of a corpus, the correlations of each head."""
    if isinstance(found, Attributed):
        return _describe_attributed(found)
    return _describe_corpus(found) if isinstance(found, Correlations) else _describe_text(found)


def _describe_corpus(found: Correlations) -> AblateDocument:
    return AblateDocument(
        **describe_finding("ablate", found.record, UNITS),
        view="corpus",
        instead=None,
        output=None,
        trials=[],
        flip=None,
        correlation=_number(found.mean),
        attribution=None,
        texts=found.texts,
        heads=[
            HeadCorrelationEntry(
                one.layer,
                one.head,
                one.texts,
                _number(one.mean),
                _number(one.spread),
                _number(one.least),
                _number(one.most),
            )
            for one in found.heads
        ],
    )


def _describe_text(found: Ablation) -> AblateDocument:
    read, before = found.output, found.before
    return AblateDocument(
        **describe_finding("ablate", found.record, UNITS),
        view=found.view,
        instead=found.instead,
        output=MeasuredOutputEntry(
            kind=read.kind,
            against=read.names,
            value=np.float32(before.whole),
            words=[
                OutputWordEntry(word.label, word.position, word.special, value)
                for word, value in zip(read.words, before.words, strict=True)
            ],
            places=_places(before),
            text=found.text_before,
        ),
        trials=[_trial(trial) for trial in found.trials],
        flip=None
        if found.flip is None
        else FlipEntry(
            [HeadPlace(*head) for head in found.flip.heads],
            found.flip.place,
            _likely(found.flip.after),
            found.flip.translation,
        ),
        correlation=_number(found.correlation),
        attribution=None,
        texts=1,
        heads=[],
    )


def _describe_attributed(found: Attributed) -> AblateDocument:
    about: dict[str, Any] = {
        **describe_finding("ablate", found.record, UNITS),
        "view": "attribution",
        "correlation": _number(found.correlation),
        "attribution": describe_attribution(found),
    }
    if found.ablation is not None:
        return replace(_describe_text(found.ablation), **about)
    return AblateDocument(**about, instead=None, output=None, trials=[], flip=None, texts=1, heads=[])


def _trial(trial: CutTrial) -> TrialEntry:
    summary = trial.summary
    return TrialEntry(
        kind=trial.kind,
        heads=[LayerOfHeads(layer, heads) for layer, heads in trial.heads.items()],
        edges=[
            EdgeEntry(edges.plan.kind, edges.names[0] or None, edges.names[1] or None, edges.pairs)
            for edges in trial.edges
        ],
        weight=_number(trial.weight),
        focus=None if summary is None else _number(summary.focus),
        first=None if summary is None else _number(summary.first),
        effect=np.float32(trial.effect),
        value=np.float32(trial.after.whole),
        words=list(trial.after.words),
        places=_places(trial.after),
        text=trial.translation,
    )


def _places(figures: OutputFigures) -> list[PlaceEntry]:
    places = figures.likeliest or tuple((one,) for one in figures.top)
    return [PlaceEntry([_likely(one) for one in place]) for place in places]


def _likely(one: Likely) -> LikelyEntry:
    return LikelyEntry(one.token, one.text, np.float32(one.probability))


def _number(value: float | None) -> np.float32 | None:
    return None if value is None or not math.isfinite(value) else np.float32(value)
