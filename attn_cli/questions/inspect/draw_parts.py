"""Drawing of how much each part of a prompt is looked at."""

from __future__ import annotations

import numpy as np
from rich.console import Group, RenderableType

from attn_cli.data.parts import PartShares
from attn_cli.data.plan import Plan
from attn_cli.data.shapes import Float
from attn_cli.draw.captions import labels_of
from attn_cli.draw.labels import clipped_name
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import drawing, title_lines
from attn_cli.draw.table import bars, figures, names, table
from attn_cli.errors import counted

__all__ = ["share_of_parts"]

LONGEST = 32
"""Most cells of a part's name."""
LONGEST_ROW = 16
"""Most cells of the name of the only row."""


def share_of_parts(parts: PartShares, plan: Plan, screen: Screen) -> RenderableType:
    """Draw a line about each part: its share of the rows, the same with the sink set aside, and that of an even row."""
    if len(parts.rows) > 1:
        rows = f"{len(parts.rows)} {plan.queries.unit}s"
    else:
        name = clipped_name(labels_of(plan.queries).parts(parts.rows[0]), LONGEST_ROW, unicode=screen.unicode)
        rows = f"{'the last row, ' if plan.chosen is None and not plan.begins else ''}{''.join(name)}"
    title = f"Who is looked at by {rows}; mean of {counted(parts.heads, 'head')}"
    shares, even = _means(parts.shares), _means(parts.even)
    said = f"share: of the row's {plan.selection.noun}."
    columns = [
        names("part", parts.names, screen, most=LONGEST),
        figures("tokens", parts.tokens, form=",.0f", faint=0, rank=2),
    ]
    if parts.first is None:
        columns.append(bars("share", shares, screen))
    else:
        said += f" sink aside: of what is not on the first token, which takes {float(parts.sinks.mean()):.2f}."
        columns += [figures("share", shares, rank=0), bars("sink aside", _means(parts.aside), screen)]
    columns.append(figures("even", even, rank=1, note=f"{said} even: of a row that gives every token the same."))
    return Group(drawing(title_lines(title, screen)), table(columns, screen))


def _means(shares: Float[np.ndarray, "row part"]) -> list[float]:
    """Return the mean of each column over the rows that have a number in it."""
    known = np.isfinite(shares)
    counts = known.sum(axis=0)
    totals = np.where(known, shares, 0).sum(axis=0)
    means: list[float] = np.divide(totals, counts, out=np.full(len(totals), np.nan), where=counts > 0).tolist()
    return means
