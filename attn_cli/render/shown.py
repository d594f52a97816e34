"""What a command shows: the one form in which everything goes to the screen, to JSON and to files."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rich.console import Group

from attn_cli.render.csv import CsvTable
from attn_cli.render.screen import Screen

__all__ = ["Shown"]


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
