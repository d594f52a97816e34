"""What an explorer is opened on: texts for a model, or records; and what it shows of them above its map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from attn_cli.data.record import Record
from attn_cli.data.suggestion import Suggestion
from attn_cli.errors import UsageError

if TYPE_CHECKING:
    from attn_cli.answer import Answer
    from attn_cli.models import Input, Model

__all__ = ["Shown", "Subject"]

NO_MODEL = "A record holds maps and no model, so no text can be run"
GIVE_TEXT = "Give the text itself, and its model with --model"


@dataclass(frozen=True)
class Shown:
    """An answer to show above the map, and the command that prints it."""

    title: str
    answer: Answer
    command: Suggestion
    grid: bool = False
    """True for small maps of all heads, which are walked among."""


@dataclass(frozen=True)
class Subject:
    """A text to run through a model, or a record."""

    model: Model | None = None
    given: Input | None = None
    record: Record | None = None
    file: str = ""
    """The name of the record's file."""

    @property
    def text(self) -> str:
        """The text."""
        if self.record is not None:
            return self.record.source.text
        assert self.given is not None  # noqa: S101 - one of both is there
        return self.given.text

    @property
    def runnable(self) -> tuple[Model, Input]:
        """The model and its text.

        Raises:
            UsageError: it is a record.
        """
        if self.model is None or self.given is None:
            raise UsageError(NO_MODEL, GIVE_TEXT)
        return self.model, self.given
