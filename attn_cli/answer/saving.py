"""Saving of results to the file of `--save`, in the format that its suffix names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BufferedIOBase

from rich.console import Group

from attn_cli.answer import Shown
from attn_cli.draw.page import to_page, to_svg, to_text
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import stacked, title_lines
from attn_cli.io.csv import CsvTable
from attn_cli.io.destination import RECORDS, Destination

__all__ = ["Saver", "page", "titled"]


def page(destination: Destination, screen: Screen) -> Screen:
    """Make the screen for drawings in a file: of the same width, unlimited height, and full Unicode and colour.

    Text files have no colour.
    """
    return replace(screen, height=None, unicode=True, color=destination.suffix != ".txt", depth="truecolor")


class Saver:
    """An open file that results are added to.

    Args:
        destination: the destination, which decides the format.
        file: the open file.
        screen: the terminal's screen.
        several: True if there will be more than one result.
    """

    def __init__(self, destination: Destination, file: BufferedIOBase, screen: Screen, *, several: bool) -> None:
        self._suffix, self._file, self._several = destination.suffix, file, several
        self._screen = page(destination, screen)
        self._table: CsvTable | None = None
        self._drawings: list[Group] = []
        self._count = 0

    @classmethod
    @contextmanager
    def open(cls, destination: Destination, screen: Screen, *, several: bool) -> Iterator[Saver]:
        """Open a saver whose file replaces the target if the block ends without an exception.

        Raises:
            OutputError: the file could not be written; an existing file is unchanged.
        """
        with destination.open() as file:
            saver = cls(destination, file, screen, several=several)
            yield saver
            saver._finish()

    def add(self, shown: Shown, title: str) -> None:
        """Add one result; a drawing goes below its title if there is one, and is written at the end."""
        if self._suffix == ".csv":
            if self._table is None:
                self._table = CsvTable(self._file, shown.columns, sentences=self._several)
            shown.add_rows(self._table, self._count)
        elif self._suffix in RECORDS:
            self._file.write(shown.data(self._suffix))
        else:
            self._drawings.append(titled(shown, title, self._screen))
        self._count += 1

    def _finish(self) -> None:
        if not self._drawings:
            return
        drawing = stacked(self._drawings)
        if self._suffix == ".svg":
            text = to_svg(drawing, self._screen)
        elif self._suffix == ".html":
            text = to_page(drawing, self._screen)
        else:
            text = to_text(drawing, self._screen)
        self._file.write(text.encode())


def titled(shown: Shown, title: str, screen: Screen) -> Group:
    """Draw a result below its title, if there is one."""
    drawing = shown.draw(screen)
    return stacked([Group(*title_lines(title, screen)), drawing]) if title else drawing
