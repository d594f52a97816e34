"""Widgets that show lines as they were drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from attn_cli.draw.screen import Screen as Drawn
from attn_cli.draw.screen import console
from attn_cli.questions.explore.keys import KEYS

__all__ = ["Front", "Scroll", "Stage", "strip", "strips"]


def strips(drawing: RenderableType, screen: Drawn) -> list[Strip]:
    """Turn a drawing into the lines of a widget."""
    paper = console(screen, io.StringIO())
    return [Strip(one) for one in paper.render_lines(drawing, pad=False)]


def strip(text: Text, paper: Any) -> Strip:
    """Turn one line into the line of a widget."""
    return Strip([one for one in text.render(paper) if one.text])


class Stage(Widget):
    """A part of the screen that shows lines as they are."""

    can_focus = True

    def __init__(self, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._lines: Sequence[Strip] = ()

    def show(self, lines: Sequence[Strip]) -> None:
        """Show these lines from now on, and draw those anew that are others."""
        before, self._lines = self._lines, lines
        if len(before) != len(lines):
            self.refresh()
        elif others := [y for y, pair in enumerate(zip(before, lines, strict=True)) if pair[0] != pair[1]]:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in others))

    def render_line(self, y: int) -> Strip:
        if y >= len(self._lines):
            return Strip.blank(self.size.width)
        return self._lines[y].adjust_cell_length(self.size.width)


class Front(Stage):
    """The picture, with the keys of the explorer."""

    BINDINGS: ClassVar[list[Any]] = [Binding(",".join(one.keys), f"app.{one.action}") for one in KEYS]


class Scroll(ScrollView):
    """Lines that may be more than there is room for."""

    class Scrolled(Message):
        """Other lines are in sight."""

    can_focus = True

    def __init__(self) -> None:
        super().__init__()
        self._lines: Sequence[Strip] = ()

    def show(self, lines: Sequence[Strip]) -> None:
        """Show these lines from now on."""
        self._lines = lines
        self.virtual_size = Size(max((one.cell_length for one in lines), default=0), len(lines))
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Scrolled())

    @property
    def sight(self) -> str:
        """The lines in sight, where that is not all."""
        top, tall, count = round(self.scroll_y), self.size.height, len(self._lines)
        return f"lines {top + 1}-{min(top + tall, count)} of {count}" if 0 < tall < count else ""

    def first(self, holds: Callable[[Strip], bool]) -> int:
        """Return the first line that something is true of; 0 if there is none."""
        return next((y for y, one in enumerate(self._lines) if holds(one)), 0)

    def render_line(self, y: int) -> Strip:
        x, top = self.scroll_offset
        if y + top >= len(self._lines):
            return Strip.blank(self.size.width)
        return self._lines[y + top].crop_extend(x, x + self.size.width, None)
