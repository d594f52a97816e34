"""`attn translate` in the tests that every question is put to."""

from __future__ import annotations

from attn_cli.answer import Answer
from attn_cli.api import Inspector

COMMAND = ["translate", "The cat sat on the mat"]


def ask(model: Inspector) -> Answer:
    """Ask in Python what the command asks."""
    return model.translate("The cat sat on the mat")
