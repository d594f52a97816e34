"""Chapter 6: how to read a heatmap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from attn_cli.data.plan import name_guided
from attn_cli.data.selection import Rows
from attn_cli.errors import counted
from attn_cli.questions.tour.linking import MODEL
from attn_cli.questions.tour.measure import Chapter, Figure, Lesson, RowLink, command_line, links_of, strongest

__all__ = ["NAME", "chapter", "count_back", "tell_order"]

NAME: Final = "heatmap"
SENTENCE = "The black cat sat on the red chair"
"""A sentence whose French has its adjectives behind the nouns."""
FAVOURITE = "noir"
WIDTH = 40
"""Columns of a screen on which a map is drawn in squares, as in textbooks."""
STEP: Mapping[Rows, str] = {"output": "writes", "input": "reads"}


def chapter(lesson: Lesson) -> Chapter:
    """Draw a translation's map in squares, and read one of its rows and the order of its marks."""
    text, note = lesson.text or SENTENCE, ""
    translation = lesson.translated(MODEL, text)
    links = links_of(translation)
    link = strongest(links, "" if lesson.text else FAVOURITE)
    if link is None:
        text, note = SENTENCE, f"{MODEL} writes no word for your sentence, so this is the lesson's."
        translation = lesson.translated(MODEL, text)
        links = links_of(translation)
        link = strongest(links, FAVOURITE)
    assert link is not None  # noqa: S101 - the lesson's sentence has a translation
    step = STEP[translation.figures.plan.rows]
    whose = "".join(f" The weights are those of {name_guided(head)}." for head in translation.guided)
    back = count_back(links)
    return Chapter(
        name=NAME,
        title="Reading a heatmap",
        about=(
            "Rows are French, columns are English. Read a row from left to right: it says where the model looks when "
            f"it {step} this word. ■ marks the word with the most weight in the row; the more weight, the stronger the "
            f"shade or the colour, and · is next to none.{whose}"
        ),
        pictures=(translation,),
        found=(
            f"In row {link.row}, “{link.query}”, the mark is below {link.told}, which has {link.weight:.2f}."
            + tell_order(links, back, known=text == SENTENCE)
        ),
        figures=(
            Figure(f"weight {link.query} → {link.key}", link.weight, "share of 1"),
            Figure("marks that go back to the left", float(back), "rows"),
        ),
        commands=(command_line("translate", text, "--model", MODEL, "--width", str(WIDTH)),),
        note=note,
        width=WIDTH,
    )


def count_back(links: Sequence[RowLink]) -> int:
    """Count the marks on words that are further to the left than the one before."""
    words = [link for link in links if not link.special]
    return sum(after.column < before.column for before, after in pairwise(words))


def tell_order(links: Sequence[RowLink], back: int, *, known: bool) -> str:
    """Say whether the marks go back to the left, and what that means for the order of the words.

    Args:
        links: the mark of each row.
        back: the number of marks that go back (see `count_back`).
        known: True for the lesson's own sentence, of which the right translation is known.

    Returns:
        A sentence with a blank before it; nothing if there are no two marks to compare.
    """
    resting = sum(link.special for link in links)
    if len(links) - resting < 2:
        return ""
    if not back:
        marks = "the marks on words" if resting else "the marks"
        same = ": the words come in the same order in both languages" if known else ""
        return f" From row to row {marks} never go back to the left{same}."
    where = f" In {counted(back, 'row')} the mark is further to the left than in the row above"
    if known:
        return f"{where}: there French has its words in another order."
    return f"{where}, which suggests that the other language has its words in another order there."
