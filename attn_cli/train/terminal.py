"""Training progress in a terminal: a bar, a line for each evaluation, and the alignment of a watched sentence."""

from __future__ import annotations

import math
import os
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.text import Text

from attn_cli.cli.progress import ProgressBar
from attn_cli.data.plan import name_head
from attn_cli.data.selection import Selection
from attn_cli.draw.labels import clean
from attn_cli.draw.screen import probe
from attn_cli.measure.quality import Quality
from attn_cli.models import Input
from attn_cli.models.toy.model import Toy
from attn_cli.questions.inspect.measure import look
from attn_cli.train.run import Progress

__all__ = ["TerminalWatcher"]

AGAIN = 300.0
"""Seconds between the lines that stand in for the progress bar."""


class TerminalWatcher:
    """A watcher that shows a training run on stderr: a bar on a terminal, plain lines elsewhere.

    Args:
        sentence: sentence to translate and draw at each evaluation; None for none.
    """

    def __init__(self, sentence: str | None) -> None:
        self._sentence = sentence
        self._talk = Console(stderr=True, highlight=False)
        self._bar = ProgressBar("Starting", figures=True, lasting=True, talk=self._talk)
        self._last: Progress | None = None
        self._begun: tuple[int, float] | None = None  # the step of the first report, and when it came
        self._said = -math.inf  # when a line last stood in for the bar

    def __enter__(self) -> TerminalWatcher:  # noqa: PYI034 (the signature check in the tests does not know Self here)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def says(self, what: str) -> None:
        """Show what begins now."""
        self._bar.rename(what)
        if not self._bar.visible:
            self._talk.print(f"attn: {what}", markup=False)

    def steps(self, progress: Progress) -> None:
        """Update the progress bar; where there is none, print a line every few minutes, but not for the first report.

        The second is the first that knows the time left.
        """
        now = time.monotonic()
        due = self._begun is not None and now - self._said >= AGAIN
        if self._begun is None:
            self._begun = progress.step, now
        self._last = progress
        figures = f"loss {progress.loss:.2f} · {progress.tokens_per_second:,.0f} tokens/s"
        self._bar.rename("Training")
        self._bar.reach(progress.step, progress.steps, figures=figures)
        if due and not self._bar.visible:
            self._said = now
            said = f"attn: step {progress.step:,} of {progress.steps:,} · {figures} · {self._left(progress)}"
            self._talk.print(said, markup=False)

    def _left(self, progress: Progress) -> str:
        """Say how long the rest of the training will take at the speed so far."""
        step, since = self._begun or (progress.step, time.monotonic())
        pace = (time.monotonic() - since) / max(1, progress.step - step)
        minutes = math.ceil(pace * (progress.steps - progress.step) / 60)
        hours, rest = divmod(minutes, 60)
        return f"about {hours} h {rest} min left" if hours else f"about {minutes} min left"

    def judged(self, step: int, quality: Quality | None, model: Toy) -> None:
        """Print a line of scores, and draw the watched sentence as the model aligns it now."""
        figures = [f"step {step:,}"]
        if self._last is not None:
            figures.append(f"loss {self._last.loss:.2f}")
        if quality is not None:
            figures.append(f"BLEU {quality.bleu:.1f} · chrF {quality.chrf:.1f} on {quality.sentences} sentences")
        if self._last is not None and self._last.step < self._last.steps and not self._bar.visible:
            figures.append(self._left(self._last))
        self._talk.print(" · ".join(figures), markup=False)
        if self._sentence is not None:
            self._draw(self._sentence, model)

    def _draw(self, sentence: str, model: Toy) -> None:
        translation = model.translate([sentence], truncate=True)[0]  # a long sentence must not end the training
        self._talk.print(Text(clean(translation.text), style="bold"))
        if "cross" not in model.info.stacks:
            return
        alignment = model.info.alignment
        selection = Selection(special=False, translation=True)  # by default the head that aligns best
        if alignment is not None:
            place = ",".join(name_head(alignment.layer, head) for head in alignment.heads)
            selection = Selection(kind="cross", head=place, rows=alignment.rows, special=False)
        screen = probe(sys.stderr, os.environ)
        source = model.prepare(Input(sentence, target=translation, truncate=True))
        self._talk.print(look(source, selection, keep=False).draw(screen))
