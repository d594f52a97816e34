"""Effects of each head over the texts of a corpus: which heads matter on the whole, and how surely."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from attn_cli.answer import Answer
from attn_cli.cli.texts import located
from attn_cli.data.model import GuidedHead, ModelInfo
from attn_cli.data.outcomes import OutputKind
from attn_cli.data.record import Record
from attn_cli.data.selection import KINDS, Kind, Selection
from attn_cli.data.stream import OutputCheck, Report, largest_check
from attn_cli.data.without import typed_without
from attn_cli.errors import AttnError, InputError, SelectionError, left_out
from attn_cli.io.csv import Cell
from attn_cli.measure.corpus import summed_notes
from attn_cli.models import Input, Model
from attn_cli.questions.ablate.choices import CutChoice, Instead, OutputChoice
from attn_cli.questions.ablate.donors import Donor, Means
from attn_cli.questions.ablate.measure import sweep
from attn_cli.questions.ablate.reader import fault_of_text
from attn_cli.questions.ablate.trials import Ablation, CutTrial, beyond_rounding, rank_correlation

__all__ = ["CollectEffects", "EffectInText", "EffectsInText", "HeadEffect", "HeadEffects", "Origin"]

Origin = Literal["named", "own", "mixed"]
"""Origin of what is measured. `named`: a target, or the word at a mask; `own`: the texts' own next tokens, the
model's own translations or likeliest words, or states; `mixed`: in some texts this, in others that."""


@dataclass(frozen=True, slots=True)
class HeadEffect:
    """The effect of one head over texts: the change of the mean log-probability of a text's tokens, in nats."""

    kind: Kind
    layer: int
    head: int
    mean: float
    """Mean effect over the texts; of states, 1 - cosine, and of two tokens, the difference of their logits."""
    spread: float
    """Standard deviation over the texts."""
    size: float
    """Mean size of the effect, whatever its sign."""
    changed: int
    """Texts in which the likeliest token of a place is then another."""
    moved: float | None
    """Share of the way that the output moved to another text's, the mean over the texts; None if it is not measured."""
    focus: float
    """Mean focus over the texts."""
    first: float
    """Mean weight on the first token."""


@dataclass(frozen=True, eq=False, repr=False)
class HeadEffects(Answer):
    """The answer of `attn ablate` about each head in turn over a corpus."""

    record: Record
    """The model and the selection, without a text."""
    output: OutputKind
    origin: Origin
    named: str | None
    """The words measured, if they are named, and the same in all texts."""
    compared: bool
    """True if the logits of two tokens are compared."""
    against: tuple[str, str] | None
    """These tokens, if they are the same in all texts."""
    instead: Instead
    donor: Donor | None
    """The texts that heads' outputs are taken from; None if they are the text's own, or not the same for all texts."""
    paired: bool
    """True if heads' outputs are taken from another text, position by position."""
    before: float
    """The output with nothing cut, the mean over texts: of words, log-probability for each token; not-a-number of
    states."""
    heads: tuple[HeadEffect, ...]
    correlation: float | None
    """Spearman's rank correlation of focus and size of the mean effect over heads; None if it is not defined."""
    halves: float | None
    """That of the sizes of the mean effects over every other text and over the rest."""
    texts: int
    tokens: int
    """Tokens of these texts."""
    corpus: str
    """Name of the corpus."""
    more_notes: tuple[str, ...] = field(default=())

    columns = (
        *("kind", "layer", "head", "instead", "output", "texts"),
        *("mean", "spread", "size", "changed", "moved", "focus", "first"),
    )

    @property
    def title(self) -> str:
        return self.corpus

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        return self.record.model.guided_among([(one.kind, one.layer, one.head) for one in self.heads])

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Notes of the runs, and on the texts that were left out."""
        return (*self.record.notes, *self.more_notes)

    @property
    def without(self) -> str:
        return typed_without(self.record.model.without)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of attention that are cut."""
        return tuple(kind for kind in KINDS if any(one.kind == kind for one in self.heads))

    @property
    def ranked(self) -> list[HeadEffect]:
        """The heads by the size of their mean effect, largest first."""
        return sorted(self.heads, key=lambda one: -abs(one.mean))

    def rows(self) -> Iterable[Sequence[Cell]]:
        """Yield a row for each head."""
        for one in self.heads:
            front = one.kind, one.layer, one.head, self.instead, self.output, self.texts
            yield *front, one.mean, one.spread, one.size, one.changed, one.moved, one.focus, one.first


@dataclass(frozen=True, slots=True)
class EffectInText:
    """The effect of one head in one text."""

    kind: Kind
    layer: int
    head: int
    effect: float
    """The change of the mean log-probability of the text's tokens."""
    changed: bool
    """True if the likeliest token of a place is then another."""
    moved: float | None
    focus: float | None
    """None if the head's rows were not measured."""
    first: float | None


@dataclass(frozen=True, slots=True)
class EffectsInText:
    """The effects of the heads in one text, small enough to be sent from one process to another."""

    model: ModelInfo
    where: str
    """The place of the text in the corpus."""
    kind: OutputKind
    named: str | None
    """The words measured, if they are named."""
    names: tuple[str, str] | None
    """The two tokens whose logits are compared, if two are."""
    donor: Donor | None
    """The texts that heads' outputs are taken from, if it is not this text."""
    paired: bool
    """True if they are taken position by position."""
    before: float
    tokens: int
    notes: tuple[str, ...]
    verified: float | None
    output: OutputCheck | None
    heads: tuple[EffectInText, ...]


class _SumsOfEffects:
    """Sums of one head over the texts read so far."""

    def __init__(self) -> None:
        self.count = self.changed = self.moving = 0
        self.mean = self.squares = self.size = self.moved = self.focus = self.first = 0.0
        self.halves = [0.0, 0.0]

    def add(self, one: EffectInText, *, half: int) -> None:
        """Add the effect in one text (Welford 1962 for the variance)."""
        self.count += 1
        step = one.effect - self.mean
        self.mean += step / self.count
        self.squares += step * (one.effect - self.mean)
        self.size += abs(one.effect)
        self.halves[half] += one.effect
        self.changed += one.changed
        if one.moved is not None:
            self.moved += one.moved
            self.moving += 1
        if one.focus is not None:
            self.focus += one.focus
            self.first += math.nan if one.first is None else one.first

    def found(self, kind: Kind, layer: int, head: int) -> HeadEffect:
        """Return the figures over the texts."""
        return HeadEffect(
            kind,
            layer,
            head,
            mean=self.mean,
            spread=math.sqrt(self.squares / self.count),
            size=self.size / self.count,
            changed=self.changed,
            moved=self.moved / self.moving if self.moving else None,
            focus=self.focus / self.count,
            first=self.first / self.count,
        )


class CollectEffects:
    """A collector of each head's effects over one text after another; only their sums are kept.

    Args:
        model: a loaded model; None if the texts are measured elsewhere, and taken here.
        selection: the kind of attention, and words or tokens.
        output: the output to measure.
        cut: what stands in the place of a head.
        means: means of the heads' outputs over other texts.
        verify: also run the model without attn, and compare.
    """

    def __init__(
        self,
        model: Model | None,
        selection: Selection,
        output: OutputChoice,
        cut: CutChoice,
        means: Means | None = None,
        *,
        verify: bool = False,
    ) -> None:
        self._model, self._selection, self._output, self._cut, self._means = model, selection, output, cut, means
        self._verify = verify
        self._heads: dict[tuple[Kind, int, int], _SumsOfEffects] = {}
        self._first: EffectsInText | None = None
        self._notes: Counter[str] = Counter()
        self._verified: float | None = None
        self._output_check: OutputCheck | None = None
        self._left_out: list[AttnError] = []
        self._named = 0
        self._same_words = self._same_names = self._same_donor = True
        self._before = 0.0
        self._texts = self._tokens = 0

    @property
    def texts(self) -> int:
        """The number of texts measured."""
        return self._texts

    def add(self, given: Input, other: str | None = None, where: str = "") -> None:
        """Measure a text, and take what is found; see `measure` and `take`."""
        self.take(self.measure(given, other, where))

    def measure(self, given: Input, other: str | None = None, where: str = "") -> EffectsInText | AttnError:
        """Measure a text.

        Args:
            given: the text, and its target, if it has one.
            other: the text that heads' outputs are taken from.
            where: the place of the text in the corpus, for notes.

        Returns:
            the effects, or the fault of a text that cannot be read or has nothing to measure.

        Raises:
            AttnError: the model has no such output, or cannot be run.
            TypeError: the collector has no model.
        """
        if self._model is None:
            raise TypeError("there is no model to measure a text with")
        try:
            found = sweep(
                self._model,
                given,
                self._selection,
                self._output,
                self._cut,
                donor=self._means if other is None else other,
                verify=self._verify,
            )
        except (InputError, SelectionError) as fault:
            return fault_of_text(fault, self._output, where)
        measured = sum(len(word.places) for word in found.output.words)
        share = 1.0 if found.output.states or found.output.against is not None else 1 / measured
        record = found.record
        return EffectsInText(
            model=record.model,
            where=where,
            kind=found.output.kind,
            named=found.output.named,
            names=found.output.names,
            donor=found.donor,
            paired=other is not None,
            before=found.before.whole * share,
            tokens=len(record.source),
            notes=found.notes,
            verified=record.verified,
            output=record.output,
            heads=tuple(_effect_in_text(found, trial, share) for trial in found.trials),
        )

    def take(self, found: EffectsInText | AttnError) -> None:
        """Add the effects in a text; a fault is counted, and its text left out, as is one of another output."""
        if isinstance(found, AttnError):
            self._left_out.append(found)
            return
        self._first = self._first or found
        if found.kind != self._first.kind:
            self._left_out.append(_of_another_output(found, self._first))
            return
        self._named += found.named is not None
        self._same_words &= found.named == self._first.named
        self._same_names &= found.names == self._first.names
        self._same_donor &= _name_of(found.donor) == _name_of(self._first.donor)
        self._notes.update(set(found.notes))
        self._verified = max((one for one in (self._verified, found.verified) if one is not None), default=None)
        self._output_check = largest_check([self._output_check, found.output])
        for one in found.heads:
            running = self._heads.setdefault((one.kind, one.layer, one.head), _SumsOfEffects())
            running.add(one, half=self._texts % 2)
        self._before += found.before
        self._texts += 1
        self._tokens += found.tokens

    def found(self, corpus: str, notes: Sequence[str] = ()) -> HeadEffects:
        """Return the answer over the texts so far.

        Args:
            corpus: name of the corpus.
            notes: further notes.

        Raises:
            InputError: there is no text that can be measured.
        """
        first = self._first
        if first is None:
            raise self._left_out[0] if self._left_out else InputError("There are no texts", "Give at least one")
        report = Report(self._verified, summed_notes(self._notes, self._texts), self._output_check)
        heads = tuple(running.found(*place) for place, running in self._heads.items())
        dtype = first.model.dtype
        sizes = [(one.focus, abs(beyond_rounding(one.mean, dtype))) for one in heads if math.isfinite(one.focus)]
        halves = [
            tuple(abs(beyond_rounding(half, dtype)) for half in running.halves) for running in self._heads.values()
        ]
        return HeadEffects(
            record=Record.without_text(first.model, report, self._selection),
            output=first.kind,
            origin="own" if not self._named else "named" if self._named == self._texts else "mixed",
            named=first.named if self._same_words else None,
            compared=first.names is not None,
            against=first.names if self._same_names else None,
            instead=self._cut.instead or "zero",
            donor=first.donor if self._same_donor else None,
            paired=first.paired,
            before=math.nan if first.kind == "states" else self._before / self._texts,
            heads=heads,
            correlation=rank_correlation(sizes),
            halves=rank_correlation([(one, other) for one, other in halves]) if self._texts > 1 else None,
            texts=self._texts,
            tokens=self._tokens,
            corpus=corpus,
            more_notes=(*left_out(self._left_out), *notes),
        )


def _name_of(donor: Donor | None) -> str | None:
    return None if donor is None else donor.name


def _of_another_output(found: EffectsInText, first: EffectsInText) -> AttnError:
    """Return the fault of a text whose output has another unit than that of the first, so that no mean is of both."""
    named = {"next": "next tokens", "target": "target", "mask": "word at the mask", "states": "last states"}
    fault = InputError(
        f"Its {named[found.kind]} would be measured, and the first text's {named[first.kind]}",
        "Measure them in commands of their own, or choose --output states",
    )
    return located(fault, found.where)


def _effect_in_text(found: Ablation, trial: CutTrial, share: float) -> EffectInText:
    """Return the effect of the only head that a run has cut, times the share of one token of the output."""
    ((layer, (head,)),) = trial.heads.items()
    summary = trial.summary
    return EffectInText(
        trial.kind,
        layer,
        head,
        trial.effect * share,
        changed=found.changed_place(trial.after) is not None,
        moved=trial.moved,
        focus=None if summary is None else summary.focus,
        first=None if summary is None else summary.first,
    )
