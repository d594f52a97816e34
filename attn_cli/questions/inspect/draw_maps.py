"""Drawings of maps: one head's, the mean of many beside a line about each head, the one that aligns words, or all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.data.plan import Plan, listed, name_head
from attn_cli.data.selection import Selection, SortKey
from attn_cli.draw.atlas import atlas
from attn_cli.draw.captions import labels_of
from attn_cli.draw.grid import grid
from attn_cli.draw.heatmap import heatmap, panels
from attn_cli.draw.labels import clipped_name
from attn_cli.draw.layout import overview, stacked_height
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen
from attn_cli.measure.maps import MeanMap
from attn_cli.measure.summary import HeadSummary
from attn_cli.measure.telling import TellingHead
from attn_cli.questions.inspect.draw_spread import weight_by_tenths
from attn_cli.questions.inspect.figures import (
    AlignmentFigures,
    Figures,
    GridFigures,
    MeanFigures,
    OneHeadFigures,
    TellingFigures,
)
from attn_cli.questions.inspect.tables import head_table

__all__ = [
    "alignment",
    "all_heads",
    "cut_note",
    "every_map",
    "figures_of_head",
    "heads_and",
    "in_order",
    "mean_of_heads",
    "one_head",
    "view_of",
    "why_chosen",
]

OTHER_STEP = {
    "input": "A row is the step that reads its word; --rows output: the step that writes it.",
    "output": "A row is the step that writes its word; --rows input: the step that reads it.",
}
LOWEST_MAP = 14
"""Fewest lines for a map that leave room for more below it."""
LONGEST_END = 14
"""Most cells of either end of the link that a caption names."""
# Layers keep their order; everything else has the largest first, except entropy, where a small value is telling.
ORDER: Mapping[SortKey, Callable[[HeadSummary], float]] = {
    "focus": lambda row: -row.focus,
    "entropy": lambda row: row.entropy,
    "distance": lambda row: -_or_least(row.distance),
    "first": lambda row: -_or_least(row.first),
    "itself": lambda row: -_or_least(row.itself),
    "previous": lambda row: -_or_least(row.previous),
    "link": lambda row: -(row.links[0].weight if row.links else -math.inf),
}


def _or_least(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value


def in_order(heads: Sequence[HeadSummary], sort: SortKey, limit: int | None) -> list[HeadSummary]:
    """Return the heads in the order asked for, at most `limit` of them.

    If not all fit by layer, those with the strongest links are kept: they are the most telling about this text.
    """
    if sort != "layer":
        return sorted(heads, key=ORDER[sort])[:limit]
    if limit is None or limit >= len(heads):
        return list(heads)
    chosen = sorted(heads, key=ORDER["link"])[:limit]
    return sorted(chosen, key=lambda row: (row.layer, row.head))


def cut_note(shown: int, heads: int, sort: SortKey, chosen: str) -> str:
    """Describe which heads a table shows; return an empty string if it shows all.

    Args:
        shown: the number of heads that it shows.
        heads: the number of all heads.
        sort: the order of the heads.
        chosen: a phrase on how they were chosen, if the order is by layer.
    """
    if shown == heads:
        return ""
    end = {"entropy": "lowest", "link": "strongest"}.get(sort, "highest")
    why = chosen if sort == "layer" else f"{end} {sort} first"
    return f"{shown} of {heads:,} heads, {why}; --all shows every head."


def view_of(plan: Plan, collected: MeanMap) -> MapView:
    """Convert a collected map for a heatmap."""
    return MapView(
        collected.pooled or collected.values,
        labels_of(plan.queries),
        labels_of(plan.keys),
        plan.kind,
        plan.selection.drawn,
        plan.unit,
        collected.visible,
        plan.step,
        plan.selection.noun,
    )


def _large(
    figures: Figures,
    collected: MeanMap,
    screen: Screen,
    room: int | None,
    *,
    title: str,
    caption: str = "",
    mark_strongest: bool = False,
) -> RenderableType:
    """Draw the map of a view, and below that of a long text, where there is room, where its weight lies.

    Args:
        figures: the figures of the view.
        collected: the map.
        screen: the screen to draw on.
        room: most lines that both should take; None for no limit.
        title: a line above the map.
        caption: a line below the map.
        mark_strongest: see `heatmap`.
    """
    view = view_of(figures.plan, collected)
    below: list[RenderableType] = []
    if figures.spread is not None:
        spread = weight_by_tenths(figures.spread, figures.plan, screen)
        left = None if room is None else room - stacked_height([spread], screen)
        if left is None or left >= LOWEST_MAP:
            room, below = left, [Text(""), spread]
        else:
            caption = f"{caption} No room here for its {view.name} by tenths of the text.".strip()
    picture = heatmap(view, screen, title=title, caption=caption, mark_strongest=mark_strongest, room=room)
    return Group(picture, *below)


def _of_weights(selection: Selection) -> str:
    """Return the remark on the table of heads if maps show scores; else an empty string."""
    return "The table shows the weights that the scores give." if selection.scores else ""


def one_head(figures: OneHeadFigures, screen: Screen, room: int | None) -> Sequence[RenderableType]:
    """Draw a single head's figures, its table of weights, and the heatmap under them."""
    plan, selection = figures.plan, figures.plan.selection
    noun = selection.noun
    view = view_of(plan, figures.map)
    name = name_head(figures.layer, figures.head)
    table = figures_of_head(figures, screen)
    parts: list[RenderableType] = [table]
    if figures.numbered:
        title = f"{noun.capitalize()}s of head {name}"
        title = f"{noun.capitalize()} to layer {figures.layer}" if selection.joint else title
        parts.append(heatmap(view, screen, title=title, numbers=True, mark_strongest=True))
    if not figures.numbered or panels(view, screen) > 1:
        caption = "" if figures.numbered else f"--all prints every {noun}."
        title = f"{f'Layer {figures.layer}' if selection.joint else f'Head {name}'} at a glance"
        room = None if room is None else room - stacked_height([table], screen)
        parts.append(_large(figures, figures.map, screen, room, title=title, caption=caption, mark_strongest=True))
    return parts


def figures_of_head(figures: OneHeadFigures, screen: Screen) -> RenderableType:
    """Draw the figures of a single head."""
    plan = figures.plan
    queries, keys = labels_of(plan.queries), labels_of(plan.keys)
    return head_table(figures.heads, queries, keys, screen, caption=_of_weights(plan.selection))


def all_heads(figures: TellingFigures, screen: Screen, room: int | None) -> Sequence[RenderableType]:
    """Draw a line about each head, and the most telling of them as a heatmap."""
    name = f"the most telling head, {name_head(figures.chosen.layer, figures.chosen.head)}"
    return heads_and(figures, lambda room: _telling(figures, screen, room), name, screen, room)


def mean_of_heads(figures: MeanFigures, screen: Screen, room: int | None) -> Sequence[RenderableType]:
    """Draw a line about each head, and the mean of the heads as a heatmap."""
    return heads_and(figures, lambda room: _mean(figures, screen, room), "the mean of all heads", screen, room)


def heads_and(
    figures: Figures, picture: Callable[[int | None], RenderableType], pictured: str, screen: Screen, room: int | None
) -> list[RenderableType]:
    """Draw a line about each head, and a picture below them; see `overview`."""
    heads = figures.heads
    return overview(
        lambda room: _atlas(heads, figures.plan.selection, screen, room),
        lambda limit: _table(figures.plan, heads, screen, limit),
        len(heads),
        picture,
        pictured,
        screen,
        None if figures.plan.selection.all else room,
    )


def _telling(figures: TellingFigures, screen: Screen, room: int | None) -> RenderableType:
    plan, chosen = figures.plan, figures.chosen
    title = f"{plan.selection.noun.capitalize()}s of head {name_head(chosen.layer, chosen.head)}"
    more = f"; --all shows all {plan.head_count:,} heads"
    if room is not None and len(title + more) <= screen.width:
        title += more
    why = why_chosen(chosen, plan, screen)
    return _large(figures, figures.telling.map, screen, room, title=title, caption=why, mark_strongest=True)


def why_chosen(chosen: TellingHead, plan: Plan, screen: Screen) -> str:
    """Say why this head is shown."""
    if chosen.link is None:
        one = "word" if plan.unit == "token" else plan.unit
        return f"The first of {plan.head_count:,} heads: in none does a {one} look at another {one}."
    ends = labels_of(plan.queries).parts(chosen.link.query), labels_of(plan.keys).parts(chosen.link.key)
    query, key = (clipped_name(end, LONGEST_END, unicode=screen.unicode) for end in ends)
    link = f"{query} {'→' if screen.unicode else '>'} {key} {chosen.link.weight:z.2f}"
    if chosen.guided is not None:
        return f"Trained to look {chosen.guided.towards}: {link}."
    # A link to the next word is named only where no word looks farther.
    far = not plan.crosses and abs(chosen.link.query - chosen.link.key) > 1
    above = f"the link most above its key's mean{', neighbours aside' if far else ''}"
    return f"The most telling of {plan.head_count:,} heads (attn terms telling): {link}, {above}."


def _mean(figures: MeanFigures, screen: Screen, room: int | None) -> RenderableType:
    noun = figures.plan.selection.noun
    layers = f"layer{'s' if len(figures.layers) > 1 else ''} {listed(figures.layers)}"
    title = f"Mean {noun} of {figures.mean.heads} heads, {layers}"
    if figures.plan.selection.joint:
        title = f"{noun.capitalize()} to {layers}" if len(figures.layers) == 1 else f"Mean {noun} to {layers}"
    return _large(figures, figures.mean, screen, room, title=title)


def _table(plan: Plan, heads: Sequence[HeadSummary], screen: Screen, limit: int | None) -> RenderableType:
    sort = plan.selection.sort
    chosen = in_order(heads, sort, limit)
    linked = any(row.links for row in heads)
    how = "those with the strongest links" if linked else "the first"
    caption = f"{_of_weights(plan.selection)} {cut_note(len(chosen), len(heads), sort, how)}".strip()
    queries, keys = labels_of(plan.queries), labels_of(plan.keys)
    return head_table(chosen, queries, keys, screen, sort=sort, apart=limit is None, caption=caption)


def _atlas(
    heads: Sequence[HeadSummary], selection: Selection, screen: Screen, room: int | None
) -> list[RenderableType]:
    # One head per layer needs no picture beside the table, and relevance has another.
    if selection.joint or selection.relevance:
        return []
    return atlas({(row.layer, row.head): row.focus for row in heads}, screen, room=room)


def alignment(figures: AlignmentFigures, screen: Screen, room: int | None) -> Sequence[RenderableType]:
    """Draw the cross-attention of a translation: for each output word, the input words that it attends to."""
    found, plan = figures.alignment, figures.plan
    return [
        heatmap(
            view_of(plan, found.map),
            screen,
            title=found.title,
            caption=f"{found.reason} {OTHER_STEP[plan.rows]}".strip(),
            numbers=plan.selection.all,
            mark_strongest=True,
            room=room,
            legible=True,  # words are worth scrolling for
        )
    ]


def every_map(
    figures: GridFigures, screen: Screen, room: int | None, *, marked: tuple[int, int] | None = None
) -> Sequence[RenderableType]:
    """Draw all heads side by side, each as a small heatmap, with a row of the grid per layer, one of them marked."""
    del room  # all of them were asked for
    plan, selection = figures.plan, figures.plan.selection
    return [
        grid(
            figures.maps.maps,
            screen,
            kind=plan.kind,
            rows=plan.step,
            measure=selection.drawn,
            noun=selection.noun,
            pooled=figures.maps.size,
            unit=plan.unit,
            marked=marked,
        )
    ]
