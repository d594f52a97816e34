"""What all findings share: the frame of their JSON, their table, and the line on the model above their drawing."""

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
    """What one command found out. A new finding is a figure in `measure`, one of these, and a schema of its name."""

    name: ClassVar[str]
    """The command's; its schema is `schemas/NAME.json`."""
    units: ClassVar[Mapping[str, str]] = {}
    """What its numbers mean, as its JSON says it."""
    score_units: ClassVar[Mapping[str, str]] = {}
    """What those mean that mean something else where scores are looked at."""
    columns: ClassVar[tuple[str, ...]] = ()
    """Of its table, as in `Shown`."""

    @property
    @abstractmethod
    def record(self) -> Record:
        """The model, the texts and what was asked for; maps are not needed."""

    @property
    def title(self) -> str:
        return self.record.source.text

    @property
    def notes(self) -> tuple[str, ...]:
        return self.record.notes

    @abstractmethod
    def draw(self, screen: Screen) -> Group:
        """The drawing."""

    @abstractmethod
    def part(self) -> Document:
        """Its own part of the JSON, as its schema has it; float32 for what was computed in it."""

    @abstractmethod
    def rows(self) -> Iterable[Sequence[Cell]]:
        """The rows of its table, a cell for each of its columns."""

    def data(self, suffix: str = ".json") -> bytes:
        """A line of JSON: there are no maps that another format would keep."""
        del suffix
        units = {**self.units, **(self.score_units if self.record.selection.scores else {})}
        document = {**describe_finding(self.name, self.record, units), **self.part()}
        return json_bytes(document)

    def add_rows(self, table: CsvTable, sentence: int) -> None:
        table.add(self.rows(), sentence)


@runtime_checkable
class Shown(Protocol):
    """One sentence looked at, or one finding."""

    @property
    def title(self) -> str:
        """What it is called where there are several."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Things a reader must know, one sentence each."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of its table."""

    def draw(self, screen: Screen) -> Group:
        """The drawing."""

    def data(self, suffix: str = ".json") -> bytes:
        """All of it: a line of JSON, or what else the suffix stands for."""

    def add_rows(self, table: CsvTable, sentence: int) -> None:
        """Write its rows to a table with its columns.

        Args:
            table: where.
            sentence: how many others came before.
        """
