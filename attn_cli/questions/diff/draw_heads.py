"""Heads ranked by how much they changed, and the difference of the one that changed most as a heatmap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich.console import RenderableType

from attn_cli.data.plan import name_head
from attn_cli.draw.atlas import atlas, written_scores
from attn_cli.draw.colors import Scale
from attn_cli.draw.heatmap import heatmap
from attn_cli.draw.labels import Labels, clipped_name
from attn_cli.draw.layout import overview
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen
from attn_cli.draw.table import Column, arrows, bars, figures, names, table
from attn_cli.questions.diff.measure import Differences, HeadChange
from attn_cli.questions.diff.overlay import Overlay

__all__ = ["SAME", "change_view", "changed_heads", "cut", "labels_of_places", "ranking"]

LONGEST_LABEL = 14
NO_BARS = 50
"""Width of the screen in columns below which there is no room for bars."""
SAME = 1e-6
"""Divergence in bits below which nothing changed but the last digits of float32."""


def changed_heads(found: Differences, screen: Screen, room: int | None) -> list[RenderableType]:
    """Draw the heads, and the difference of the one that changed most."""
    heads = found.listed
    return overview(
        lambda room: _atlas(found, screen, room),
        lambda limit: _table(found, heads[:limit], screen),
        len(heads),
        lambda room: _picture(found, screen, room),
        f"head {name_head(found.heads[0].layer, found.heads[0].head)}, which changed most",
        screen,
        room,
    )


def _table(found: Differences, heads: Sequence[HeadChange], screen: Screen) -> RenderableType:
    least, most = found.telling
    size = "of one row" if most == 1 else f"mean over {most if least == most else f'{least} to {most}'} rows"
    largest = [head.largest for head in heads]
    columns = [
        *ranking(found, heads, screen, size),
        _changed(found, heads, screen),
        figures("A", [None if one is None else one.a for one in largest]),
        figures("B", [None if one is None else one.b for one in largest]),
    ]
    return table(columns, screen, order=found.sort, caption=cut(found, len(heads)))


def ranking(found: Differences, heads: Sequence[HeadChange], screen: Screen, size: str) -> list[Column]:
    """Make the columns of the heads' names, and of how much each changed."""
    scores = found.a.selection.scores
    how = "change" if scores else "divergence"
    if scores:
        note = (
            f"{how}: root mean square, {size}, of scores minus the mean of their row, over the keys of both, in nats."
        )
    else:
        note = f"{how}: Jensen-Shannon in bits, {size}; 0 the same, 1 no key in common."
    shares = [head.divergence for head in heads]
    # Most heads change little, so the longest bar is the largest divergence of all.
    drawn = bars(how, shares, screen, high=found.most, form=".3f")
    if screen.width < NO_BARS:
        drawn = figures("change" if scores else "div.", shares, form=".3f", faint=0.0)
    return [
        names("head", [name_head(head.layer, head.head) for head in heads], screen, right=True),
        replace(drawn, note=note),
    ]


def _changed(found: Differences, heads: Sequence[HeadChange], screen: Screen) -> Column:
    """Make a column of the weight that changed most in each head."""
    most = max(min(LONGEST_LABEL, (screen.width - 42) // 2), 4)
    largest = [head.largest for head in heads]

    def end(axis: Overlay, place: int | None) -> str:
        return "" if place is None else clipped_name(axis.named(place), most, unicode=screen.unicode)

    starts = [end(found.queries, None if one is None else one.query) for one in largest]
    ends = [end(found.keys, None if one is None else one.key) for one in largest]
    return arrows("largest change" if screen.width >= NO_BARS else "change", starts, ends, screen)


def cut(found: Differences, shown: int) -> str:
    """Say which heads are left out; nothing if none are."""
    count = len(found.heads)
    if shown == count:
        return ""
    how = "those that changed most" if found.sort == "divergence" else "the first"
    return f"{shown} of {count:,} heads, {how}; --all shows all."


def _atlas(found: Differences, screen: Screen, room: int | None) -> list[RenderableType]:
    values = {(head.layer, head.head): head.divergence for head in found.heads}
    scale = Scale.weights(max(found.most, SAME))
    if found.a.selection.scores:
        written, title = written_scores(values), "Change of each head"
        return atlas(values, screen, name="nats", scale=scale, written=written, title=title, room=room)
    return atlas(values, screen, name="bits", scale=scale, places=3, title="Divergence of each head", room=room)


def _picture(found: Differences, screen: Screen, room: int | None) -> RenderableType:
    """Draw the difference of the head that changed most."""
    head = found.heads[0]
    view = change_view(found, head.layer, head.head)
    count = len(found.heads)
    which = ", which changed most" if count > 1 else ""
    title, more = f"Head {name_head(head.layer, head.head)}{which}: B - A", f"; --all shows all {count:,} heads"
    if room is not None and count > 1 and len(title + more) <= screen.width:
        title += more
    return heatmap(view, screen, title=title, room=room)


def change_view(found: Differences, layer: int, head: int) -> MapView:
    """Return the map of a head's weights in B less those in A, with the labels of both."""
    plan = found.plans[0]
    return MapView(
        found.changes(layer, head),
        labels_of_places(found.queries, found.chosen, positions=True),
        labels_of_places(found.keys, range(len(found.keys))),
        plan.kind,
        "change",
        plan.unit,
        None,
        plan.step,
    )


def labels_of_places(axis: Overlay, places: Iterable[int], *, positions: bool = False) -> Labels:
    """Make the labels of some places, each with its own number or with its position in A."""
    chosen = list(places)
    return Labels(
        [axis.labels[place] for place in chosen],
        [axis.special[place] for place in chosen],
        [axis.units[0].positions[axis.a[place]] for place in chosen] if positions else chosen,
    )
