"""`attn tour` in the tests that every question is put to."""

from __future__ import annotations

import attn_cli
from attn_cli.answer import Answer
from attn_cli.api import Inspector

COMMAND = ["tour", "The dog saw the house", "--chapter", "3"]


def ask(model: Inspector) -> Answer:
    """Ask in Python what the command asks."""
    return attn_cli.tour("The dog saw the house", chapter=3)
