"""The line of the explorer that is typed in: a word to find, a sentence, or the name of a file."""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from attn_cli.draw.screen import Screen as Drawn
from attn_cli.draw.strokes import DIM, line
from attn_cli.questions.explore.subject import Shown
from attn_cli.questions.explore.widgets import Stage, strips

__all__ = ["Prompt"]

ASKED = {
    "find": "Find a word: ",
    "beside": "A second sentence: ",
    "type": "A sentence: ",
    "save": "Save as: ",
}
"""Purpose of the line -> its label."""
ASKED_OF_IMAGES = {**ASKED, "find": "Find a patch: ", "beside": "A second image: ", "type": "An image: "}


class Prompt(Horizontal):
    """A line that is shown while something is asked for.

    Args:
        look: the screen to draw on.
    """

    class Typed(Message):
        """Something was typed.

        Args:
            what: what was asked for.
            text: what was typed.
            shown: the answer to save, if it is not the map.
        """

        def __init__(self, what: str, text: str, shown: Shown | None) -> None:
            super().__init__()
            self.what, self.text, self.shown = what, text, shown

    def __init__(self, look: Drawn) -> None:
        super().__init__()
        self._look = look
        self._asked: tuple[str, Shown | None] | None = None

    def compose(self) -> Iterable[Widget]:
        yield Stage()
        yield Input(compact=True)

    @property
    def is_open(self) -> bool:
        """True while something is asked for."""
        return self._asked is not None

    def ask(self, what: str, text: str, shown: Shown | None, *, of_image: bool) -> None:
        """Ask for something.

        Args:
            what: one of `ASKED`.
            text: what stands there already.
            shown: the answer to save, if it is not the map.
            of_image: speak of images, and not of texts.
        """
        self._asked = (what, shown)
        asked = (ASKED_OF_IMAGES if of_image else ASKED)[what]
        label, field = self.query_one(Stage), self.query_one(Input)
        label.styles.width = len(asked)
        label.show(strips(line((asked, DIM)), self._look))
        field.value = text
        self.add_class("asked")
        field.focus()

    def close(self) -> None:
        """Ask for nothing any more."""
        self._asked = None
        self.remove_class("asked")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._asked is not None:
            what, shown = self._asked
            self.post_message(self.Typed(what, event.value, shown))
