"""`attn generate` in the tests that every question is put to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attn_cli.answer import Answer
from attn_cli.api import Inspector
from attn_cli.data.outcomes import Chances
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.selection import Selection
from attn_cli.data.text import make_tokens
from attn_cli.questions.inspect.measure import Inspection, look
from tests.samples import OFFSETS, PIECES, SENTENCE, decoder_record, softmax

FIRST = 5
"""The first token that was written, of 11: `'`, behind `didn`."""


def chances(steps: int) -> Chances:
    """Chances in a vocabulary of 19, in which the token written is the first, then the second, then the fifth."""
    logits = np.random.default_rng(3).normal(scale=2, size=(steps, 19))
    powers = softmax(logits.astype(np.float32))
    order = np.argsort(-powers, axis=1)
    logs = np.log(powers)
    own = order[np.arange(steps), np.resize([0, 1, 4], steps)]
    best = order[:, :4]
    return Chances(
        logs[np.arange(steps), own],
        -(powers * logs).sum(axis=1),
        best,
        np.take_along_axis(logs, best, axis=1),
        tuple(tuple(f" word{id_}" for id_ in row) for row in best.tolist()),
    )


def written_record(selection: Selection | None = None) -> Record:
    """The sample's decoder, which wrote the last six of its tokens."""
    whole = decoder_record()
    special = [piece.startswith("[") for piece in PIECES]
    tokens = make_tokens(SENTENCE, PIECES, OFFSETS, special, ids=range(11), written=FIRST)
    maps = tuple(
        AttentionMap(
            "decoder",
            one.layer,
            one.heads,
            tuple(range(FIRST - 1, 10)),
            one.weights[:, FIRST - 1 : 10, :10],
            one.visible[FIRST - 1 : 10],
            scores=one.scores[:, FIRST - 1 : 10, :10] if one.scores is not None else None,
        )
        for one in whole.maps
    )
    return replace(whole, source=tokens, maps=maps, chances=chances(6), selection=selection or Selection())


def generated(**selection: object) -> Inspection:
    choice = Selection(**selection)  # type: ignore[arg-type]
    return look(written_record(choice), choice, keep=True)


COMMAND = ["generate", "The cat sat on the mat"]
SAMPLES: dict[str, Inspection] = {
    "generate": generated(),
    "generate-tokens": generated(unit="token", head="2.1"),
    "generate-query": generated(query="fit", view="query"),
}


def ask(model: Inspector) -> Answer:
    """Ask in Python what the command asks."""
    return model.generate("The cat sat on the mat")
