"""Cuts in a model's attention, and what becomes of its output: the answer of `attn ablate`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from attn_cli.data.cuts import Variation
from attn_cli.data.outcomes import Outcome
from attn_cli.data.plan import Plan
from attn_cli.data.record import Record
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.stream import Block, Eat, Report, Request, Source
from attn_cli.errors import InputError, SelectionError, UsageError, counted
from attn_cli.measure.maps import layer_bytes
from attn_cli.measure.summary import HeadSummary, Summarize
from attn_cli.models import FOR_ONE, Input, Model, Translation, translate_one
from attn_cli.questions.ablate.choices import HEADS, ITS_OWN, CutChoice, Instead, OutputChoice
from attn_cli.questions.ablate.cutting import (
    Edges,
    WeighEdges,
    bands,
    cut_heads,
    find_edges,
    first_kind,
    keys_of,
    plan_of,
)
from attn_cli.questions.ablate.donors import Contexts, Donor, Means, contexts_of, cut_kinds
from attn_cli.questions.ablate.output import OutputFigures, ReadOutput
from attn_cli.questions.ablate.reader import read_like, read_output
from attn_cli.questions.ablate.trials import (
    LISTED,
    Ablation,
    CutTrial,
    Flip,
    OtherText,
    View,
    beyond_rounding,
    rank_correlation,
)
from attn_cli.system.memory import require

__all__ = ["ablate", "cut_every_head", "sweep"]


@dataclass(frozen=True, eq=False)
class _Planned:
    """One run that is planned."""

    variation: Variation
    kind: Kind
    heads: Mapping[int, tuple[int, ...]]
    edges: tuple[Edges, ...] = ()
    weight: float | None = None


def ablate(
    model: Model,
    given: Input,
    selection: Selection,
    output: OutputChoice = ITS_OWN,
    cut: CutChoice = HEADS,
    *,
    donor: Means | str | None = None,
    verify: bool = False,
) -> Ablation:
    """Cut heads or edges of a model's attention to a text, and measure what becomes of its output.

    Args:
        model: a loaded model.
        given: the text, and the target to measure, if there is one.
        selection: the heads to cut, or with `query` the word whose edges are cut in turn. Nothing: each head in turn.
        output: the output to measure.
        cut: the edges to cut, and what stands in the place of a head.
        donor: the means to put there, if not those over the text's own positions; or to resample, the other text.
        verify: also run the model without attn, and compare.

    Raises:
        UsageError: two choices exclude each other.
        InputError: the text cannot be used, or lacks what is to be measured, or the other has other positions.
        SelectionError: a layer, head or word does not exist, or an edge is masked.
        ModelError: the model has no such output, or could not be run.
        MemoryLimitError: a layer would not fit in memory.
        ExactnessError: the model's output is not attention weights.
    """
    asked = _ask(model, given, selection, output, cut, donor, verify=verify)
    if selection.query is not None:
        return asked.keys()
    if cut.edges:
        return asked.edges()
    if cut.sweeps(selection):
        return asked.every_head()
    return asked.heads()


def cut_every_head(
    model: Model, given: Input, read: ReadOutput, selection: Selection, cut: CutChoice, *, verify: bool = False
) -> Ablation:
    """Cut every head in turn, and measure what becomes of an output that was read; see `ablate`."""
    return _Asked(model, given, read, selection, cut, verify).every_head()


def sweep(
    model: Model,
    given: Input,
    selection: Selection,
    output: OutputChoice = ITS_OWN,
    cut: CutChoice = HEADS,
    *,
    donor: Means | str | None = None,
    verify: bool = False,
) -> Ablation:
    """Cut every head of a model in turn, as `ablate` does, and let it write nothing: for the sums over many texts.

    Raises:
        AttnError: any error of `ablate`.
    """
    return _ask(model, given, selection, output, cut, donor, verify=verify).each_head()[0]


def _ask(
    model: Model,
    given: Input,
    selection: Selection,
    output: OutputChoice,
    cut: CutChoice,
    donor: Means | str | None,
    *,
    verify: bool,
) -> _Asked:
    """Check what is asked of a text, and read it."""
    cut.check(selection)
    read = read_output(model, given, output, selection.unit)
    asked = _Asked(model, given, read, selection, cut, verify, donor if isinstance(donor, Means) else None)
    return asked.beside(donor, output) if isinstance(donor, str) else asked


@dataclass(frozen=True, eq=False)
class _Asked:
    """A text that was read, and what is to be cut."""

    model: Model
    given: Input
    read: ReadOutput
    selection: Selection
    cut: CutChoice
    verify: bool
    means: Means | None = None
    """Means of the heads' outputs over other texts."""
    other: Source | None = None
    """Another text whose heads' outputs are taken position by position."""

    @property
    def _instead(self) -> Instead:
        return self.cut.instead or "zero"

    def beside(self, text: str, output: OutputChoice) -> _Asked:
        """Return the same with another text, whose output is measured too.

        Raises:
            InputError: it cannot be used, or has another number of tokens.
        """
        source = read_like(self.read, replace(self.given, text=text), output)
        counts = len(self.read.source.source), len(source.source)
        kinds = cut_kinds(self.model.info, self.selection)
        if counts[0] != counts[1] and ("encoder" in kinds or self.read.kind != "target"):
            decoder = ", or choose --kind cross or decoder" if self.read.kind == "target" else ""
            raise InputError(
                f"The text has {counted(counts[0], 'token')} and that of --from-text {counts[1]:,}, and heads' outputs "
                "are put in the same positions",
                f"Give texts of as many tokens (attn inspect --tokens shows them), or choose --with mean{decoder}",
            )
        places = self.read.wanted if self.read.comparable else replace(self.read.wanted, tokens=False)
        ((_, there),) = self.model.run(source, [()], places)
        return replace(self, read=replace(self.read, there=there), other=source)

    def _cuts(self, groups: Sequence[tuple[Kind, Mapping[int, tuple[int, ...]]]]) -> list[Variation]:
        """Return a variation for each group of heads.

        Raises:
            ModelError: a layer keeps its heads' outputs to itself.
        """
        vectors: Contexts = {}
        if self.means is not None:
            vectors = self.means.vectors
        elif self._instead in {"mean", "resample"}:
            layers: dict[Kind, set[int]] = {}
            for kind, heads in groups:
                layers.setdefault(kind, set()).update(heads)
            source = self.read.source if self.other is None else self.other
            vectors = contexts_of(self.model, source, layers, mean=self._instead == "mean")
        return cut_heads(groups, self._instead, vectors, self.model.info.name)

    def every_head(self) -> Ablation:
        """Cut each head chosen in turn, and look for what changes the likeliest token."""
        return self._with_changes(*self.each_head())

    def each_head(self) -> tuple[Ablation, list[Variation]]:
        """Cut each head chosen in turn; return the cuts as well."""
        kinds = cut_kinds(self.model.info, self.selection)
        plans = [plan_of(self.read.source, self.selection, kind) for kind in kinds]
        groups: list[tuple[Kind, Mapping[int, tuple[int, ...]]]] = [
            (plan.kind, {layer: (head,)}) for plan in plans for layer, heads in plan.heads.items() for head in heads
        ]
        summaries, report = self._summarize(plans)
        cuts = self._cuts(groups)
        planned = [_Planned(cut, kind, heads) for cut, (kind, heads) in zip(cuts, groups, strict=True)]
        found = self._ablation("heads", planned, report)
        trials = (replace(trial, summary=summary) for trial, summary in zip(found.trials, summaries, strict=True))
        return replace(found, trials=tuple(trials)), cuts

    def heads(self) -> Ablation:
        """Cut the heads selected, all at once."""
        source = self.read.source
        plan = plan_of(source, self.selection, self.selection.kind or first_kind(source))
        summaries, report = self._summarize([plan])
        (cut,) = self._cuts([(plan.kind, plan.heads)])
        found = self._ablation("cut", [_Planned(cut, plan.kind, plan.heads)], report, likeliest=True)
        if len(summaries) == 1:
            found = replace(found, trials=(replace(found.trials[0], summary=summaries[0]),))
        return self._written(found, cut)

    def edges(self) -> Ablation:
        """Cut edges at once, or in each head or band of layers in turn.

        Raises:
            UsageError: edges of several kinds are to be cut in turn.
        """
        source = self.read.source
        named = tuple(dict.fromkeys(self.cut.edges))
        groups = [find_edges(source, self.selection, edge) for edge in named]
        self.read.check_reach(groups)
        weights, report = self._weigh(groups)
        for index, edge in enumerate(named):
            if not weights[index].visible:
                raise SelectionError(f"--edge {edge} is masked: no head sees it", "Name another, or other heads")
        only = weights[0] if len(groups) == 1 else None
        plan = groups[0].plan
        if self.cut.by is None:
            cut = tuple(chain.from_iterable(edges.variation() for edges in groups))
            weight = None if only is None else only.of()
            planned = [_Planned(cut, plan.kind, plan.heads, tuple(groups), weight)]
            found = self._ablation("cut", planned, report, likeliest=True)
            return self._written(found, cut)
        if any(edges.plan.kind != plan.kind for edges in groups):
            raise UsageError(
                f"--by {self.cut.by} takes edges of one kind of attention", "Name them in commands of their own"
            )
        if self.cut.by == "heads":
            parts: list[Mapping[int, tuple[int, ...]]] = [
                {layer: (head,)} for layer, heads in plan.heads.items() for head in heads
            ]
        else:
            layers = tuple(plan.heads)
            split = bands(layers)
            split += [layers] if len(split) > 1 else []
            parts = [{layer: plan.heads[layer] for layer in some} for some in split]
        planned = [
            _Planned(
                tuple(chain.from_iterable(edges.variation(heads) for edges in groups)),
                plan.kind,
                heads,
                tuple(groups),
                None if only is None else only.of(heads),
            )
            for heads in parts
        ]
        found = self._ablation(self.cut.by, planned, report)
        return found if self.cut.by == "layers" else self._with_changes(found, [one.variation for one in planned])

    def keys(self) -> Ablation:
        """Cut the edges of one query, each key in turn."""
        groups = keys_of(self.read.source, self.selection, self.selection.query or "")
        self.read.check_reach(groups)
        weights, report = self._weigh(groups)
        planned = [
            _Planned(edges.variation(), edges.plan.kind, edges.plan.heads, (edges,), weight.of())
            for edges, weight in zip(groups, weights, strict=True)
            if weight.visible
        ]
        found = self._ablation("keys", planned, report)
        dtype = found.record.model.dtype
        pairs = [
            (trial.weight, abs(beyond_rounding(trial.effect, dtype)))
            for trial in found.trials
            if trial.weight is not None
        ]
        return replace(found, correlation=rank_correlation(pairs))

    def _ablation(
        self, view: View, planned: Sequence[_Planned], report: Report, *, likeliest: bool = False
    ) -> Ablation:
        """Run the model as it is and with each cut."""
        read, before, outcomes = self._run([one.variation for one in planned], likeliest=likeliest)
        there = read.figures_there()
        trials = tuple(
            CutTrial(
                one.kind,
                one.heads,
                outcome,
                outcome.whole - before.whole,
                one.edges,
                one.weight,
                moved=_moved(before.lean, outcome.lean, None if there is None else there.lean),
            )
            for one, outcome in zip(planned, outcomes, strict=True)
        )
        edges = bool(planned and planned[0].edges)
        record = Record.of(read.source, report, self.selection)
        found = Ablation(record, read, view, None if edges else self._instead, before, trials)
        if self.means is not None:
            return replace(found, donor=self.means.donor, more_notes=self.means.notes)
        if self.other is None or there is None:
            return found
        text = self.other.source.text
        donor = Donor(text, several=False, texts=1, tokens=len(self.other.source))
        return replace(found, donor=donor, other=OtherText(text, there))

    def _run(
        self, cuts: Sequence[Variation], *, likeliest: bool = False
    ) -> tuple[ReadOutput, OutputFigures, list[OutputFigures]]:
        """Return the outcome with nothing cut, and with each cut."""
        read = self.read
        found: dict[int, OutputFigures] = {}
        waiting: dict[int, Outcome] = {}
        for index, output in self.model.run(read.source, [(), *cuts], read.wanted):
            if index == 0:
                read = read.of_plain(output)
            waiting[index] = output
            if read.plain is not None:
                found |= {number: read.figures(one, likeliest=likeliest) for number, one in waiting.items()}
                waiting = {}
        return read, found[0], [found[number] for number in range(1, len(cuts) + 1)]

    def _with_changes(self, found: Ablation, cuts: Sequence[Variation]) -> Ablation:
        """Add what changes the likeliest token: one of the cuts alone, or several together."""
        return self._rewritten(found, cuts) if found.changing else self._with_flip(found, cuts)

    def _with_flip(self, found: Ablation, cuts: Sequence[Variation]) -> Ablation:
        """Cut more and more of the heads that speak most for the output, until the likeliest token changes."""
        if not found.before.top:
            return found
        order = sorted(range(len(cuts)), key=lambda index: found.trials[index].effect)[:LISTED]
        together = [
            tuple(chain.from_iterable(cuts[index] for index in order[:count])) for count in range(2, len(order) + 1)
        ]
        _, _, after = self._run(together)
        for cut, figures in zip(together, after, strict=True):
            place = found.changed_place(figures)
            if place is None:
                continue
            groups = [found.trials[index] for index in order[: len(cut)]]
            heads = tuple((one.kind, layer, head) for one in groups for layer, (head,) in one.heads.items())
            before = text = None
            if found.output.translation is not None and not self._not_again({kind for kind, _, _ in heads}):
                before, text = found.output.translation.text, self._translations([cut])[0].text
            return replace(found, flip=Flip(heads, place, figures.top[place], text), text_before=before)
        return found

    def _rewritten(self, found: Ablation, cuts: Sequence[Variation]) -> Ablation:
        """Let the model translate again with each of the cuts that change the likeliest token."""
        if found.output.translation is None:
            return found
        some = found.changing[:LISTED]
        told = self._not_again({trial.kind for trial in some})
        if told:
            return replace(found, more_notes=(*found.more_notes, *told))
        places = [found.trials.index(trial) for trial in some]
        written = self._translations([cuts[place] for place in places])
        texts = dict(zip(places, written, strict=True))
        trials = tuple(
            replace(trial, translation=texts[place].text) if place in texts else trial
            for place, trial in enumerate(found.trials)
        )
        return self._beside_written(replace(found, trials=trials, text_before=found.output.translation.text))

    def _written(self, found: Ablation, cut: Variation) -> Ablation:
        """Let the model translate again with a cut."""
        if found.output.kind != "target":
            return found
        told = self._not_again({one.kind for one in cut})
        if told:
            return replace(found, more_notes=(*found.more_notes, *told))
        before, after = self._translations([(), cut])
        found = replace(found, text_before=before.text, trials=(replace(found.trials[0], translation=after.text),))
        return self._beside_written(found)

    def _beside_written(self, found: Ablation) -> Ablation:
        """Add the other text's own translation."""
        if found.other is None:
            return found
        there = translate_one(self.model, replace(self.given, text=found.other.text))
        return replace(found, other=replace(found.other, translation=there.text))

    def _translations(self, cuts: Sequence[Variation]) -> list[Translation]:
        """Translate the text with each of these cuts."""
        texts = [self.read.source.source.text] * len(cuts)
        given = self.given
        return self.model.translate(
            texts, decoding=FOR_ONE, languages=given.languages, truncate=given.truncate, variations=cuts
        )

    def _not_again(self, kinds: Collection[Kind]) -> tuple[str, ...]:
        """Return a note on why the model does not translate again with a cut, if it does not.

        Where outputs of another text's decoder are put in place, that has written other words.
        """
        if self.given.pair is not None:
            return ("Nothing is translated again: the model translates one text, and --pair is a second",)
        if self.other is None or all(kind == "encoder" for kind in kinds):
            return ()
        return ("Nothing is translated again: the steps of another translation would be others",)

    def _summarize(self, plans: Sequence[Plan]) -> tuple[list[HeadSummary], Report]:
        """Compute the figures of all heads of some kinds of attention, in one pass."""
        for plan in plans:
            _require(plan)
        collect = {plan.kind: Summarize(plan.queries, plan.keys, links=0, crosses=plan.crosses) for plan in plans}
        eat = {plan.kind: Regroup(plan.queries, plan.keys, collect[plan.kind]) for plan in plans}
        report = self._stream({plan.kind: plan for plan in plans}, eat)
        return [summary for plan in plans for summary in collect[plan.kind].result], report

    def _weigh(self, groups: Sequence[Edges]) -> tuple[list[_Weights], Report]:
        """Compute the weights of groups of edges, in one pass."""
        by_kind: dict[Kind, list[int]] = {}
        for index, edges in enumerate(groups):
            by_kind.setdefault(edges.plan.kind, []).append(index)
        plans = {kind: groups[indices[0]].plan for kind, indices in by_kind.items()}
        collect = {kind: WeighEdges([groups[index] for index in indices]) for kind, indices in by_kind.items()}
        rows = {
            kind: tuple(sorted({query for index in indices for query, _ in groups[index].pairs}))
            for kind, indices in by_kind.items()
        }
        for plan in plans.values():
            _require(plan)
        report = self._stream(plans, collect, rows)
        weights = {
            index: _Weights(collect[kind], place)
            for kind, indices in by_kind.items()
            for place, index in enumerate(indices)
        }
        return [weights[index] for index in range(len(groups))], report

    def _stream(
        self, plans: Mapping[Kind, Plan], eat: Mapping[Kind, Eat], rows: Mapping[Kind, tuple[int, ...]] = {}
    ) -> Report:
        def pass_on(block: Block) -> None:
            eat[block.kind](block)

        request = Request({kind: plan.heads for kind, plan in plans.items()}, rows, verify=self.verify)
        return self.read.source.stream(request, pass_on)


@dataclass(frozen=True)
class _Weights:
    """The weights of one group of edges."""

    collected: WeighEdges
    place: int

    @property
    def visible(self) -> bool:
        return self.collected.visible(self.place)

    def of(self, heads: Mapping[int, Sequence[int]] | None = None) -> float:
        return self.collected.weight(self.place, heads)


def _moved(here: float | None, after: float | None, there: float | None) -> float | None:
    """Return the share of the way from one output to another."""
    if here is None or after is None or there is None or here == there:
        return None
    return (after - here) / (there - here)


def _require(plan: Plan) -> None:
    require(
        layer_bytes(plan), f"Looking at a layer of {plan.keys.tokens:,} keys", "Choose fewer heads, or cut the text"
    )
