"""`attn heads` in the tests that every question is put to."""

from __future__ import annotations

from dataclasses import replace

from attn_cli.answer import Answer
from attn_cli.api import Inspector
from attn_cli.data.selection import Selection
from attn_cli.questions.heads.measure import find_heads
from attn_cli.questions.heads.retrieval import find_needles
from tests.questions.heads.copying import Copying
from tests.samples import decoder_record, encoder_record, translation_record

ANSWERS: dict[str, Answer] = {
    "heads": replace(find_heads(encoder_record(), Selection()), by="previous"),
    "heads-tokens": find_heads(decoder_record(), Selection(unit="token")),
    "heads-needle": find_needles(Copying(), Selection(), cut=True),
    "heads-cross": replace(find_heads(translation_record(), Selection(layer="1")), by="focus"),
}
COMMAND = ["heads", "The cat sat on the mat"]


def ask(model: Inspector) -> Answer:
    """Ask in Python what the command asks."""
    return model.heads("The cat sat on the mat")
