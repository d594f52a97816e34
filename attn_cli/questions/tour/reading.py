"""Chapter 6: how to read a heatmap."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from attn_cli.data.plan import name_guided
from attn_cli.data.selection import Rows
from attn_cli.errors import counted
from attn_cli.questions.tour.linking import MODEL
from attn_cli.questions.tour.measure import Chapter, Figure, Lesson, command_line, links_of, strongest

__all__ = ["NAME", "chapter"]

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
    back = sum(after.column < before.column for before, after in pairwise(links))
    order = "From row to row the marks never go back to the left: the words come in the same order in both languages."
    if back:
        order = (
            f"In {counted(back, 'row')} the mark is further to the left than in the row above: there French has its "
            "words in another order."
        )
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
            f"In row {link.row}, “{link.query}”, the mark is below “{link.key}”, which has {link.weight:.2f}. {order}"
        ),
        figures=(
            Figure(f"weight {link.query} → {link.key}", link.weight, "share of 1"),
            Figure("marks that go back to the left", float(back), "rows"),
        ),
        commands=(command_line("translate", text, "--model", MODEL, "--width", str(WIDTH)),),
        note=note,
        width=WIDTH,
    )
