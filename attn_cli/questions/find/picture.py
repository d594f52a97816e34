"""The picture of a link for a paper: its weight in each head."""

from __future__ import annotations

import numpy as np

from attn_cli.draw.colors import WEIGHTS, Scale
from attn_cli.draw.picture import PaperPicture, picture_of_heads, quantity_of
from attn_cli.errors import UsageError
from attn_cli.questions.find.measure import FoundLinks

__all__ = ["picture"]


def picture(answer: FoundLinks) -> PaperPicture:
    """Return the largest weight of the link in each head.

    Raises:
        UsageError: no head has it.
    """
    if not answer.links:
        raise UsageError("There is no figure: no head can see this link", "Choose other words")
    values = answer.largest
    selection = answer.plan.selection
    scale = Scale.around(np.array(list(values.values()))) if selection.scores else WEIGHTS
    quantity = "score (less its row's mean, nats)" if selection.scores else quantity_of(selection)
    return picture_of_heads(values, scale, quantity)
