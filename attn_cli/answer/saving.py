"""Saving of answers to the file of `--save`, in the format that its name asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from attn_cli.answer.formats import FIGURES, FigureFormat, Format, find_format, listed_formats
from attn_cli.draw.figure_style import FigureStyle
from attn_cli.draw.screen import Screen
from attn_cli.errors import OutputError, UsageError
from attn_cli.io.destination import Destination, destination

__all__ = ["SaveFile"]


@dataclass(frozen=True)
class SaveFile:
    """A file that answers will be saved to."""

    place: Destination
    format: type[Format]
    style: FigureStyle = field(default_factory=FigureStyle)
    """The look of a figure."""

    @classmethod
    def named(
        cls,
        path: str,
        *,
        force: bool = False,
        maps: bool = True,
        pictures: bool = True,
        figure: FigureStyle | bool = False,
    ) -> SaveFile:
        """Check, before any work is done, that answers can be saved to a file of this name.

        Args:
            path: the path given to `--save`.
            force: replace an existing file.
            maps: True if the answers hold maps.
            pictures: True if the answers have pictures for a paper.
            figure: True, or its look, to save the picture alone; formats that hold nothing else do it anyway.

        Raises:
            UsageError: the look asked for does not fit the format, or the font is not installed.
            OutputError: the suffix stands for no format, what writes it is not installed, the file exists already, or
                it cannot be created.
        """
        form = find_format(path, maps=maps, pictures=pictures, figure=bool(figure))
        style = figure if isinstance(figure, FigureStyle) else FigureStyle()
        form.check_installed(path)
        if issubclass(form, FigureFormat):
            _check_style(path, form, style)
        return cls(destination(path, force=force), form, style)

    @property
    def pictured(self) -> bool:
        """True if the file holds the picture of an answer alone."""
        return issubclass(self.format, FigureFormat)

    def check_count(self, count: int) -> None:
        """Check that the format can hold `count` sentences.

        Raises:
            OutputError: the format holds only one.
        """
        if count > 1 and self.format.single:
            instead = f"Use {self.place.path.with_suffix('.jsonl')}, which holds one on each line"
            raise OutputError(
                f"{self.place.path} can hold only one sentence, and there are more",
                "Give one sentence" if self.pictured else instead,
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
            if issubclass(self.format, FigureFormat):
                writer: Format = self.format(file, screen, several=several, style=self.style)
            else:
                writer = self.format(file, screen, several=several)
            yield writer
            writer.finish()


def _check_style(path: str, form: type[FigureFormat], style: FigureStyle) -> None:
    """Check that a format can follow all of a figure's style.

    Raises:
        UsageError: it does not, or the font is not installed.
    """
    ignored = next((name for name in style.changed if name not in form.styled), None)
    if ignored is not None:
        following = listed_formats(one for one in FIGURES.values() if ignored in one.styled)
        raise UsageError(
            f"--{ignored.replace('_', '-')} says nothing about {path}",
            f"Leave it out, or use a name that ends in {following}" if following else "Leave it out",
        )
    if style.font is not None:
        from attn_cli.draw.figure_fonts import check_font

        check_font(style.font)
