"""The explorer as an app of Textual: it turns keys and clicks into steps of a walk, and shows the picture of it."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding
from textual.geometry import Size
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from attn_cli.cli.options import DEFAULT_MODEL
from attn_cli.data.suggestion import Suggestion
from attn_cli.draw.labels import width
from attn_cli.draw.screen import Screen as Drawn
from attn_cli.draw.screen import console
from attn_cli.draw.strokes import PLAIN, drawing, text_lines
from attn_cli.errors import AttnError, OutputError
from attn_cli.questions.explore import choices
from attn_cli.questions.explore.choices import Choice
from attn_cli.questions.explore.faults import told, told_note
from attn_cli.questions.explore.pages import Gallery, Menu, Page, key_table
from attn_cli.questions.explore.panes import FEWEST_COLUMNS, FEWEST_LINES, Picture, picture, status
from attn_cli.questions.explore.prompt import Prompt
from attn_cli.questions.explore.subject import Shown
from attn_cli.questions.explore.walk import Walk
from attn_cli.questions.explore.widgets import Front, strip

__all__ = ["Explorer"]


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
    Prompt { dock: bottom; display: none; height: 1; }
    Prompt.asked { display: block; }
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
        self.said = "; ".join(map(told_note, walk.notes))
        self.picture: Picture | None = None
        self.running: threading.Thread | None = None
        self._default_model = default_model
        self._word = ""
        self._pointed = ""
        self._run_for: tuple[object, int] | None = None
        self._paper = console(look, io.StringIO())

    def compose(self) -> Iterable[Widget]:
        yield Front()
        yield Prompt(self.look)

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
        self.said = done if isinstance(done, str) else told(done) if isinstance(done, AttnError) else ""
        if isinstance(done, Shown) and done.grid:
            self.push_screen(Gallery(self, self.walk, done), lambda _: self.say(""))
        elif isinstance(done, Shown):
            self.push_screen(Page(self, done.title, done.answer.draw, done))
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
            self.said = told(error)
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
            "measure": ("m", choices.measures(), spot.measure, walk.choose_measure),
            "atlas": ("a", walk.atlases, spot.atlas, walk.choose_atlas),
            "sort": ("s", choices.sorts(of_image=walk.image is not None), spot.sort, walk.choose_sort),
            "kind": ("K", walk.kinds, spot.kind, walk.choose_kind),
        }
        key, listed, chosen, choose = lists[what]

        def done(value: str | None) -> None:
            if value is not None and value != chosen:
                self.work(lambda: choose(value))

        self.push_screen(Menu(self.look, what, key, listed, chosen), done)

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
        self.push_screen(Page(self, "Keys", key_table))

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
            self.push_screen(Page(self, "The command", lambda screen: drawing(text_lines(typed, screen, PLAIN))))

    # The line that is typed in

    @property
    def prompt(self) -> Prompt:
        """The line that is typed in."""
        return self.screen_stack[0].query_one(Prompt)

    def ask(self, what: str, shown: Shown | None = None) -> None:
        """Ask for a word, a sentence or a name on the last line.

        Args:
            what: `find`, `beside`, `type` or `save`.
            shown: the answer to save, if it is not the map.
        """
        subject = self.walk.subject
        text = subject.text if what in {"type", "beside"} else ""
        self.prompt.ask(what, text, shown, of_image=subject.is_image)

    def on_prompt_typed(self, event: Prompt.Typed) -> None:
        self._close_prompt()
        what, text = event.what, event.text
        if not text.strip():
            return
        if what == "find":
            self._word = text
            self.attempt(lambda: self.walk.find(text))
        elif what == "beside":
            self.work(lambda: self.walk.lay_beside(text))
        elif what == "type":
            self.work(lambda: self.walk.run(text))
        else:
            self.work(lambda: self._saved(text.strip(), event.shown), "Saving …")

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
        if place == Path("-") or place.is_relative_to("/dev"):
            raise OutputError(f"{place} is not a file", "Choose another name")
        if place.exists() and not force:
            raise OutputError(f"{place} exists", f"Write {name}! to replace it, or choose another name")
        answer = self.walk.answer if shown is None else shown.answer
        answer.save(place, force=force)
        return f"Saved {place}"

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            if self.prompt.is_open:
                self._close_prompt()
            else:
                self.say("")

    def _close_prompt(self) -> None:
        self.prompt.close()
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
        if shown is None or len(self.screen_stack) > 1 or self._busy or self.prompt.is_open:
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
