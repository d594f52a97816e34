"""Drawing of chosen queries: their strongest keys in each head."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from attn_cli.draw.captions import labels_of
from attn_cli.draw.layout import FEWEST_ROWS
from attn_cli.draw.screen import Screen, lines_of
from attn_cli.questions.inspect.draw_maps import cut_note, in_order
from attn_cli.questions.inspect.figures import QueryFigures
from attn_cli.questions.inspect.tables import query_table

__all__ = ["chosen_queries"]


def chosen_queries(figures: QueryFigures, screen: Screen, room: int | None) -> Sequence[RenderableType]:
    """Draw the table of the queries' strongest keys, with as many heads as there is room for."""
    table = _table(figures, screen, None)
    if room is None or figures.plan.selection.all or lines_of(table, screen) <= room:
        return [table]
    # Every head takes as many lines as any other.
    few, more = (lines_of(_table(figures, screen, FEWEST_ROWS + extra), screen) for extra in (0, 1))
    fitting = (room - few) // max(more - few, 1)
    return [_table(figures, screen, FEWEST_ROWS + max(fitting, 0))]


def _table(figures: QueryFigures, screen: Screen, limit: int | None) -> RenderableType:
    plan, selection = figures.plan, figures.plan.selection
    chosen = in_order(figures.telling, selection.sort, limit)
    order = {(row.layer, row.head): place for place, row in enumerate(chosen)}
    rows = sorted(
        (row for row in figures.rows if (row.layer, row.head) in order),
        key=lambda row: (row.query, order[row.layer, row.head]),
    )
    one = "word" if plan.unit == "token" else plan.unit
    caption = cut_note(len(chosen), len(figures.telling), selection.sort, f"those that look most at one other {one}")
    return query_table(
        rows,
        labels_of(plan.queries),
        labels_of(plan.keys),
        screen,
        step=plan.step,
        measure=selection.drawn,
        noun=selection.noun,
        caption=caption,
    )
