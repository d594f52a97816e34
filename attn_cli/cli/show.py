"""What was seen, to wherever it should go: drawings or JSON on stdout, and a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from itertools import chain, islice
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from attn_cli.cli.options import DisplayOptions, OutputOptions
from attn_cli.cli.save import Saver, titled
from attn_cli.cli.streams import say
from attn_cli.look import Seen
from attn_cli.render.files import Destination, destination
from attn_cli.render.json import to_json
from attn_cli.render.labels import clean, fit, width
from attn_cli.render.screen import console, probe

__all__ = ["Output", "working"]

Input = TypeVar("Input")


def working(task: str, name: str) -> AbstractContextManager[object]:
    """A spinner on stderr, with the task and whose it is on one line; nothing where nobody watches."""
    talk = Console(stderr=True)
    if not talk.is_terminal:
        return nullcontext()
    room = max(talk.width - len(task) - len("⠋ ") - 2, 1)
    shown = fit(name, min(width(clean(name)), room), keep="end")
    return talk.status(Text(f"{task} {shown}", no_wrap=True), spinner="dots")


class Output:
    """Where results go.

    Raises:
        OutputError: the file to save cannot be written; found here, before any model is loaded.
    """

    def __init__(self, display: DisplayOptions, options: OutputOptions) -> None:
        theme = None if display.theme == "auto" else display.theme
        found = probe(sys.stdout, os.environ, color=display.color, theme=theme)
        self.screen = found if display.width is None else replace(found, width=display.width)
        self.json = options.json
        self.destination: Destination | None = (
            None if options.save is None else destination(options.save, force=options.force)
        )

    @property
    def keeps(self) -> bool:
        """Whether something written needs the maps themselves."""
        return self.json or (self.destination is not None and self.destination.holds_maps)

    def as_many_as_fit(self, inputs: Iterable[Input]) -> Iterator[Input]:
        """What there is to look at. A file for one sentence waits for the second before the first is looked at.

        Raises:
            OutputError: there is a second.
        """
        rest = iter(inputs)
        if self.destination is not None and self.destination.single:
            first = list(islice(rest, 2))
            self.destination.check_count(len(first))
            rest = iter(first)
        yield from rest

    def write(self, looks: Iterable[Seen]) -> None:
        """Show each as it comes, and save them all.

        Raises:
            OutputError: the file could not be written; what stood there before still does.
        """
        with ExitStack() as stack:
            saver = None
            for number, (seen, title) in enumerate(self._titled(looks)):
                if self.destination is not None:
                    if saver is None:
                        saver = stack.enter_context(Saver.open(self.destination, self.screen, several=bool(title)))
                    saver.add(seen, title)
                self._show(seen, title, number)
        if self.destination is not None and saver is not None:
            say(f"saved {self.destination.path}")

    def _titled(self, looks: Iterable[Seen]) -> Iterator[tuple[Seen, str]]:
        """Give each a title where there are several."""
        rest = iter(looks)
        first = list(islice(rest, 1))
        # JSON goes out at once, drawings wait for a second sentence to know whether they need titles.
        second = [] if self.json else list(islice(rest, 1))
        for number, seen in enumerate(chain(first, second, rest), start=1):
            yield seen, f"{number}  {seen.record.source.text}" if second else ""

    def _show(self, seen: Seen, title: str, number: int) -> None:
        for note in seen.record.notes:
            say(f"note: {note}")
        if self.json:
            sys.stdout.buffer.write(to_json(seen.record, seen.rows()))
        else:
            if number:
                sys.stdout.write("\n")
            console(self.screen, sys.stdout).print(titled(seen, title, self.screen), end="")
        sys.stdout.flush()
