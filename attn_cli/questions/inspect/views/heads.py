"""The default view: a line about each head, and the mean of the heads as a heatmap."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from rich.console import RenderableType

from attn_cli.data.plan import Plan, listed
from attn_cli.data.selection import SortKey
from attn_cli.data.stream import Block
from attn_cli.draw.grid import atlas
from attn_cli.draw.heatmap import heatmap
from attn_cli.draw.layout import overview
from attn_cli.draw.screen import Screen
from attn_cli.measure.summary import HeadSummary
from attn_cli.questions.inspect.tables import head_table
from attn_cli.questions.inspect.views.base import View

__all__ = ["AllHeadsView", "cut_note", "in_order"]

# Layers keep their order; everything else has the largest first, except entropy, where a small value is telling.
ORDER: Mapping[SortKey, Callable[[HeadSummary], float]] = {
    "focus": lambda row: -row.focus,
    "entropy": lambda row: row.entropy,
    "distance": lambda row: -_or_least(row.distance),
    "first": lambda row: -_or_least(row.first),
    "itself": lambda row: -_or_least(row.itself),
    "previous": lambda row: -_or_least(row.previous),
    "link": lambda row: -(row.links[0].weight if row.links else -math.inf),
}


def _or_least(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value


def in_order(summaries: Sequence[HeadSummary], sort: SortKey, limit: int | None) -> list[HeadSummary]:
    """Return the heads in the order asked for, at most `limit` of them.

    If not all fit by layer, those with the strongest links are kept: they are the most telling about this text.
    """
    if sort != "layer":
        return sorted(summaries, key=ORDER[sort])[:limit]
    if limit is None or limit >= len(summaries):
        return list(summaries)
    chosen = sorted(summaries, key=ORDER["link"])[:limit]
    return sorted(chosen, key=lambda row: (row.layer, row.head))


def cut_note(shown: int, heads: int, sort: SortKey, chosen: str) -> str:
    """Describe which heads a table shows; return an empty string if it shows all.

    Args:
        shown: the number of heads that it shows.
        heads: the number of all heads.
        sort: the order of the heads.
        chosen: a phrase on how they were chosen, if the order is by layer.
    """
    if shown == heads:
        return ""
    end = {"entropy": "lowest", "link": "strongest"}.get(sort, "highest")
    why = chosen if sort == "layer" else f"{end} {sort} first"
    return f"{shown} of {heads:,} heads, {why}; --all shows every head."


class AllHeadsView(View):
    """A table of heads and the heatmap of their mean, in the last layer or over what was selected."""

    def __init__(self, plan: Plan, screens: Sequence[Screen] | None = None) -> None:
        super().__init__(plan, screens)
        everything = plan.selection.layer is None and plan.selection.head is None
        self._layers = [max(plan.heads)] if everything else sorted(plan.heads)
        self._mean = self.mean_map(self._layers)

    @property
    def bytes_needed(self) -> int:
        return self._mean.bytes_needed

    def eat(self, block: Block) -> None:
        super().eat(block)
        self._mean(block)

    def body(self, screen: Screen, room: int | None) -> Sequence[RenderableType]:
        summaries = self.summaries()
        return overview(
            self._atlas(summaries, screen),
            lambda limit: self._table(summaries, screen, limit),
            len(summaries),
            lambda room: self._picture(screen, room),
            screen,
            None if self.plan.selection.all else room,
        )

    def _picture(self, screen: Screen, room: int | None) -> RenderableType:
        noun = self.plan.selection.noun
        layers = f"layer{'s' if len(self._layers) > 1 else ''} {listed(self._layers)}"
        view = self.map_view(self._mean)
        title = f"Mean {noun} of {self._mean.heads} heads, {layers}"
        if self.plan.selection.joint:
            title = f"{noun.capitalize()} to {layers}" if len(self._layers) == 1 else f"Mean {noun} to {layers}"
        return heatmap(view, screen, title=title, room=room)

    def _table(self, summaries: Sequence[HeadSummary], screen: Screen, limit: int | None) -> RenderableType:
        sort = self.plan.selection.sort
        chosen = in_order(summaries, sort, limit)
        linked = any(row.links for row in summaries)
        how = "those with the strongest links" if linked else "the first"
        caption = cut_note(len(chosen), len(summaries), sort, how)
        caption = f"{self.of_weights} {caption}".strip()
        return head_table(chosen, self.queries, self.keys, screen, sort=sort, apart=limit is None, caption=caption)

    def _atlas(self, summaries: Sequence[HeadSummary], screen: Screen) -> list[RenderableType]:
        if self.plan.selection.joint:  # one head per layer needs no picture beside the table
            return []
        return atlas({(row.layer, row.head): row.focus for row in summaries}, screen)
