"""The relevance of words, as shares of that of a whole text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from attn_cli.data.record import Record
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float
from attn_cli.data.text import Tokens
from attn_cli.data.units import Units

__all__ = ["RelevantWords", "relevant_words"]


@dataclass(frozen=True, eq=False)
class RelevantWords:
    """The relevance of the words of one side for an output."""

    kind: Kind
    """The attention within this side."""
    units: Units
    shares: Float[np.ndarray, "unit"]
    """Share of each shown word in the relevance of all that are shown; 0 if they have none."""
    first: float | None
    """Share of the first token in the relevance of all tokens, if it is hidden."""


def relevant_words(record: Record) -> Iterator[RelevantWords]:
    """Yield the relevance of the source's words, then that of the words that a decoder had written.

    Raises:
        ValueError: the record has no relevance.
    """
    relevance, stacks = record.relevance, record.model.stacks
    if relevance is None:
        raise ValueError("relevance was not measured")
    one_sided: Kind = "decoder" if "decoder" in stacks and relevance.target is None else "encoder"
    source = replace(record.source, tokens=record.source.tokens[: len(relevance.source)])  # as far as it was read
    yield _words(record, one_sided, source, relevance.source)
    if relevance.target is not None and record.target is not None:
        read = Tokens(record.target.text, record.target.tokens[:-1], record.target.words, record.target.pair)
        yield _words(record, "decoder", read, relevance.target)


def _words(record: Record, kind: Kind, tokens: Tokens, values: Float[np.ndarray, "token"]) -> RelevantWords:
    selection = record.selection
    hides = selection.hides_first(kind)
    units = Units.of(tokens, selection.unit, special=selection.special, sink=not hides)
    sums = np.add.reduceat(values.astype(np.float64), units.starts)
    total, shown = sums.sum(), sums[units.shown]
    shares = shown / (shown.sum() or 1.0)
    return RelevantWords(kind, units, shares.astype(np.float32), float(sums[0] / (total or 1.0)) if hides else None)
