"""Chapter 8: the words of the lesson."""

from __future__ import annotations

from typing import Final

from attn_cli.questions.terms.glossary import TERMS, find_terms
from attn_cli.questions.tour.measure import Chapter, Figure, Lesson, command_line

__all__ = ["NAME", "WORDS", "chapter"]

NAME: Final = "words"
WORDS = (
    "bottleneck",
    "hidden state",
    "token",
    "query",
    "key",
    "value",
    "score",
    "softmax",
    "weight",
    "context vector",
    "self-attention",
    "cross-attention",
    "multi-head attention",
    "heatmap",
)
"""The terms of the lesson, in its order."""


def chapter(lesson: Lesson) -> Chapter:
    """Explain the words that the chapters have used."""
    del lesson  # the words are the same for every sentence
    return Chapter(
        name=NAME,
        title="The words",
        about=("These are the main words of this tour. Most of what attn prints has such an entry."),
        pictures=(find_terms(*WORDS),),
        found=(f"These are {len(WORDS)} of {len(TERMS)}; attn terms has them all."),
        figures=(
            Figure("terms shown", float(len(WORDS)), "terms"),
            Figure("terms in all", float(len(TERMS)), "terms"),
        ),
        commands=(command_line("terms", *WORDS),),
    )
