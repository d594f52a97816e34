"""Retrieval heads, which find in a long text what the model copies from it.

Wu et al. 2024, "Retrieval Head Mechanistically Explains Long-Context Factuality": while a model copies a fact, a
retrieval head's strongest key is the very token being copied. The paper divides by the tokens of the whole fact; here a
score is a share of the tokens that the model does copy, so that it does not depend on how much of a fact is asked for.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from attn_cli.data.cuts import Variation, zeroed
from attn_cli.data.outcomes import Wanted
from attn_cli.data.plan import choose_heads, choose_kind
from attn_cli.data.record import Record
from attn_cli.data.selection import Kind, Selection, check_needle
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block, Eat, Report, Request, largest_check
from attn_cli.data.units import Units
from attn_cli.errors import ModelError, counted
from attn_cli.measure.corpus import summed_notes
from attn_cli.measure.summary import HeadSummary, Summarize
from attn_cli.questions.heads.measure import HeadFigures, HeadsFound
from attn_cli.questions.heads.needles import (
    Continues,
    Hidden,
    HiddenNeedle,
    NeedleCut,
    Needles,
    NeedleTrial,
    Texts,
    hide,
    known_texts,
)
from attn_cli.questions.heads.roles import RETRIEVAL
from attn_cli.questions.heads.scores import RoleScore

__all__ = ["RANDOM_CUTS", "CollectRetrieval", "find_needles"]

RANDOM_CUTS = 3
"""Number of times that random heads are cut."""


def find_needles(
    model: Continues,
    selection: Selection,
    *,
    cut: bool = False,
    seed: int = 0,
    texts: Texts | None = None,
    verify: bool = False,
) -> HeadsFound:
    """Hide facts in a text, ask for them, and measure which heads look at what the model copies.

    Args:
        model: the model, which must continue texts.
        selection: layers and heads to measure; its unit is ignored, since units are tokens here.
        cut: also count the needles found without the retrieval heads, and without as many random ones.
        seed: seed of the first draw of random heads.
        texts: the text and the facts; by default those of `needles.toml`.
        verify: also run the model without attn and compare.

    Raises:
        UsageError: a measure other than weights is selected, or keys are hidden.
        SelectionError: a selected layer or head does not exist.
        ModelError: the model does not continue texts, has too few positions, or could not be run.
        ExactnessError: the model did not return valid attention weights.
    """
    check_needle(selection)
    info = model.info
    _check_continues(model)
    kind = choose_kind(info.stacks, selection.kind, has_target=False, name=info.name)
    heads = choose_heads(info.stacks[kind], selection.layer, selection.head, info.name)
    texts = known_texts() if texts is None else texts
    hidden = hide(model, texts)
    trials = tuple(_trial(one, written) for one in hidden.needles for _, written in _written(model, one, [()]))
    collect, reports, notes = CollectRetrieval(), [], hidden.notes
    for one, trial in zip(hidden.needles, trials, strict=True):
        if trial.written:
            queries = {kind: tuple(one.steps[: trial.written])}
            reports.append(one.source.stream(Request({kind: heads}, queries, verify=verify), collect.turn(one, trial)))
    if not reports:
        notes += ("The model writes no token of any needle, so no head has a score",)
    needles = Needles(trials, hidden.sentences)
    found = HeadsFound(
        record=Record.without_text(info, _together(reports, notes), replace(selection, unit="token")),
        kind=kind,
        heads=collect.result(kind, heads),
        roles=(RETRIEVAL,),
        texts=len(hidden.needles),
        tokens=sum(len(one.source.source) for one in hidden.needles),
        seen="needles",
        by=RETRIEVAL.option,
        needles=needles,
    )
    return _with_cut(found, needles, model, hidden, seed) if cut else found


class CollectRetrieval:
    """Collector of each head's strongest keys at the steps that copy, over one text after another."""

    def __init__(self) -> None:
        self.copied = 0
        """Number of tokens copied in all texts so far."""
        self._right: dict[int, Int[np.ndarray, "head"]] = {}
        """layer -> number of tokens that each head's strongest key is the one of."""
        self._others: dict[int, Float[np.ndarray, "head"]] = {}
        """layer -> the same for another token of the text, on average."""
        self._summarize: Summarize | None = None

    def turn(self, hidden: HiddenNeedle, trial: NeedleTrial) -> Eat:
        """Turn to the next text, and return the function that consumes its blocks."""
        steps, others = hidden.steps[: trial.written], np.flatnonzero(hidden.others)
        read = replace(hidden.source.source, tokens=hidden.source.source.tokens[:-1], written=None)
        units = Units.of(read, "token")
        summarize = self._summarize = self._summarize or Summarize(units, units, links=0)
        summarize.turn([(units, units)])
        self.copied += len(steps)

        def eat(block: Block) -> None:
            """Consume some rows of a layer."""
            first = max(steps.start - block.start, 0)
            some = block.take(rows=slice(first, max(steps.stop - block.start, first)))
            if not len(some.visible):
                return
            summarize(some)
            strongest = some.weights.argmax(axis=2)
            keys = hidden.keys[some.positions - steps.start]
            right, beside = (strongest == keys).sum(axis=1), np.isin(strongest, others).sum(axis=1) / len(others)
            self._right[block.layer] = self._right.get(block.layer, 0) + right
            self._others[block.layer] = self._others.get(block.layer, 0.0) + beside

        return eat

    def result(self, kind: Kind, heads: Mapping[int, Sequence[int]]) -> tuple[HeadFigures, ...]:
        """Return the figures of these heads, by layer; not-a-number if nothing was copied."""
        summaries = {(one.layer, one.head): one for one in (self._summarize.result if self._summarize else ())}
        return tuple(
            HeadFigures(summaries.get((layer, head), _unknown(kind, layer, head)), (self._score(layer, index),))
            for layer, some in heads.items()
            for index, head in enumerate(some)
        )

    def _score(self, layer: int, index: int) -> RoleScore:
        if not self.copied:
            return RoleScore(RETRIEVAL, float("nan"), float("nan"), rows=0)
        return RoleScore(
            RETRIEVAL,
            score=float(self._right[layer][index]) / self.copied,
            baseline=float(self._others[layer][index]) / self.copied,
            rows=self.copied,
        )


def _unknown(kind: Kind, layer: int, head: int) -> HeadSummary:
    """Return the summary of a head over no row."""
    nothing = float("nan")
    return HeadSummary(kind, layer, head, nothing, nothing, nothing, nothing, nothing, nothing, ())


def _check_continues(model: Continues) -> None:
    """Check that the model goes on with a text.

    Raises:
        ModelError: it does not.
    """
    info = model.info
    if not info.stacks:
        raise ModelError(info.without_attention, "Name another model with --model")
    if "next" not in model.outputs:
        what = "encoder-decoder" if "cross" in info.stacks else "encoder"
        raise ModelError(
            f"--needle needs a decoder that continues a text, and {info.name} is an {what}",
            "Name a decoder (GPT-2, Llama, …) with --model",
        )


def _written(model: Continues, hidden: HiddenNeedle, variations: Sequence[Variation]) -> Iterator[tuple[int, int]]:
    """Count the tokens that the model writes of a needle, each the likeliest, until it first writes another.

    They are read as given, which is what a greedy search reads too as long as it writes the same.

    Yields:
        the index of a variation and its count.
    """
    wanted = Wanted("next", tuple(hidden.steps), written=hidden.written)
    for index, outcome in model.run(hidden.source, variations, wanted):
        if outcome.chances is not None:
            right = outcome.chances.likeliest[:, 0] == hidden.written
            yield index, len(right) if right.all() else int(right.argmin())


def _trial(hidden: HiddenNeedle, written: int) -> NeedleTrial:
    return NeedleTrial(hidden.needle, hidden.depth, len(hidden.written), written)


def _together(reports: Sequence[Report], notes: Sequence[str]) -> Report:
    """Merge the reports on all texts."""
    said = summed_notes(Counter(note for report in reports for note in set(report.notes)), len(reports))
    verified = max((report.verified for report in reports if report.verified is not None), default=None)
    return Report(verified, (*notes, *said), largest_check(report.output for report in reports))


def _with_cut(found: HeadsFound, needles: Needles, model: Continues, hidden: Hidden, seed: int) -> HeadsFound:
    """Count the needles found without the retrieval heads, and without as many random ones."""
    gone = {(layer, head) for layer, some in model.info.without.get(found.kind, {}).items() for head in some}
    places = {(one.layer, one.head): bool(one.roles) for one in found.heads if (one.layer, one.head) not in gone}
    chosen = [place for place, retrieves in places.items() if retrieves]
    others = [place for place, retrieves in places.items() if not retrieves]
    if not chosen:
        return _noting(found, "No head that could be cut is a retrieval head, so nothing was cut")
    count = min(len(chosen), len(others))
    if count < len(chosen):
        found = _noting(found, f"Only {counted(count, 'other head')} could be drawn, for {len(chosen)} that were cut")
    seeds: list[int | None] = [None, *(range(seed, seed + RANDOM_CUTS) if count else ())]
    runs = [
        chosen if drawn is None else sorted(random.Random(drawn).sample(others, count))  # noqa: S311 - nothing secret
        for drawn in seeds
    ]
    variations = [_cutting(found.kind, run) for run in runs]
    counts = Counter(
        index
        for one in hidden.needles
        for index, written in _written(model, one, variations)
        if written == len(one.written)
    )
    cut, *drawn_cuts = (
        NeedleCut(tuple(run), counts[index], drawn) for index, (run, drawn) in enumerate(zip(runs, seeds, strict=True))
    )
    return replace(found, needles=replace(needles, cut=cut, random=tuple(drawn_cuts)))


def _cutting(kind: Kind, places: Sequence[tuple[int, int]]) -> Variation:
    """Return the cut that sets the output of these heads to zero."""
    layers: dict[int, tuple[int, ...]] = {}
    for layer, head in places:
        layers[layer] = (*layers.get(layer, ()), head)
    return zeroed({kind: layers})


def _noting(found: HeadsFound, note: str) -> HeadsFound:
    return replace(found, record=replace(found.record, notes=(*found.record.notes, note)))
