"""The first screen: a line about each head, and the mean of the heads as a heatmap."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rich.console import RenderableType

from attn_cli.blocks import Block
from attn_cli.measure.collect import MeanMap
from attn_cli.measure.summary import HeadSummary
from attn_cli.plan import Plan
from attn_cli.render.grid import atlas
from attn_cli.render.heatmap import MapView, heatmap
from attn_cli.render.screen import Screen
from attn_cli.render.tables import head_table
from attn_cli.render.views.base import View, lines_of, listed
from attn_cli.selection import SortKey
from attn_cli.shapes import Float

__all__ = ["HeadsView", "in_order"]

FEWEST_ROWS = 6
"""Heads that the table shows even where the screen is too low for them."""
TABLE_FRAME = 4
"""Lines of the table besides its rows."""

# By layer as they come; everything else with the largest first, but for entropy, where little is telling.
ORDER: Mapping[SortKey, Callable[[HeadSummary], float]] = {
    "focus": lambda row: -row.focus,
    "entropy": lambda row: row.entropy,
    "distance": lambda row: -_or_least(row.distance),
    "first": lambda row: -_or_least(row.first),
    "self": lambda row: -_or_least(row.itself),
    "previous": lambda row: -_or_least(row.previous),
    "link": lambda row: -(row.links[0].weight if row.links else -math.inf),
}


def _or_least(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value


def in_order(summaries: Sequence[HeadSummary], sort: SortKey, limit: int | None) -> list[HeadSummary]:
    """The heads in the order asked for, or the first of them.

    Where only some can be shown by layer, they are those with the strongest links: they have most to tell of this text.
    """
    if sort != "layer":
        return sorted(summaries, key=ORDER[sort])[:limit]
    if limit is None or limit >= len(summaries):
        return list(summaries)
    chosen = sorted(summaries, key=ORDER["link"])[:limit]
    return sorted(chosen, key=lambda row: (row.layer, row.head))


class HeadsView(View):
    """A table of heads and the heatmap of their mean, in the last layer or over what was selected."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        everything = plan.selection.layer is None and plan.selection.head is None
        self._layers = [max(plan.heads)] if everything else sorted(plan.heads)
        self._mean = MeanMap(len(plan.queries), len(plan.keys), self._layers, scores=plan.selection.scores)

    @property
    def bytes_needed(self) -> int:
        return 3 * 4 * len(self.queries) * len(self.keys)

    def eat(self, block: Block) -> None:
        super().eat(block)
        self._mean(block)

    def body(self, screen: Screen, room: int | None) -> Sequence[RenderableType]:
        selection = self.plan.selection
        measure = selection.measure
        layers = f"layer{'s' if len(self._layers) > 1 else ''} {listed(self._layers)}"
        picture = heatmap(
            MapView(
                self._mean.values,
                self.queries,
                self.keys,
                self.plan.kind,
                measure,
                selection.unit,
                self._mean.visible,
            ),
            screen,
            title=f"Mean {measure} of {self._mean.heads} heads, {layers}",
            wrap=room is None or selection.all,
        )
        summaries = self.summaries()
        overview = self._overview(summaries, screen)
        limit: int | None = None
        if room is not None and not selection.all:
            room -= lines_of(picture, screen) + 2
            tall = sum(lines_of(part, screen) + 1 for part in overview)
            whole = lines_of(self._table(summaries, screen, None), screen)
            if whole + tall > room and room - tall < FEWEST_ROWS + TABLE_FRAME:
                overview, tall = [], 0
            if whole + tall > room:
                limit = self._rows_that_fit(summaries, screen, room - tall)
        table = self._table(summaries, screen, limit)
        return [*overview, table, picture]

    def _rows_that_fit(self, summaries: Sequence[HeadSummary], screen: Screen, room: int) -> int:
        # Layers are set apart where there are many rows, so how many rows fit shows only when they are drawn.
        for limit in range(min(room, len(summaries)), FEWEST_ROWS, -1):
            if lines_of(self._table(summaries, screen, limit), screen) <= room:
                return limit
        return FEWEST_ROWS

    def _table(self, summaries: Sequence[HeadSummary], screen: Screen, limit: int | None) -> RenderableType:
        chosen = in_order(summaries, self.plan.selection.sort, limit)
        caption = ""
        if len(chosen) < len(summaries):
            sort = self.plan.selection.sort
            why = "those with the strongest links" if sort == "layer" else f"by {sort}"
            caption = f"{len(chosen)} of {len(summaries)} heads, {why}; --all shows every head."
        return head_table(chosen, self.queries, self.keys, screen, caption=caption)

    def _overview(self, summaries: Sequence[HeadSummary], screen: Screen) -> list[RenderableType]:
        layers = sorted({row.layer for row in summaries})
        if len(layers) < 2:
            return []
        values: Float[np.ndarray, "layer head"] = np.full((len(layers), max(row.head for row in summaries) + 1), np.nan)
        for row in summaries:
            values[layers.index(row.layer), row.head] = row.focus
        return [atlas(values, layers, screen)]
