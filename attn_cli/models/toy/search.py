"""Greedy and beam search for a translation, the same for every built-in model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.errors import NOT_NUMBERS, ModelError
from attn_cli.models.toy.cuts import RowCuts

__all__ = ["END", "PAD", "Writer", "log_softmax", "search"]

PAD, END = 0, 1
"""Ids of the padding token and of the end token. The decoder starts from `PAD`."""


@runtime_checkable
class Writer(Protocol):
    """A model that writes one token after another, for several texts side by side."""

    def begin(
        self,
        ids: Int[np.ndarray, "batch key"],
        present: Bool[np.ndarray, "batch key"],
        cuts: RowCuts | None = None,
    ) -> Any:
        """Read the texts, and return the state that writing starts from; the cuts of each row stay with it."""

    def advance(self, ids: Int[np.ndarray, "batch"], state: Any) -> tuple[Float[np.ndarray, "batch vocabulary"], Any]:
        """Read one token for each text, and return the logits of the next token and the new state."""

    def pick(self, state: Any, rows: Int[np.ndarray, "picked"]) -> Any:
        """Return the state of these rows of the batch, in this order; a row may be picked more than once."""


@dataclass
class _Sentence:
    """The hypotheses of one text."""

    most: int
    """Most tokens of the translation, the end token counted."""
    ended: list[tuple[float, list[int]]] = field(default_factory=list)
    """Finished hypotheses as (mean log-probability, tokens), best first."""


def search(
    model: Writer,
    ids: Int[np.ndarray, "batch key"],
    most: Int[np.ndarray, "batch"],
    beam: int = 1,
    cuts: RowCuts | None = None,
) -> list[list[int]]:
    """Search for the likeliest translation of each text; a beam of 1 takes the likeliest token each time.

    Hypotheses are compared by the mean log-probability of their tokens, the end token counted. A text is done when the
    best running hypothesis, ended now, would not beat the worst of the `beam` best that have ended.

    Args:
        model: model that writes the translations.
        ids: tokens of the texts, padded at the end.
        most: most tokens of each translation, the end token counted; a longer one is cut there.
        beam: number of hypotheses to keep for each text.
        cuts: cuts in the attention of each text.

    Returns:
        Tokens of each translation, without the end token.

    Raises:
        ModelError: a logit is not a number.
    """
    count = len(ids)
    sentences = [_Sentence(int(limit)) for limit in most]
    state = model.begin(ids, ids != PAD, cuts)
    owners = np.arange(count)  # index of the text that each row of the batch belongs to
    totals = np.zeros(count, np.float32)  # log-probabilities so far
    written = np.zeros((count, 0), np.int64)
    last = np.full(count, PAD)
    while len(owners):
        logits, state = model.advance(last, state)
        options = totals[:, None] + log_softmax(logits)
        if np.isnan(options[:, END]).any():  # one NaN among the logits makes its whole row NaN
            raise ModelError("The values that the model computes are not numbers", NOT_NUMBERS)
        options[:, PAD] = -np.inf
        length = written.shape[1] + 1
        rows: list[int] = []
        tokens: list[int] = []
        scores: list[float] = []
        for owner in dict.fromkeys(owners.tolist()):
            sentence = sentences[owner]
            own = np.flatnonzero(owners == owner)
            table = options[own].ravel()
            best = _largest(table, min(2 * beam, table.size) if beam > 1 else 1)
            kept = 0
            for rank, place in enumerate(best):
                row, token = own[place // logits.shape[1]], int(place % logits.shape[1])
                if token == END or length == sentence.most:
                    if rank < beam:
                        tail = [] if token == END else [token]
                        sentence.ended.append((float(table[place]) / length, [*written[row].tolist(), *tail]))
                elif kept < beam:
                    rows.append(int(row))
                    tokens.append(token)
                    scores.append(float(table[place]))
                    kept += 1
            sentence.ended.sort(key=lambda one: -one[0])
            del sentence.ended[beam:]
            # Stop if the best running hypothesis, ended now, would not beat the worst of those that have ended.
            if kept and len(sentence.ended) == beam and scores[-kept] / length <= sentence.ended[-1][0]:
                del rows[-kept:], tokens[-kept:], scores[-kept:]
        chosen = np.asarray(rows, np.intp)
        if len(chosen) != len(owners) or (chosen != np.arange(len(owners))).any():
            state = model.pick(state, chosen)
        last = np.asarray(tokens, np.int64)
        written = np.concatenate([written[chosen], last[:, None]], axis=1)
        owners, totals = owners[chosen], np.asarray(scores, np.float32)
    return [sentence.ended[0][1] for sentence in sentences]


def log_softmax(logits: Float[np.ndarray, "*batch vocabulary"]) -> Float[np.ndarray, "*batch vocabulary"]:
    """Return the log-probability of each token, in nats."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    normalized: Float[np.ndarray, "*batch vocabulary"] = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return normalized


def _largest(values: Float[np.ndarray, "option"], count: int) -> Int[np.ndarray, "count"]:
    """Return the indices of the largest values, largest first."""
    if count == 1:
        return np.asarray([values.argmax()])
    found = np.argpartition(-values, count - 1)[:count]
    return found[np.argsort(-values[found], kind="stable")]
