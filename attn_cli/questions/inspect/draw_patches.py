"""Drawing of rows on the grid of an image's patches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import RenderableType

from attn_cli.data.patches import pixels_of
from attn_cli.data.plan import Plan, listed, name_head
from attn_cli.data.shapes import Float
from attn_cli.draw.grid import grid
from attn_cli.draw.layout import FEWEST_ROWS, stacked_height
from attn_cli.draw.patches import PatchRow, patch_picture
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import caption_lines, drawing
from attn_cli.measure.patches import PatchRows, on_grid
from attn_cli.questions.inspect.draw_maps import figures_of_head, heads_and, why_chosen
from attn_cli.questions.inspect.draw_query import chosen_queries
from attn_cli.questions.inspect.figures import (
    Figures,
    GridFigures,
    MeanFigures,
    OneHeadFigures,
    QueryFigures,
    TellingFigures,
)

__all__ = ["every_row", "patch_row", "rows_on_image", "title_of"]

MAP = "--map shows the whole map, from patch to patch."


def patch_row(plan: Plan, values: Float[np.ndarray, "key"], query: int | None) -> PatchRow:
    """Put one row of a map on the grid of patches.

    Args:
        plan: the plan of the view, of an image.
        values: what the row gives each of the plan's keys.
        query: the index of its query among the plan's; None for the mean over all patches.
    """
    image = plan.keys.side.grid
    small = None if image is None else image.thumbnail
    return PatchRow(
        on_grid(values, plan.keys),
        None if query is None else plan.queries.cells[query],
        [
            (label, float(value))
            for label, special, value in zip(plan.keys.labels, plan.keys.special, values, strict=True)
            if special
        ],
        None if small is None else pixels_of(small),
        plan.selection.drawn,
        plan.selection.noun,
    )


def title_of(plan: Plan, query: int | None, where: str) -> str:
    """Say which row is drawn: `Where r2c3 looks in encoder 2.1`.

    Args:
        plan: the plan of the view.
        query: the index of the query among the plan's; None for the mean over all patches.
        where: the head or the layers.
    """
    who = "the patches look, on average," if query is None else f"{plan.queries.labels[query]} looks"
    noun = "" if plan.selection.measure == "weights" else f", by {plan.selection.noun}"
    return f"Where {who} in {plan.kind} {where}{noun}"


def rows_on_image(figures: Figures, patches: PatchRows, screen: Screen, room: int | None) -> Sequence[RenderableType]:
    """Draw the rows of a view on the image, in the lines that are left of the screen's height; None for no limit."""
    plan = figures.plan
    if isinstance(figures, GridFigures):
        return [every_row(plan, patches, screen, row) for row in range(max(len(patches.queries), 1))]
    if isinstance(figures, QueryFigures):
        return _queries(figures, patches, screen, room)
    query = patches.queries[0] if patches.queries else None

    def draw(values: Float[np.ndarray, "query key"], where: str, why: str, room: int | None) -> RenderableType:
        row = patch_row(plan, values[0], query)
        return patch_picture(row, screen, title=title_of(plan, query, where), caption=f"{why} {MAP}".strip(), room=room)

    if isinstance(figures, OneHeadFigures):
        place = figures.layer, figures.head
        where = f"layer {figures.layer}" if plan.selection.joint else name_head(*place)
        table = figures_of_head(figures, screen)
        left = None if room is None else room - stacked_height([table], screen)
        return [table, draw(patches.rows[place], where, "", left)]
    if isinstance(figures, MeanFigures):
        places = [(layer, head) for layer in figures.layers for head in plan.heads[layer]]
        where = f"layer{'s' if len(figures.layers) > 1 else ''} {listed(figures.layers)}"
        why = "" if plan.selection.joint else f"The mean of {len(places)} heads."
        values, pictured = patches.mean(places), "the mean of all heads"
        return heads_and(figures, lambda room: draw(values, where, why, room), pictured, screen, room)
    if not isinstance(figures, TellingFigures):
        raise TypeError(f"{type(figures).__name__} has no picture of an image")
    chosen = figures.chosen
    name, why = name_head(chosen.layer, chosen.head), why_chosen(chosen, plan, screen)
    values, pictured = patches.rows[chosen.layer, chosen.head], f"the most telling head, {name}"
    return heads_and(figures, lambda room: draw(values, name, why, room), pictured, screen, room)


def _queries(figures: QueryFigures, patches: PatchRows, screen: Screen, room: int | None) -> Sequence[RenderableType]:
    """Draw each chosen query in the head where it looks most at one other patch, above the table of its keys."""
    plan = figures.plan
    room = None if plan.selection.all else room
    least = FEWEST_ROWS + 2
    drawn: list[RenderableType] = []
    for row, query in enumerate(patches.queries):
        place = patches.sharpest(row, plan.keys)
        several = "" if len(patches.rows) == 1 else f"Of {len(patches.rows)} heads, it looks most at one patch in this."
        left = None if room is None else room - least - 1 - stacked_height(drawn, screen)
        picture = patch_picture(
            patch_row(plan, patches.rows[place][row], query),
            screen,
            title=title_of(plan, query, name_head(*place)),
            caption=several,
            room=left,
        )
        if drawn and left is not None and stacked_height([picture], screen) > left:
            rest = len(patches.queries) - row
            drawn.append(drawing(caption_lines(f"No room here for {rest} more; --all shows everything.", screen)))
            break
        drawn.append(picture)
    left = None if room is None else room - stacked_height(drawn, screen)
    return [*drawn, *chosen_queries(figures, screen, left)]


def every_row(
    plan: Plan, patches: PatchRows, screen: Screen, row: int = 0, *, marked: tuple[int, int] | None = None
) -> RenderableType:
    """Draw a row of each head as a small picture, with the name of one of them marked.

    Args:
        plan: the plan of the view.
        patches: the rows of each head.
        screen: the screen to draw on.
        row: the index of the query in `patches.queries`; 0 for the mean over all patches.
        marked: layer and number of the head that is marked.
    """
    query = patches.queries[row] if patches.queries else None
    who = "what the patches look at, on average" if query is None else f"what {plan.queries.labels[query]} looks at"
    maps = {place: on_grid(values[row], plan.keys).astype(np.float32) for place, values in patches.rows.items()}
    return grid(
        maps,
        screen,
        kind=plan.kind,
        measure=plan.selection.drawn,
        noun=plan.selection.noun,
        unit="patch",
        axes=f"each square is the image: {who}",
        marked=marked,
    )
