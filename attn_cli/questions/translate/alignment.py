"""Word alignments: links between source and target words, and their score against gold links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from attn_cli.errors import InputError

__all__ = ["Gold", "Links", "Numbered", "Score", "parse_gold", "parse_naacl"]

Links = frozenset[tuple[int, int]]
"""(source word, target word), both counted from 0."""

LINK = re.compile(r"(\d+)([-pP?])(\d+)(?::\d*\.?\d+(?:[eE][-+]?\d+)?)?", re.ASCII)
NAACL = re.compile(r"(\d+)\s+(\d+)\s+(\d+)(?:\s+([SP]))?(?:\s+\d*\.?\d+(?:[eE][-+]?\d+)?)?", re.ASCII)


@dataclass(frozen=True)
class Gold:
    """Gold links, made by people, of one pair of sentences."""

    sure: Links
    possible: Links
    """Links that are acceptable, including the sure ones."""


def parse_gold(text: str, *, one_based: bool = False) -> Gold:
    """Parse gold links of one sentence, with the source first: `0-0 1-2` sure, `3p3` (or `3?3`) possible.

    Scores (`0-0:0.9`) are ignored.

    Args:
        text: the links of one sentence.
        one_based: words count from 1, not from 0.

    Raises:
        InputError: a link has another form, or is of word 0 where words count from 1.
    """
    sure, possible = set(), set()
    base = int(one_based)
    for part in text.split():
        match = LINK.fullmatch(part)
        if match is None:
            raise InputError(f"{part!r} is not a link", "Write sure links like 0-1 and possible ones like 0p1")
        link = (int(match[1]) - base, int(match[3]) - base)
        if min(link) < 0:
            raise InputError(f"{part!r} links word 0, and words count from 1", "Leave --one-based out")
        possible.add(link)
        if match[2] == "-":
            sure.add(link)
    return Gold(frozenset(sure), frozenset(possible))


@dataclass(frozen=True)
class Numbered:
    """Gold links of many sentences, by sentence."""

    gold: Mapping[int, Gold]
    """sentence, counted from 0 -> its links, for sentences that have any."""
    unlinked: int
    """The number of lines that mark a word as having no link (NAACL's word 0)."""


def parse_naacl(lines: Iterable[tuple[str, str]]) -> Numbered | None:
    """Parse links of many sentences, each a line `sentence source target [S|P] [confidence]`, counted from 1.

    A link is sure if neither S nor P is given (Mihalcea and Pedersen 2003, "An Evaluation Exercise for Word Alignment",
    section 3).

    Args:
        lines: the lines, each with its location for messages.

    Returns:
        The links; None if a line has another form, or if there are no links.

    Raises:
        InputError: a sentence is number 0.
    """
    sure: dict[int, set[tuple[int, int]]] = {}
    possible: dict[int, set[tuple[int, int]]] = {}
    unlinked = 0
    for text, where in lines:
        if not text.strip():
            continue
        match = NAACL.fullmatch(text.strip())
        if match is None:
            return None
        sentence, source, target = (int(match[group]) for group in (1, 2, 3))
        if not sentence:
            raise InputError(f"{where} is of sentence 0", "Count sentences from 1, as words")
        if not (source and target):
            unlinked += 1
            continue
        possible.setdefault(sentence, set()).add((source - 1, target - 1))
        if match[4] != "P":
            sure.setdefault(sentence, set()).add((source - 1, target - 1))
    if not possible:
        return None
    return Numbered(
        {one - 1: Gold(frozenset(sure.get(one, ())), frozenset(links)) for one, links in possible.items()}, unlinked
    )


@dataclass(frozen=True)
class Score:
    """The score of links found against gold links; the scores of sentences add up to that of all.

    See Och and Ney 2003, "A Systematic Comparison of Various Statistical Alignment Models", section 2.2.
    """

    found: int
    """|A|: the number of links found."""
    found_possible: int
    """|A ∩ P|: the number of links found that are possible."""
    found_sure: int
    """|A ∩ S|: the number of links found that are sure."""
    sure: int
    """|S|: the number of sure links."""

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
        """|A ∩ P| / |A|: the share of links found that are possible."""
        return _ratio(self.found_possible, self.found)

    @property
    def recall(self) -> float:
        """|A ∩ S| / |S|: the share of sure links that were found."""
        return _ratio(self.found_sure, self.sure)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
