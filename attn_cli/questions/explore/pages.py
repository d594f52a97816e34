"""Pages above the picture: an answer, all heads as small pictures, the keys, and lists to choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, runtime_checkable

from rich.console import Group, RenderableType
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.widget import Widget

from attn_cli.data.suggestion import Suggestion
from attn_cli.draw.labels import clean, width
from attn_cli.draw.screen import NARROWEST
from attn_cli.draw.screen import Screen as Drawn
from attn_cli.draw.strokes import BOLD, DIM, MARKED, PLAIN, flow, line, text_lines
from attn_cli.draw.table import GAP, Column, names, table, total_width
from attn_cli.draw.viewport import slid
from attn_cli.questions.explore.choices import Choice
from attn_cli.questions.explore.keys import KEYS
from attn_cli.questions.explore.panes import all_heads
from attn_cli.questions.explore.subject import Shown
from attn_cli.questions.explore.walk import Walk
from attn_cli.questions.explore.widgets import Scroll, Stage, strips

__all__ = ["Gallery", "Menu", "Page", "key_table"]

ARROWS = str.maketrans({"↑": "up", "↓": "down", "←": "left", "→": "right"})
"""Arrows -> their names where there is only ASCII."""


@runtime_checkable
class Host(Protocol):
    """Interface that pages need of the explorer that they stand in."""

    look: Drawn
    """The screen to draw on; its size is the terminal's."""

    def tell(self, command: Suggestion, say: Callable[[str], None]) -> None: ...

    def ask(self, what: str, shown: Shown | None = None) -> None: ...


class Page(ModalScreen[None]):
    """An answer above the picture.

    Args:
        host: the explorer.
        title: its title.
        draw: the function that draws it on a screen.
        shown: the answer and its command; None for a page that is not an answer, such as the help.
    """

    moves: ClassVar[str] = "scroll"
    """Verb for the arrows, written on the last line."""
    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,q,enter,question_mark", "leave"),
        Binding("j", "scroll(1)"),
        Binding("k", "scroll(-1)"),
        Binding("space", "page"),
        Binding("y", "command"),
        Binding("S", "save"),
    ]

    def __init__(
        self, host: Host, title: str, draw: Callable[[Drawn], RenderableType], shown: Shown | None = None
    ) -> None:
        super().__init__()
        self._host, self._title, self._draw, self.shown = host, title, draw, shown
        self.said = ""

    def compose(self) -> Iterable[Widget]:
        yield Stage(classes="line")
        yield Scroll()
        yield Stage(classes="line")

    def on_mount(self) -> None:
        self.query_one(Scroll).focus()

    def on_resize(self) -> None:
        self.paint()

    def paint(self) -> None:
        """Draw everything for the size that the screen has."""
        screen = self._drawn_on(beside=1)
        body = self.query_one(Scroll)
        body.styles.scrollbar_size_vertical = int(screen.color and screen.unicode and screen.width < self.size.width)
        title = clean(self._title, unicode=screen.unicode)
        titles = [line((title, MARKED))] if width(title) <= screen.width else text_lines(self._title, screen)
        above = self.query(Stage).first()
        above.styles.height = len(titles)
        above.show([one for title in titles for one in strips(title, screen)])
        body.show(strips(self._draw(screen), screen))
        self.paint_last()

    def _drawn_on(self, *, beside: int = 0) -> Drawn:
        """Return the screen to draw on, less the columns beside it."""
        return replace(self._host.look, width=max(self.size.width - beside, NARROWEST), height=None)

    def on_scroll_scrolled(self) -> None:
        self.paint_last()

    def paint_last(self) -> None:
        """Draw the last line: a message, or the keys and how far one has scrolled."""
        screen = self._drawn_on()
        hints = [[("esc", BOLD), (" back", DIM)], [("↑ ↓" if screen.unicode else "j k", BOLD), (f" {self.moves}", DIM)]]
        if self.shown is not None:
            hints += [[("y", BOLD), (" command", DIM)], [("S", BOLD), (" save", DIM)]]
        hints += [[(sight, DIM)]] if (sight := self.query_one(Scroll).sight) else []
        said = line((clean(self.said, unicode=screen.unicode), BOLD))
        self.query(Stage).last().show(strips(said if self.said else flow(hints, screen, between="  ")[0], screen))

    def say(self, message: str) -> None:
        """Write a message on the last line."""
        self.said = message
        self.paint()

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_scroll(self, lines: int) -> None:
        self.query_one(Scroll).scroll_relative(y=lines, animate=False)

    def action_page(self) -> None:
        self.query_one(Scroll).scroll_page_down(animate=False)

    def action_command(self) -> None:
        if self.shown is not None:
            self._host.tell(self.shown.command, self.say)

    def action_save(self) -> None:
        if self.shown is not None:
            self.dismiss(None)
            self._host.ask("save", self.shown)


class Gallery(Page):
    """All heads as small pictures, among which the arrows move.

    Args:
        host: the explorer.
        walk: the walk, which goes where the arrows do.
        shown: the answer and its command.
    """

    moves = "move"

    BINDINGS: ClassVar[list[Any]] = [
        Binding(keys, f"move({down}, {right})", priority=True)
        for keys, down, right in (("up,k", -1, 0), ("down,j", 1, 0), ("left,h", 0, -1), ("right,l", 0, 1))
    ]

    def __init__(self, host: Host, walk: Walk, shown: Shown) -> None:
        super().__init__(host, shown.title, lambda screen: all_heads(walk, screen), shown)
        self._walk = walk

    def paint(self) -> None:
        super().paint()
        body = self.query_one(Scroll)
        marked = body.first(lambda one: any(part.style is not None and part.style.reverse for part in one))
        body.scroll_to_region(Region(0, max(marked - 1, 0), 1, 8), animate=False)

    def action_move(self, down: int, right: int) -> None:
        self._walk.step_heads(down, right)
        self.paint()


class Menu(ModalScreen[str | None]):
    """A list to choose from.

    Args:
        look: the screen to draw on; its size is the terminal's.
        title: what is chosen.
        key: the key that opened it, which goes on down the list.
        choices: what there is to choose.
        chosen: what is chosen now.
    """

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,q", "leave"),
        Binding("down,j,tab", "move(1)"),
        Binding("up,k,shift+tab", "move(-1)"),
        Binding("enter,space", "choose"),
    ]

    def __init__(self, look: Drawn, title: str, key: str, choices: Sequence[Choice], chosen: str) -> None:
        super().__init__()
        self._look, self._title, self._key, self._choices = look, title, key, choices
        values = [one.value for one in choices]
        self._index = values.index(chosen) if chosen in values else 0
        self._in_sight: Sequence[int] = ()
        """Index of the choice on each line in sight, below that of the title."""

    def compose(self) -> Iterable[Widget]:
        yield Stage()

    def on_resize(self) -> None:
        self.paint()

    def paint(self) -> None:
        """Draw the list, with a mark at what would be chosen, and as much around that as there is room for."""
        screen = replace(self._look, width=max(self.size.width, NARROWEST), height=None)
        marks = names("", [">" if index == self._index else "" for index in range(len(self._choices))], screen)
        values = names(self._title, [one.value for one in self._choices], screen, most=24)
        drawn, rows = _explained([marks, values], [one.about for one in self._choices], screen)
        title, *body = strips(drawn, screen)
        room = max(self.size.height - 3, 1)
        seen = slid(rows.index(self._index) - room // 2, room, len(rows), rows.index(self._index))
        self._in_sight = rows[seen.start : seen.stop]
        hint = line(("enter", BOLD), (" chooses  ", DIM), ("esc", BOLD), (" leaves all as it is", DIM))
        below = [*strips(Text(""), screen), *strips(hint, screen)]
        self.query_one(Stage).show([title, *body[seen.start : seen.stop], *below])

    def on_key(self, event: events.Key) -> None:
        if event.key == self._key:
            event.stop()
            self.action_move(1)

    def on_click(self, event: events.Click) -> None:
        if 0 < event.y <= len(self._in_sight):
            self._index = self._in_sight[event.y - 1]
            self.action_choose()

    def action_move(self, step: int) -> None:
        self._index = (self._index + step) % len(self._choices)
        self.paint()

    def action_choose(self) -> None:
        self.dismiss(self._choices[self._index].value)

    def action_leave(self) -> None:
        self.dismiss(None)


def _explained(
    columns: Sequence[Column], abouts: Sequence[str], screen: Drawn, heading: str = ""
) -> tuple[Group, list[int]]:
    """Draw names with what they stand for beside them, on as many lines as that takes.

    Returns:
        The drawing, and the row that each of its lines is of, below that of the headings.
    """
    room = replace(screen, width=screen.width - total_width(columns) - len(GAP), part=True)
    wrapped = [[one.plain for one in text_lines(about, room)] or [""] for about in abouts]
    rows = [row for row, lines in enumerate(wrapped) for _ in lines]
    first = [place == 0 or rows[place - 1] != row for place, row in enumerate(rows)]
    shown = [
        replace(one, cells=[one.cells[row] if begins else [] for row, begins in zip(rows, first, strict=True)])
        for one in columns
    ]
    told = Column(heading, [[(text, PLAIN)] for lines in wrapped for text in lines], right=False)
    return table([*shown, told], screen), rows


def key_table(screen: Drawn) -> Group:
    """Draw the table of keys."""
    told = [one for one in KEYS if one.about]
    shown = [one.shown if screen.unicode else one.shown.translate(ARROWS) for one in told]
    return _explained([names("key", shown, screen)], [one.about for one in told], screen, "what it does")[0]
