"""The subjects of an explorer, texts for a model or records, and the answers that it shows above its map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from attn_cli.data.record import Record
from attn_cli.data.suggestion import Suggestion
from attn_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from attn_cli.answer import Answer
    from attn_cli.cli.options import ModelOptions
    from attn_cli.models import Input, LoadOptions, Model

__all__ = ["Shown", "Subject", "loading_of", "other_input"]

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
    """The name of the record's file, or of the image's."""
    loading: tuple[str, ...] = ()
    """The options by which a command loads the same model; see `loading_of`."""

    @property
    def text(self) -> str:
        """The text; of an image the name of its file."""
        if self.record is not None:
            return self.record.source.name
        assert self.given is not None  # noqa: S101 - one of both is there
        return self.given.text if self.given.image is None else self.file

    @property
    def is_image(self) -> bool:
        """True if an image is read, and not a text."""
        return self.given is not None and self.given.image is not None

    @property
    def runnable(self) -> tuple[Model, Input]:
        """The model and its text.

        Raises:
            UsageError: it is a record.
        """
        if self.model is None or self.given is None:
            raise UsageError(NO_MODEL, GIVE_TEXT)
        return self.model, self.given


def loading_of(options: LoadOptions | ModelOptions) -> tuple[str, ...]:
    """Return the options, as they are typed, by which a command loads a model as it was loaded, beside its name."""
    words: list[str] = []
    for name, usual in (("device", "auto"), ("dtype", "auto"), ("revision", None), ("base", None)):
        if (value := getattr(options, name)) != usual:
            words += [f"--{name}", value]
    flags = {"--trust-remote-code": options.trust_remote_code, "--allow-pickle": options.allow_pickle}
    return (*words, *(flag for flag, given in flags.items() if given))


def other_input(subject: Subject, typed: str) -> Input:
    """Return what a model is to read in the place of a text or an image: a sentence, or the image of a file.

    Raises:
        UsageError: the subject is a record.
        InputError: nothing is typed, or the file is not an image.
    """
    _, given = subject.runnable
    if not typed.strip():
        raise (
            InputError("The name is empty", "Type that of an image")
            if subject.is_image
            else InputError("The text is empty", "Type a sentence")
        )
    if subject.is_image:
        from attn_cli.models.images import read_image

        return replace(given, image=read_image(Path(typed.strip()).expanduser()))
    return replace(given, text=typed, target=None, pair=None, parts=(), marks=None)
