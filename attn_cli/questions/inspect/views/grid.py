"""All heads side by side, each as a small heatmap."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from attn_cli.data.plan import Plan
from attn_cli.data.stream import Block
from attn_cli.draw.grid import grid
from attn_cli.draw.screen import Screen
from attn_cli.measure.maps import PoolMaps
from attn_cli.questions.inspect.views.base import View

__all__ = ["GridView"]

SIDE = 256
"""Most cells kept along a map's side; no terminal shows more."""


class GridView(View):
    """A grid of small heatmaps, one per head, with a row of the grid per layer."""

    def __init__(self, plan: Plan, screens: Sequence[Screen] | None = None) -> None:
        super().__init__(plan, screens)
        self._maps = PoolMaps(len(plan.queries), len(plan.keys), SIDE, scores=plan.selection.scores)

    @property
    def bytes_needed(self) -> int:
        return self.plan.head_count * min(len(self.queries), SIDE) * min(len(self.keys), SIDE) * 4

    def eat(self, block: Block) -> None:
        super().eat(block)
        self._maps(block)

    def body(self, screen: Screen, room: int | None) -> Sequence[RenderableType]:
        del room  # all of them were asked for
        selection, maps = self.plan.selection, self._maps
        return [
            grid(
                maps.maps,
                screen,
                kind=self.plan.kind,
                rows=self.plan.rows,
                measure=selection.drawn,
                noun=selection.noun,
                pooled=maps.size,
                unit=selection.unit,
            )
        ]
