"""Drawing of one text's attention: the model, what a reader must know, and one of the views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.data.plan import name_head
from attn_cli.draw.captions import guided_line, model_line, remarks, translation_text
from attn_cli.draw.layout import room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import caption_lines, drawing, stacked
from attn_cli.draw.vectors import whole_vector
from attn_cli.questions.inspect.draw_maps import alignment, all_heads, every_map, mean_of_heads, one_head
from attn_cli.questions.inspect.draw_parts import share_of_parts
from attn_cli.questions.inspect.draw_patches import rows_on_image
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
    top += remarks(answer, plan.kind, screen, figures.sink.mean)
    if said := _segments(answer):
        top.append(drawing(caption_lines(said, screen)))
    guided = guided_line(answer.guided, screen)
    relevant = relevance_of_words(answer, plan.kind, screen)
    below: list[RenderableType] = [Text(""), stacked(relevant)] if relevant else []
    if answer.chances is not None and plan.kind != "encoder":
        below += [Text(""), step_table(answer.chances, figures, screen)]
    if answer.parts is not None:
        below += [Text(""), share_of_parts(answer.parts, plan, screen)]
    room = room_left([Group(*top, *guided, *below)], screen)
    if answer.patches is None:
        body = VIEWS[type(figures)](figures, screen, room)
    else:
        body = rows_on_image(figures, answer.patches, screen, room)
    if figures.chosen is not None and len(body) == 1:  # the one head that there is room for says it of itself
        guided = []
    return stacked([Group(*top, *guided, *below), *body])


def _segments(answer: Inspection) -> str:
    """Say which segments are shown, and how much of the weight that is; nothing if all is shown."""
    selection = answer.figures.plan.selection
    rows, columns = selection.from_segment, selection.to_segment
    second = answer.figures.plan.keys.second_segment
    if not selection.segmented and second is not None and isinstance(answer.figures, GridFigures):
        return f"Segment 1 begins at {selection.unit} {second}."  # a small map has no room for a mark
    if columns is None:
        return "" if rows is None else f"Rows: the words of segment {rows} alone."
    sides = f"Columns: the words of segment {columns} alone"
    if rows is not None:
        sides = f"Rows: the words of segment {rows} alone; columns: those of segment {columns}"
    if answer.segments is None or not answer.segments.heads:
        return f"{sides}."
    layer, head, most = answer.segments.heads[0]
    several = len(answer.segments.heads) > 1
    among = f" on average, most in {name_head(layer, head)} ({most:.2f})" if several else ""
    if selection.joint:
        among = f" on average, most in layer {layer} ({most:.2f})" if several else ""
    then = "scores stay as they are" if selection.scores else "each row is renormalized to sum to 1"
    return f"{sides}, which have {answer.segments.mean:.2f} of a row's weight{among}; {then}."
