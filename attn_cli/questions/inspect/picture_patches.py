"""The picture of an image's attention for a paper: rows on its grid of patches, as the terminal draws them."""

from __future__ import annotations

from attn_cli.draw.captions import labels_of
from attn_cli.draw.picture import PaperPicture, picture_of_images, picture_of_patches, quantity_of
from attn_cli.measure.patches import PatchRows
from attn_cli.questions.inspect.draw_patches import patch_row
from attn_cli.questions.inspect.figures import Figures, MeanFigures, TellingFigures

__all__ = ["picture_on_image"]

EVERY_PATCH = "all patches, on average"


def picture_on_image(figures: Figures, patches: PatchRows, *, unscaled: bool) -> PaperPicture:
    """Return one row over the image, or a small picture of each head.

    Args:
        figures: the figures of the view.
        patches: the rows to draw.
        unscaled: True if rows need not sum to 1.
    """
    plan, queries = figures.plan, patches.queries or (None,)
    labels = labels_of(plan.queries)
    names = [EVERY_PATCH if query is None else labels.named(query) for query in queries]
    several = len(names) > 1
    quantity = quantity_of(plan.selection, unscaled=unscaled, query="" if several else names[0])
    if isinstance(figures, MeanFigures):
        heads = [(layer, head) for layer in figures.layers for head in plan.heads[layer]]
        return picture_of_patches(patch_row(plan, patches.mean(heads)[0], queries[0]), quantity)
    places = list(patches.rows)
    if isinstance(figures, TellingFigures):
        places = [(figures.chosen.layer, figures.chosen.head)]
    rows = {
        place: [patch_row(plan, values, query) for values, query in zip(patches.rows[place], queries, strict=True)]
        for place in places
    }
    if len(places) == 1:  # the queries lie side by side
        (own,) = rows.values()
        return (
            picture_of_images([own], [""], names, ("", "queries"), quantity)
            if several
            else (picture_of_patches(own[0], quantity))
        )
    layers, heads_across = (sorted({place[side] for place in places}) for side in (0, 1))
    if plan.selection.joint:
        tiles = [[rows[place][number] for place in places] for number in range(len(names))]
        across, sides = [str(layer) for layer, _ in places], ("queries" if several else "", "layers")
        return picture_of_images(tiles, names if several else [""], across, sides, quantity)
    down = [(number, layer) for number in range(len(names)) for layer in layers]
    return picture_of_images(
        [
            [rows[layer, head][number] if (layer, head) in rows else None for head in heads_across]
            for number, layer in down
        ],
        [f"{names[number]} {layer}" if several else str(layer) for number, layer in down],
        [str(head) for head in heads_across],
        ("queries and layers" if several else "layers", "heads"),
        quantity,
    )
