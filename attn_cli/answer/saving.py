"""Saving of answers to the file of `--save`, in the format that its name asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from attn_cli.answer.formats import Format, find_format
from attn_cli.draw.screen import Screen
from attn_cli.errors import OutputError
from attn_cli.io.destination import Destination, destination

__all__ = ["SaveFile"]


@dataclass(frozen=True)
class SaveFile:
    """A file that answers will be saved to."""

    place: Destination
    format: type[Format]

    @classmethod
    def named(cls, path: str, *, force: bool = False, maps: bool = True) -> SaveFile:
        """Check, before any work is done, that answers can be saved to a file of this name.

        Args:
            path: the path given to `--save`.
            force: replace an existing file.
            maps: True if the answers hold maps.

        Raises:
            OutputError: the suffix stands for no format, what writes it is not installed, the file exists already, or
                it cannot be created.
        """
        form = find_format(path, maps=maps)
        form.check_installed(path)
        return cls(destination(path, force=force), form)

    def check_count(self, count: int) -> None:
        """Check that the format can hold `count` sentences.

        Raises:
            OutputError: the format holds only one.
        """
        if count > 1 and self.format.single:
            raise OutputError(
                f"{self.place.path} can hold only one sentence, and there are more",
                f"Use {self.place.path.with_suffix('.jsonl')}, which holds one on each line",
            )

    @contextmanager
    def open(self, screen: Screen, *, several: bool = False) -> Iterator[Format]:
        """Open the file, which replaces the one that is there if the block ends without an exception.

        Args:
            screen: the terminal's screen.
            several: True if there will be more than one answer.

        Raises:
            OutputError: the file could not be written; an existing file is unchanged.
        """
        with self.place.open() as file:
            writer = self.format(file, screen, several=several)
            yield writer
            writer.finish()
