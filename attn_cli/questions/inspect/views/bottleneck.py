"""The view of a model without attention: its output, and the reason why there is no map."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from attn_cli.data.record import Record
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import caption_lines, drawing
from attn_cli.questions.inspect.views.base import View

__all__ = ["BottleneckView"]


class BottleneckView(View):
    """An explanation in the place of maps."""

    @property
    def bytes_needed(self) -> int:
        return 0

    def heading(self, record: Record, screen: Screen) -> RenderableType:
        """Explain why there is no map."""
        return drawing(caption_lines(f"{record.model.without_attention}.", screen))

    def body(self, screen: Screen, room: int | None) -> Sequence[RenderableType]:
        del screen, room
        return []
