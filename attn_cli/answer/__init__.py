"""Results: `Shown`, which commands output; `Finding`, their base class; and `Answer`, which Python code is given."""

from __future__ import annotations

import io
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from attn_cli.errors import UsageError, quoted

if TYPE_CHECKING:
    from rich.console import Group

    from attn_cli.data.record import Record
    from attn_cli.draw.screen import Screen
    from attn_cli.io.csv import Cell, CsvTable
    from attn_cli.io.document import Document

__all__ = ["Answer", "Finding", "Shown"]

NOTEBOOK_WIDTH = 100
"""Columns that a cell of a notebook shows without scrolling."""


class Finding(ABC):
    """The result of one command. A new finding needs a figure in `measure`, a subclass, and a schema of its name."""

    name: ClassVar[str]
    """Name of the finding and its command; its schema is `schemas/NAME.json`."""
    units: ClassVar[Mapping[str, str]] = {}
    """Meanings of its numbers, for its JSON."""
    score_units: ClassVar[Mapping[str, str]] = {}
    """Meanings of the numbers that differ if scores are measured."""
    columns: ClassVar[tuple[str, ...]] = ()
    """Names of the columns of its table, as in `Shown`."""

    @property
    @abstractmethod
    def record(self) -> Record:
        """The record with the model, the texts and the selection; its maps are not needed."""

    @property
    def title(self) -> str:
        return self.record.source.text

    @property
    def notes(self) -> tuple[str, ...]:
        return self.record.notes

    @abstractmethod
    def draw(self, screen: Screen) -> Group:
        """Draw the result for a screen."""

    @abstractmethod
    def part(self) -> Document:
        """Return its own part of the JSON, as in its schema; float32 for values computed in float32."""

    @abstractmethod
    def rows(self) -> Iterable[Sequence[Cell]]:
        """Return the rows of its table, with a cell for each column."""

    def data(self) -> bytes:
        """Write the finding as a line of JSON."""
        from attn_cli.io.document import describe_finding
        from attn_cli.system.encoding import json_bytes

        units = {**self.units, **(self.score_units if self.record.selection.scores else {})}
        document = {**describe_finding(self.name, self.record, units), **self.part()}
        return json_bytes(document)

    def add_rows(self, table: CsvTable, sentence: int) -> None:
        table.add(self.rows(), sentence)


@runtime_checkable
class Shown(Protocol):
    """A result that can be shown and saved: one inspected sentence, or one finding."""

    @property
    def title(self) -> str:
        """The title, used if there are several results."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes to the user, one sentence each."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of its table."""

    def draw(self, screen: Screen) -> Group:
        """Draw the result for a screen."""

    def data(self) -> bytes:
        """Write everything as a line of JSON."""

    def add_rows(self, table: CsvTable, sentence: int) -> None:
        """Add its rows to a table that has its columns.

        Args:
            table: the table to add to.
            sentence: number of the sentence, from 0.
        """


class Answer:
    """A result for Python code, which shows and saves itself as its command does; in a notebook it is its drawing."""

    @property
    def shown(self) -> Shown:
        """The result as the command shows it: the `VIEW` of the `draw` module beside this class's own.

        It is imported when it is needed, since drawing imports much.
        """
        folder = type(self).__module__.rpartition(".")[0]
        view: Shown = import_module(f"{folder}.draw").VIEW(self)
        return view

    def __repr__(self) -> str:
        return f"<attn {type(self).__name__}: {quoted(self.shown.title)}>"

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
        shown = self.shown
        for note in shown.notes:
            print(f"note: {clean(note)}")
        console(screen, sys.stdout).print(shown.draw(screen), end="")

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write a file, in the format that the suffix of its name stands for, as `--save` does.

        Args:
            path: the file.
            force: replace an existing file.

        Raises:
            OutputError: there is no such format, the file exists, or it cannot be written.
        """
        from attn_cli.answer.formats import HoldsMaps
        from attn_cli.answer.saving import SaveFile
        from attn_cli.draw.screen import Screen

        shown = self.shown
        file = SaveFile.named(os.fspath(path), force=force, maps=isinstance(shown, HoldsMaps))
        with file.open(Screen()) as writer:
            writer.add(shown, "")

    def to_dict(self) -> Document:
        """Return the JSON document that the command prints; `attn schema` describes it."""
        import orjson

        document: Document = orjson.loads(self.shown.data())
        return document

    def to_pandas(self) -> Any:
        """Return the rows of the table that `--save x.csv` writes, as a pandas `DataFrame`.

        The texts of a record's weights are escaped as in that file.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as fault:
            raise UsageError("pandas is not installed", "Run pip install pandas") from fault
        shown = self.shown
        if isinstance(shown, Finding):
            return pd.DataFrame(list(shown.rows()), columns=list(shown.columns))
        from attn_cli.io.csv import CsvTable

        file = io.BytesIO()
        shown.add_rows(CsvTable(file, shown.columns), 0)
        file.seek(0)
        # By default, pandas takes the word "nan" for a missing one.
        return pd.read_csv(file, keep_default_na=False)

    def _repr_html_(self) -> str:
        """Draw the answer for a notebook."""
        from attn_cli.draw.page import html_fragment
        from attn_cli.draw.screen import Screen

        screen = Screen(width=NOTEBOOK_WIDTH, theme="light")
        return html_fragment(self.shown.draw(screen), screen)
