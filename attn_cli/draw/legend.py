"""Parts of a map's legend: which side attends to which, the size of a cell, and the columns with most weight."""

from __future__ import annotations

import numpy as np
from rich.text import Text

from attn_cli.data.selection import Kind, Rows
from attn_cli.data.shapes import Float
from attn_cli.draw.labels import Labels, clipped, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import DIM, PLAIN, Part, cells, line

__all__ = ["attends", "brightest", "cell_note", "when"]

MOST_NAMED = 5
LONGEST_LABEL = 12


def when(rows: Rows) -> str:
    """Name the decoder step that a target word's row belongs to."""
    return "when written" if rows == "output" else "when read"


def attends(kind: Kind, rows: Rows) -> str:
    """Say what rows and columns are."""
    sides = (f"target, {when(rows)}", "source") if kind == "cross" else ("queries", "keys")
    return f"rows ({sides[0]}) attend to columns ({sides[1]})"


def brightest(key: Labels, totals: Float[np.ndarray, "key"], screen: Screen) -> list[Text]:
    """Name the columns with the largest totals, the brightest of a mosaic, on one line."""
    parts: list[Part] = [("most weight in columns", DIM)]
    for column in np.argsort(-totals, kind="stable")[:MOST_NAMED]:
        place = f" {key.positions[column]} "
        label = clipped(key.texts[column], LONGEST_LABEL, unicode=screen.unicode)
        if cells(parts) + len(place) + width(label) + 1 > screen.width:
            break
        parts += [("," if len(parts) > 1 else "", DIM), (place, DIM), (label, PLAIN)]
    return [line(*parts)]


def cell_note(rows: int, columns: int, unit: str, measure: str, screen: Screen) -> str:
    """Say how many units one cell stands for; empty if it is one."""
    rows *= 1 if screen.color and screen.unicode else 2
    if rows == columns == 1:
        return ""
    return f"cell = largest {measure} of {rows} {'×' if screen.unicode else 'x'} {columns} {unit}s"
