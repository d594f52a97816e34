"""Word alignments: which source word each target word looks at most, and how right that is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from attn_cli.errors import InputError
from attn_cli.shapes import Float, Int

__all__ = ["Gold", "Links", "Score", "mutual_weight", "parse_gold", "strongest"]

Links = frozenset[tuple[int, int]]
"""(source word, target word), both counted from 0."""

LINK = re.compile(r"(\d+)([-p?])(\d+)", re.ASCII)


def strongest(weights: Float[np.ndarray, "target source"]) -> Int[np.ndarray, "target"]:
    """The source word with the most weight in each row; the first of equals."""
    found: Int[np.ndarray, "target"] = weights.argmax(axis=1)
    return found


def mutual_weight(weights: Float[np.ndarray, "target source"]) -> float:
    """How far a map pairs words one to one, from 0 to 1.

    The weight in the cells that are the strongest of their row and of their column, divided by the rows. It is 1 where
    each target word looks at one source word alone that no other looks at, and small where a head rests on one word,
    looks everywhere alike, or looks at special tokens (which are no words).
    """
    if not weights.size:
        return 0.0
    rows = np.arange(len(weights))
    keys = strongest(weights)
    mutual = weights.argmax(axis=0)[keys] == rows
    return float(weights[rows, keys][mutual].sum(dtype=np.float64) / len(weights))


@dataclass(frozen=True)
class Gold:
    """What people have linked in one pair of sentences."""

    sure: Links
    possible: Links
    """Those that may be linked; the sure ones among them."""


def parse_gold(text: str) -> Gold:
    """Links as people write them: `0-0 1-2` sure, `3p3` (or `3?3`) possible; source first, counted from 0.

    Raises:
        InputError: it is written in another way.
    """
    sure, possible = set(), set()
    for part in text.split():
        match = LINK.fullmatch(part)
        if match is None:
            raise InputError(f"{part!r} is not a link", "Write sure links like 0-1 and possible ones like 0p1")
        link = (int(match[1]), int(match[3]))
        possible.add(link)
        if match[2] == "-":
            sure.add(link)
    return Gold(frozenset(sure), frozenset(possible))


@dataclass(frozen=True)
class Score:
    """Links found, held against gold (Och and Ney 2003, "A Systematic Comparison of Various Statistical Alignment
    Models", section 2.2); add the scores of sentences to get that of them all.
    """

    found: int
    """|A|: links found."""
    found_possible: int
    """|A ∩ P|."""
    found_sure: int
    """|A ∩ S|."""
    sure: int
    """|S|."""

    @classmethod
    def of(cls, links: Iterable[tuple[int, int]], gold: Gold) -> Score:
        """Score one sentence."""
        found = frozenset(links)
        return cls(len(found), len(found & gold.possible), len(found & gold.sure), len(gold.sure))

    def __add__(self, other: Score) -> Score:
        return Score(
            self.found + other.found,
            self.found_possible + other.found_possible,
            self.found_sure + other.found_sure,
            self.sure + other.sure,
        )

    @property
    def error_rate(self) -> float:
        """Alignment error rate, 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|): 0 is best, not-a-number without any links."""
        return 1 - _ratio(self.found_sure + self.found_possible, self.found + self.sure)

    @property
    def precision(self) -> float:
        """|A ∩ P| / |A|: the share of links found that may be."""
        return _ratio(self.found_possible, self.found)

    @property
    def recall(self) -> float:
        """|A ∩ S| / |S|: the share of sure links that were found."""
        return _ratio(self.found_sure, self.sure)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
