"""The picture of a difference for a paper: the change of the head that changed most, or the rows of a word."""

from __future__ import annotations

from attn_cli.draw.picture import PaperPicture, picture_of_map
from attn_cli.errors import UsageError
from attn_cli.questions.diff.draw_heads import change_view
from attn_cli.questions.diff.measure import Differences

__all__ = ["picture"]


def picture(answer: Differences) -> PaperPicture:
    """Return the change of the head that changed most, from A to B, in all rows compared.

    Raises:
        UsageError: no head was compared.
    """
    if not answer.heads:
        raise UsageError("There is no figure: no head was compared", "Choose other heads")
    head = answer.heads[0]
    quantity = f"change of the {answer.plans[0].selection.noun} (B − A)"
    return picture_of_map(change_view(answer, head.layer, head.head), quantity)
