"""Figures of a run: collectors that consume the blocks of one text, one for each way of looking at it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from attn_cli.data.matrix import as_shares
from attn_cli.data.plan import Plan
from attn_cli.data.pooling import Cuts
from attn_cli.data.selection import Kind
from attn_cli.data.statistics import LayerStatistics, StatisticsRequest
from attn_cli.data.stream import Block
from attn_cli.data.units import Units
from attn_cli.measure.alignment import AlignmentMap
from attn_cli.measure.lookback import Lookback
from attn_cli.measure.maps import MeanMap, PoolMaps
from attn_cli.measure.sink import SinkShare
from attn_cli.measure.spread import LONG, Spread, WeightSpread
from attn_cli.measure.summary import HeadSummary, Link, Summarize
from attn_cli.measure.telling import TellingHead, TellingMap, resting

__all__ = [
    "AlignmentFigures",
    "Cut",
    "Figures",
    "GridFigures",
    "MeanFigures",
    "OneHeadFigures",
    "QueryFigures",
    "QueryRow",
    "TellingFigures",
    "WrittenFigures",
    "choose_figures",
]

Cut = Callable[[Units, Units], Cuts | None]
"""A function that says where a map of these rows and columns may be cut, as it is only drawn; None keeps it whole."""

LINKS = 3
SIDE = 256
"""Most cells kept along a map's side in a grid; no terminal shows more."""
MOST_COLUMNS = 48
"""Most columns for which every number is written even without `--all`."""


class Figures:
    """A collector of each head's figures, in the units shown (see `Regroup`), which are none without attention.

    Args:
        plan: the plan to show.
        cut: says where maps may be cut, so that no more is kept than is shown; None to keep them whole.
    """

    def __init__(self, plan: Plan, cut: Cut | None = None) -> None:
        self.plan = plan
        self.sink = SinkShare()
        """Mean share of a row that a learned sink takes."""
        self._cut = cut
        self._summarize = Summarize(plan.queries, plan.keys, LINKS, crosses=plan.crosses)

    sums_up: ClassVar[bool] = False
    """True if statistics of the rows are enough (see `add`), so that no weights need be streamed."""

    can_stop: ClassVar[bool] = True
    """True if the figures of some layers can be shown without the others."""

    spreads: ClassVar[bool] = False
    """True if the spread of the mean map's weight is measured in a long text."""

    @property
    def square(self) -> int | None:
        """Side of the squares into which statistics must pool the maps; None if they need not."""
        return None

    @property
    def statistics(self) -> StatisticsRequest:
        """The statistics to ask for."""
        plan = self.plan
        return StatisticsRequest(
            kind=plan.kind,
            heads=plan.heads,
            words=~np.asarray(plan.queries.special, np.bool_),
            rests=resting(plan.keys.special, plan.kind, first=plan.keys.shows_first),
            crosses=plan.crosses,
            links=LINKS,
            square=self.square,
        )

    @property
    def bytes_needed(self) -> int:
        """Memory that is kept, in bytes."""
        return 0

    def add(self, layer: LayerStatistics) -> None:
        """Consume the statistics of a layer, in place of its blocks."""
        self._summarize.add(layer)

    def finish(self) -> None:
        """Complete what statistics leave out, when all have come."""

    def stop(self, layers: Collection[int]) -> tuple[str, ...]:
        """Restrict the figures to the layers that are done, and return a note that says so."""
        every = len(self.plan.heads)
        self.plan = replace(self.plan, heads={layer: self.plan.heads[layer] for layer in layers})
        return (f"Stopped with Ctrl-C after {len(layers)} of {every} layers: the figures are of these",)

    def __call__(self, block: Block) -> None:
        self.sink(block)
        self._summarize(as_shares(block) if self.plan.source.model.unscaled else block)

    def see(self, block: Block) -> None:
        """Consume a block of the model's own tokens, before it comes in the units shown."""

    @property
    def heads(self) -> tuple[HeadSummary, ...]:
        """Figures of each head."""
        return self._summarize.result

    @property
    def places(self) -> list[tuple[Kind, int, int]]:
        """Kind, layer and number of each head that is shown."""
        return self.plan.places

    @property
    def chosen(self) -> TellingHead | None:
        """The head that was chosen to be shown whole; None if none was."""
        return None

    def mean_map(self, layers: Collection[int], *, numbers: bool = False) -> MeanMap:
        """Build a collector for the mean map of some layers.

        Args:
            layers: the layers.
            numbers: True if every number is written, so that the map must be kept whole.
        """
        plan, queries, keys = self.plan, self.plan.queries, self.plan.keys
        cuts = None if numbers else self._cuts
        spread = None
        if self.spreads and len(keys) >= LONG and not plan.selection.scores:
            rests = resting(keys.special, plan.kind, first=keys.shows_first)
            spread = Spread(~np.asarray(queries.special, np.bool_), rests, crosses=plan.crosses)
        return MeanMap(len(queries), len(keys), layers, scores=plan.selection.scores, cuts=cuts, spread=spread)

    @cached_property  # since every head of a layer asks, and all labels of a long text are looked at
    def _cuts(self) -> Cuts | None:
        return None if self._cut is None else self._cut(self.plan.queries, self.plan.keys)

    @property
    def drawn(self) -> MeanMap | None:
        """The map that is drawn large, if one is."""
        return None

    @property
    def drawn_head(self) -> int | None:
        """The head whose map it is; None if it is the mean of several."""
        return None

    @property
    def spread(self) -> WeightSpread | None:
        """The spread of the weight of the map drawn, if the text is long; else None."""
        collected = None if self.drawn is None else self.drawn.spread
        return None if collected is None else collected.result


class GridFigures(Figures):
    """A small map of every head."""

    sums_up = True

    def __init__(self, plan: Plan, cut: Cut | None = None) -> None:
        super().__init__(plan, cut)
        self.maps = PoolMaps(len(plan.queries), len(plan.keys), SIDE, scores=plan.selection.scores)

    @property
    def bytes_needed(self) -> int:
        plan = self.plan
        return plan.head_count * min(len(plan.queries), SIDE) * min(len(plan.keys), SIDE) * 4

    @property
    def square(self) -> int:
        return self.maps.size

    def __call__(self, block: Block) -> None:
        super().__call__(block)
        self.maps(block)

    def add(self, layer: LayerStatistics) -> None:
        super().add(layer)
        self.maps.add(layer)


class OneHeadFigures(Figures):
    """The map of a single head."""

    sums_up = True
    spreads = True

    def __init__(self, plan: Plan, cut: Cut | None = None) -> None:
        super().__init__(plan, cut)
        self._left: Iterable[Block] = ()
        ((self.layer, (self.head,)),) = plan.heads.items()
        self.map = self.mean_map([self.layer], numbers=self.numbered)

    @property
    def drawn(self) -> MeanMap:
        return self.map

    @property
    def drawn_head(self) -> int:
        return self.head

    @property
    def numbered(self) -> bool:
        """True if every number is written."""
        return self.plan.selection.all or len(self.plan.keys) <= MOST_COLUMNS

    @property
    def bytes_needed(self) -> int:
        return self.map.bytes_needed

    def __call__(self, block: Block) -> None:
        super().__call__(block)
        self.map(block)

    def add(self, layer: LayerStatistics) -> None:
        super().add(layer)
        self._left = layer.blocks_of(self.head)()

    def finish(self) -> None:
        for block in self._left:
            self.map(block)


class TellingFigures(Figures):
    """The map of the most telling of all heads (see `TellingMap`)."""

    sums_up = True
    spreads = True

    def __init__(self, plan: Plan, cut: Cut | None = None) -> None:
        super().__init__(plan, cut)
        self.telling = TellingMap(plan, self.mean_map)

    @property
    def bytes_needed(self) -> int:
        return self.telling.bytes_needed(max(map(len, self.plan.heads.values()), default=0))

    @property
    def drawn(self) -> MeanMap:
        return self.telling.map

    @property
    def drawn_head(self) -> int:
        return self.chosen.head

    @property
    def chosen(self) -> TellingHead:
        return self.telling.chosen

    def __call__(self, block: Block) -> None:
        super().__call__(block)
        self.telling(block)

    def add(self, layer: LayerStatistics) -> None:
        super().add(layer)
        self.telling.add(layer)

    def finish(self) -> None:
        self.telling.finish()


class MeanFigures(Figures):
    """The mean map of the heads that were selected; of a measure that joins layers, the last one's by default."""

    spreads = True

    def __init__(self, plan: Plan, cut: Cut | None = None) -> None:
        super().__init__(plan, cut)
        self.layers = sorted(plan.heads) if _selects(plan) else [max(plan.heads)]
        self.mean = self.mean_map(self.layers)

    @property
    def drawn(self) -> MeanMap:
        return self.mean

    @property
    def bytes_needed(self) -> int:
        return self.mean.bytes_needed

    def __call__(self, block: Block) -> None:
        super().__call__(block)
        self.mean(block)

    def stop(self, layers: Collection[int]) -> tuple[str, ...]:
        self.layers = [layer for layer in self.layers if layer in layers]
        self.mean.close()
        return super().stop(layers)


class AlignmentFigures(Figures):
    """The map of the heads that align words best, or of those selected (see `AlignmentMap`)."""

    can_stop = False

    def __init__(self, plan: Plan, cut: Cut | None = None) -> None:
        super().__init__(plan, cut)
        self.alignment = AlignmentMap(plan, self._empty)

    def _empty(self, layers: Collection[int]) -> MeanMap:
        return self.mean_map(layers, numbers=self.plan.selection.all)

    @property
    def bytes_needed(self) -> int:
        return self.alignment.bytes_needed

    @property
    def places(self) -> list[tuple[Kind, int, int]]:
        return [(self.plan.kind, layer, head) for layer, heads in self.alignment.heads.items() for head in heads]

    def __call__(self, block: Block) -> None:
        super().__call__(block)
        self.alignment(block)


class WrittenFigures(Figures):
    """The mean map of the heads selected, and what was looked back at, for what a decoder wrote behind its prompt.

    The map is kept whole, since each of its rows is also summed up on its own.
    """

    can_stop = False

    def __init__(self, plan: Plan, cut: Cut | None = None) -> None:
        del cut
        super().__init__(plan)
        layers = [max(plan.heads)] if plan.selection.joint and not _selects(plan) else sorted(plan.heads)
        self.mean = self.mean_map(layers)
        tokens = plan.source.source
        written = tokens.written or 0
        self.lookback = Lookback(written, len(tokens) - written)

    @property
    def bytes_needed(self) -> int:
        return self.mean.bytes_needed

    def see(self, block: Block) -> None:
        self.lookback(block)

    def __call__(self, block: Block) -> None:
        super().__call__(block)
        self.mean(block)


@dataclass(frozen=True, slots=True)
class QueryRow:
    """The strongest keys of one query in one head."""

    layer: int
    head: int
    query: int
    """Index into the plan's queries."""
    links: tuple[Link, ...]
    """Links from the query, strongest first."""


class QueryFigures(Figures):
    """For each head, the keys that the chosen queries weigh most (or score highest)."""

    def __init__(self, plan: Plan, cut: Cut | None = None) -> None:
        super().__init__(plan, cut)
        self._summarize = Summarize(plan.queries, plan.keys, links=1, crosses=plan.crosses)
        self.rows: list[QueryRow] = []

    def __call__(self, block: Block) -> None:
        for query in self.plan.chosen or ():
            row = query - block.start
            if not 0 <= row < block.visible.shape[0]:
                continue
            one = block.take(rows=slice(row, row + 1)).at_hand()
            super().__call__(one)
            first, stop = (int(end) for end in block.visible[row])
            values = one.scores if self.plan.selection.scores and one.scores is not None else one.weights
            for index, head in enumerate(block.heads):
                seen = values[index, 0, first:stop]
                best = np.argsort(-seen, kind="stable")[: self.plan.selection.top_k] + first
                links = tuple(Link(query, int(key), float(values[index, 0, key])) for key in best)
                self.rows.append(QueryRow(block.layer, head, query, links))

    @property
    def telling(self) -> tuple[HeadSummary, ...]:
        """Figures over the chosen rows alone, with the strongest link from them to another word."""
        return self._summarize.result

    @property
    def heads(self) -> tuple[HeadSummary, ...]:
        """Figures over the chosen rows alone, with the links from them that are shown."""
        links: dict[tuple[int, int], tuple[Link, ...]] = {}
        for row in self.rows:
            place = (row.layer, row.head)
            links[place] = (*links.get(place, ()), *row.links)
        return tuple(replace(one, links=links[one.layer, one.head]) for one in self.telling)


def choose_figures(plan: Plan) -> type[Figures]:
    """Choose what to collect for the view that was asked for; a single head is shown whole."""
    selection = plan.selection
    if not plan.source.model.stacks:
        return Figures
    if selection.view == "grid":
        return GridFigures
    if plan.chosen is not None:
        return QueryFigures
    # A user who names a kind or an order wants the table.
    if selection.translation and plan.kind == "cross" and selection.kind is None and selection.sort == "layer":
        return AlignmentFigures
    if plan.begins and selection.kind is None and selection.sort == "layer":
        return WrittenFigures
    if plan.head_count == 1:
        return OneHeadFigures
    return MeanFigures if _selects(plan) or selection.joint else TellingFigures


def _selects(plan: Plan) -> bool:
    """Return whether layers or heads were selected."""
    return plan.selection.layer is not None or plan.selection.head is not None
