"""`attn inspect` in the tests that every question is put to."""

from __future__ import annotations

from attn_cli.answer import Answer
from attn_cli.api import Inspector

COMMAND = ["inspect", "The cat sat on the mat", "--layer", "1"]


def ask(model: Inspector) -> Answer:
    """Ask in Python what the command asks."""
    return model.inspect("The cat sat on the mat", layer=1)
