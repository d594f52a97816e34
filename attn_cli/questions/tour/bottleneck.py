"""Chapter 1: what passes through one vector, and what is lost in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attn_cli.errors import counted, enumerated
from attn_cli.measure.quality import judge
from attn_cli.models import Input, translate_one
from attn_cli.questions.tour.measure import Chapter, Figure, Lesson, SideBySide, command_line
from attn_cli.questions.why.translating import texts

__all__ = ["MODELS", "NAME", "SHORT", "chapter"]

NAME: Final = "bottleneck"
SHORT = "The cat sat on the mat"
LONG = 33
"""Words of the long text, which is one of those of `attn why long-sequences`."""
MODELS = ("toy-rnn", "toy-rnn-attention", "toy")
"""The models side by side, that with the bottleneck first."""
UNJUDGED = "Nobody has translated your text by hand, so you have to judge these translations yourself. "
"""Sentence for a reader's own text, of which nobody knows the right translation."""


def chapter(lesson: Lesson) -> Chapter:
    """Draw the one vector of a model without attention, and translate a short and a long text with all models."""
    narrow, *attending = MODELS
    short = lesson.text or SHORT
    long, reference = min(texts(), key=lambda pair: abs(len(pair[0].split()) - LONG))
    passed = lesson.translated(narrow, short)
    pairs = [_side_by_side(lesson, short), _side_by_side(lesson, long, reference)]
    quality = {model: judge({long: text}, {long: [reference]}).chrf for model, text in pairs[1].translations.items()}
    size = passed.model.bottleneck or 0
    others = enumerated(f"that by {model} {quality[model]:.0f}" for model in attending)
    lost = all(quality[narrow] < quality[model] for model in attending)
    yours = "" if lesson.text is None else UNJUDGED
    return Chapter(
        name=NAME,
        title="The bottleneck",
        about=(
            "A translator without attention reads a sentence word by word, and keeps all that it has read in one "
            f"vector, here of {size} numbers. From that vector alone it must write the translation. "
            f"This is the vector, and what three models make of {'a short' if lesson.text is None else 'your'} text "
            "and of a long one: toy-rnn has nothing else, toy-rnn-attention is the same model with attention, and toy "
            "is a Transformer."
        ),
        pictures=(passed, *pairs),
        found=(
            f"{yours}The translation of the {counted(len(long.split()), 'word')} by {narrow} has "
            f"{quality[narrow]:.0f} of 100 in common with one by hand (chrF), {others}. "
            + ("One vector is too narrow for it." if lost else "Here the vector was wide enough.")
        ),
        figures=(
            Figure("numbers in the vector", float(size), "numbers"),
            *(
                Figure(f"words of text {place}", float(len(pair.text.split())), "words")
                for place, pair in _numbered(pairs)
            ),
            *(
                Figure(f"text {place} by {model}", text, "text")
                for place, pair in _numbered(pairs)
                for model, text in pair.translations.items()
            ),
            *(Figure(f"text 2 by {model}", value, "chrF") for model, value in quality.items()),
        ),
        commands=(
            command_line("translate", short, "--model", narrow),
            *(_loop(pair.text) for pair in pairs),
        ),
    )


def _side_by_side(lesson: Lesson, text: str, reference: str = "") -> SideBySide:
    given = Input(text)
    written = {model: translate_one(lesson.models[model], given) for model in MODELS}
    return SideBySide(
        text,
        {model: translation.text for model, translation in written.items()},
        reference,
        tuple(note for translation in written.values() for note in translation.notes),
    )


def _loop(text: str) -> str:
    """Write the commands that translate a text with each model as one line of shell."""
    command = command_line("translate", text, "--model", "$model", "--text-only").replace('"\\$model"', "$model")
    return f"for model in {' '.join(MODELS)}; do {command}; done"


def _numbered(pairs: Sequence[SideBySide]) -> enumerate[SideBySide]:
    return enumerate(pairs, start=1)
