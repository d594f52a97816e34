"""Drawing of the changes: heads ranked by divergence, the difference as a heatmap, or two rows side by side."""

from __future__ import annotations

import numpy as np
from rich.console import Group

from attn_cli.draw.layout import room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, caption_lines, drawing, line, stacked
from attn_cli.questions.diff.draw_heads import SAME, changed_heads
from attn_cli.questions.diff.draw_rows import rows_of_words
from attn_cli.questions.diff.draw_texts import models, texts
from attn_cli.questions.diff.measure import Differences

__all__ = ["draw"]


def draw(answer: Differences, screen: Screen) -> Group:
    """Draw the answer of `attn diff`."""
    top = [*models(answer, screen), *texts(answer, screen)]
    room = room_left([Group(*top)], screen, everything=answer.plans[0].selection.all)
    if answer.most < SAME:
        blind = all(np.isnan(head.divergence) for head in answer.heads)
        shares = "shares" if answer.a.selection.scores else "sees"
        said = [line((f"A row that {shares} only one key cannot change." if blind else "Nothing changed.", BOLD))]
        if answer.precedes_cuts:
            said += caption_lines("The layers compared come before those that read the output of what is cut.", screen)
            if answer.plans[0].kind == "encoder" and "cross" in answer.a.model.stacks:
                said += caption_lines("--kind cross shows what the decoder then looks at.", screen)
        return stacked([Group(*top), drawing(said)])
    body = changed_heads if answer.query is None else rows_of_words
    return stacked([Group(*top), *body(answer, screen, room)])
