"""Weight and effect over the texts of a corpus: where weights tell what matters, head by head."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, pstdev

from attn_cli.answer import Answer
from attn_cli.cli.texts import located
from attn_cli.data.cuts import Variation
from attn_cli.data.model import GuidedHead, ModelInfo
from attn_cli.data.outcomes import Outcome
from attn_cli.data.record import Record
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.stream import OutputCheck, Report, Request, largest_check
from attn_cli.data.without import typed_without
from attn_cli.errors import AttnError, InputError, SelectionError, counted, left_out, quoted
from attn_cli.io.csv import Cell
from attn_cli.measure.corpus import summed_notes
from attn_cli.models import Input, Model
from attn_cli.questions.ablate.choices import OutputChoice
from attn_cli.questions.ablate.cutting import WeighEdges, first_kind, keys_of, plan_of
from attn_cli.questions.ablate.output import ReadOutput
from attn_cli.questions.ablate.reader import fault_of_text, read_output
from attn_cli.questions.ablate.trials import beyond_rounding, rank_correlation

__all__ = ["Correlate", "Correlations", "CorrelationsInText", "HeadCorrelation", "LeftOut"]


@dataclass(frozen=True, slots=True)
class HeadCorrelation:
    """Rank correlations of weight and size of effect in one head, over texts."""

    layer: int
    head: int
    texts: int
    """Texts in which it is defined: with three keys, and not all weights or effects the same."""
    mean: float
    """Mean over the texts; not-a-number if there are none."""
    spread: float
    """Standard deviation over the texts."""
    least: float
    most: float


@dataclass(frozen=True, eq=False, repr=False)
class Correlations(Answer):
    """The answer of `attn ablate` about a corpus."""

    record: Record
    """The model and the selection, without a text."""
    kind: Kind
    query: str
    heads: tuple[HeadCorrelation, ...]
    texts: int
    """Texts that were measured."""
    tokens: int
    """Tokens of these texts."""
    left_out: int
    """Texts that do not have the query exactly once, or in attention of another kind, cannot be read, or have nothing
    to measure."""
    other_kinds: int
    """The number of these in which the query has attention of another kind than in the first text."""
    faults: tuple[AttnError, ...]
    """The fault of each text left out that cannot be read or has nothing to measure."""
    corpus: str
    """Name of the corpus."""

    columns = ("kind", "layer", "head", "texts", "mean", "spread", "least", "most")

    @property
    def title(self) -> str:
        return self.corpus

    @property
    def without(self) -> str:
        return typed_without(self.record.model.without)

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        return self.record.model.guided_among([(self.kind, one.layer, one.head) for one in self.heads])

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Notes of the runs, and on the texts that were left out."""
        query, notes = quoted(self.query), [*self.record.notes, *left_out(self.faults)]
        without = self.left_out - len(self.faults) - self.other_kinds
        if without:
            notes.append(f"Left out: {counted(without, 'text')} in which {query} does not stand exactly once")
        if self.other_kinds:
            notes.append(
                f"Left out: {counted(self.other_kinds, 'text')} in which {query} is not in {self.kind} attention, as "
                "it is in the first"
            )
        return tuple(notes)

    @property
    def mean(self) -> float:
        """The mean over all heads in which it is defined; not-a-number if there are none."""
        means = [one.mean for one in self.heads if one.texts]
        return sum(means) / len(means) if means else float("nan")

    @property
    def ranked(self) -> list[HeadCorrelation]:
        """The heads, highest mean first; those without one last."""
        return sorted(self.heads, key=lambda one: -one.mean if one.texts else math.inf)

    def rows(self) -> Iterable[Sequence[Cell]]:
        """Yield a row for each head."""
        for one in self.heads:
            yield self.kind, one.layer, one.head, one.texts, one.mean, one.spread, one.least, one.most


@dataclass(frozen=True, slots=True)
class CorrelationsInText:
    """Rank correlations of the heads in one text, small enough to be sent from one process to another."""

    model: ModelInfo
    kind: Kind
    tokens: int
    notes: tuple[str, ...]
    verified: float | None
    output: OutputCheck | None
    heads: tuple[tuple[int, int, float | None], ...]
    """Layer, head and correlation of each; None where it is not defined."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A text without correlations."""

    fault: AttnError | None = None
    """The fault of the text; None if it does not have the query exactly once."""


class Correlate:
    """A collector of each head's rank correlations over one text after another; only their sums are kept.

    Args:
        model: a loaded model; None if the texts are measured elsewhere, and taken here.
        selection: the heads, and the query whose keys are cut in each of them in turn.
        output: the output to measure.
        verify: also run the model without attn, and compare.
    """

    def __init__(
        self, model: Model | None, selection: Selection, output: OutputChoice, *, verify: bool = False
    ) -> None:
        self._model, self._selection, self._output, self._verify = model, selection, output, verify
        self._values: dict[tuple[int, int], list[float]] = {}
        self._first: CorrelationsInText | None = None
        self._notes: Counter[str] = Counter()
        self._verified: float | None = None
        self._output_check: OutputCheck | None = None
        self._texts = self._tokens = self._left_out = self._other_kinds = 0
        self._faults: list[AttnError] = []

    @property
    def texts(self) -> int:
        """The number of texts measured."""
        return self._texts

    def add(self, given: Input, where: str = "") -> None:
        """Measure a text, and take what is found; see `measure` and `take`."""
        self.take(self.measure(given, where))

    def measure(self, given: Input, where: str = "") -> CorrelationsInText | LeftOut:
        """Measure a text, unless it cannot be read or does not have the query exactly once.

        Args:
            given: the text, and its target, if it has one.
            where: the place of the text in the corpus, for notes.

        Raises:
            AttnError: the model has no such output or no such heads, or cannot be run.
            TypeError: the collector has no model.
        """
        if self._model is None:
            raise TypeError("there is no model to measure a text with")
        try:
            read = read_output(self._model, given, self._output, self._selection.unit)
        except (InputError, SelectionError) as fault:
            return LeftOut(fault_of_text(fault, self._output, where))
        query = self._selection.query or ""
        try:
            groups = keys_of(read.source, self._selection, query)
        except SelectionError:
            # Heads that do not exist are in no text.
            plan_of(read.source, self._selection, self._selection.kind or first_kind(read.source))
            return LeftOut()
        kind, heads = groups[0].plan.kind, groups[0].plan.heads
        try:
            read.check_reach(groups)
        except SelectionError as fault:
            return LeftOut(located(fault, where))
        weigh = WeighEdges(groups)
        rows = tuple(sorted({row for row, _ in groups[0].pairs}))
        report = read.source.stream(Request({kind: heads}, {kind: rows}, verify=self._verify), weigh)
        seen = [index for index in range(len(groups)) if weigh.visible(index)]
        places = [(layer, head) for layer, some in heads.items() for head in some]
        cuts = [groups[index].variation({layer: (head,)}) for layer, head in places for index in seen]
        effects = self._effects(self._model, read, cuts)
        values = []
        for number, (layer, head) in enumerate(places):
            own = effects[number * len(seen) : (number + 1) * len(seen)]
            weights = [weigh.of_head(index, layer, head) for index in seen]
            sizes = [beyond_rounding(size, self._model.info.dtype) for size in own]
            values.append((layer, head, rank_correlation(list(zip(weights, sizes, strict=True)))))
        return CorrelationsInText(
            self._model.info,
            kind,
            len(read.source.source),
            report.notes,
            report.verified,
            report.output,
            tuple(values),
        )

    def take(self, found: CorrelationsInText | LeftOut) -> None:
        """Add the correlations in a text; one that is left out, or of another kind than the first, is counted."""
        if isinstance(found, LeftOut):
            self._left_out += 1
            self._faults += [] if found.fault is None else [found.fault]
            return
        self._first = self._first or found
        if found.kind != self._first.kind:
            self._left_out += 1
            self._other_kinds += 1
            return
        self._notes.update(set(found.notes))
        self._verified = max((one for one in (self._verified, found.verified) if one is not None), default=None)
        self._output_check = largest_check([self._output_check, found.output])
        for layer, head, value in found.heads:
            self._values.setdefault((layer, head), []).extend([] if value is None else [value])
        self._texts += 1
        self._tokens += found.tokens

    def _effects(self, model: Model, read: ReadOutput, cuts: Sequence[Variation]) -> list[float]:
        """Return the size of the effect of each cut."""
        wanted = read.wanted
        if read.kind in {"next", "target"} and read.against is None:  # no place is needed whole
            wanted = replace(wanted, places=())
        found: dict[int, float] = {}
        waiting: dict[int, Outcome] = {}
        for index, outcome in model.run(read.source, [(), *cuts], wanted):
            if index == 0:
                read = read.of_plain(outcome)
            waiting[index] = outcome
            if read.plain is not None:
                found |= {number: read.figures(one).whole for number, one in waiting.items()}
                waiting = {}
        return [abs(found[number] - found[0]) for number in range(1, len(cuts) + 1)]

    def found(self, corpus: str, notes: Sequence[str] = ()) -> Correlations:
        """Return the answer over the texts so far.

        Args:
            corpus: name of the corpus.
            notes: further notes.

        Raises:
            InputError: no text has the query, or none can be read.
        """
        first = self._first
        if first is None:
            if self._faults and self._left_out == len(self._faults):
                raise self._faults[0]
            raise InputError(
                f"No text has {quoted(self._selection.query or '')} exactly once", "Name a word that the texts have"
            )
        every_note = (*summed_notes(self._notes, self._texts), *notes)
        report = Report(self._verified, every_note, self._output_check)
        record = Record.without_text(first.model, report, self._selection)
        heads = tuple(_summed(layer, head, values) for (layer, head), values in self._values.items())
        query = self._selection.query or ""
        return Correlations(
            record=record,
            kind=first.kind,
            query=query,
            heads=heads,
            texts=self._texts,
            tokens=self._tokens,
            left_out=self._left_out,
            other_kinds=self._other_kinds,
            faults=tuple(self._faults),
            corpus=corpus,
        )


def _summed(layer: int, head: int, values: Sequence[float]) -> HeadCorrelation:
    if not values:
        return HeadCorrelation(layer, head, 0, *[float("nan")] * 4)
    return HeadCorrelation(layer, head, len(values), fmean(values), pstdev(values), min(values), max(values))
