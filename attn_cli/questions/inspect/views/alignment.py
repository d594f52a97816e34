"""The cross-attention of a translation: for each output word, the input words that it attends to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rich.console import RenderableType

from attn_cli.data.plan import Plan
from attn_cli.data.stream import Block
from attn_cli.draw.heatmap import heatmap
from attn_cli.draw.screen import Screen
from attn_cli.measure.alignment import AlignmentMap
from attn_cli.questions.inspect.views.base import View

__all__ = ["AlignmentView"]

OTHER_STEP = {
    "input": "A word's row is the step that reads it; --rows output shows the step that writes it.",
    "output": "A word's row is the step that writes it; --rows input shows the step that reads it.",
}


class AlignmentView(View):
    """A heatmap of the heads selected, or of those that align best (see `AlignmentMap`)."""

    def __init__(self, plan: Plan, screens: Sequence[Screen] | None = None) -> None:
        super().__init__(plan, screens)
        self._alignment = AlignmentMap(plan, partial(self.mean_map, numbers=plan.selection.all))

    @property
    def bytes_needed(self) -> int:
        return self._alignment.bytes_needed

    def eat(self, block: Block) -> None:
        super().eat(block)
        self._alignment(block)

    def body(self, screen: Screen, room: int | None) -> Sequence[RenderableType]:
        del room  # legible words are worth scrolling for
        return [
            heatmap(
                self.map_view(self._alignment.map),
                screen,
                title=self._alignment.title,
                caption=f"{self._alignment.reason} {OTHER_STEP[self.plan.rows]}".strip(),
                numbers=self.plan.selection.all,
                mark_strongest=True,
            )
        ]
