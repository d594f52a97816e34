"""The picture of one text's attention for a paper: what the view draws, alone and whole."""

from __future__ import annotations

import numpy as np

from attn_cli.data.pooling import seen_values
from attn_cli.data.regroup import Regroup
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block
from attn_cli.draw.captions import labels_of, sides
from attn_cli.draw.picture import PaperPicture, picture_of_grid, picture_of_map, picture_of_rows, quantity_of
from attn_cli.errors import UsageError
from attn_cli.questions.inspect.draw_maps import view_of
from attn_cli.questions.inspect.draw_written import written_view
from attn_cli.questions.inspect.figures import (
    AlignmentFigures,
    GridFigures,
    MeanFigures,
    OneHeadFigures,
    QueryFigures,
    TellingFigures,
    WrittenFigures,
)
from attn_cli.questions.inspect.measure import Inspection
from attn_cli.questions.inspect.picture_patches import picture_on_image

__all__ = ["picture"]


def picture(answer: Inspection) -> PaperPicture:
    """Return what `attn inspect`, `translate`, `generate` or `view` draws: a map, a grid of maps, or rows.

    Raises:
        UsageError: the model has no attention.
    """
    figures, plan = answer.figures, answer.figures.plan
    unscaled = answer.model.unscaled and plan.selection.measure == "weights"
    if answer.patches is not None:
        return picture_on_image(figures, answer.patches, unscaled=unscaled)
    quantity = quantity_of(plan.selection, unscaled=unscaled)
    signed = plan.selection.scores
    if isinstance(figures, GridFigures):
        maps = figures.maps.maps if figures.maps.size == 1 else _whole_maps(answer)
        return picture_of_grid(dict(maps), quantity, signed=signed)
    if isinstance(figures, QueryFigures):
        labels = labels_of(plan.queries)
        names = [labels.named(query) for query in plan.chosen or ()]
        keys, named = labels_of(plan.keys), sides(plan.kind, plan.step)
        maps, joint = _whole_maps(answer), plan.selection.joint
        return picture_of_rows(maps, names, keys, named, quantity, signed=signed, joint=joint)
    if isinstance(figures, WrittenFigures):
        return picture_of_map(written_view(figures), quantity)
    if isinstance(figures, OneHeadFigures):
        shown = figures.map
    elif isinstance(figures, MeanFigures):
        shown = figures.mean
    elif isinstance(figures, TellingFigures):
        shown = figures.telling.map
    elif isinstance(figures, AlignmentFigures):
        shown = figures.alignment.map
    else:
        raise UsageError(f"There is no figure: {answer.model.without_attention}", "Name another model with --model")
    return picture_of_map(view_of(plan, shown), quantity)


def _whole_maps(answer: Inspection) -> dict[tuple[int, int], Float[np.ndarray, "query key"]]:
    """Return every value of the maps that the answer holds, by layer and head: of the rows chosen, or of all."""
    plan = answer.figures.plan
    rows = list(range(len(plan.queries)) if plan.chosen is None else plan.chosen)
    place = {query: row for row, query in enumerate(rows)}
    maps = {
        (layer, head): np.full((len(rows), len(plan.keys)), np.nan, np.float32)
        for layer, heads in plan.heads.items()
        for head in heads
    }

    def eat(block: Block) -> None:
        """Consume some rows of a layer."""
        values = block.scores if plan.selection.scores and block.scores is not None else block.weights
        values = seen_values(values, block.visible)
        for row in range(values.shape[1]):
            if (kept := place.get(block.start + row)) is not None:
                for index, head in enumerate(block.heads):
                    maps[block.layer, head][kept, : values.shape[2]] = values[index, row]

    answer.stream(plan.request(), Regroup(plan.queries, plan.keys, eat))
    return maps
