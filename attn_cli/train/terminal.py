"""Training progress in a terminal: a bar, a line for each evaluation, and the alignment of a watched sentence."""

from __future__ import annotations

import os
import sys
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
        """Update the progress bar."""
        self._last = progress
        self._bar.rename("Training")
        self._bar.reach(
            progress.step,
            progress.steps,
            figures=f"loss {progress.loss:.2f} · {progress.tokens_per_second:,.0f} tokens/s",
        )

    def judged(self, step: int, quality: Quality | None, model: Toy) -> None:
        """Print a line of scores, and draw the watched sentence as the model aligns it now."""
        figures = [f"step {step:,}"]
        if self._last is not None:
            figures.append(f"loss {self._last.loss:.2f}")
        if quality is not None:
            figures.append(f"BLEU {quality.bleu:.1f} · chrF {quality.chrf:.1f} on {quality.sentences} sentences")
        self._talk.print(" · ".join(figures), markup=False)
        if self._sentence is not None:
            self._draw(self._sentence, model)

    def _draw(self, sentence: str, model: Toy) -> None:
        translation = model.translate([sentence], truncate=True)[0]  # a long sentence must not end the training
        self._talk.print(Text(clean(translation.text), style="bold"))
        alignment = model.info.alignment
        if alignment is None:
            return
        place = ",".join(name_head(alignment.layer, head) for head in alignment.heads)
        selection = Selection(kind="cross", head=place, rows=alignment.rows, special=False)
        screen = probe(sys.stderr, os.environ)
        source = model.prepare(Input(sentence, target=translation, truncate=True))
        self._talk.print(look(source, selection, keep=False).draw(screen))
