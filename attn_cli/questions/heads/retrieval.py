"""Retrieval heads, which find in a long text what the model copies from it.

Wu et al. 2024, "Retrieval Head Mechanistically Explains Long-Context Factuality": while a model copies a fact, a
retrieval head's strongest key is the very token being copied. The paper divides by the tokens of the whole fact; here a
score is a share of the tokens that the model does copy, so that it does not depend on how much of a fact is asked for.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attn_cli.data.cuts import Variation, zeroed
from attn_cli.data.model import ModelInfo
from attn_cli.data.outcomes import Wanted
from attn_cli.data.plan import choose_heads, choose_kind
from attn_cli.data.record import Record
from attn_cli.data.selection import Kind, Selection, check_needle
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block, Eat, Report, Request
from attn_cli.data.sums import Sums, layers_in
from attn_cli.data.units import Units
from attn_cli.errors import ModelError, counted
from attn_cli.measure.corpus import Tally
from attn_cli.measure.summary import HeadSummary, Summarize
from attn_cli.questions.heads.measure import NO_UNITS, HeadFigures, HeadsFound
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
    notes_on_hidden,
)
from attn_cli.questions.heads.roles import RETRIEVAL
from attn_cli.questions.heads.scores import RoleScore

__all__ = ["NEEDLES", "RANDOM_CUTS", "CollectNeedles", "CollectRetrieval", "NeedleCuts", "find_needles", "hide_all"]

NEEDLES = "needles"
"""Name of the texts."""
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
    texts = known_texts() if texts is None else texts
    collect, tally = CollectNeedles(selection, texts), Tally()
    hidden = hide_all(model, selection, texts)
    for number in range(len(texts.needles)):
        own = collect.fresh()
        tally.merge(own.measure(model, hidden, number, verify=verify))
        collect.merge(own.state())
    found = collect.found(model.info, tally.report)
    if not cut:
        return found
    cuts = NeedleCuts(found, seed)
    counts = Counter[int]()
    for one in hidden.needles if cuts else ():
        counts += cuts.measure(model, one)
    return cuts.added_to(found, counts)


def hide_all(model: Continues, selection: Selection, texts: Texts) -> Hidden:
    """Hide each needle in the text, for a model that can find them; see `hide`.

    Raises:
        UsageError: a measure other than weights is selected, or keys are hidden.
        SelectionError: a selected layer or head does not exist.
        ModelError: the model does not continue texts, or has too few positions.
    """
    check_needle(selection)
    _check_continues(model)
    _chosen(model.info, selection)
    return hide(model, texts)


def _chosen(model: ModelInfo, selection: Selection) -> tuple[Kind, Mapping[int, tuple[int, ...]]]:
    """Return the kind of attention and the heads of each layer that are measured.

    Raises:
        SelectionError: a selected layer or head does not exist.
    """
    kind = choose_kind(model.stacks, selection.kind, has_target=False, name=model.name)
    return kind, choose_heads(model.stacks[kind], selection.layer, selection.head, model.name)


class CollectNeedles:
    """A collector of what each head does while a model copies needles, each of which can be measured elsewhere.

    Args:
        selection: layers and heads to measure; its unit is ignored, since units are tokens here.
        texts: the text and the needles.
    """

    def __init__(self, selection: Selection, texts: Texts) -> None:
        self.selection, self.texts = selection, texts
        self._retrieval = CollectRetrieval()
        self._trials: dict[int, _MeasuredTrial] = {}
        self._sentences = 0
        """Number of sentences that needles are hidden in; 0 if none was tried."""
        self._tried = 0
        """Number of needles that were to be hidden."""

    def fresh(self) -> CollectNeedles:
        """Return a collector of the same figures that has seen no needle."""
        return CollectNeedles(self.selection, self.texts)

    def state(self) -> dict[str, np.ndarray]:
        """Return all sums so far as arrays, for `merge`; of each trial a row of number, tokens, copies and words."""
        rows = [(number, one.length, one.tokens, one.written) for number, one in self._trials.items()]
        return {
            **self._retrieval.state(),
            "trials": np.array(rows, np.int64).reshape(-1, 4),
            "trials.depth": np.array([one.depth for one in self._trials.values()], np.float64),
            "tried": np.array(self._tried, np.int64),
            "sentences": np.array(self._sentences, np.int64),
        }

    def merge(self, state: Sums) -> None:
        """Add the sums of another collector of the same figures, over other needles.

        Raises:
            ValueError: there are no such needles, or the sums are not of the heads that they name.
            KeyError: some sums are missing.
        """
        self._retrieval.merge(state)
        self._tried += int(state["tried"])
        self._sentences = max(self._sentences, int(state["sentences"]))
        rows = zip(state["trials"].tolist(), state["trials.depth"].tolist(), strict=True)
        for (number, length, tokens, written), depth in rows:
            if not 0 <= number < len(self.texts.needles) or number in self._trials:
                raise ValueError(f"there is no needle {number}")
            self._trials[number] = _MeasuredTrial(length, tokens, written, depth)

    def measure(self, model: Continues, hidden: Hidden, number: int, *, verify: bool = False) -> Tally:
        """Ask for a needle, and measure what heads do while the model copies it.

        Args:
            model: the model.
            hidden: the needles as they are hidden for it.
            number: the number of the needle among all.
            verify: also run the model without attn and compare.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: the model did not return valid attention weights.
        """
        tally = Tally()
        self._tried += 1
        self._sentences = hidden.sentences
        one = next((one for one in hidden.needles if one.needle == self.texts.needles[number]), None)
        if one is None:
            return tally
        ((_, written),) = _written(model, one, [()])
        trial = _MeasuredTrial(len(one.source.source), len(one.written), written, one.depth)
        self._trials[number] = trial
        if written:
            kind, heads = _chosen(model.info, self.selection)
            request = Request({kind: heads}, {kind: tuple(one.steps[:written])}, verify=verify)
            tally.add(one.source.stream(request, self._retrieval.turn(one, written)))
        return tally

    def found(self, model: ModelInfo, report: Report) -> HeadsFound:
        """Return the result over the needles so far.

        Raises:
            SelectionError: a selected layer or head does not exist.
        """
        kind, heads = _chosen(model, self.selection)
        measured = dict(sorted(self._trials.items()))
        notes: tuple[str, ...] = ()
        if self._tried:
            missing = self._tried - len(measured)
            notes = notes_on_hidden(model, self.texts, self._sentences, len(self.texts.needles) - missing)
        if measured and not self._retrieval.copied:
            notes += ("The model writes no token of any needle, so no head has a score",)
        trials = tuple(
            NeedleTrial(self.texts.needles[number], one.depth, one.tokens, one.written)
            for number, one in measured.items()
        )
        report = replace(report, notes=(*notes, *report.notes))
        return HeadsFound(
            record=Record.without_text(model, report, replace(self.selection, unit="token")),
            kind=kind,
            heads=self._retrieval.result(kind, heads) if trials else (),
            roles=(RETRIEVAL,),
            texts=len(trials),
            tokens=sum(one.length for one in measured.values()),
            seen=NEEDLES,
            by=RETRIEVAL.option,
            needles=Needles(trials, self._sentences) if trials else None,
        )


@dataclass(frozen=True, slots=True)
class _MeasuredTrial:
    """The figures of one needle's trial; see `NeedleTrial`."""

    length: int
    """Number of tokens of the whole text."""
    tokens: int
    written: int
    depth: float


class CollectRetrieval:
    """Collector of each head's strongest keys at the steps that copy, over one text after another."""

    def __init__(self) -> None:
        self.copied = 0
        """Number of tokens copied in all texts so far."""
        self._right: dict[int, Int[np.ndarray, "head"]] = {}
        """layer -> number of copied tokens at which each head's strongest key is the token being copied."""
        self._others: dict[int, Float[np.ndarray, "head"]] = {}
        """layer -> the same for any other token of the text, on average."""
        self._summarize = Summarize(NO_UNITS, NO_UNITS, links=0)

    def turn(self, hidden: HiddenNeedle, written: int) -> Eat:
        """Turn to the next text, of whose needle so many tokens were written, and return what consumes its blocks."""
        steps, others = hidden.steps[:written], np.flatnonzero(hidden.others)
        read = replace(hidden.source.source, tokens=hidden.source.source.tokens[:-1], written=None)
        units = Units.of(read, "token")
        summarize = self._summarize
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

    def state(self) -> dict[str, np.ndarray]:
        """Return all sums so far as arrays, for `merge`."""
        return {
            **self._summarize.state(),
            "copied": np.array(self.copied, np.int64),
            **{f"retrieval.{layer}.right": right for layer, right in self._right.items()},
            **{f"retrieval.{layer}.others": others for layer, others in self._others.items()},
        }

    def merge(self, state: Sums) -> None:
        """Add the sums of another collector over other texts.

        Raises:
            ValueError: they are not of the heads that they name.
            KeyError: some are missing.
        """
        self._summarize.merge(state)
        self.copied += int(state["copied"])
        for _, layer, heads in layers_in(state):
            right, others = state[f"retrieval.{layer}.right"], state[f"retrieval.{layer}.others"]
            if not right.shape == others.shape == (len(heads),):
                raise ValueError(f"retrieval.{layer}.right has shape {right.shape}")
            self._right[layer] = self._right.get(layer, 0) + right
            self._others[layer] = self._others.get(layer, 0.0) + others

    def result(self, kind: Kind, heads: Mapping[int, Sequence[int]]) -> tuple[HeadFigures, ...]:
        """Return the figures of these heads, by layer; not-a-number if nothing was copied."""
        summaries = {(one.layer, one.head): one for one in self._summarize.result}
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


class NeedleCuts:
    """Runs without the retrieval heads, and without as many random ones.

    Args:
        found: the result over all needles.
        seed: seed of the first draw of random heads.
    """

    def __init__(self, found: HeadsFound, seed: int) -> None:
        silent = found.record.model.without.get(found.kind, {})
        gone = {(layer, head) for layer, some in silent.items() for head in some}
        places = {(one.layer, one.head): bool(one.roles) for one in found.heads if (one.layer, one.head) not in gone}
        chosen = [place for place, retrieves in places.items() if retrieves]
        others = [place for place, retrieves in places.items() if not retrieves]
        self._kind, self._wanted, self._count = found.kind, len(chosen), min(len(chosen), len(others))
        self._seeds: list[int | None] = []
        if chosen:
            self._seeds = [None, *(range(seed, seed + RANDOM_CUTS) if self._count else ())]
        self._runs = [
            chosen if drawn is None else sorted(random.Random(drawn).sample(others, self._count))  # noqa: S311 - nothing secret
            for drawn in self._seeds
        ]

    def __bool__(self) -> bool:
        return bool(self._runs)

    def measure(self, model: Continues, one: HiddenNeedle) -> Counter[int]:
        """Return the numbers of the runs in which a needle is found, each counted once."""
        variations = [_cutting(self._kind, run) for run in self._runs]
        return Counter(index for index, written in _written(model, one, variations) if written == len(one.written))

    def added_to(self, found: HeadsFound, counts: Mapping[int, int]) -> HeadsFound:
        """Put the number of needles that were found in each run in the result."""
        needles = found.needles
        if not self._runs or needles is None:
            return _noting(found, "No head that could be cut is a retrieval head, so nothing was cut")
        if self._count < self._wanted:
            few = f"Only {counted(self._count, 'other head')} could be drawn, for {self._wanted} that were cut"
            found = _noting(found, few)
        cut, *drawn_cuts = (
            NeedleCut(tuple(run), counts.get(index, 0), drawn)
            for index, (run, drawn) in enumerate(zip(self._runs, self._seeds, strict=True))
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
