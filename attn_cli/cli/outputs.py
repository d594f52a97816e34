"""Output of results: drawings or JSON on stdout, and a file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from rich.console import Group, RenderableType

from attn_cli.answer import Answer
from attn_cli.answer.formats import FigureFormat, Format, Html
from attn_cli.answer.saving import SaveFile
from attn_cli.cli.browser import open_page
from attn_cli.cli.options import DEFAULT_MODEL, DisplayOptions, FigureOptions, OutputOptions
from attn_cli.cli.streams import say
from attn_cli.data.pooling import Cuts
from attn_cli.data.selection import Selection
from attn_cli.data.units import Units
from attn_cli.draw.captions import labels_of, suggestion_line
from attn_cli.draw.heatmap import cuts
from attn_cli.draw.screen import Screen, console, lines_of, probe, to_text
from attn_cli.draw.strokes import titled
from attn_cli.errors import UsageError, noted

__all__ = ["Notes", "Output"]

Item = TypeVar("Item")


class Notes:
    """Notes to the user on stderr: each of the first text's at once, and one line at the end about those of others.

    A note that holds for every text is written once, and is not counted.
    """

    def __init__(self) -> None:
        self._texts = 0
        self._said: frozenset[str] = frozenset()
        self._others: Counter[str] = Counter()

    def __enter__(self) -> Notes:  # noqa: PYI034 - the tests check types, and cannot check Self
        return self

    def __call__(self, notes: Iterable[str]) -> None:
        """Take the notes of one more text."""
        self._texts += 1
        if self._texts == 1:
            self._said = _say(dict.fromkeys(notes))
        else:
            self._others.update(set(notes) - self._said)

    def __exit__(self, *_: object) -> None:
        _say(self._others if len(self._others) == 1 else noted(self._others, self._texts))


def _say(notes: Iterable[str]) -> frozenset[str]:
    """Write notes to stderr, and return them."""
    said = tuple(notes)
    for note in said:
        say(f"note: {note}")
    return frozenset(said)


class Output:
    """The destinations of results: stdout and a file.

    Args:
        display: options for drawing.
        options: options for JSON and the file.
        maps: True if the results hold maps, as records do and findings do not.
        browse: open the results in the browser, as a page.

    What is saved is shown on a terminal as well, but not printed into a pipe, a file or a program: that it is saved is
    said on stderr.

    Raises:
        UsageError: nothing would be printed, and nothing saved.
        OutputError: the file to save cannot be written; this is checked before any model is loaded.
    """

    def __init__(
        self, display: DisplayOptions, options: OutputOptions, *, maps: bool = True, browse: bool = False
    ) -> None:
        if options.quiet and options.json:
            raise UsageError("--quiet prints nothing, and --json prints JSON", "Leave one of them out")
        if options.quiet and options.save is None and not browse:
            raise UsageError("--quiet prints nothing, so the answer must be saved", "Name a file with --save")
        theme = None if display.theme == "auto" else display.theme
        stdin = None if options.json else sys.stdin
        found = probe(sys.stdout, os.environ, color=display.color, theme=theme, stdin=stdin)
        self.screen = found if display.width is None else replace(found, width=display.width)
        self.json = options.json
        self._quiet = options.quiet
        figures = options if isinstance(options, FigureOptions) else None
        looks = False if figures is None else figures.looks
        self.file = (
            None
            if options.save is None
            else SaveFile.named(
                options.save, force=options.force, maps=maps, pictures=figures is not None, figure=looks
            )
        )
        self.browse = browse

    @property
    def _draws(self) -> bool:
        """True if answers are drawn on stdout."""
        return not (self.json or self._quiet or (self.file is not None and not sys.stdout.isatty()))

    def keeps(self, selection: Selection) -> bool:
        """Return whether some output needs the maps themselves."""
        if self.json or any(not one.drawn for one in self._formats):
            return True
        # What is drawn of these views is less than their picture shows.
        return self._pictured and selection.view in {"grid", "query"}

    @property
    def plays(self) -> bool:
        """True if some output is a page that can be played with, and can use the maps."""
        return any(one.plays for one in self._formats)

    @property
    def _formats(self) -> tuple[type[Format], ...]:
        """The formats of all files."""
        return (*([] if self.file is None else [self.file.format]), *([Html] if self.browse else []))

    @property
    def _screens(self) -> tuple[Screen, ...]:
        """All screens that are drawn on."""
        drawn = (self.screen,) if self._draws else ()
        pages = (one for one in self._formats if one.drawn and not issubclass(one, FigureFormat))
        return (*drawn, *(one.page(self.screen) for one in pages))

    @property
    def _pictured(self) -> bool:
        """True if the picture of an answer is saved alone, which shows all of a map."""
        return self.file is not None and self.file.pictured

    def cut(self, queries: Units, keys: Units) -> Cuts | None:
        """Say where a map that is only drawn may be cut while it streams; see `attn_cli.draw.heatmap.cuts`."""
        if self._pictured:
            return None
        return cuts(labels_of(queries), labels_of(keys), self._screens)

    def as_many_as_fit(self, inputs: Iterable[Item]) -> Iterator[Item]:
        """Yield the inputs; if the format holds only one sentence, first check that there is only one.

        Raises:
            OutputError: the file can hold only one sentence, and there are more.
        """
        rest = iter(inputs)
        if self.file is not None and self.file.format.single:
            first = list(islice(rest, 2))
            self.file.check_count(len(first))
            rest = iter(first)
        yield from rest

    def write(self, answers: Iterable[Answer]) -> None:
        """Show each answer as it comes, and save them all.

        Raises:
            OutputError: the file could not be written; an existing file is unchanged.
        """
        writers: list[tuple[SaveFile, Format]] = []
        with ExitStack() as stack:
            notes = stack.enter_context(Notes())
            for number, (answer, title) in enumerate(self._titled(answers)):
                if not number:
                    writers = [
                        (file, stack.enter_context(file.open(self.screen, several=bool(title))))
                        for file in self._files(stack)
                    ]
                for _, writer in writers:
                    writer.add(answer, title)
                notes(answer.notes)
                self._show(answer, title, number)
        for file, writer in writers:
            _say(dict.fromkeys((*writer.notes, *file.place.notes)))
            if file is self.file and not self._quiet:
                say(f"saved {file.place.path}")
            if self.browse and file.format is Html:
                open_page(file.place.path, quiet=self._quiet)

    def _files(self, stack: ExitStack) -> list[SaveFile]:
        """Return the files to write: that of `--save`, and a temporary one for the browser unless that is a page.

        Args:
            stack: what is left with an exception if the temporary file is to be deleted.
        """
        files = [] if self.file is None else [self.file]
        if self.browse and all(file.format is not Html for file in files):
            descriptor, path = tempfile.mkstemp(prefix="attn-", suffix=Html.suffix)
            os.close(descriptor)
            stack.push(lambda error, *_: Path(path).unlink() if error else None)
            files.append(SaveFile.named(path, force=True))
        return files

    def lines(self, answer: Answer) -> list[str]:
        """Return the lines of an answer's drawing, as they are written to stdout."""
        return to_text(answer.draw(self.screen), self.screen).splitlines(keepends=True)

    def _titled(self, answers: Iterable[Answer]) -> Iterator[tuple[Answer, str]]:
        """Add a title to each answer if there are several."""
        rest = iter(answers)
        first = list(islice(rest, 1))
        # JSON is written at once; a drawing waits for the second result, which decides whether there are titles.
        second = [] if self.json else list(islice(rest, 1))
        for number, answer in enumerate(chain(first, second, rest), start=1):
            yield answer, f"{number}  {answer.title}" if second else ""

    def _show(self, answer: Answer, title: str, number: int) -> None:
        if self.json:
            sys.stdout.buffer.write(answer.data())
        elif self._draws:
            if number:
                sys.stdout.write("\n")
            screen = self.screen
            below: list[RenderableType] = []
            # What is piped is the answer alone.
            suggestion = None if title or screen.height is None else answer.suggestion
            if suggestion is not None:
                below = [suggestion_line(suggestion, os.environ.get("ATTN_MODEL") or DEFAULT_MODEL, screen)]
                screen = replace(screen, height=(screen.height or 0) - sum(lines_of(one, screen) for one in below))
            drawn = titled(answer.draw(screen), title, screen)
            console(screen, sys.stdout).print(Group(drawn, *below), end="")
        sys.stdout.flush()
