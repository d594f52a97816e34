"""The run behind `attn inspect`: one text, run once, and the figures that are collected from the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from attn_cli.answer import Answer
from attn_cli.data.model import GuidedHead
from attn_cli.data.outcomes import SegmentShares
from attn_cli.data.parts import PartShares
from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.record import Record
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import GRID_OF_TEXT, Measure, Selection
from attn_cli.data.statistics import LayerStatistics, Summable
from attn_cli.data.stream import Block, Report, Source, key_tokens, query_tokens
from attn_cli.data.suggestion import Suggestion, suggest, suggest_explaining
from attn_cli.data.units import Units
from attn_cli.data.without import typed_without
from attn_cli.errors import SelectionError
from attn_cli.io.csv import Cell, CsvTable, weight_columns, weight_rows
from attn_cli.io.npz import to_npz
from attn_cli.measure.derived import measured
from attn_cli.measure.maps import KeepMaps, layer_bytes, map_bytes
from attn_cli.measure.measures import MEASURES
from attn_cli.measure.parts import CollectParts
from attn_cli.measure.patches import CollectPatchRows, PatchRows
from attn_cli.measure.segments import CollectSegmentShares
from attn_cli.measure.spread import WeightSpread
from attn_cli.measure.summary import HeadSummary, Link
from attn_cli.questions.inspect.figures import Cut, Figures, WrittenFigures, choose_figures
from attn_cli.system.memory import require

if TYPE_CHECKING:
    from attn_cli.data.outcomes import LookbackRatios
    from attn_cli.io.structs import ChosenHeadEntry, HeadEntry, LinkEntry, RecordDocument, SpreadEntry

__all__ = ["FEWEST_SUMMED", "Expect", "Inspection", "Tick", "head_rows", "look"]

Tick = Callable[[int, int], bool]
"""A function called with the numbers of layers done and of all; it returns False to leave out the rest."""

MOST_PLAYED = 2**28
"""Most bytes of maps that are kept for the sake of a page alone."""
Expect = Callable[[int, str], None]
"""A function called with a number of bytes, and the device that they are on; empty if that is the machine's memory."""

FEWEST_SUMMED = 4_000
"""Fewest tokens for which statistics are computed without weights: below, blocks of weights are as fast."""
FEWEST_ELSEWHERE = 256
"""The same on another device than the processor, from which weights would have to be copied."""
MOST_IN_WORDS = 8_000
"""Most tokens that are joined into words: a word's entropy does not follow from the entropies of its tokens."""
MORE_ATTENTION = {"toy-rnn": "toy-rnn-attention", "toy-rnn-attention": "toy"}
"""Built-in model -> the one to hold it against, which has more attention."""


@dataclass(frozen=True, eq=False, repr=False)
class Inspection(Record, Answer):
    """The answer of `attn inspect`, `attn translate` and `attn view`: a record, which has maps if they were kept."""

    figures: Figures = field(kw_only=True)
    """The figures of the run."""
    parts: PartShares | None = field(default=None, kw_only=True)
    """The share of the weight on each part of the text, if its parts are told apart."""

    segments: SegmentShares | None = field(default=None, kw_only=True)
    """The share of each head's weight on the segment whose words alone are the columns, if one was chosen."""

    patches: PatchRows | None = field(default=None, kw_only=True)
    """The rows to draw on the grid of an image's patches; None for a text, or where the maps are to be drawn."""

    @classmethod
    def of_run(
        cls,
        record: Record,
        figures: Figures,
        parts: PartShares | None = None,
        segments: SegmentShares | None = None,
        patches: PatchRows | None = None,
    ) -> Inspection:
        """Join the record and the figures of a run."""
        own = {each.name: getattr(record, each.name) for each in fields(record)}
        return cls(**own, figures=figures, parts=parts, segments=segments, patches=patches)

    @property
    def title(self) -> str:
        return self.source.name

    @property
    def question(self) -> str:
        if self.source.written is not None:
            return "generate"
        return "translate" if self.figures.plan.selection.translation else "inspect"

    @property
    def without(self) -> str:
        return typed_without(self.model.without)

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        return self.model.guided_among(self.figures.places)

    @property
    def suggestion(self) -> Suggestion | None:
        chosen, plan = self.figures.chosen, self.figures.plan
        if plan.selection.translation:
            better = MORE_ATTENTION.get(self.model.name)
            found = suggest(self, "inspect" if better is None else "translate")
            return found if better is None or found is None else replace(found, model=better)
        if chosen is None or chosen.link is None:
            return None
        return suggest_explaining(self, plan, (chosen.layer, chosen.head), chosen.link.query)

    @property
    def plays(self) -> bool:
        return bool(self.figures.plan.heads)

    @property
    def columns(self) -> tuple[str, ...]:
        plan = self.figures.plan
        patches = self.source.grid is not None
        selection = plan.selection
        return weight_columns(
            rows=plan.step, scores=selection.scores, measure=self._in_place_of_weights, patches=patches
        )

    @property
    def _in_place_of_weights(self) -> Measure | None:
        """The measure that a table holds in the place of weights; None if it holds weights."""
        measure = self.figures.plan.selection.measure
        return measure if MEASURES[measure].derived else None

    def document(self) -> RecordDocument:
        from attn_cli.io.document import describe

        return describe(
            self,
            self._described_heads(),
            self._described_choice(),
            self._lookback,
            self.parts,
            self.segments,
            self._described_spread(),
        )

    @property
    def _lookback(self) -> LookbackRatios | None:
        return self.figures.lookback.result if isinstance(self.figures, WrittenFigures) else None

    @property
    def heads(self) -> tuple[HeadSummary, ...]:
        """Figures of each head."""
        return self.figures.heads

    @property
    def spread(self) -> WeightSpread | None:
        """The spread of the weight of the map drawn, in a text of 1,000 units or more; else None."""
        return self.figures.spread

    def _described_heads(self) -> list[HeadEntry]:
        return head_rows(self.heads, self.figures.plan.queries, self.figures.plan.keys)

    def _described_choice(self) -> ChosenHeadEntry | None:
        from attn_cli.io.structs import ChosenHeadEntry

        plan, chosen = self.figures.plan, self.figures.chosen
        if chosen is None:
            return None
        return ChosenHeadEntry(
            kind=plan.kind,
            layer=chosen.layer,
            head=chosen.head,
            why="first" if chosen.link is None else "telling" if chosen.guided is None else "guided",
            telling=np.float32(chosen.telling),
            link=None if chosen.link is None else _described_link(chosen.link, plan.queries, plan.keys),
        )

    def _described_spread(self) -> SpreadEntry | None:
        from attn_cli.io.structs import SinkKeyEntry, SpreadEntry, TenthEntry

        plan, spread, drawn = self.figures.plan, self.figures.spread, self.figures.drawn
        if spread is None or drawn is None:
            return None
        position, label = plan.keys.positions, plan.keys.labels
        return SpreadEntry(
            kind=plan.kind,
            layers=list(drawn.layers),
            head=self.figures.drawn_head,
            resting=np.float32(spread.resting),
            tenths=[
                TenthEntry(position[one.start], position[one.stop - 1], _number(one.share), _number(one.even))
                for one in spread.tenths
            ],
            sinks=[SinkKeyEntry(position[one.key], label[one.key], np.float32(one.share)) for one in spread.sinks],
            apart=spread.apart,
            links=[_described_link(link, plan.queries, plan.keys) for link in spread.links],
        )

    def rows(self) -> Iterable[Sequence[Cell]]:
        """Yield a row for each query and each key that it can see."""
        plan = self.figures.plan
        queries, keys = (_named_units(units) for units in (plan.queries, plan.keys))
        named = [] if self._in_place_of_weights is None else [self._in_place_of_weights]
        blocks: list[Block] = []
        self.stream(plan.request(), Regroup(plan.queries, plan.keys, blocks.append))
        for block in blocks:
            front = [block.kind, *([] if plan.step is None else [plan.step]), block.layer]
            for index, head in enumerate(block.heads):
                for row, (start, stop) in enumerate(block.visible.tolist()):
                    query = block.start + row
                    if plan.chosen is not None and query not in plan.chosen:
                        continue
                    for key in range(start, min(stop, block.weights.shape[2])):
                        cells = *keys[key], block.weights[index, row, key]
                        scores = [] if not plan.selection.scores else [_score(block, index, row, key)]
                        yield *front, head, *queries[query], *cells, *scores, *named, plan.unit

    def add_rows(self, table: CsvTable, sentence: int) -> None:
        # A map has very many rows, which are written here a run at a time.
        plan = self.figures.plan
        collector = weight_rows(
            table,
            plan.queries,
            plan.keys,
            sentence=sentence,
            only=plan.chosen,
            rows=plan.step,
            scores=plan.selection.scores,
            measure=self._in_place_of_weights,
        )
        self.stream(plan.request(), Regroup(plan.queries, plan.keys, collector))

    def archive(self) -> bytes:
        """Write the record as a NumPy archive."""
        return to_npz(self, self._described_heads(), self._described_choice(), self._lookback)


def _named_units(units: Units) -> list[tuple[Cell, ...]]:
    """Return the position and the label of each unit, and its place on the grid of an image's patches."""
    named = zip(units.positions, units.labels, units.cells, strict=True)
    if units.side.grid is None:
        return [(position, label) for position, label, _ in named]
    return [(position, label, *(cell or (None, None))) for position, label, cell in named]


def _score(block: Block, head: int, row: int, key: int) -> np.float32 | None:
    """Return one score; None if it is masked."""
    if block.scores is None or not np.isfinite(block.scores[head, row, key]):
        return None
    return np.float32(block.scores[head, row, key])


def look(
    source: Source,
    selection: Selection,
    *,
    keep: bool,
    page: bool = False,
    verify: bool = False,
    cut: Cut | None = None,
    tick: Tick | None = None,
    expect: Expect | None = None,
) -> Inspection:
    """Run one text once, and collect the figures to show.

    Args:
        source: a text given to a model, or a record of one.
        selection: the selection to show.
        keep: also keep the maps.
        page: keep them for a page that can be played with, unless the text is too long for one; those of all rows, if
            they can be had, also where a query is chosen.
        verify: also run the model without attn, and compare.
        cut: says where a map may be cut, so that no more of a long text is kept than is shown; None to keep it whole.
        tick: called after each layer; the figures are those of the layers done if it asks to leave out the rest, with
            a note. A view that needs all layers never calls it.
        expect: called before a long text is read, with the memory that it is predicted to take.

    Raises:
        SelectionError: something selected does not exist.
        MemoryLimitError: the answer would not fit in memory.
        ModelError: the model could not be run.
        ExactnessError: the model's output is not attention weights.
    """
    has_all = not isinstance(source, Record) or source.holds_all
    source = measured(source, selection, scaled=False)
    plan = make_plan(source, selection)
    if selection.view == "map" and source.source.grid is None:
        raise SelectionError("This is no image, and the map of a text is shown in any case", "Leave --map out")
    if selection.view == "grid" and selection.query is not None and source.source.grid is None:
        raise SelectionError(*GRID_OF_TEXT)
    figures = choose_figures(plan)(plan, cut)
    rows = plan.positions
    if page and not keep:
        if has_all and plan.keys.segment is None and _can_play(plan, plan.every_position):
            rows = plan.every_position
        keep = _can_play(plan, rows)
    if not (keep or verify) and isinstance(source, Summable):
        summed = _summed(source, selection, plan, cut, tick, expect)
        if summed is not None:
            return summed
    patches = CollectPatchRows(plan) if plan.draws_patches else None
    _check_memory(plan, figures, keep=keep, more=0 if patches is None else patches.bytes_needed)
    kept = None
    if keep:  # all that the steps read, as a record holds it
        sizes = len(query_tokens(source, plan.kind)), len(key_tokens(source, plan.kind))
        kept = KeepMaps(*sizes, rows)

    def consume(block: Block) -> None:
        figures(block)
        if patches is not None:
            patches(block)

    regroup = Regroup(plan.queries, plan.keys, consume)
    parts = CollectParts(plan) if plan.keys.side.parts and plan.heads else None

    segments = None if plan.keys.segment is None else CollectSegmentShares(plan)
    layers = _Layers(plan, None if keep or not figures.can_stop else tick)

    def eat(block: Block) -> None:
        layers.begin(block.layer)
        if segments is not None:
            segments(block)
        if parts is not None:
            parts(block)
        if kept is not None:
            kept(block)
        figures.see(block)
        regroup(block)

    try:
        report = source.stream(plan.request(verify=verify, rows=rows, in_place=True), eat)
    except _StoppedError:
        report = Report(notes=source.notes + figures.stop(layers.done))
    if figures.drawn is not None:
        figures.drawn.fetch()
    maps = () if kept is None else kept.maps(source.model.dtype, unscaled=source.model.unscaled)
    # A record's own weights are only copied; what is derived from them is computed here, and its source is no record.
    version = source.tool_version if isinstance(source, Record) else ""
    record = Record.of(source, report, plan.selection, maps, tool_version=version)
    return Inspection.of_run(
        record,
        figures,
        None if parts is None else parts.result,
        None if segments is None else segments.result,
        None if patches is None else patches.result,
    )


class _StoppedError(Exception):
    """Raised within a run whose layers are to be left out from here on."""


class _Layers:
    """The layers of a run.

    Args:
        plan: the plan, which says which there are.
        tick: see `look`.
    """

    def __init__(self, plan: Plan, tick: Tick | None) -> None:
        self._tick, self._total = tick, len(plan.heads)
        self.done: list[int] = []
        self._layer: int | None = None

    def begin(self, layer: int) -> None:
        """Take note that rows of this layer come, so that the one before it is done.

        Raises:
            _StoppedError: the rest is to be left out.
        """
        if layer != self._layer:
            if self._layer is not None:
                self.end(self._layer)
            self._layer = layer

    def end(self, layer: int) -> None:
        """Take note that this layer is done.

        Raises:
            _StoppedError: the rest is to be left out.
        """
        self.done.append(layer)
        if self._tick is not None and not self._tick(len(self.done), self._total) and len(self.done) < self._total:
            raise _StoppedError


def _summed(
    source: Summable, selection: Selection, plan: Plan, cut: Cut | None, tick: Tick | None, expect: Expect | None
) -> Inspection | None:
    """Collect the figures of a long text from statistics of its rows; None if its weights must be streamed."""
    size = min(plan.queries.tokens, plan.keys.tokens)
    said: tuple[str, ...] = ()
    if size > MOST_IN_WORDS and selection.unit == "word":
        selection = replace(selection, unit="token")
        plan = make_plan(plan.source, selection)
        said = (f"A text of more than {MOST_IN_WORDS:,} tokens is shown in tokens",)
    # Figures of its own: a layer that must be streamed may come after others that were summed up.
    figures = choose_figures(plan)(plan, cut)
    plain = plan.queries.plain and plan.keys.plain and not plan.keys.side.parts and not plan.begins
    device = plan.source.model.device
    apart = not device.startswith("cpu")
    fewest = FEWEST_ELSEWHERE if apart else FEWEST_SUMMED
    if not (figures.sums_up and plain and size > fewest and selection.measure == "weights"):
        return None
    needed = source.predict_bytes(figures.statistics)
    if needed is None:
        return None
    what, remedy = f"Reading {size:,} tokens", "Cut the text, or give a smaller model"
    if apart:
        require(needed, what, remedy, free=source.free_bytes(), device=device)
        require(figures.bytes_needed, what, remedy)
    else:
        require(needed + figures.bytes_needed, what, remedy)
    if expect is not None:
        expect(needed, device if apart else "")
    layers = _Layers(plan, tick)

    def eat(layer: LayerStatistics) -> None:
        figures.add(layer)
        layers.end(layer.layer)

    try:
        report = source.sum_up(figures.statistics, eat)
    except _StoppedError:
        report = Report(notes=plan.source.notes + figures.stop(layers.done))
    if report is None:
        return None
    figures.finish()
    report = replace(report, notes=(*report.notes, *said))
    return Inspection.of_run(Record.of(plan.source, report, selection, ()), figures)


def _can_play(plan: Plan, rows: Sequence[int]) -> bool:
    """Return whether these rows of the maps are few enough to be kept for the sake of a page alone."""
    size = map_bytes(plan.head_count, len(rows), plan.keys.tokens, scores=plan.selection.scores)
    return size <= MOST_PLAYED and min(plan.queries.tokens, plan.keys.tokens) <= FEWEST_SUMMED


def _check_memory(plan: Plan, figures: Figures, *, keep: bool, more: int) -> None:
    whole = map_bytes(plan.head_count, len(plan.positions), plan.keys.tokens, scores=plan.selection.scores)
    reduced = figures.bytes_needed + layer_bytes(plan)
    # A number takes about 13 characters as text, besides its own 4 bytes.
    kept = more + (5 * whole if keep else 0)
    what = f"Inspecting {plan.head_count} heads of {len(plan.positions):,} × {plan.keys.tokens:,} weights"
    fewer = "Choose fewer with --layer, --head or --query"
    shorter = f"{fewer}, or cut the text"
    remedy = f"{fewer}, or leave out --json and --save: what is only shown is not kept" if keep else shorter
    source, device = plan.source, plan.source.model.device
    if isinstance(source, Summable) and not device.startswith("cpu"):  # blocks are reduced where they are
        require(reduced, what, shorter, free=source.free_bytes(), device=device)
        require(kept, what, remedy)
    else:
        require(reduced + kept, what, remedy)


def head_rows(summaries: Iterable[HeadSummary], queries: Units, keys: Units) -> list[HeadEntry]:
    """Convert the table of heads for a document.

    Args:
        summaries: the figures of each head.
        queries: the units that the links start from.
        keys: the units that the links go to.
    """
    from attn_cli.io.structs import HeadEntry

    return [
        HeadEntry(
            kind=summary.kind,
            layer=summary.layer,
            head=summary.head,
            focus=_number(summary.focus),
            entropy=_number(summary.entropy),
            distance=_number(summary.distance),
            first=_number(summary.first),
            itself=_number(summary.itself),
            previous=_number(summary.previous),
            links=[_described_link(link, queries, keys) for link in summary.links],
        )
        for summary in summaries
    ]


def _number(value: float | None) -> np.float32 | None:
    """Convert a mean of float32 numbers, of which more digits would be noise; None if it is not a number."""
    return None if value is None or np.isnan(value) else np.float32(value)


def _described_link(link: Link, queries: Units, keys: Units) -> LinkEntry:
    from attn_cli.io.structs import LinkEntry

    return LinkEntry(
        query=queries.positions[link.query],
        query_text=queries.labels[link.query],
        key=keys.positions[link.key],
        key_text=keys.labels[link.key],
        weight=np.float32(link.weight),
    )
