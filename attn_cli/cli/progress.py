"""Progress on stderr: a spinner beside one long step, and a bar that counts many."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from rich.console import Console
from rich.text import Text

from attn_cli.cli.streams import say
from attn_cli.draw.labels import clean, fit, width
from attn_cli.errors import counted
from attn_cli.system.interrupt import interruptible
from attn_cli.system.memory import gigabytes

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Corpus", "Layers", "ProgressBar", "Watching", "stoppable", "watched", "watching", "working"]

Item = TypeVar("Item")
Own = TypeVar("Own", bound="_Stoppable")

LONG = 1.0
"""Seconds after which the bar of `watched` appears."""


def working(task: str, name: str) -> AbstractContextManager[object]:
    """Show a spinner on stderr, with the task and the name on one line, if stderr is a terminal."""
    talk = Console(stderr=True)
    if not talk.is_terminal:
        return nullcontext()
    room = max(talk.width - len(task) - len("⠋ ") - 2, 1)
    shown = fit(name, min(width(clean(name)), room), keep="end")
    return talk.status(Text(f"{task} {shown}", no_wrap=True), spinner="dots")


class Watching:
    """A text that is shown while it is written, until Ctrl-C is pressed.

    Args:
        show: the function that shows it.
        asked: the function that returns whether Ctrl-C was pressed.
    """

    def __init__(self, show: Callable[[str], object], asked: Callable[[], bool]) -> None:
        self._show, self._asked = show, asked

    def __call__(self, text: str) -> bool:
        """Show the text so far, and return whether to go on."""
        self._show(text)
        return not self._asked()

    @property
    def stopped(self) -> bool:
        """True if Ctrl-C was pressed."""
        return self._asked()


@contextmanager
def watching(name: str) -> Iterator[Watching]:
    """Show a text on stderr while it is written, if stderr is a terminal; it is gone at the end of the block.

    Args:
        name: the name of the model that writes.

    Yields:
        A function that takes the text so far, and returns False once Ctrl-C was pressed; see `Watching`.
    """
    talk = Console(stderr=True)
    with stoppable() as asked:
        if not talk.is_terminal:
            yield Watching(lambda _: None, asked)
            return
        with talk.status(Text(f"Writing {fit(name, max(talk.width - 12, 1), keep='end')}"), spinner="dots") as status:
            # What does not fit the screen would leave lines behind that cannot be taken back.
            room = max(talk.width * (talk.height - 2) - 4, 1)

            yield Watching(lambda text: status.update(Text(clean(text.strip())[-room:])), asked)


class ProgressBar:
    """A bar on stderr with the count and the time left, shown during its block; nothing if stderr is not a terminal.

    Args:
        task: description of the task.
        total: the number of steps, if known.
        figures: leave room for figures beside the count.
        lasting: leave the bar on the screen at the end, and show a spinner before it.
        talk: the console to draw on; by default stderr's.
    """

    def __init__(
        self,
        task: str,
        total: int | None = None,
        *,
        figures: bool = False,
        lasting: bool = False,
        talk: Console | None = None,
    ) -> None:
        talk = Console(stderr=True) if talk is None else talk
        self._bar = _bar(talk, figures=figures, lasting=lasting) if talk.is_terminal else None
        if self._bar is not None:
            self._row = self._bar.add_task(task, total=total, figures="")

    def __enter__(self) -> ProgressBar:  # noqa: PYI034 (the signature check in the tests does not know Self here)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def visible(self) -> bool:
        """True if stderr is a terminal."""
        return self._bar is not None

    def start(self) -> None:
        """Show the bar, if it is not shown yet."""
        if self._bar is not None:
            self._bar.start()

    def stop(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, steps: int = 1, *, figures: str = "") -> None:
        """Count steps that were done.

        Args:
            steps: the number of steps.
            figures: what to show beside the count.
        """
        if self._bar is not None:
            self._bar.update(self._row, advance=steps, figures=figures)

    def reach(self, step: int, total: int, *, figures: str = "") -> None:
        """Set the count.

        Args:
            step: the number of steps done.
            total: the number of all steps.
            figures: what to show beside the count.
        """
        if self._bar is not None:
            self._bar.update(self._row, completed=step, total=total, figures=figures)

    def rename(self, task: str) -> None:
        """Describe what begins now."""
        if self._bar is not None:
            self._bar.update(self._row, description=task)


def _bar(talk: Console, *, figures: bool, lasting: bool) -> Progress:
    # Imported late: it takes a fifth of the total time for a short text.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    return Progress(
        *([SpinnerColumn()] if lasting else []),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        *([TextColumn("{task.fields[figures]}", markup=False)] if figures else []),
        TimeRemainingColumn(compact=True),
        console=talk,
        transient=not lasting,
    )


class _Stoppable:
    """Steps that are counted by a bar on stderr during a block, until Ctrl-C is pressed in it.

    Args:
        task: description of the task.
        total: the number of steps, if known.
        figures: leave room for figures beside the count.
    """

    def __init__(self, task: str, total: int | None = None, *, figures: bool = False) -> None:
        self._task, self._total, self._figures = task, total, figures
        self._stack = ExitStack()
        self._asked: Callable[[], bool] = lambda: False

    def __enter__(self: Own) -> Own:  # noqa: PYI019 (the signature check in the tests does not know Self)
        self._bar = self._stack.enter_context(ProgressBar(self._task, self._total, figures=self._figures))
        self._asked = self._stack.enter_context(stoppable())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def stopped(self) -> bool:
        """True if Ctrl-C was pressed, so that the figures are of a part of the steps."""
        return self._asked()


class Corpus(_Stoppable, Generic[Item]):
    """Texts of a corpus, one after another until Ctrl-C is pressed, with a progress bar on stderr during its block.

    Args:
        items: the texts.
        task: description of what is done with them.
        total: the number of texts, if known.
    """

    def __init__(self, items: Iterable[Item], task: str, total: int | None) -> None:
        super().__init__(task, total, figures=True)
        self._items, self._done = items, 0

    def __iter__(self) -> Iterator[Item]:
        start = time.monotonic()
        for item in self._items:
            if self.stopped:
                return
            yield item
            self._done += 1
            self._bar.advance(figures=f"{self._done / (time.monotonic() - start):,.1f} texts/s")

    @property
    def notes(self) -> tuple[str, ...]:
        """A note if Ctrl-C was pressed."""
        return (f"Stopped with Ctrl-C after {counted(self._done, 'text')}: the figures are of these",) * self.stopped


class Layers(_Stoppable):
    """A bar on stderr with the layers of a long text that are done; Ctrl-C during its block ends the run behind one.

    It may be entered again for each text.
    """

    def __init__(self) -> None:
        super().__init__("Reading layers")

    def expect(self, needed: int, device: str) -> None:
        """Show how much memory the text will take, before it is read.

        Args:
            needed: the bytes.
            device: the device that they are on; empty if that is the machine's memory.
        """
        self._bar.rename(f"Reading layers, in {gigabytes(needed)} of memory{f' on {device}' if device else ''}")

    def __call__(self, done: int, total: int) -> bool:
        """Show how many layers are done.

        Returns:
            False if the others are to be left out.
        """
        self._bar.reach(done, total)
        return not self.stopped

    def until_stopped(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items up to that in which Ctrl-C was pressed."""
        for item in items:
            yield item
            if self.stopped:
                return


def stoppable() -> AbstractContextManager[Callable[[], bool]]:
    """Let the first Ctrl-C within the block finish the current step; see `interruptible`."""
    return interruptible(lambda: say("stopping; press Ctrl-C again to stop at once"))


def watched(items: Iterable[Item], task: str, total: int | None) -> Iterator[Item]:
    """Yield the items, with a progress bar on stderr after a second, if stdout is not a terminal.

    Args:
        items: the items, which may take long.
        task: description of the task.
        total: the number of items, if known.
    """
    if sys.stdout.isatty():
        yield from items
        return
    bar = ProgressBar(task, total)
    start = time.monotonic()
    try:
        for item in items:
            bar.advance()
            if time.monotonic() - start > LONG:
                bar.start()
            yield item
    finally:
        bar.stop()
