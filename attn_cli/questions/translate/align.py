"""Word links of translated texts, for each target word the source word that it attends to most, and their score."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from attn_cli.data.model import GuidedHead, ModelInfo
from attn_cli.data.plan import make_plan
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Rows, Selection
from attn_cli.data.stream import Eat, Report, Request, Source, query_tokens
from attn_cli.data.text import Tokens, at_spaces, spaced_words
from attn_cli.errors import ModelError
from attn_cli.measure.alignment import AlignmentMap
from attn_cli.measure.maps import MeanMap
from attn_cli.questions.translate.choices import LinkChoice
from attn_cli.questions.translate.pairing import paired

EACH_TARGET = LinkChoice()

__all__ = ["EACH_TARGET", "Aligned", "Gold", "Links", "Score", "WordLink", "align"]

Links = frozenset[tuple[int, int]]
"""(source word, target word), both counted from 0."""


@dataclass(frozen=True, slots=True)
class WordLink:
    """A pair of words, split at spaces and counted from 0, as alignment tools count them."""

    source: int
    target: int
    weight: float
    """The share of the target word's attention that is on the source word."""


@dataclass(frozen=True)
class Aligned:
    """The links of one text, in the order of the target words."""

    links: tuple[WordLink, ...]
    how: str
    """The title of the map that they are from: its heads, and the step that is a word's row."""
    rows: Rows
    source_words: int
    target_words: int
    notes: tuple[str, ...] = ()
    """Notes for the reader, one sentence each."""
    guided: tuple[GuidedHead, ...] = ()
    """The heads of the map that were trained to look where they look."""


def align(source: Source, selection: Selection, choice: LinkChoice = EACH_TARGET) -> Aligned:
    """Link target words to source words by their weight; special tokens are never linked.

    Args:
        source: a text and its translation, given to a model.
        selection: layers, heads and rows; by default those that align best: what the model declares as its alignment,
            or else what `AlignmentMap` finds.
        choice: the method, and the least weight of a link; by default each target word's strongest source word.

    Raises:
        SelectionError: something selected does not exist.
        ModelError: the model has no attention, cannot be run, or has a tokenizer that gives no offsets.
    """
    if not source.model.stacks:
        raise ModelError(source.model.without_attention, "Name another model with --model")
    chosen = Selection(layer=selection.layer, head=selection.head, rows=selection.rows, translation=True)
    declared = source.model.alignment
    if declared is not None and chosen == Selection(translation=True):
        chosen = replace(chosen, rows=declared.rows)
    plan = make_plan(_AtSpaces(source), chosen)
    alignment = AlignmentMap(plan, partial(MeanMap, len(plan.queries), len(plan.keys)))
    targets = _places(query_tokens(plan.source, "cross", plan.rows))
    sources = _places(plan.source.source)
    report = source.stream(plan.request(), Regroup(plan.queries, plan.keys, alignment))
    words = np.ix_(~np.asarray(plan.queries.special, np.bool_), ~np.asarray(plan.keys.special, np.bool_))
    weights = alignment.map.values[words]
    links = (
        WordLink(one, other, float(weights[row, key]))
        for row, key in np.argwhere(paired(weights, choice)).tolist()
        for one in sources[key]
        for other in targets[row]
    )
    target = source.target.text if source.target is not None else ""
    return Aligned(
        tuple(links),
        f"{alignment.title}{choice.title}",
        plan.rows,
        len(spaced_words(source.source.text)),
        len(spaced_words(target)),
        report.notes,
        source.model.guided_among(("cross", layer, head) for layer, heads in alignment.heads.items() for head in heads),
    )


class _AtSpaces:
    """A source whose words are split at spaces."""

    def __init__(self, inner: Source) -> None:
        self.model: ModelInfo = inner.model
        self.source: Tokens = at_spaces(inner.source)
        self.target: Tokens | None = None if inner.target is None else at_spaces(inner.target)
        self.notes: tuple[str, ...] = inner.notes
        self._inner = inner

    def stream(self, request: Request, eat: Eat) -> Report:
        """Stream as the source itself does."""
        return self._inner.stream(request, eat)


def _places(tokens: Tokens) -> list[list[int]]:
    """Return the word numbers of each unit that is no special token: several if a piece spans a space.

    Raises:
        ModelError: no piece has offsets.
    """
    words = spaced_words(tokens.text)
    shown = dict.fromkeys(token.word for token in tokens.tokens if token.word is not None)
    places = [
        [
            number
            for number, (start, end) in enumerate(words)
            if start < tokens.words[word].end and end > tokens.words[word].start
        ]
        for word in shown
    ]
    if places and not any(places):
        raise ModelError(
            "The model's tokenizer does not say where its pieces stand, so words cannot be linked",
            "Choose another model",
        )
    return places


@dataclass(frozen=True)
class Gold:
    """Gold links, made by people, of one pair of sentences."""

    sure: Links
    possible: Links
    """Links that are acceptable, including the sure ones."""


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
