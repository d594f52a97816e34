"""`attn explain` in the tests that every question is put to."""

from __future__ import annotations

from attn_cli.answer import Answer
from attn_cli.api import Inspector
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Source
from attn_cli.models import Input, load
from attn_cli.questions.explain.measure import explain


def built_in(target: str | None = None) -> Source:
    """A text that the built-in model has read."""
    return load("toy").prepare(Input("The trophy didn't fit because it was big", target=target))


ANSWERS: dict[str, Answer] = {
    "explain": explain(built_in(), Selection(query="it", head="2.0")),
    "explain-cross": explain(built_in("Le chat"), Selection(query="▁chat", unit="token", rows="output")),
}
COMMAND = ["explain", "The cat sat on the mat", "--query", "cat"]


def ask(model: Inspector) -> Answer:
    """Ask in Python what the command asks."""
    return model.explain("The cat sat on the mat", "cat")
