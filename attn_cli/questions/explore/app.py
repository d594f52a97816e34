"""The explorer as an app of Textual: it turns keys and clicks into steps of a walk, and shows the picture of it."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual import events
from textual.app import App
from textual.binding import Binding
from textual.containers import Horizontal
from textual.geometry import Region, Size
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from attn_cli.cli.options import DEFAULT_MODEL
from attn_cli.data.suggestion import Suggestion
from attn_cli.draw.labels import clean, clipped, width
from attn_cli.draw.screen import NARROWEST, console
from attn_cli.draw.screen import Screen as Drawn
from attn_cli.draw.strokes import BOLD, DIM, MARKED, PLAIN, drawing, flow, line, text_lines
from attn_cli.draw.table import Column, names, table
from attn_cli.errors import AttnError, OutputError
from attn_cli.questions.explore.keys import KEYS
from attn_cli.questions.explore.panes import FEWEST_COLUMNS, FEWEST_LINES, Picture, all_heads, picture, status
from attn_cli.questions.explore.walk import Choice, Shown, Walk

__all__ = ["Explorer"]

ARROWS = str.maketrans({"↑": "up", "↓": "down", "←": "left", "→": "right"})
"""Arrows -> their names where there is only ASCII."""
ASKED = {
    "find": "Find a word: ",
    "beside": "A second sentence: ",
    "type": "A sentence: ",
    "save": "Save as: ",
}
"""What is asked for on the last line."""


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
        if isinstance(self.screen, Page):
            self.screen.paint_last()

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


class Page(ModalScreen[None]):
    """An answer above the picture.

    Args:
        title: its title.
        draw: the function that draws it on a screen.
        shown: the answer and its command; None if it is none, as the help.
    """

    moves: ClassVar[str] = "scroll"
    """What the arrows do."""
    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,q,enter,question_mark", "leave"),
        Binding("j", "scroll(1)"),
        Binding("k", "scroll(-1)"),
        Binding("space", "page"),
        Binding("y", "command"),
        Binding("S", "save"),
    ]

    def __init__(self, title: str, draw: Callable[[Drawn], RenderableType], shown: Shown | None = None) -> None:
        super().__init__()
        self._title, self._draw, self.shown = title, draw, shown
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
        app = self.app
        assert isinstance(app, Explorer)  # noqa: S101 - as all screens here are
        screen = replace(app.look, width=max(self.size.width - 1, NARROWEST), height=None)
        body = self.query_one(Scroll)
        body.styles.scrollbar_size_vertical = int(screen.color and screen.unicode)
        title = line((clean(self._title, unicode=screen.unicode), MARKED))
        self.query(Stage).first().show(strips(title, screen))
        body.show(strips(self._draw(screen), screen))
        self.paint_last()

    def paint_last(self) -> None:
        """Draw the last line: a message, or the keys and how far one has scrolled."""
        app = self.app
        assert isinstance(app, Explorer)  # noqa: S101 - as all screens here are
        screen = replace(app.look, width=max(self.size.width, NARROWEST), height=None)
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
        app = self.app
        if self.shown is not None and isinstance(app, Explorer):
            app.tell(self.shown.command, self.say)

    def action_save(self) -> None:
        app = self.app
        if self.shown is not None and isinstance(app, Explorer):
            self.dismiss(None)
            app.ask("save", self.shown)


class Gallery(Page):
    """All heads as small pictures, among which the arrows move."""

    moves = "move"

    BINDINGS: ClassVar[list[Any]] = [
        Binding(keys, f"move({down}, {right})", priority=True)
        for keys, down, right in (("up,k", -1, 0), ("down,j", 1, 0), ("left,h", 0, -1), ("right,l", 0, 1))
    ]

    def paint(self) -> None:
        super().paint()
        body = self.query_one(Scroll)
        marked = body.first(lambda one: any(part.style is not None and part.style.reverse for part in one))
        body.scroll_to_region(Region(0, max(marked - 1, 0), 1, 8), animate=False)

    def action_move(self, down: int, right: int) -> None:
        app = self.app
        if isinstance(app, Explorer):
            app.walk.step_heads(down, right)
            self.paint()


class Menu(ModalScreen[str | None]):
    """A list to choose from.

    Args:
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

    def __init__(self, title: str, key: str, choices: Sequence[Choice], chosen: str) -> None:
        super().__init__()
        self._title, self._key, self._choices = title, key, choices
        values = [one.value for one in choices]
        self._index = values.index(chosen) if chosen in values else 0

    def compose(self) -> Iterable[Widget]:
        yield Stage()

    def on_resize(self) -> None:
        self.paint()

    def paint(self) -> None:
        """Draw the list, with a mark at what would be chosen."""
        app = self.app
        assert isinstance(app, Explorer)  # noqa: S101 - as all screens here are
        screen = replace(app.look, width=max(self.size.width, NARROWEST), height=None)
        mark = ">"
        drawn = table(
            [
                names("", [mark if index == self._index else "" for index in range(len(self._choices))], screen),
                names(self._title, [one.value for one in self._choices], screen, most=24),
                _told([one.about for one in self._choices], screen, screen.width - 16),
            ],
            screen,
        )
        hint = line(("enter", BOLD), (" chooses  ", DIM), ("esc", BOLD), (" leaves all as it is", DIM))
        self.query_one(Stage).show([*strips(drawn, screen), *strips(Text(""), screen), *strips(hint, screen)])

    def on_key(self, event: events.Key) -> None:
        if event.key == self._key:
            event.stop()
            self.action_move(1)

    def on_click(self, event: events.Click) -> None:
        if 0 < event.y <= len(self._choices):
            self._index = event.y - 1
            self.action_choose()

    def action_move(self, step: int) -> None:
        self._index = (self._index + step) % len(self._choices)
        self.paint()

    def action_choose(self) -> None:
        self.dismiss(self._choices[self._index].value)

    def action_leave(self) -> None:
        self.dismiss(None)


class Explorer(App[None]):
    """The explorer.

    Args:
        walk: the walk to show.
        look: the screen to draw on; its size is the terminal's.
        default_model: the model that commands take by themselves.
    """

    CSS = """
    Screen, ModalScreen { background: ansi_default; }
    Stage, Scroll { height: 1fr; }
    Stage.line { height: 1; }
    Horizontal { dock: bottom; display: none; height: 1; }
    Horizontal.asked { display: block; }
    Input, Input:focus { width: 1fr; height: 1; border: none; padding: 0; background: ansi_default; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[Any]] = [
        Binding("ctrl+c,ctrl+q", "leave", priority=True),  # also where one types, or reads a page
        Binding("ctrl+z", "suspend_process"),
    ]

    def __init__(self, walk: Walk, look: Drawn, default_model: str = DEFAULT_MODEL) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-light" if look.theme == "light" else "ansi-dark"
        self.title = "attn"
        self.walk, self.look = walk, look
        self.said = "; ".join(f"note: {note}" for note in walk.notes)
        self.picture: Picture | None = None
        self.running: threading.Thread | None = None
        self._default_model = default_model
        self._asked: tuple[str, Shown | None] | None = None
        self._word = ""
        self._pointed = ""
        self._run_for: tuple[object, int] | None = None
        self._paper = console(look, io.StringIO())

    def compose(self) -> Iterable[Widget]:
        yield Front()
        with Horizontal():
            yield Stage()
            yield Input(compact=True)

    def on_mount(self) -> None:
        self.stage.focus()
        # Continued after Ctrl-Z, the terminal shows nothing of what was there.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh())

    @property
    def stage(self) -> Front:
        """The part of the screen that the picture is on."""
        return self.screen_stack[0].query_one(Front)

    def on_resize(self, event: events.Resize) -> None:
        self.paint(event.size)

    def paint(self, size: Size | None = None) -> None:
        """Draw the picture of the place, and run for its map if that is not at hand."""
        across, down = self.size if size is None else size
        screen = replace(self.look, width=max(across, 1), height=max(down, 1), part=True)
        here = self.walk.scene, self.walk.spot.layer
        large = across >= FEWEST_COLUMNS and down >= FEWEST_LINES
        if not self.walk.at_hand and not self._busy and large and here != self._run_for:
            self._run_for = here  # once, for what has failed will fail again
            self.work(lambda: self.walk.here, f"Running for layer {self.walk.spot.layer} …")
            return
        self.picture = picture(self.walk, screen, self.picture)
        self._show(self.picture, screen, self.said)

    def _show(self, shown: Picture, screen: Drawn, said: str) -> None:
        """Show a picture, with a message at its end or the keys."""
        lines = shown.saying(status(self.walk, screen, said))
        self.stage.show([strip(one, self._paper) for one in lines])

    # Work

    @property
    def _busy(self) -> bool:
        return any(not one.is_finished for one in self.workers)

    def work(self, make: Callable[[], object], saying: str = "Running …") -> None:
        """Do something that may take long, beside the keys, and show what comes of it.

        Args:
            make: the function that does it; a `Shown` that it returns is shown, a text is said.
            saying: the message until it is done.
        """
        if self._busy:
            self.say("Wait until what runs is done, or leave with q")
            return
        self.said = saying
        self.picture = picture(self.walk, self._screen, self.picture)
        self._show(self.picture, self._screen, saying)
        self.run_worker(self._aside(make), exit_on_error=True)

    async def _aside(self, make: Callable[[], object]) -> object:
        """Return what a function makes in a thread of its own, which nobody who leaves waits for."""
        loop = asyncio.get_running_loop()
        made: asyncio.Future[object] = loop.create_future()

        def settle(settling: Callable[[Any], None], value: object) -> None:
            if not made.done():
                settling(value)

        def run() -> None:
            settling: Callable[[Any], None] = made.set_result
            try:
                value = self._tried(make)
            except BaseException as error:  # whoever waits is given it, whatever it is
                settling, value = made.set_exception, error
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, settling, value)

        self.running = threading.Thread(target=run, daemon=True)
        self.running.start()
        return await made

    @property
    def _screen(self) -> Drawn:
        return replace(self.look, width=max(self.size.width, 1), height=max(self.size.height, 1), part=True)

    @staticmethod
    def _tried(make: Callable[[], object]) -> object:
        try:
            return make()
        except AttnError as error:
            return error

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show what came of the work."""
        if event.state != WorkerState.SUCCESS:
            return
        done = event.worker.result
        self.said = str(done) if isinstance(done, AttnError | str) else ""
        if isinstance(done, Shown) and done.grid:
            gallery = Gallery(done.title, lambda screen: all_heads(self.walk, screen), done)
            self.push_screen(gallery, lambda _: self.say(""))
        elif isinstance(done, Shown):
            self.push_screen(Page(done.title, done.answer.draw, done))
        self.paint()

    def say(self, message: str) -> None:
        """Write a message on the last line."""
        self.said = message
        self.paint()

    def attempt(self, step: Callable[[], object]) -> None:
        """Take a step that is done at once; if it cannot be, say why."""
        self.said = ""
        if self._busy:
            self.say("Wait until what runs is done, or leave with q")
            return
        try:
            step()
        except AttnError as error:
            self.said = str(error)
        self.paint()

    # Keys

    def action_step(self, down: int, right: int, other: bool = False) -> None:
        self.attempt(lambda: self.walk.step(down, right, other=other))

    def action_leap(self, pages: int) -> None:
        seen = 0 if self.picture is None else len(self.picture.window(self.walk.spot.pane).rows)
        self.attempt(lambda: self.walk.step(pages * max(seen - 2, 1), 0))

    def action_end(self, side: int) -> None:
        self.attempt(lambda: self.walk.step(side * 10**9, 0))

    def action_turn(self) -> None:
        self.attempt(self.walk.turn)

    def action_strongest(self) -> None:
        self.attempt(self.walk.point_at_strongest)

    def action_find(self) -> None:
        self.ask("find")

    def action_again(self) -> None:
        if self._word:
            self.attempt(lambda: self.walk.find(self._word, after=True))
        else:
            self.ask("find")

    def action_choose(self, what: str) -> None:
        walk = self.walk
        spot = walk.spot
        lists: dict[str, tuple[str, Sequence[Choice], str, Callable[[str], None]]] = {
            "measure": ("m", walk.measures, spot.measure, walk.choose_measure),
            "atlas": ("a", walk.atlases, spot.atlas, walk.choose_atlas),
            "sort": ("s", walk.sorts, spot.sort, walk.choose_sort),
            "kind": ("K", walk.kinds, spot.kind, walk.choose_kind),
        }
        key, choices, chosen, choose = lists[what]

        def done(value: str | None) -> None:
            if value is not None and value != chosen:
                self.work(lambda: choose(value))

        self.push_screen(Menu(what, key, choices, chosen), done)

    def action_units(self) -> None:
        self.work(self.walk.change_units)

    def action_cut(self) -> None:
        self.work(self.walk.cut, "Cutting …")

    def action_explain(self) -> None:
        self.work(self.walk.explain)

    def action_beside(self) -> None:
        if self.walk.laid is None:
            self.ask("beside")
        else:
            self.attempt(self.walk.take_away)

    def action_grid(self) -> None:
        self.work(self.walk.grid)

    def action_type(self) -> None:
        self.ask("type")

    def action_text(self, step: int) -> None:
        self.work(lambda: self.walk.next_text(step))

    def action_command(self) -> None:
        self.tell(self.walk.command, self.say)

    def action_save(self) -> None:
        self.ask("save")

    def action_help(self) -> None:
        self.push_screen(Page("Keys", key_table))

    def action_leave(self) -> None:
        self.exit()

    def tell(self, command: Suggestion, say: Callable[[str], None]) -> None:
        """Copy a command to the clipboard of the terminal, and show it.

        Args:
            command: the command.
            say: a function that writes a line; a longer command has a page of its own.
        """
        typed = command.typed(self._default_model)
        self.copy_to_clipboard(typed)
        if width(typed) <= self.size.width:
            say(typed)
        else:
            self.push_screen(Page("The command", lambda screen: drawing(text_lines(typed, screen, PLAIN))))

    # The line that is typed in

    def ask(self, what: str, shown: Shown | None = None) -> None:
        """Ask for a word, a sentence or a name on the last line.

        Args:
            what: one of `ASKED`.
            shown: the answer to save, if it is not the map.
        """
        self._asked = (what, shown)
        asking = self.screen_stack[0].query_one(Horizontal)
        label, field = asking.query_one(Stage), asking.query_one(Input)
        label.styles.width = len(ASKED[what])
        label.show([strip(line((ASKED[what], DIM)), self._paper)])
        field.value = self.walk.subject.text if what in {"type", "beside"} else ""
        asking.add_class("asked")
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        asked, text = self._asked, event.value
        self._unask()
        if asked is None or not text.strip():
            return
        what, shown = asked
        if what == "find":
            self._word = text
            self.attempt(lambda: self.walk.find(text))
        elif what == "beside":
            self.work(lambda: self.walk.lay_beside(text))
        elif what == "type":
            self.work(lambda: self.walk.run(text))
        else:
            self.work(lambda: self._saved(text.strip(), shown), "Saving …")

    def _saved(self, name: str, shown: Shown | None) -> str:
        """Save the map, or the answer that is shown, and return a message that says so.

        Args:
            name: the file's name, with a `!` behind it to replace one.
            shown: the answer, if it is not the map.

        Raises:
            AttnError: it cannot be saved.
        """
        force = name.endswith("!")
        place = Path(name.removesuffix("!")).expanduser()
        if place.exists() and not force:
            raise OutputError(f"{place} exists", f"Write {name}! to replace it, or choose another name")
        answer = self.walk.answer if shown is None else shown.answer
        answer.save(place, force=force)
        return f"Saved {place}"

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            if self._asked is not None:
                self._unask()
            else:
                self.say("")

    def _unask(self) -> None:
        self._asked = None
        self.screen_stack[0].query_one(Horizontal).remove_class("asked")
        self.stage.focus()
        self.paint()

    # The mouse

    def on_click(self, event: events.Click) -> None:
        found = None if self.picture is None else self.picture.at(event.screen_x, event.screen_y)
        if found is not None and len(self.screen_stack) == 1:
            self.attempt(lambda: self.walk.click(*found))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Say the value of the cell under the mouse on the last line, where the cursor stays."""
        shown = self.picture
        if shown is None or len(self.screen_stack) > 1 or self._busy or self._asked is not None:
            return
        found = shown.at(event.screen_x, event.screen_y)
        said = "" if found is None else self.walk.value(*found)
        if said != self._pointed:
            self._pointed = said
            self._show(shown, self._screen, said or self.said)

    def on_mouse_scroll_down(self) -> None:
        if len(self.screen_stack) == 1:
            self.action_step(1, 0)

    def on_mouse_scroll_up(self) -> None:
        if len(self.screen_stack) == 1:
            self.action_step(-1, 0)


def _told(texts: Sequence[str], screen: Drawn, most: int, name: str = "") -> Column:
    """Make a column of what names stand for."""
    fitted = [clipped(text, most, unicode=screen.unicode) for text in texts]
    return Column(name, [[(text, PLAIN)] for text in fitted], right=False)


def key_table(screen: Drawn) -> RenderableType:
    """Draw the table of keys."""
    told = [one for one in KEYS if one.about]
    return table(
        [
            names("key", [one.shown if screen.unicode else one.shown.translate(ARROWS) for one in told], screen),
            _told([one.about for one in told], screen, screen.width - 16, "what it does"),
        ],
        screen,
    )
