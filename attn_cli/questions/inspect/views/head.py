"""One head: its figures, and its whole map with every number."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from attn_cli.data.plan import Plan, name_head
from attn_cli.data.stream import Block
from attn_cli.draw.heatmap import heatmap, panels
from attn_cli.draw.layout import stacked_height
from attn_cli.draw.screen import Screen
from attn_cli.questions.inspect.tables import head_table
from attn_cli.questions.inspect.views.base import View

__all__ = ["HeadView"]

MOST_COLUMNS = 48
"""Most columns for which every number is written even without `--all`."""


class HeadView(View):
    """A single head's figures, its table of weights, and the heatmap under them."""

    def __init__(self, plan: Plan, screens: Sequence[Screen] | None = None) -> None:
        super().__init__(plan, screens)
        ((self._layer, (self._head,)),) = plan.heads.items()
        self._map = self.mean_map([self._layer], numbers=self._numbers)

    @property
    def bytes_needed(self) -> int:
        return self._map.bytes_needed

    @property
    def _numbers(self) -> bool:
        """True if every number is written."""
        return self.plan.selection.all or len(self.keys) <= MOST_COLUMNS

    def eat(self, block: Block) -> None:
        super().eat(block)
        self._map(block)

    def body(self, screen: Screen, room: int | None) -> Sequence[RenderableType]:
        selection = self.plan.selection
        noun = selection.noun
        numbers = self._numbers
        view = self.map_view(self._map)
        name = name_head(self._layer, self._head)
        figures = head_table(self.summaries(), self.queries, self.keys, screen, caption=self.of_weights)
        parts: list[RenderableType] = [figures]
        if numbers:
            title = f"{noun.capitalize()}s of head {name}"
            title = f"{noun.capitalize()} to layer {self._layer}" if selection.joint else title
            parts.append(heatmap(view, screen, title=title, numbers=True, mark_strongest=True))
        if not numbers or panels(view, screen) > 1:
            caption = "" if numbers else f"--all writes every {noun}."
            title = f"{f'Layer {self._layer}' if selection.joint else f'Head {name}'} at a glance"
            room = None if room is None else room - stacked_height([figures], screen)
            parts.append(heatmap(view, screen, title=title, caption=caption, mark_strongest=True, room=room))
        return parts
