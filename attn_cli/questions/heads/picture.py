"""The picture of the heads' roles for a paper: each head's score, or the figure asked for."""

from __future__ import annotations

from attn_cli.draw.picture import PaperPicture, picture_of_heads
from attn_cli.errors import UsageError
from attn_cli.questions.heads.draw import values_of
from attn_cli.questions.heads.measure import HeadsFound

__all__ = ["picture"]

UNITS = {"role": "score in the head's role", "focus": "focus (0 even, 1 one key)"}


def picture(answer: HeadsFound) -> PaperPicture:
    """Return the score of each head in its role, or in the one asked for.

    Raises:
        UsageError: no head was measured.
    """
    if not answer.heads:
        raise UsageError("There is no figure: no row can see two keys", "Give a longer text")
    values, scale = values_of(answer)
    quantity = UNITS.get(answer.by, f"score: {answer.by.replace('-', ' ')}")
    if answer.by == "distance":
        quantity = f"distance ({answer.record.selection.unit}s)"
    return picture_of_heads(values, scale, quantity)
