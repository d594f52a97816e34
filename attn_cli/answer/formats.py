"""The formats that answers are saved in: one class each, listed in `FORMATS` by the suffix of a file's name.

Imports nothing heavy, since the help of `--save` and the check of a file's name read the table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from attn_cli.errors import OutputError, shortened

if TYPE_CHECKING:
    from rich.console import Group

    from attn_cli.answer import Answer
    from attn_cli.draw.figure_style import FigureStyle
    from attn_cli.draw.picture import PaperPicture
    from attn_cli.draw.screen import Screen
    from attn_cli.io.csv import CsvTable
    from attn_cli.io.parquet import ParquetTable

__all__ = [
    "FIGURES",
    "FORMATS",
    "DrawnFormat",
    "FigureFormat",
    "Format",
    "HoldsMaps",
    "find_format",
    "listed_formats",
]

FORMATS: dict[str, type[Format]] = {}
"""Suffix -> format, in the order in which they are listed to the user."""


FIGURES: dict[str, type[FigureFormat]] = {}
"""Suffix -> format of `--figure`; `FORMATS` has those of them that are figures in any case."""

LONGEST_HEADING = 120
"""Most letters of what the title of a file says of an answer."""


@runtime_checkable
class HoldsMaps(Protocol):
    """An answer that holds maps."""

    def archive(self) -> bytes:
        """Write everything as a NumPy archive."""


class Format(ABC):
    """A file of one format that answers are written to, one after another.

    A subclass that has a suffix is a format: it is listed in `FORMATS`, and needs to be named nowhere else.

    Args:
        file: the open file.
        screen: the terminal's screen.
        several: True if there will be more than one answer.
    """

    suffix: ClassVar[str]
    """End of a file's name that stands for the format."""
    holds: ClassVar[str]
    """The content of such a file in a few words, for the documentation."""
    drawn: ClassVar[bool] = False
    """True if it holds a drawing, False if it holds the figures themselves."""
    single: ClassVar[bool] = False
    """True if it holds only one answer."""
    records: ClassVar[bool] = False
    """True if a record that was saved in it can be read again."""
    plays: ClassVar[bool] = False
    """True if it holds more of the answers that have a page (`Answer.page`) than their drawing."""
    maps_alone: ClassVar[bool] = False
    """True if it holds nothing but maps, so that only an answer with maps can be saved in it."""
    needs: ClassVar[str] = ""
    """The package that writes it, if that comes with an extra."""
    extra: ClassVar[str] = ""
    """The extra that brings the package."""

    def __init_subclass__(cls) -> None:
        if "suffix" in vars(cls):
            FORMATS[cls.suffix] = cls

    def __init__(self, file: BufferedIOBase, screen: Screen, *, several: bool) -> None:
        self.file, self.several = file, several
        self.screen = self.page(screen)
        self.notes: list[str] = []
        """Notes to the user on what could not be written as it is."""

    @classmethod
    def page(cls, screen: Screen) -> Screen:
        """Make the screen that such a file draws on: by default the terminal's own."""
        return screen

    @classmethod
    def check_installed(cls, path: str) -> None:
        """Check that what writes the format is installed.

        Args:
            path: the path given to `--save`.

        Raises:
            OutputError: it is not.
        """
        if cls.needs and find_spec(cls.needs) is None:
            raise OutputError(
                f"{path} needs {cls.needs} to be written", f"Run `pip install 'attn-cli[{cls.extra}]'`, then try again"
            )

    @abstractmethod
    def add(self, answer: Answer, title: str) -> None:
        """Add one answer, below its title if there is one."""

    def finish(self) -> None:
        """Write what is still to be written after the last answer."""
        self.file.flush()


class Json(Format):
    """A JSON document."""

    suffix, holds, single, records = ".json", "the figures as a JSON document", True, True

    def add(self, answer: Answer, title: str) -> None:
        """Write the document as one line."""
        del title
        self.file.write(answer.data())


class JsonLines(Json):
    """JSON documents, one on each line."""

    suffix, holds, single = ".jsonl", "the same for several sentences, a line each", False


class Csv(Format):
    """A table, in which several answers have a column for their number."""

    suffix, holds = ".csv", "the figures as a table in long form"
    _table: CsvTable | None = None
    _count = 0

    def add(self, answer: Answer, title: str) -> None:
        """Write the rows of an answer, whose columns are those of the first.

        Raises:
            InputError: it has other columns than the first, or its model ran without some heads, and that of the first
                with all.
        """
        from attn_cli.io.csv import CsvTable

        del title
        if self._table is None:
            self._table = CsvTable(self.file, answer.columns, sentences=self.several, without=answer.without)
        self._table.turn(answer.columns, answer.without)
        answer.add_rows(self._table, self._count)
        self._count += 1


class Npz(Format):
    """A record as a NumPy archive."""

    suffix, holds = ".npz", "the maps as NumPy arrays, exact and compressed"
    single = records = maps_alone = True

    def add(self, answer: Answer, title: str) -> None:
        """Write the archive of an answer that holds maps.

        Raises:
            TypeError: it holds none; `find_format` is there to tell before.
        """
        del title
        if not isinstance(answer, HoldsMaps):
            raise TypeError("there are no maps")
        self.file.write(answer.archive())


class Parquet(Format):
    """The table of `Csv` with the types of its columns."""

    suffix, holds = ".parquet", "the same table for pandas, Polars or DuckDB, with exact texts and types"
    needs, extra = "pyarrow", "parquet"
    _table: ParquetTable | None = None
    _count = 0

    def add(self, answer: Answer, title: str) -> None:
        """Add the rows of an answer, whose columns are those of the first.

        Raises:
            InputError: it has other columns than the first.
        """
        from attn_cli.io.parquet import ParquetTable

        del title
        self._table = self._table or ParquetTable(answer.columns)
        self._table.turn(answer.columns)
        front: dict[str, str | int] = {"sentence": self._count} if self.several else {}
        front |= {"without": answer.without} if answer.without else {}
        self._table.add(answer.rows(), front)
        self._count += 1

    def finish(self) -> None:
        """Write the table."""
        if self._table is not None:
            self._table.write(self.file)
        super().finish()


def heading_of(answer: Answer) -> str:
    """Say in one line what an answer is: its command, and what that was asked about."""
    return shortened(f"attn {answer.question}: {answer.title}".rstrip(": "), LONGEST_HEADING)


class DrawnFormat(Format):
    """Drawings below one another, on a page of the screen's width and unlimited height, in full Unicode and colour."""

    drawn = True
    colored: ClassVar[bool] = True
    """True if the format can show colours."""

    def __init__(self, file: BufferedIOBase, screen: Screen, *, several: bool) -> None:
        super().__init__(file, screen, several=several)
        self._drawings: list[Group] = []
        self._headings: list[str] = []

    @property
    def heading(self) -> str:
        """The title of the file: the command of the first answer, and what it was asked about."""
        more = f" and {len(self._headings) - 1} more" if self._headings[1:] else ""
        return f"{self._headings[0]}{more}" if self._headings else "attn"

    @classmethod
    def page(cls, screen: Screen) -> Screen:
        """Make the page."""
        return replace(screen, height=None, unicode=True, color=cls.colored, depth="truecolor")

    def add(self, answer: Answer, title: str) -> None:
        """Draw an answer below its title."""
        from attn_cli.draw.strokes import titled

        self._headings.append(heading_of(answer))
        self._drawings.append(titled(answer.draw(self.screen), title, self.screen))

    def finish(self) -> None:
        """Write the page, unless it is empty."""
        from attn_cli.draw.strokes import stacked

        if self._drawings:
            self.file.write(self.render(stacked(self._drawings)).encode())
        super().finish()

    @abstractmethod
    def render(self, drawing: Group) -> str:
        """Write a drawing as text in this format."""


class Svg(DrawnFormat):
    """A picture."""

    suffix, holds = ".svg", "the drawing as a picture"

    def render(self, drawing: Group) -> str:
        """Write a drawing as SVG."""
        from attn_cli.draw.page import to_svg

        return to_svg(drawing, self.screen, self.heading)


MOST_PAGED = 8_000_000
"""Most bytes of what can be played with on a page of many texts; the rest of them are pictures."""
TOO_LONG = "The page holds only the picture: there are more weights than a page can hold; choose heads with --head"


class Html(DrawnFormat):
    """A page for a browser."""

    suffix, holds, plays = ".html", "a page to play with, or the drawing of a table", True

    def __init__(self, file: BufferedIOBase, screen: Screen, *, several: bool) -> None:
        super().__init__(file, screen, several=several)
        self._pages: list[bytes] = []
        self._left = MOST_PAGED

    def add(self, answer: Answer, title: str) -> None:
        """Draw an answer, and take along what can be played with."""
        super().add(answer, title)
        page = answer.page() if self._left > 0 else None
        if page is not None:
            self._pages.append(page)
            self._left -= len(page)
        elif answer.plays and self._left > 0:
            self.notes.append(TOO_LONG)

    def finish(self) -> None:
        """Write the page, and say how many texts it holds if that is not all."""
        drawn = len(self._drawings)
        if self._left <= 0 and len(self._pages) < drawn:
            self.notes.append(f"The first {len(self._pages)} of {drawn:,} texts can be played with on the page")
        super().finish()

    def render(self, drawing: Group) -> str:
        """Write a drawing as a page of HTML."""
        from attn_cli.draw.interactive.page import to_interactive_page
        from attn_cli.draw.page import to_page

        if not self._pages:
            return to_page(drawing, self.screen, self.heading)
        return to_interactive_page(drawing, self.screen, self._pages, self.heading)


class PlainText(DrawnFormat):
    """A drawing without colours."""

    suffix, holds, colored = ".txt", "the drawing as plain text", False

    def render(self, drawing: Group) -> str:
        """Write a drawing as text."""
        from attn_cli.draw.page import to_text

        return to_text(drawing, self.screen)


class FigureFormat(Format):
    """The picture of an answer alone, for a paper.

    A subclass that has a suffix is listed in `FIGURES`. It is also listed in `FORMATS` if nothing else has its suffix.

    Args:
        file: the open file.
        screen: the terminal's screen.
        several: True if there will be more than one answer.
        style: how the figure looks.
    """

    drawn, single = True, True
    styled: ClassVar[tuple[str, ...]] = ("size", "font", "font_size", "title", "transparent")
    """The fields of `FigureStyle` that it follows."""

    def __init_subclass__(cls) -> None:
        if "suffix" in vars(cls):
            FIGURES[cls.suffix] = cls
            FORMATS.setdefault(cls.suffix, cls)

    def __init__(self, file: BufferedIOBase, screen: Screen, *, several: bool, style: FigureStyle) -> None:
        super().__init__(file, screen, several=several)
        self.style = style

    def add(self, answer: Answer, title: str) -> None:
        """Write the picture of an answer.

        Raises:
            UsageError: what it shows has no picture.
        """
        del title
        self.file.write(self.render(answer.picture(), heading_of(answer)))

    @abstractmethod
    def render(self, picture: PaperPicture, heading: str) -> bytes:
        """Write a picture in this format.

        Args:
            picture: the picture.
            heading: what it is, in one line.
        """


class PlottedFormat(FigureFormat):
    """A figure that matplotlib writes."""

    needs, extra = "matplotlib", "figures"

    def render(self, picture: PaperPicture, heading: str) -> bytes:
        """Write a picture as a figure."""
        from attn_cli.draw.figure import write_figure

        written, notes = write_figure(picture, self.style, self.suffix, heading)
        self.notes += notes
        return written


class Pdf(PlottedFormat):
    """Vectors, for LaTeX and print."""

    suffix, holds = ".pdf", "the figure alone, as vectors for LaTeX"


class Png(PlottedFormat):
    """Pixels."""

    suffix, holds = ".png", "the figure alone, as pixels"
    styled = (*PlottedFormat.styled, "dpi")


class SvgFigure(PlottedFormat):
    """Vectors, for the web and for drawing programs."""

    suffix, holds = ".svg", "the figure alone, as vectors for the web"


class Tex(FigureFormat):
    """A small table of coloured cells, in the paper's own font."""

    suffix, holds = ".tex", "a small figure as a table of LaTeX, in the paper's own font"
    styled = ("font_size", "title")

    def render(self, picture: PaperPicture, heading: str) -> bytes:
        """Write a picture as a table."""
        from attn_cli.draw.latex import to_latex

        return to_latex(picture, self.style, heading).encode()


def listed_formats(formats: Iterable[type[Format]] | None = None) -> str:
    """List the suffixes of some formats in words, by default of all: `.json, .csv or .txt`."""
    *most, last = [one.suffix for one in (FORMATS.values() if formats is None else formats)]
    return f"{', '.join(most)} or {last}" if most else last


def find_format(path: str, *, maps: bool = True, pictures: bool = True, figure: bool = False) -> type[Format]:
    """Find the format that the name of a file asks for.

    Args:
        path: the path given to `--save`.
        maps: True if the answers hold maps.
        pictures: True if the answers have pictures for a paper.
        figure: True to save the picture alone.

    Raises:
        OutputError: the suffix stands for no format, for one of maps or pictures where there are none, or for none of
            figures.
    """
    place = Path(path)
    table: Mapping[str, type[Format]] = FIGURES if figure else FORMATS
    possible = [
        one
        for one in table.values()
        if (maps or not one.maps_alone) and (pictures or not issubclass(one, FigureFormat))
    ]
    found = table.get(place.suffix.lower())
    if found in possible:
        return found
    listed = listed_formats(possible)
    if found is not None:
        what = "maps" if found.maps_alone else "a figure"
        raise OutputError(
            f"{path} would hold {what}, but there {'are none' if found.maps_alone else 'is none'} to save",
            f"Use a name that ends in {listed}",
        )
    if path == "-" or place.is_relative_to("/dev"):
        raise OutputError(f"--save writes files, and {path} is not one", "Use --json for records on standard output")
    if figure and place.suffix.lower() in FORMATS:
        raise OutputError(f"{path} cannot hold a figure", f"Use a name that ends in {listed}, or leave --figure out")
    raise OutputError(f"{path or 'An empty name'}: unknown format", f"Use {listed}")
