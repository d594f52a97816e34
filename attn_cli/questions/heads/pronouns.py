"""Heads that tell what a pronoun stands for, by its weight on the noun meant and on another possible noun.

A head that always prefers the same noun is right in half of the sentences, because each has a twin in which the other
noun is meant (the Winograd schemas of Levesque, Davis and Morgenstern 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Int
from attn_cli.data.stream import Block
from attn_cli.data.text import Tokens
from attn_cli.data.units import Units
from attn_cli.questions.heads.relations import margin
from attn_cli.questions.heads.roles import COREFERENCE
from attn_cli.questions.heads.scores import RoleScore

__all__ = ["CollectPronouns", "Pronoun"]


@dataclass(frozen=True, slots=True)
class Pronoun:
    """A sentence with a pronoun that could stand for two nouns, each located by the index of its first character."""

    text: str
    pronoun: int
    meant: int
    other: int


class CollectPronouns:
    """Collector of each head's coreference score, over one sentence after another."""

    def __init__(self) -> None:
        self._right: dict[tuple[Kind, int], tuple[tuple[int, ...], Int[np.ndarray, "head"]]] = {}
        self._seen: dict[tuple[Kind, int], list[int]] = {}
        """Number of sentences, and of those whose first noun is meant."""
        self._places: tuple[int, int, int] | None = None

    def turn(self, tokens: Tokens, units: Units, pronoun: Pronoun) -> None:
        """Turn to the next sentence, whose blocks come in these units (see `Regroup`)."""
        found = [_unit_at(tokens, units, place) for place in (pronoun.pronoun, pronoun.meant, pronoun.other)]
        whole = [unit for unit in found if unit is not None]
        self._places = (whole[0], whole[1], whole[2]) if len(set(whole)) == 3 else None

    def __call__(self, block: Block) -> None:
        if self._places is None:
            return
        query, meant, other = self._places
        row = query - block.start
        if not 0 <= row < block.visible.shape[0]:
            return
        first, stop = block.visible[row]
        if not (first <= meant < stop and first <= other < stop):
            return
        place = block.kind, block.layer
        _, right = self._right.get(place, ((), np.zeros(len(block.heads), np.intp)))
        weights = block.weights[:, row]
        self._right[place] = block.heads, right + (weights[:, meant] > weights[:, other])
        seen = self._seen.setdefault(place, [0, 0])
        seen[0] += 1
        seen[1] += meant < other

    @property
    def result(self) -> list[tuple[int, int, RoleScore]]:
        """Layer, head and score of each head."""
        scores = []
        for (kind, layer), (heads, right) in self._right.items():
            count, first = self._seen[kind, layer]
            for head, correct in zip(heads, right.tolist(), strict=True):
                share = correct / count
                score = RoleScore(
                    COREFERENCE,
                    score=share,
                    baseline=max(first, count - first) / count,
                    rows=count,
                    margin=margin(share, count),
                )
                scores.append((layer, head, score))
        return scores


def _unit_at(tokens: Tokens, units: Units, place: int) -> int | None:
    """Find the shown unit that contains this character; None if there is none."""
    for unit in range(len(units)):
        word = tokens.tokens[units.token_positions(unit)[0]].word
        if word is not None and tokens.words[word].start <= place < tokens.words[word].end:
            return unit
    return None
