"""Drawing of where the weight of a map lies in a long text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group

from attn_cli.data.plan import Plan
from attn_cli.draw.captions import labels_of
from attn_cli.draw.labels import Labels, clipped_name
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, drawing, flow, number, title_lines
from attn_cli.draw.table import Column, numeral, table
from attn_cli.measure.spread import Tenth, WeightSpread

__all__ = ["weight_by_tenths"]

LONGEST_END = 14
"""Most cells of a word's name."""
STRIKING, LEAST_STRIKING = 1.5, 0.05
"""Times the even share, and the share itself, from which a share is set off."""
FAINTEST = 0.01
"""Least weight of a far link that is named."""
RANKS = (0, 4, 8, 2, 6, 1, 7, 3, 5, 0)
"""Order in which tenths are left out of too narrow a screen, the highest first; the ends of the text stay."""


def weight_by_tenths(spread: WeightSpread, plan: Plan, screen: Screen) -> Group:
    """Draw the share of the weight in each tenth of the text, beside that of even rows, the sinks and the far links."""
    queries, keys, noun = labels_of(plan.queries), labels_of(plan.keys), plan.selection.noun
    starts = [str(keys.positions[one.start]) for one in spread.tenths]
    counted = [str(place) for place in range(1, len(spread.tenths) + 1)]
    widest, *narrower = (
        [
            Column(name, [[(noun, PLAIN)], [("even", DIM)]], right=False),
            *(
                Column(heading, _cells(one, screen, short=short), rank=rank)
                for heading, one, rank in zip(headings, spread.tenths, RANKS, strict=True)
            ),
        ]
        for name, headings, short in (
            (f"from {plan.unit}", starts, False),
            ("tenth", counted, False),
            ("tenth", counted, True),
        )
    )
    title = f"Its {noun} by tenths of the text"
    said = "even: if rows were even."
    if resting := _resting(plan):
        said = f"Without the {spread.resting:.2f} that rests on {resting}; {said}"
    below = [*_sinks(spread, keys, screen), *_links(spread, queries, keys, plan.unit, screen)]
    return Group(drawing(title_lines(title, screen)), table(widest, screen, narrower=narrower, caption=said), *below)


def _resting(plan: Plan) -> str:
    """Name the keys where heads rest; empty if there are none (see `resting`)."""
    first = plan.kind == "decoder" and plan.keys.shows_first
    special = any(plan.keys.special[1:] if first else plan.keys.special)
    return " and ".join(["the first token"] * first + ["special tokens"] * special)


def _cells(tenth: Tenth, screen: Screen, *, short: bool) -> list[list[Part]]:
    """Draw the share of one tenth above that of even rows, without the 0 before the point if that is to be short."""
    shares = [
        "–" if math.isnan(share) else number(share, unicode=screen.unicode) if short else numeral(share, ".2f")
        for share in (tenth.share, tenth.even)
    ]
    striking = tenth.share >= max(STRIKING * tenth.even, LEAST_STRIKING)
    return [[(shares[0], BOLD if striking else PLAIN)], [(shares[1], DIM)]]


def _sinks(spread: WeightSpread, keys: Labels, screen: Screen) -> list[Group]:
    """Name the keys that take much of all weight; no line if there are none."""
    named = [[(f"{_name(keys, one.key, screen)} ", PLAIN), (f"{one.share:.2f}", DIM)] for one in spread.sinks]
    return _listed("sinks, of all weight:", named, screen)


def _links(spread: WeightSpread, queries: Labels, keys: Labels, unit: str, screen: Screen) -> list[Group]:
    """Name the strongest far links; no line if there are none."""
    if spread.apart is None:
        return []
    lead = f"far links, {spread.apart:,} {unit}s or more:"
    arrow = " → " if screen.unicode else " > "
    named: list[list[Part]] = [
        [
            (_name(queries, link.query, screen), PLAIN),
            (arrow, DIM),
            (f"{_name(keys, link.key, screen)} ", BOLD),
            (f"{link.weight:z.2f}", PLAIN),
        ]
        for link in spread.links
        if link.weight >= FAINTEST
    ]
    return _listed(lead, named or [[(f"none of {FAINTEST} or more", DIM)]], screen)


def _listed(lead: str, pieces: Sequence[Sequence[Part]], screen: Screen) -> list[Group]:
    return [drawing(flow([[(lead, DIM)], *pieces], screen, between="  "))] if pieces else []


def _name(labels: Labels, index: int, screen: Screen) -> str:
    return clipped_name(labels.parts(index), LONGEST_END, unicode=screen.unicode)
