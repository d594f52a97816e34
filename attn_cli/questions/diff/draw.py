"""Drawing of the changes: heads ranked by divergence, the difference as a heatmap, or two rows side by side."""

from __future__ import annotations

import numpy as np
from rich.console import Group

from attn_cli.draw.screen import Screen, lines_of
from attn_cli.draw.strokes import BOLD, drawing, line, stacked
from attn_cli.questions.diff.draw_heads import SAME, overview
from attn_cli.questions.diff.draw_rows import rows_of_words
from attn_cli.questions.diff.draw_texts import models, texts
from attn_cli.questions.diff.measure import Differences

__all__ = ["draw"]


def draw(answer: Differences, screen: Screen) -> Group:
    """Draw the answer of `attn diff`."""
    top = [*models(answer, screen), *texts(answer, screen)]
    room = None
    if screen.height is not None and not answer.plans[0].selection.all:
        room = screen.height - sum(lines_of(part, screen) for part in top) - 2
    if answer.most < SAME:
        blind = all(np.isnan(head.divergence) for head in answer.heads)
        shares = "shares" if answer.a.selection.scores else "sees"
        said = f"A row that {shares} one key alone cannot change." if blind else "Nothing changed."
        return stacked([Group(*top), drawing([line((said, BOLD))])])
    body = overview if answer.query is None else rows_of_words
    return stacked([Group(*top), *body(answer, screen, room)])
