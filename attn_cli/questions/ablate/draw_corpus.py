"""Drawing of how weight and effect go together in the heads of a corpus."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType

from attn_cli.data.plan import name_head
from attn_cli.draw.atlas import Written, atlas
from attn_cli.draw.captions import guided_line, model_line, remarks
from attn_cli.draw.colors import CHANGES
from attn_cli.draw.layout import fitting, room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import change, drawing, stacked, text_lines
from attn_cli.draw.table import figures, names, table
from attn_cli.errors import counted
from attn_cli.questions.ablate.corpus import Correlations
from attn_cli.questions.ablate.trials import LISTED

__all__ = ["draw_corpus"]


def draw_corpus(found: Correlations, screen: Screen) -> Group:
    """Draw how weight and effect go together in each head of a corpus."""
    much = f"{counted(found.texts, 'text')}, {counted(found.tokens, 'token')}"
    line = model_line(found.record, found.kind, screen, much=much)
    top = Group(line, *remarks(found.record, found.kind, screen), *guided_line(found.guided, screen))
    heading = drawing(text_lines(f"{found.query}: each key in turn, cut in each {found.kind} head by itself", screen))
    values = {(one.layer, one.head): one.mean for one in found.heads}
    written = {
        place: Written(change(value, unicode=screen.unicode), " ")
        for place, value in values.items()
        if math.isfinite(value)
    }
    picture = atlas(values, screen, name="rank", scale=CHANGES, written=written)
    every = found.record.selection.all
    ranked = found.ranked if every else found.ranked[:LISTED]
    room = room_left([top, heading, *picture], screen, everything=every)
    said = (
        "rank: Spearman's rank correlation of the keys' weights and the sizes of their effects, the mean over texts; "
        "1: weights tell what matters, 0: they do not; effects within rounding count as equal. "
        "spread: standard deviation. "
        f"Mean over all heads: {_signed(found.mean, screen)}."
    )

    def make(limit: int | None) -> RenderableType:
        some = ranked[:limit]
        columns = [
            names("head", [name_head(one.layer, one.head) for one in some], screen, right=True),
            figures("rank", [one.mean for one in some], form="+.2f"),
            figures("spread", [one.spread for one in some]),
            figures("least", [one.least for one in some], form="+.2f", rank=1),
            figures("most", [one.most for one in some], form="+.2f", rank=1),
            figures("texts", [float(one.texts) for one in some], form=".0f", rank=2, faint=0.0),
        ]
        shown = f" {len(some)} of {len(found.heads):,} heads, highest first; --all shows all."
        return table(columns, screen, order="rank", caption=said + shown * (len(some) < len(found.heads)))

    return stacked([top, heading, *picture, fitting(make, len(ranked), screen, room)])


def _signed(value: float, screen: Screen) -> str:
    return f"{value:+.2f}" if math.isfinite(value) else "–" if screen.unicode else "-"
