"""The chapters of the tour, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attn_cli.errors import InputError
from attn_cli.models import Input
from attn_cli.questions.tour import bottleneck, choices, linking, looking, many, mattering, reading, wording
from attn_cli.questions.tour.measure import Chapter, Lesson, Tour
from attn_cli.questions.why.experiments import load_built_in

__all__ = ["CHAPTERS", "Chapters", "tour"]

CHAPTERS: Mapping[int, Callable[[Lesson], Chapter]] = dict(
    zip(
        range(1, choices.LAST + 1),
        (
            bottleneck.chapter,
            looking.looking_back,
            looking.three_steps,
            linking.chapter,
            many.chapter,
            reading.chapter,
            mattering.chapter,
            wording.chapter,
        ),
        strict=True,
    )
)
"""Number of a chapter -> function that makes it."""


class Chapters:
    """The chapters one by one, each made when it is asked for.

    Args:
        text: the reader's own sentence; None for those of the lesson.

    Raises:
        InputError: the models make no tokens of the sentence, or too many.
    """

    def __init__(self, text: str | None = None) -> None:
        self._lesson = Lesson(load_built_in(), text)
        if text is not None:
            self._check(text)

    def _check(self, text: str) -> None:
        """Check that the models of the chapters can read the reader's own sentence, whole."""
        for model in bottleneck.MODELS:
            try:
                self._lesson.models[model].prepare(Input(text))
            except InputError as fault:
                raise InputError(fault.problem, "Give another sentence, or leave it out") from fault

    def tour(self, *numbers: int) -> Tour:
        """Make some chapters, all of them by default."""
        made = {number: CHAPTERS[number](self._lesson) for number in numbers or CHAPTERS}
        return Tour(made, len(CHAPTERS), self._lesson.text)


def tour(text: str | None = None, chapter: int | None = None) -> Tour:
    """Make the tour.

    Args:
        text: the reader's own sentence; None for those of the lesson.
        chapter: the only chapter to make; None for all.

    Raises:
        InputError: the sentence is empty, or the models make no tokens of it, or too many.
        UsageError: it has too many words, or there is no such chapter.
    """
    choices.check(text, chapter)
    return Chapters(text).tour(*([] if chapter is None else [chapter]))
