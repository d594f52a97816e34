"""The picture of a row for a paper: its weights."""

from __future__ import annotations

import numpy as np

from attn_cli.data.stream import key_tokens
from attn_cli.draw.captions import sides
from attn_cli.draw.labels import Labels
from attn_cli.draw.picture import PaperPicture, picture_of_rows
from attn_cli.questions.explain.measure import Explained, ExplainedNumbers

__all__ = ["picture"]


def picture(answer: Explained | ExplainedNumbers) -> PaperPicture:
    """Return the weights of the row."""
    row = np.asarray(answer.steps.weights, np.float32)[None]
    if isinstance(answer, ExplainedNumbers):
        keys, place, query, named = Labels(tuple(answer.labels)), (0, 0), "", ("queries", "keys")
    else:
        tokens = key_tokens(answer.plan.source, answer.plan.kind).tokens
        keys = Labels(answer.labels, tuple(token.special for token in tokens), answer.places)
        place, query = (answer.layer, answer.head), answer.query_label
        named = sides(answer.plan.kind, answer.plan.step)
    return picture_of_rows({place: row}, [query], keys, named, "weight (share of its row)")
