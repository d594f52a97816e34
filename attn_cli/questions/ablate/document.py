"""The document of `attn ablate`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from attn_cli.io.document import describe_finding
from attn_cli.io.structs import FOUND, AttentionKind, Count, Entry, Number, TextDocument
from attn_cli.questions.ablate.attribution import Attributed
from attn_cli.questions.ablate.corpus import Correlations
from attn_cli.questions.ablate.document_attribution import AttributionEntry, describe_attribution
from attn_cli.questions.ablate.effects import HeadEffects

if TYPE_CHECKING:
    from attn_cli.questions.ablate.donors import Donor
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
    "heads' parts and what the output loses by their cuts; effects within rounding count as equal",
    "part": "nats: what it adds to the logit, or to the difference of two",
    "moved": "share of the way from the output of the text, 0, to that of the other text, 1",
    "mean": "of effects: nats for each token of the output; of two tokens, the difference of their logits; of states, "
    "1 - cosine",
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
    against: Annotated[
        Sequence[str] | None,
        Meta(
            description="The two tokens whose logits are compared; over a corpus, null if they are not the same in all."
        ),
    ]
    value: Annotated[
        Number | None,
        Meta(
            description="Of the whole output; over a corpus, the mean over texts of that for each token, and null of "
            "states."
        ),
    ]
    words: Annotated[Sequence[OutputWordEntry], Meta(description="Empty over a corpus.")]
    places: Annotated[Sequence[PlaceEntry], Meta(description="Empty over a corpus.")]
    text: Annotated[str | None, Meta(description="What the model writes, if it was asked to.")]
    origin: Annotated[
        Literal["named", "own", "mixed"] | UnsetType,
        Meta(
            description="named: a target, or the word at a mask. own: the text's own next tokens, the model's own "
            "translation or likeliest words, or states. mixed: over a corpus, in some texts this, in others that."
        ),
    ] = UNSET
    named: Annotated[
        str | UnsetType | None,
        Meta(description="The words measured, if they are named; over a corpus, if they are the same in all texts."),
    ] = UNSET
    compared: Annotated[bool | UnsetType, Meta(description="True if the logits of two tokens are compared.")] = UNSET


class DonorEntry(Entry):
    """The texts that heads' outputs are taken from."""

    name: Annotated[str, Meta(description="The text itself, or the name of several.")]
    several: Annotated[bool, Meta(description="True if the name is that of several texts.")]
    texts: Count
    tokens: Count


class OtherTextEntry(Entry):
    """The output of the other text that heads' outputs are taken from, position by position."""

    value: Annotated[Number | None, Meta(description="Null if the words measured are not the same in both texts.")]
    words: Annotated[Sequence[Number] | None, Meta(description="The value of each word of the output.")]
    places: Sequence[PlaceEntry]
    place: Annotated[
        Count | None, Meta(description="The first place whose answers are not the same; null of states, or if all are.")
    ]
    answers: Annotated[
        Sequence[LikelyEntry] | None, Meta(description="The answer of the text there, and the other text's.")
    ]
    text: Annotated[str | None, Meta(description="What the model writes for the other text, if it was asked to.")]


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
    moved: Annotated[Number | None, Meta(description="Null if outputs are not taken from another text.")]
    answers: Annotated[Sequence[Number] | None, Meta(description="The probabilities of both answers after the cut.")]
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


class HeadEffectEntry(Entry):
    """One head's effect over the texts of a corpus."""

    kind: AttentionKind
    layer: Count
    head: Count
    mean: Number
    spread: Annotated[Number, Meta(description="Standard deviation over the texts.")]
    size: Annotated[Number, Meta(description="Mean size of the effect, whatever its sign.")]
    changed: Annotated[Count, Meta(description="Texts in which the likeliest token of a place is then another.")]
    moved: Number | None
    focus: Number | None
    first: Annotated[Number | None, Meta(description="Its weight on the first unit.")]


class AblateDocument(TextDocument, kw_only=True):
    """The answer of attn ablate: changes of a model's output when its attention is cut."""

    finding: Annotated[Literal["ablate"], FOUND]
    view: Annotated[
        Literal["heads", "cut", "layers", "keys", "corpus", "effects", "attribution"],
        Meta(
            description="heads: each head in turn, whole or the edges in it. cut: one cut. layers: edges in each band "
            "of layers in turn. keys: each key of a query in turn. corpus: the same in each head, over the texts of a "
            "corpus. effects: each head in turn, over the texts of a corpus. "
            "attribution: each head in turn, or nothing, is cut, and the logit of a token taken apart."
        ),
    ]
    instead: Annotated[
        Literal["zero", "mean", "even", "resample"] | None,
        Meta(description="The replacement of a head's output; null where edges or nothing are cut."),
    ]
    donor: Annotated[
        DonorEntry | None,
        Meta(description="Null if heads' outputs are not taken from other texts, or over a corpus not from the same."),
    ]
    output: Annotated[
        MeasuredOutputEntry | None, Meta(description="Null in the view corpus, and where nothing is cut.")
    ]
    other: OtherTextEntry | None
    trials: Sequence[TrialEntry]
    flip: Annotated[FlipEntry | None, Meta(description="Null where one head is enough, or ten are not.")]
    correlation: Annotated[
        Number | None,
        Meta(
            description="Of weight and size of effect over keys; of effects, of focus and size of the mean over heads."
        ),
    ]
    attribution: Annotated[AttributionEntry | None, Meta(description="Null unless a logit is taken apart.")]
    texts: Annotated[Count, Meta(description="How many texts were measured.")]
    heads: Annotated[
        Sequence[HeadCorrelationEntry], Meta(description="How weight and effect go together in each head of a corpus.")
    ]
    before: Annotated[
        Number | None, Meta(description="The output with nothing cut, the mean over the texts of a corpus.")
    ]
    effects: Annotated[
        Sequence[HeadEffectEntry], Meta(description="The effect of each head over the texts of a corpus.")
    ]
    halves: Annotated[
        Number | None,
        Meta(description="Rank correlation of the sizes of the mean effects over every other text and over the rest."),
    ]


DOCUMENT = AblateDocument


def describe(found: Ablation | Attributed | Correlations | HeadEffects) -> AblateDocument:
    """Describe the output, and what each cut makes of it; of a corpus, the correlations or effects of each head."""
    if isinstance(found, Attributed):
        return _describe_attributed(found)
    if isinstance(found, Correlations):
        return _describe_corpus(found)
    return _describe_effects(found) if isinstance(found, HeadEffects) else _describe_text(found)


def _begin(found: Ablation | Attributed | Correlations | HeadEffects) -> dict[str, Any]:
    """Make the fields of `TextDocument`, with the notes of the cuts beside those of the record."""
    return {**describe_finding("ablate", found.record, UNITS), "notes": found.notes}


def _describe_effects(found: HeadEffects) -> AblateDocument:
    return AblateDocument(
        **_begin(found),
        view="effects",
        instead=found.instead,
        donor=_donor(found.donor),
        output=MeasuredOutputEntry(
            kind=found.output,
            origin=found.origin,
            named=found.named,
            compared=found.compared,
            against=found.against,
            value=_number(found.before),
            words=[],
            places=[],
            text=None,
        ),
        other=None,
        trials=[],
        flip=None,
        correlation=_number(found.correlation),
        attribution=None,
        texts=found.texts,
        heads=[],
        before=_number(found.before),
        effects=[
            HeadEffectEntry(
                one.kind,
                one.layer,
                one.head,
                np.float32(one.mean),
                np.float32(one.spread),
                np.float32(one.size),
                one.changed,
                _number(one.moved),
                _number(one.focus),
                _number(one.first),
            )
            for one in found.heads
        ],
        halves=_number(found.halves),
    )


def _describe_corpus(found: Correlations) -> AblateDocument:
    return AblateDocument(
        **_begin(found),
        view="corpus",
        instead=None,
        donor=None,
        output=None,
        other=None,
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
        before=None,
        effects=[],
        halves=None,
    )


def _describe_text(found: Ablation) -> AblateDocument:
    read, before = found.output, found.before
    return AblateDocument(
        **_begin(found),
        view=found.view,
        instead=found.instead,
        donor=_donor(found.donor),
        output=MeasuredOutputEntry(
            kind=read.kind,
            origin="own" if read.named is None else "named",
            named=read.named,
            compared=read.names is not None,
            against=read.names,
            value=np.float32(before.whole),
            words=[
                OutputWordEntry(word.label, word.position, word.special, value)
                for word, value in zip(read.words, before.words, strict=True)
            ],
            places=_places(before),
            text=found.text_before,
        ),
        other=_other(found),
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
        before=None,
        effects=[],
        halves=None,
    )


def _donor(donor: Donor | None) -> DonorEntry | None:
    return None if donor is None else DonorEntry(donor.name, donor.several, donor.texts, donor.tokens)


def _other(found: Ablation) -> OtherTextEntry | None:
    other, apart = found.other, found.output.apart
    if other is None:
        return None
    figures, answers = other.figures, None
    if apart is not None and apart.place is not None and figures.answers is not None:
        answers = [
            LikelyEntry(token, text, np.float32(chance))
            for token, text, chance in zip(apart.tokens, apart.names, figures.answers, strict=True)
        ]
    return OtherTextEntry(
        value=_number(figures.whole),
        words=list(figures.words) if found.output.comparable else None,
        places=_places(figures),
        place=None if apart is None else apart.place,
        answers=answers,
        text=other.translation,
    )


def _describe_attributed(found: Attributed) -> AblateDocument:
    about: dict[str, Any] = {
        **_begin(found),
        "view": "attribution",
        "correlation": _number(found.correlation),
        "attribution": describe_attribution(found),
    }
    if found.ablation is not None:
        return replace(_describe_text(found.ablation), **about)
    return AblateDocument(
        **about,
        instead=None,
        donor=None,
        output=None,
        other=None,
        trials=[],
        flip=None,
        texts=1,
        heads=[],
        before=None,
        effects=[],
        halves=None,
    )


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
        moved=_number(trial.moved),
        answers=None if trial.after.answers is None else [np.float32(one) for one in trial.after.answers],
        text=trial.translation,
    )


def _places(figures: OutputFigures) -> list[PlaceEntry]:
    places = figures.likeliest or tuple((one,) for one in figures.top)
    return [PlaceEntry([_likely(one) for one in place]) for place in places]


def _likely(one: Likely) -> LikelyEntry:
    return LikelyEntry(one.token, one.text, np.float32(one.probability))


def _number(value: float | None) -> np.float32 | None:
    return None if value is None or not math.isfinite(value) else np.float32(value)
