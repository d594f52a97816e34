"""Interfaces of results: `Shown`, which commands output, and `Finding`, the base class of all findings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol, runtime_checkable

from rich.console import Group

from attn_cli.data.record import Record
from attn_cli.draw.screen import Screen
from attn_cli.io.csv import Cell, CsvTable
from attn_cli.io.document import Document, describe_finding
from attn_cli.system.encoding import json_bytes

__all__ = ["Finding", "Shown"]


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

    def data(self, suffix: str = ".json") -> bytes:
        """Write the finding as a line of JSON, for any suffix: there are no maps that another format would hold."""
        del suffix
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

    def data(self, suffix: str = ".json") -> bytes:
        """Write everything as a line of JSON, or in another format that the suffix stands for."""

    def add_rows(self, table: CsvTable, sentence: int) -> None:
        """Add its rows to a table that has its columns.

        Args:
            table: the table to add to.
            sentence: number of the sentence, from 0.
        """
