"""`Answer`, the one shape of all results: data that draws, writes and shows itself."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from attn_cli.errors import UsageError, quoted

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Group

    from attn_cli.data.model import GuidedHead
    from attn_cli.data.suggestion import Suggestion
    from attn_cli.draw.figure_style import FigureStyle
    from attn_cli.draw.picture import PaperPicture
    from attn_cli.draw.screen import Screen
    from attn_cli.io.csv import Cell, CsvTable
    from attn_cli.io.structs import AttnDocument

__all__ = ["Answer"]

NOTEBOOK_WIDTH = 100
"""Columns that a cell of a notebook shows without scrolling."""


class Answer(ABC):
    """The answer to one question about one text, several texts or none.

    A question has a subclass in its folder, and beside it two modules: `draw` with a function `draw(answer, screen)`,
    and `document` with a function `describe(answer)`.
    """

    @property
    @abstractmethod
    def title(self) -> str:
        """The title, used if there are several answers."""

    @property
    def question(self) -> str:
        """The name of the command that it answers."""
        return type(self).__module__.split(".")[-2]

    @cached_property  # not a property, since a record has a field of this name
    def notes(self) -> tuple[str, ...]:
        """Notes to the user, one sentence each."""
        return ()

    @property
    def without(self) -> str:
        """The heads that the model ran without, as `--without` takes them; empty if it ran with all."""
        return ""

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        """The heads shown that were trained to look where they look."""
        return ()

    @property
    def suggestion(self) -> Suggestion | None:
        """The command to try next, which is shown below the drawing on a terminal; None if there is none."""
        return None

    @property
    def plays(self) -> bool:
        """True if there is more to a page of it than its drawing: see `page`."""
        return False

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of its table."""

    def document(self) -> AttnDocument:
        """Return the document that is written as JSON, with float32 for values computed in float32.

        The module that describes the answer is imported here and not before, since it imports msgspec.
        """
        folder = type(self).__module__.rpartition(".")[0]
        document: AttnDocument = import_module(f"{folder}.document").describe(self)
        return document

    @abstractmethod
    def rows(self) -> Iterable[Sequence[Cell]]:
        """Return the rows of its table, with a cell for each column."""

    def draw(self, screen: Screen) -> Group:
        """Draw the answer for a screen.

        The module that draws it is imported here and not before, since drawing imports much.
        """
        folder = type(self).__module__.rpartition(".")[0]
        drawing: Group = import_module(f"{folder}.draw").draw(self, screen)
        return drawing

    def page(self) -> bytes | None:
        """Write, as JSON, what a page shows that can be played with; None if there is nothing, or too much of it.

        The module that describes it is imported here and not before, as the one that draws.
        """
        if not self.plays:
            return None
        folder = type(self).__module__.rpartition(".")[0]
        page: bytes | None = import_module(f"{folder}.page").describe(self)
        return page

    def picture(self) -> PaperPicture:
        """Return the picture of the answer for a paper.

        Raises:
            UsageError: what it shows has no picture.
        """
        name = type(self).__module__.rpartition(".")[0] + ".picture"
        if find_spec(name) is None:
            raise UsageError(f"The answer of attn {self.question} has no figure", "Save its drawing as .svg")
        picture: PaperPicture = import_module(name).picture(self)
        return picture

    def data(self) -> bytes:
        """Write the document as a line of JSON."""
        from attn_cli.io.document import encode

        return encode(self.document())

    def add_rows(self, table: CsvTable, sentence: int) -> None:
        """Add its rows to a table that has its columns.

        Args:
            table: the table to add to.
            sentence: number of the sentence, from 0.
        """
        table.add(self.rows(), sentence)

    def __repr__(self) -> str:
        return f"<attn {type(self).__name__}: {quoted(self.title)}>"

    def show(self, *, width: int | None = None, color: bool | None = None) -> None:
        """Print the drawing to stdout, below the notes.

        Args:
            width: columns; by default, those of the terminal.
            color: whether there is colour; by default, as the terminal can show it.
        """
        from attn_cli.draw.labels import clean
        from attn_cli.draw.screen import console, probe

        screen = probe(sys.stdout, os.environ, color=color)
        screen = screen if width is None else replace(screen, width=width)
        for note in self.notes:
            print(f"note: {clean(note)}")
        console(screen, sys.stdout).print(self.draw(screen), end="")

    def save(self, path: str | os.PathLike[str], *, force: bool = False, figure: FigureStyle | bool = False) -> None:
        """Write a file, in the format that the suffix of its name stands for, as `--save` does.

        Args:
            path: the file.
            force: replace an existing file.
            figure: True, or how it looks, to save the picture alone, as `--figure` does; .pdf, .png and .tex hold
                nothing else.

        Raises:
            UsageError: what the answer shows has no picture, or the format cannot look like that.
            OutputError: there is no such format, the file exists, or it cannot be written.
        """
        from attn_cli.answer.formats import HoldsMaps
        from attn_cli.answer.saving import SaveFile
        from attn_cli.draw.screen import Screen

        file = SaveFile.named(os.fspath(path), force=force, maps=isinstance(self, HoldsMaps), figure=figure)
        with file.open(Screen()) as writer:
            writer.add(self, "")

    def figure(self, style: FigureStyle | None = None) -> Figure:
        """Draw the picture that `--figure` saves as a `Figure` of matplotlib, to change it or to set it beside others.

        Args:
            style: how it looks.

        Raises:
            UsageError: what the answer shows has no picture, or matplotlib is not installed.
        """
        if find_spec("matplotlib") is None:
            raise UsageError("A figure needs matplotlib", "Run `pip install 'attn-cli[figures]'`, then try again")
        from attn_cli.draw.figure import make_figure
        from attn_cli.draw.figure_style import FigureStyle

        return make_figure(self.picture(), style or FigureStyle())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document that the command prints; `attn schema` describes it."""
        import orjson

        document: dict[str, Any] = orjson.loads(self.data())
        return document

    def to_pandas(self) -> Any:
        """Return the rows of the table that `--save x.csv` writes, as a pandas `DataFrame`.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as fault:
            raise UsageError("pandas is not installed", "Run pip install pandas") from fault
        table = pd.DataFrame(list(self.rows()), columns=list(self.columns))
        if self.without:
            table.insert(0, "without", self.without)
        return table

    def _repr_html_(self) -> str:
        """Draw the answer for a notebook: a page in a frame that it cannot leave, or the drawing alone."""
        from attn_cli.draw.interactive.page import in_frame, to_interactive_page
        from attn_cli.draw.page import html_fragment
        from attn_cli.draw.screen import Screen

        screen = Screen(width=NOTEBOOK_WIDTH, theme="light")
        drawing, page = self.draw(screen), self.page()
        if page is None:
            return html_fragment(drawing, screen)
        return in_frame(to_interactive_page(drawing, screen, [page], self.title))
