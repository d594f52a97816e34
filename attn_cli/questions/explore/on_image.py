"""The row under the cursor on the grid of an image's patches, beside the image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from attn_cli.data.plan import Plan, name_head
from attn_cli.data.shapes import Float
from attn_cli.draw.labels import clipped
from attn_cli.draw.patches import PatchRow, patch_scale, patch_window
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, MARKED, line
from attn_cli.draw.viewport import NOWHERE, At, Drawn
from attn_cli.measure.patches import on_grid
from attn_cli.questions.explore.walk import Walk
from attn_cli.questions.inspect.draw_patches import patch_row, title_of

if TYPE_CHECKING:
    from attn_cli.questions.explore.beside import Beside

__all__ = ["pictured"]

LEAST_OF_TWO = 12
"""Least lines of two pictures below each other; below, one shows the changes."""


def pictured(walk: Walk, screen: Screen) -> Drawn:
    """Draw the row under the cursor on the image, as large as there is room for; of two images, each with its own."""
    spot, height = walk.spot, screen.height or 24
    plan = walk.scene.plan
    head = f"layer {spot.layer}" if plan.selection.joint else name_head(spot.layer, spot.head)
    named = walk.queries.named(spot.query)
    titles = [title_of(plan, spot.query, head) if walk.laid is None else f"{named} in {head}", f"{named} in {head}"]
    style = MARKED if spot.pane == "picture" else BOLD
    title = next((one for one in titles if len(one) <= screen.width), titles[-1])
    shown = line((clipped(title, screen.width, unicode=screen.unicode), style))
    if walk.laid is None:
        drawn = patch_window(patch_row(plan, walk.row, spot.query), replace(screen, height=height - 1))
        return Drawn([shown, *drawn.lines], NOWHERE, lambda x, y: drawn.at(x, y - 1))
    return _beside(walk, walk.laid, screen, shown.plain)


def _beside(walk: Walk, laid: Beside, screen: Screen, title: str) -> Drawn:
    """Draw the row in both images below each other, or what changes where there is no room for both."""
    spot, height = walk.spot, screen.height or 24
    style = MARKED if spot.pane == "picture" else BOLD
    if height < LEAST_OF_TWO:
        changes = _row_of(walk.row, laid, 0, spot.query, noun="change")
        drawn = patch_window(changes, replace(screen, height=height - 1))
        shown = line((clipped(f"B - A: {title}", screen.width, unicode=screen.unicode), style))
        return Drawn([shown, *drawn.lines], NOWHERE, lambda x, y: drawn.at(x, y - 1))
    sides = laid.sides(spot.layer, spot.head, spot.query)
    rows = [_row_of(values, laid, side, spot.query) for side, values in enumerate(sides)]
    scale = patch_scale(np.concatenate([row.values.ravel() for row in rows]), rows[0].measure)
    lines: list[Text] = []
    at: list[tuple[int, At]] = []
    for side, name in enumerate("AB"):
        told = laid.found.a.source.name if side == 0 else laid.found.b.source.name
        heading = clipped(f"{name} {told}: {title}", screen.width, unicode=screen.unicode)
        part = patch_window(rows[side], replace(screen, height=height // 2 - 1), scale)
        at.append((len(lines) + 1, part.at))
        lines += [line((heading, style)), *part.lines]

    def found(x: int, y: int) -> tuple[int, int] | None:
        start, here = at[0] if y < at[1][0] else at[1]
        return here(x, y - start)

    return Drawn(lines, NOWHERE, found)


def _row_of(values: Float[np.ndarray, "place"], laid: Beside, side: int, query: int, noun: str = "") -> PatchRow:
    """Put a row over the places of two images on the patches of one."""
    plan: Plan = laid.found.plans[side]
    places = laid.found.keys.a if side == 0 else laid.found.keys.b
    rows = laid.found.queries.a if side == 0 else laid.found.queries.b
    own = np.full(len(plan.keys), np.nan)
    known = np.flatnonzero(places >= 0)
    own[places[known]] = values[known]
    row = patch_row(plan, own, int(rows[laid.found.chosen[query]]))
    if noun:
        return replace(row, measure="score", noun=noun, values=on_grid(own, plan.keys))
    return row
