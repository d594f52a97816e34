"""Drawing of how much each part of a prompt is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rich.console import Group, RenderableType

from attn_cli.data.parts import PartShares
from attn_cli.data.plan import Plan, name_head
from attn_cli.data.shapes import Float
from attn_cli.draw.captions import labels_of
from attn_cli.draw.labels import clipped_name
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import drawing, title_lines
from attn_cli.draw.table import bars, figures, names, table

__all__ = ["share_of_parts"]

LONGEST = 32
"""Most cells of a part's name."""
FIGURES = 21
"""Cells of the columns that are never left out."""
LONGEST_ROW = 16
"""Most cells of the name of the only row."""


def share_of_parts(parts: PartShares, plan: Plan, screen: Screen) -> RenderableType:
    """Draw a line about each part: its share of the rows, the same with the sink set aside, and that of an even row."""
    if len(parts.rows) > 1:
        rows = f"{len(parts.rows)} {plan.queries.unit}s"
    else:
        row = plan.queries.positions.index(parts.rows[0])
        name = clipped_name(labels_of(plan.queries).parts(row), LONGEST_ROW, unicode=screen.unicode)
        rows = f"{'the last row, ' if plan.chosen is None and not plan.begins else ''}{''.join(name)}"
    heads = f"mean of {parts.heads:,} heads" if parts.heads > 1 else f"head {name_head(*plan.places[0][1:])}"
    title = f"Who is looked at by {rows}; {heads}"
    shares, even = _means(parts.shares), _means(parts.even)
    said = f"share: of the row's {plan.selection.noun}."
    columns = [
        names("part", parts.names, screen, most=min(LONGEST, screen.width - FIGURES)),
        figures("tokens", parts.tokens, form=",.0f", faint=0, rank=2),
    ]
    if parts.first is None:
        columns.append(replace(bars("share", shares, screen), note=said))
    else:
        said += f" sink aside: of what is not on the first token, which takes {float(parts.sinks.mean()):.2f}."
        columns += [figures("share", shares, note=said), bars("sink aside", _means(parts.aside), screen)]
    columns.append(figures("even", even, rank=1, note="even: of a row that gives every token the same."))
    return Group(drawing(title_lines(title, screen)), table(columns, screen))


def _means(shares: Float[np.ndarray, "row part"]) -> list[float]:
    """Return the mean of each column over the rows that have a number in it."""
    known = np.isfinite(shares)
    counts = known.sum(axis=0)
    totals = np.where(known, shares, 0).sum(axis=0)
    means: list[float] = np.divide(totals, counts, out=np.full(len(totals), np.nan), where=counts > 0).tolist()
    return means
