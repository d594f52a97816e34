"""Chapters 2 and 3: looking back at the words that were read, and the three steps of one such look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from attn_cli.data.selection import Selection
from attn_cli.data.stream import key_tokens
from attn_cli.data.text import WORD_STARTS
from attn_cli.errors import counted
from attn_cli.models import Input
from attn_cli.models.prepare import read
from attn_cli.questions.explain.measure import Explained, explain
from attn_cli.questions.inspect.measure import Inspection
from attn_cli.questions.tour.bottleneck import SHORT
from attn_cli.questions.tour.measure import (
    Chapter,
    Figure,
    Lesson,
    RowLink,
    command_line,
    links_of,
    strongest,
    told_key,
)

__all__ = ["LOOKING_BACK", "THREE_STEPS", "looking_back", "three_steps"]

LOOKING_BACK: Final = "looking-back"
THREE_STEPS: Final = "three-steps"
MODEL = "toy-rnn-attention"
FAVOURITE = "chat"
"""The word of the lesson's own translation that is told of."""
NOTHING_WRITTEN = f"{MODEL} writes no word for your sentence, so this is the lesson's."


def looking_back(lesson: Lesson) -> Chapter:
    """Draw the map of a translation, row by row as it is written."""
    text, translation, link, note = _look(lesson)
    found = f"When it writes “{link.query}”, {link.weight:.2f} of its weight is on {link.told}. "
    rows = links_of(translation)
    sure = sum(row.weight > 0.5 for row in rows if not row.special)
    resting = sum(row.weight > 0.5 for row in rows if row.special)
    ended = f"; {resting} more {'rests' if resting == 1 else 'rest'} on the end mark </s>" if resting else ""
    return Chapter(
        name=LOOKING_BACK,
        title="Looking back",
        about=(
            "With attention, the decoder may look back at every word that was read, anew for each word that it writes. "
            "Each row of this map is one such step: it shows how the step's weight is spread over the words of the "
            "text. The weights of a row sum to 1."
        ),
        pictures=(translation,),
        found=(found + f"In {sure} of {counted(len(rows), 'row')}, one word has more than half of it{ended}."),
        figures=(
            Figure(f"weight {link.query} → {link.key}", link.weight, "share of 1"),
            Figure("rows in which one word has more than half", float(sure), "rows"),
            Figure("rows in which the end mark has more than half", float(resting), "rows"),
            Figure("rows", float(len(rows)), "rows"),
        ),
        commands=(command_line("translate", text, "--model", MODEL),),
        note=note,
        unfolds=True,
    )


def three_steps(lesson: Lesson) -> Chapter:
    """Take one step of the translation apart: score, softmax, weighted sum."""
    text, _, link, note = _look(lesson)
    choice = Selection(view="query", query=f"#{link.row}" if link.ambiguous else link.query)
    source = read(lesson.models[MODEL], Input(text), choice)
    answer = replace(explain(source, choice), vectors=True)
    steps = answer.steps
    best, second = np.argsort(-steps.weights, kind="stable")[:2].tolist()
    figures = [
        Figure("sum of the exponentials", steps.total, ""),
        Figure("sum of the weights", float(steps.weights.sum()), "share of 1"),
    ]
    for key in (best, second):
        label = answer.labels[key]
        figures += [
            Figure(f"score of {label}", float(steps.scores[key]), ""),
            Figure(f"exp(score - largest) of {label}", float(steps.exponentials[key]), ""),
            Figure(f"weight of {label}", float(steps.weights[key]), "share of 1"),
        ]
    return Chapter(
        name=THREE_STEPS,
        title="Three steps: score, softmax, weighted sum",
        about=(
            f"What happens when “{link.query}” is written? First every word that was read gets a score: how well it "
            "fits what the step looks for. Then the softmax turns the scores into weights: exp of each, divided by "
            "their sum. Last, each word's value is multiplied by its weight, and all are added up: that is the context "
            f"vector, which the step goes on with.{_pieces(answer, (best, second))}"
        ),
        pictures=(answer,),
        found=(_told(answer, best, second)),
        figures=tuple(figures),
        commands=(command_line("explain", text, "--query", choice.query or "", "--model", MODEL, "--vectors"),),
        note=note,
    )


def _look(lesson: Lesson) -> tuple[str, Inspection, RowLink, str]:
    """Translate the reader's sentence, or the lesson's if there is nothing to tell of it.

    Returns:
        The text, its translation, the link to tell of, and a note if it is not the reader's.
    """
    if lesson.text is not None:
        translation = lesson.translated(MODEL, lesson.text)
        link = strongest(links_of(translation))
        if link is not None:
            return lesson.text, translation, link, ""
    translation = lesson.translated(MODEL, SHORT)
    link = strongest(links_of(translation), FAVOURITE)
    assert link is not None  # noqa: S101 - the lesson's sentence has a translation
    return SHORT, translation, link, "" if lesson.text is None else NOTHING_WRITTEN


def _pieces(answer: Explained, told: Sequence[int]) -> str:
    """Explain pieces of words by one of them, if there are any among the keys.

    Args:
        answer: the steps.
        told: the keys that the chapter tells of, of which a piece is the example, if one is a piece.

    Returns:
        A sentence with a blank before it; nothing if all keys are whole words.
    """
    side = key_tokens(answer.plan.source, answer.plan.kind)
    counts = Counter(token.word for token in side.tokens)
    parts = {
        key: side.words[token.word].text
        for key, token in enumerate(side.tokens)
        if token.word is not None and counts[token.word] > 1
    }
    # A bracket at the start of a text has two tokens as well, but is no word.
    words = {key: word for key, word in parts.items() if any(map(str.isalnum, word))}
    if not words:
        return ""
    example = next((key for key in told if key in words), min(words))
    mark = WORD_STARTS[0]
    marked = any(label.startswith(mark) for label in answer.labels)
    between = f"; {mark} marks the start of a word, and" if marked else ":"
    return (
        f" A word that the model does not know as a whole is cut into pieces{between} “{answer.labels[example]}” is a "
        f"piece of “{words[example]}”."
    )


def _told(answer: Explained, best: int, second: int) -> str:
    """Write the figures of the two keys with the most weight, and what the sum is mostly made of."""
    steps, tokens = answer.steps, key_tokens(answer.plan.source, answer.plan.kind).tokens

    def divided(key: int) -> str:
        name = told_key(answer.labels[key], special=tokens[key].special)
        return (
            f"{name[:1].upper()}{name[1:]} has score {steps.scores[key]:.2f}, so exp({steps.scores[key]:.2f} - "
            f"{steps.maximum:.2f}) = {steps.exponentials[key]:.3f}, divided by {steps.total:.3f}: weight "
            f"{steps.weights[key]:.3f}"
        )

    return f"{divided(best)}. {divided(second)}. All weights together are {steps.weights.sum():.3f}."
