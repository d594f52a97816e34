"""`attn diff` in the tests that every question is put to."""

from __future__ import annotations

from dataclasses import replace

from attn_cli.answer import Answer
from attn_cli.api import Inspector
from attn_cli.data.record import Record
from attn_cli.data.selection import Selection
from attn_cli.questions.diff.measure import diff
from tests.samples import decoder_record, encoder_record, random_map, translation_record


def changed(record: Record) -> Record:
    """The same shape and text, other weights, and another name."""
    maps = (random_map(m.kind, m.layer, *m.weights.shape[1:], seed=5, causal=m.kind == "decoder") for m in record.maps)
    return replace(record, maps=tuple(maps), model=replace(record.model, name="other"), notes=("A note.",))


ANSWERS: dict[str, Answer] = {
    "diff": diff(encoder_record(), changed(encoder_record()), Selection()),
    "diff-query": replace(diff(encoder_record(), changed(encoder_record()), Selection(query="fit,.")), sort="layer"),
    "diff-row": diff(decoder_record(), changed(decoder_record()), Selection(query="fit", head="2.1")),
    "diff-blind": diff(decoder_record(), changed(decoder_record()), Selection(query="[CLS]")),
    "diff-cross": diff(translation_record(), changed(translation_record()), Selection(unit="token")),
    "diff-same": replace(diff(encoder_record(), encoder_record(), Selection()), fail_above=0.5),
}
COMMAND = ["diff", "The cat sat on the mat", "The dog sat on the mat"]


def ask(model: Inspector) -> Answer:
    """Ask in Python what the command asks."""
    return model.diff("The cat sat on the mat", "The dog sat on the mat")
