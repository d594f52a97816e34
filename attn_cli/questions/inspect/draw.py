"""Drawing of one text's attention: the model, what a reader must know, and one of the views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.draw.captions import guided_line, model_line, remarks, translation_text
from attn_cli.draw.layout import room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import caption_lines, drawing, stacked
from attn_cli.draw.vectors import whole_vector
from attn_cli.questions.inspect.draw_maps import alignment, all_heads, every_map, mean_of_heads, one_head
from attn_cli.questions.inspect.draw_parts import share_of_parts
from attn_cli.questions.inspect.draw_query import chosen_queries
from attn_cli.questions.inspect.draw_relevance import relevance_of_words
from attn_cli.questions.inspect.draw_written import step_table, text_written, written_map
from attn_cli.questions.inspect.figures import (
    AlignmentFigures,
    Figures,
    GridFigures,
    MeanFigures,
    OneHeadFigures,
    QueryFigures,
    TellingFigures,
    WrittenFigures,
)
from attn_cli.questions.inspect.measure import Inspection

__all__ = ["draw"]

VIEWS: Mapping[type[Figures], Callable[[Any, Screen, int | None], Sequence[RenderableType]]] = {
    Figures: lambda *_: (),
    GridFigures: every_map,
    OneHeadFigures: one_head,
    MeanFigures: mean_of_heads,
    TellingFigures: all_heads,
    AlignmentFigures: alignment,
    QueryFigures: chosen_queries,
    WrittenFigures: written_map,
}
"""Figures -> function that draws them on a screen, in the lines that are left of its height; None for no limit."""


def draw(answer: Inspection, screen: Screen) -> Group:
    """Draw the answer of `attn inspect`, `attn translate` and `attn view`."""
    figures = answer.figures
    plan = figures.plan
    top: list[RenderableType] = []
    if plan.selection.translation and answer.target is not None:
        top = [translation_text(answer.target.text, screen), Text("")]
    elif answer.source.written is not None:
        top = [text_written(answer.source, screen), Text("")]
    if answer.model.stacks:
        top.append(model_line(answer, plan.kind, screen))
    else:
        top.append(drawing(caption_lines(f"{answer.model.without_attention}.", screen)))
        if answer.vector is not None:
            top.append(drawing(whole_vector(answer.vector, screen, name="number")))
    top += remarks(answer, plan.kind, screen, figures.sinks)
    guided = guided_line(answer.guided, screen)
    relevant = relevance_of_words(answer, plan.kind, screen)
    below: list[RenderableType] = [Text(""), stacked(relevant)] if relevant else []
    if answer.chances is not None and plan.kind != "encoder":
        below += [Text(""), step_table(answer.chances, figures, screen)]
    if answer.parts is not None:
        below += [Text(""), share_of_parts(answer.parts, plan, screen)]
    body = VIEWS[type(figures)](figures, screen, room_left([Group(*top, *guided, *below)], screen))
    if figures.chosen is not None and len(body) == 1:  # the one head that there is room for says it of itself
        guided = []
    return stacked([Group(*top, *guided, *below), *body])
