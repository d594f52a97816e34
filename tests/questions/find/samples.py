"""`attn find` in the tests that every question is put to."""

from __future__ import annotations

from dataclasses import replace

from attn_cli.answer import Answer
from attn_cli.api import Inspector
from attn_cli.data.selection import Selection
from attn_cli.questions.find.measure import find
from tests.samples import decoder_record, encoder_record, translation_record

ANSWERS: dict[str, Answer] = {
    "find": replace(find(encoder_record(), Selection(), "trophy", "fit", both=True), least=0.1, sort="usual"),
    "find-masked": find(decoder_record(), Selection(unit="token"), "tro", "fit"),
    "find-cross": find(translation_record(), Selection(layer="1"), "trophée,Le", "trophy,didn't"),
}
COMMAND = ["find", "The cat sat on the mat", "sat", "cat"]


def ask(model: Inspector) -> Answer:
    """Ask in Python what the command asks."""
    return model.find("The cat sat on the mat", "sat", "cat")
