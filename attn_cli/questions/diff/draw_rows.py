"""Changes in the rows of some words: their strongest keys in each head, and one head's two rows side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rich.console import Group, RenderableType

from attn_cli.data.plan import name_head
from attn_cli.data.shapes import Float, Int
from attn_cli.draw.captions import labels_of
from attn_cli.draw.labels import clipped_name, width
from attn_cli.draw.layout import fitting, stacked_height
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, cells, drawing, line, number
from attn_cli.draw.table import Column, bars, figures, table
from attn_cli.questions.diff.draw_heads import cut, ranking
from attn_cli.questions.diff.measure import Differences, HeadChange

__all__ = ["rows_of_words"]

LONGEST_LABEL = 14
MOST_KEYS = 30
"""Most keys of two rows to show; of more keys, those with the most weight are shown, in their own order."""


def rows_of_words(found: Differences, screen: Screen, room: int | None) -> list[RenderableType]:
    """Draw the rows of the words asked for: the strongest keys of each head, then one head's two rows side by side."""
    heads = found.listed
    sides = [_side_by_side(found, found.heads[0], row, screen) for row in range(len(found.chosen))]
    if len(heads) == 1:
        return sides
    if room is not None:
        room -= stacked_height(sides, screen)
    ranked = [
        fitting(lambda limit, row=row: _looks(found, heads[:limit], row, screen), len(heads), screen, room)  # type: ignore[misc]
        for row in range(len(found.chosen))
    ]
    return [*ranked, *sides]


def _looks(found: Differences, heads: Sequence[HeadChange], row: int, screen: Screen) -> RenderableType:
    """Draw a table of the strongest keys of one word in each head, in A and in B."""
    place = found.chosen[row]
    shares = [HeadChange(head.layer, head.head, float(head.rows[row]), head.rows, None) for head in heads]
    ranked = ranking(found, shares, screen, "of this row")
    room = (screen.width - sum(column.width + 2 for column in ranked) - 2) // 2
    sides = [_strongest(found, heads, row, side, room, screen) for side in range(2)]
    title = line(
        (clipped_name(found.queries.named(place), screen.width // 2, unicode=screen.unicode), BOLD),
        (f"  query {_numbers(found, place)}: its strongest keys", DIM),
    )
    return Group(drawing([title]), table([*ranked, *sides], screen, order=found.sort, caption=cut(found, len(heads))))


def _numbers(found: Differences, place: int) -> str:
    """Write a query's position in A, and in B if it differs."""
    axis = found.queries
    one, other = (units.positions[side[place]] for units, side in zip(axis.units, (axis.a, axis.b), strict=True))
    return str(one) if one == other else f"{one} in A, {other} in B"


def _strongest(
    found: Differences, heads: Sequence[HeadChange], row: int, side: int, room: int, screen: Screen
) -> Column:
    """Make a column of each head's strongest keys in A or in B, as many as there is room for."""
    plan = found.plans[side]
    index = (found.keys.a, found.keys.b)[side]
    labels = labels_of(plan.keys)
    ranked: list[list[Part]] = []
    for head in heads:
        weights = found.maps(head.layer, head.head)[side][row]
        parts: list[Part] = []
        for key in np.argsort(-weights, kind="stable")[: plan.selection.top_k].tolist():
            if not weights[key] > 0:
                break
            label = clipped_name(labels.parts(int(index[key])), 10, unicode=screen.unicode)
            value = float(weights[key])
            text = f"{value:+.2f}" if found.a.selection.scores else number(value, unicode=screen.unicode)
            piece = f"{'  ' if parts else ''}{label} {text}"
            if parts and cells(parts) + width(piece) > room:
                break
            parts.append((piece, DIM if parts else PLAIN))
        ranked.append(parts)
    return Column("AB"[side], ranked, right=False)


def _side_by_side(found: Differences, head: HeadChange, row: int, screen: Screen) -> RenderableType:
    """Draw one head's row in A and in B, key by key."""
    a, b = (side[row] for side in found.maps(head.layer, head.head))
    seen = np.flatnonzero(np.isfinite(found.changes(head.layer, head.head)[row]))
    keys = seen
    if len(seen) > MOST_KEYS:
        keys = np.sort(seen[np.argsort(-np.maximum(a, b)[seen], kind="stable")[:MOST_KEYS]])
    places = keys.tolist()
    sides = [
        figures(name, [float(side[key]) for key in places], form="+.2f")
        if found.a.selection.scores
        else _where(name, side, own, places, screen)
        for name, side, own in (("A", a, found.keys.a), ("B", b, found.keys.b))
    ]
    named = [clipped_name(found.keys.named(key), LONGEST_LABEL, unicode=screen.unicode) for key in places]
    columns = [
        Column("key", [[(key, BOLD)] for key in named], right=False),
        *sides,
        figures("change", (b - a)[keys].tolist(), form="+.2f"),
    ]
    left_out = len(seen) - len(places)
    caption = f"{left_out:,} keys with less weight are left out." if left_out else ""
    which = "" if len(found.heads) == 1 else " changed most:"
    word = clipped_name(found.queries.named(found.chosen[row]), screen.width // 3, unicode=screen.unicode)
    title = line(
        (f"Head {name_head(head.layer, head.head)}{which} from {word}", BOLD),
        (
            f"  {head.rows[row]:.3f} {'nats' if found.a.selection.scores else 'bits'}"
            if np.isfinite(head.rows[row])
            else f"  {'shares' if found.a.selection.scores else 'sees'} only one key",
            DIM,
        ),
    )
    return Group(drawing([title]), table(columns, screen, caption=caption))


def _where(
    name: str,
    weights: Float[np.ndarray, "key"],
    own: Int[np.ndarray, "key"],
    places: Sequence[int],
    screen: Screen,
) -> Column:
    """Make a column of bars of one side's weights, blank for keys that it does not have."""
    drawn = bars(name, weights[list(places)].tolist(), screen)
    return replace(drawn, cells=[bar if own[key] >= 0 else [] for key, bar in zip(places, drawn.cells, strict=True)])
