"""The training texts, as tokens with links and in batches of similar length.

They are pairs, runs of pairs, pairs spaced as aligners write them, and the grammar's sentences.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Literal, get_args

import numpy as np
from tokenizers import Tokenizer

from attn_cli.data.model import GuidedRole
from attn_cli.data.shapes import Bool, Int
from attn_cli.grammar import sentences as grammar
from attn_cli.grammar.words import Span, spaced
from attn_cli.train.augmentation import Rates, vary
from attn_cli.train.everyday import everyday
from attn_cli.train.linked import Linked, SpanLink
from attn_cli.train.splitting import Splitter

__all__ = [
    "LONGEST_RUN",
    "Encoded",
    "Mixture",
    "RelationKind",
    "TrainingBatch",
    "batches",
    "encode",
    "joined",
    "make_batch",
    "split_tokens",
]

PART = 20_000
"""Most texts that are tokenized, or put in batches, at a time."""
LONGEST_RUN = 60
"""Most source words of a joined run."""
SPACED = 0.06
"""Share of the pairs that are also read with spaces between all words and marks."""
RUNS = 0.12
"""Number of joined runs of 2 to 5 texts, as a share of the number of `Mixture.fixed` texts."""
PICTURES = "😀😂😍😎😢😡👍👏🙏💪🎉🎂🍎🍕🍷☕🐱🐶🐭🐟🌳🌹🌞🌙⭐🔥🌍🏠🚗🚲🚆📚📷🎵🎸⚽🏆🎁💡❤"

NO_LINKS = np.zeros((0, 2), np.int32)

RelationKind = Literal["coreference", "subject", "object"]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A pair as tokens, each side ending with the end token."""

    source: Int[np.ndarray, "source"]
    target: Int[np.ndarray, "target"]
    links: Int[np.ndarray, "link 2"]
    """Indices of linked (target, source) tokens."""
    relations: Mapping[RelationKind, Int[np.ndarray, "relation 2"]]
    """Indices of (query, key) tokens of the source that belong together, by kind; a kind without any may be missing."""
    words: int
    """Number of words in the source."""

    @property
    def size(self) -> int:
        """The number of tokens of the longer side."""
        return max(len(self.source), len(self.target))


def encode(tokenizer: Tokenizer, texts: Sequence[Linked]) -> list[Encoded]:
    """Tokenize texts, and carry links between characters over to tokens."""
    english = tokenizer.encode_batch([text.english for text in texts])
    french = tokenizer.encode_batch([text.french for text in texts])
    return [
        Encoded(
            np.asarray(source.ids, np.int32),
            np.asarray(target.ids, np.int32),
            _token_links([(ours, theirs) for theirs, ours in text.links], target.offsets, source.offsets),
            _token_relations(text.relations, source.offsets),
            len(text.english.split()),
        )
        for source, target, text in zip(english, french, texts, strict=True)
    ]


def _token_relations(
    relations: Sequence[grammar.WordRelation], offsets: Sequence[Span]
) -> dict[RelationKind, Int[np.ndarray, "relation 2"]]:
    spans: dict[RelationKind, list[SpanLink]] = {}
    for relation in relations:
        spans.setdefault(relation.kind, []).append((relation.query, relation.key))
    return {kind: _token_links(found, offsets, offsets) for kind, found in spans.items()}


def _token_links(links: Sequence[SpanLink], rows: Sequence[Span], columns: Sequence[Span]) -> Int[np.ndarray, "link 2"]:
    if not links:
        return NO_LINKS
    found = {
        (row, column)
        for from_span, to_span in links
        for row in _touching(from_span, rows)
        for column in _touching(to_span, columns)
    }
    return np.asarray(sorted(found), np.int32).reshape(-1, 2)


def _touching(span: Span, offsets: Sequence[Span]) -> list[int]:
    return [index for index, (start, end) in enumerate(offsets) if start < span[1] and end > span[0]]


def split_tokens(pair: Encoded, splitter: Splitter, random: np.random.Generator) -> Encoded:
    """Split some tokens of the source; their links are those of both parts."""
    source, places = splitter.split(pair.source, random)

    def moved(links: Int[np.ndarray, "link 2"], columns: Sequence[int]) -> Int[np.ndarray, "moved 2"]:
        for column in columns:
            found, parts = np.nonzero(links[:, column, None] == places[None, :])
            links = links[found]
            links[:, column] = parts
        return links

    return replace(
        pair,
        source=source,
        links=moved(pair.links, [1]),
        relations={kind: moved(found, [0, 1]) for kind, found in pair.relations.items()},
    )


def joined(pairs: Sequence[Encoded], count: int, words: int, random: np.random.Generator) -> list[Encoded]:
    """Join random pairs into runs of 2 to 5, each read as one text.

    Args:
        pairs: pairs to draw from.
        count: number of runs to draw; a run left with one pair or none is dropped.
        words: most source words of a run.
        random: generator of the random choices.
    """
    runs = []
    for length in random.integers(2, 6, count):
        run: list[Encoded] = []
        for index in random.integers(0, len(pairs), length):
            if sum(pair.words for pair in run) + pairs[index].words <= words:
                run.append(pairs[index])
        if len(run) > 1:
            runs.append(_join(run))
    return runs


def _join(run: Sequence[Encoded]) -> Encoded:
    source_starts = np.cumsum([0, *(len(pair.source) - 1 for pair in run)])
    target_starts = np.cumsum([0, *(len(pair.target) - 1 for pair in run)])
    last = run[-1]
    return Encoded(
        np.concatenate([*(pair.source[:-1] for pair in run), last.source[-1:]]),
        np.concatenate([*(pair.target[:-1] for pair in run), last.target[-1:]]),
        np.concatenate(
            [
                pair.links + np.asarray([target, source], np.int32)
                for pair, target, source in zip(run, target_starts[:-1], source_starts[:-1], strict=True)
            ]
        ),
        {
            kind: np.concatenate(
                [
                    pair.relations[kind] + np.int32(source)
                    for pair, source in zip(run, source_starts[:-1], strict=True)
                    if kind in pair.relations
                ]
            )
            for kind in sorted(frozenset[RelationKind]().union(*(pair.relations for pair in run)))
        },
        sum(pair.words for pair in run),
    )


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """Pairs of similar length, padded with zeros."""

    source: Int[np.ndarray, "batch source"]
    read: Int[np.ndarray, "batch target"]
    """Tokens that the decoder reads: the start token, then the translation without the end token."""
    written: Int[np.ndarray, "batch target"]
    """Tokens that the decoder should write: the translation and the end token."""
    targets: Mapping[GuidedRole, Bool[np.ndarray, "batch _query _key"]]
    """For each role, True where a head that plays it should look from a query at a key."""

    @property
    def tokens(self) -> int:
        """The number of tokens to write."""
        return int((self.written != 0).sum())


def make_batch(pairs: Sequence[Encoded]) -> TrainingBatch:
    """Pad pairs to the longest of them."""
    count, sources = len(pairs), max(len(pair.source) for pair in pairs)
    length = max(len(pair.target) for pair in pairs)
    source = np.zeros((count, sources), np.int64)
    read, written = np.zeros((2, count, length), np.int64)
    targets: dict[GuidedRole, Bool[np.ndarray, "batch _query _key"]] = {
        role: np.zeros((count, sources if role in get_args(RelationKind) else length, sources), np.bool_)
        for role in get_args(GuidedRole)
    }
    for row, pair in enumerate(pairs):
        source[row, : len(pair.source)] = pair.source
        written[row, : len(pair.target)] = pair.target
        read[row, 1 : len(pair.target)] = pair.target[:-1]
        targets["writing"][row, pair.links[:, 0], pair.links[:, 1]] = True
        for kind, found in pair.relations.items():
            targets[kind][row, found[:, 0], found[:, 1]] = True
    targets["reading"][:, 1:] = targets["writing"][:, :-1]
    targets["reading"] &= (read != 0)[:, :, None]
    return TrainingBatch(source, read, written, targets)


def batches(pairs: Sequence[Encoded], tokens: int, random: np.random.Generator) -> Iterator[TrainingBatch]:
    """Yield all pairs once, in batches of similar length and in random order.

    Args:
        pairs: pairs to put in batches.
        tokens: most tokens of a batch on its longer side, padding counted.
        random: generator of the random order.
    """
    sizes = np.asarray([pair.size for pair in pairs])
    order = np.lexsort((random.random(len(pairs)), sizes))
    groups: list[list[int]] = [[]]
    for index in order:
        if groups[-1] and (len(groups[-1]) + 1) * int(sizes[index]) > tokens:
            groups.append([])
        groups[-1].append(int(index))
    for number in random.permutation(len(groups)):
        yield make_batch([pairs[index] for index in groups[number]])


@dataclass(frozen=True)
class Mixture:
    """The training texts of every epoch.

    Args:
        tokenizer: tokenizer of both languages.
        pairs: English sentences and their French translations.
        links: linked words of each pair, or None.
        coreference: number of the grammar's sentences in each epoch whose pronoun has two nouns to choose from; half as
            many simple ones are added, and as many everyday ones with names, numbers and many things.
        seed: seed of all random choices.
        longest: number of the model's positions; texts with more tokens are left out.
        rates: share of the texts that are varied in each epoch.
    """

    tokenizer: Tokenizer
    pairs: Sequence[tuple[str, str]]
    links: Sequence[Sequence[SpanLink]] | None
    coreference: int
    seed: int
    longest: int
    rates: Rates

    def fixed(self) -> list[Linked]:
        """Return the texts of every epoch: the pairs, and copies of some of them spaced or with an emoji."""
        random = np.random.default_rng([self.seed, 1])
        links: Sequence[Sequence[SpanLink]] = self.links or [()] * len(self.pairs)
        texts = [Linked(*pair, tuple(link)) for pair, link in zip(self.pairs, links, strict=True)]
        for index in np.flatnonzero(random.random(len(self.pairs)) < SPACED).tolist():
            (english, theirs), (french, ours) = (
                spaced(self.pairs[index][side], [link[side] for link in links[index]]) for side in (0, 1)
            )
            texts.append(Linked(english, french, tuple(zip(theirs, ours, strict=True))))
        for index in random.integers(0, len(self.pairs), len(self.pairs) // 100).tolist():
            english, french = self.pairs[index]
            mark = " " + PICTURES[random.integers(len(PICTURES))]
            link = ((len(english) + 1, len(english) + 2), (len(french) + 1, len(french) + 2))
            texts.append(Linked(english + mark, french + mark, (*links[index], link)))
        return texts

    def too_long(self) -> int:
        """Return the number of pairs that are left out, as one of their sides has more tokens than the model reads."""
        count = 0
        for first in range(0, len(self.pairs), PART):
            part = self.pairs[first : first + PART]
            sides = (self.tokenizer.encode_batch([pair[side] for pair in part]) for side in (0, 1))
            count += sum(max(map(len, pair)) > self.longest for pair in zip(*sides, strict=True))
        return count

    def epoch(self, number: int, fixed: Sequence[Linked], tokens: int) -> Iterator[TrainingBatch]:
        """Yield the batches of one epoch; the same for the same number.

        The texts are varied, encoded and put in batches a part at a time, so that the first batch is soon there.

        Args:
            number: number of the epoch, counted from 0.
            fixed: texts from `fixed`.
            tokens: most tokens of a batch; see `batches`.
        """
        random = np.random.default_rng([self.seed, 2, number])
        chance = Random(int(random.integers(2**31)))  # noqa: S311 (nothing secret)
        order = random.permutation(len(fixed))
        parts = np.array_split(order, math.ceil(len(fixed) / PART))
        drawn = self._drawn(int(random.integers(2**31)), chance)
        splitter = Splitter(self.tokenizer)
        for part in parts:
            texts = [vary(fixed[index], self.rates, chance) for index in part.tolist()]
            texts += islice(drawn, round(2.5 * self.coreference * len(part) / len(fixed)))
            short = self._fitting(encode(self.tokenizer, texts))
            for index in np.flatnonzero(random.random(len(short)) < self.rates.split).tolist():
                short[index] = split_tokens(short[index], splitter, random)
            runs = self._fitting(joined(short, int(RUNS * len(part)), LONGEST_RUN, random))
            yield from batches([*short, *runs], tokens, random)

    def _drawn(self, seed: int, chance: Random) -> Iterator[Linked]:
        """Yield the grammar's sentences endlessly: of five, two with a pronoun, a simple one and two everyday ones."""
        everyday_rates = replace(self.rates, names=0, numbers=0)  # they come with their own
        pronouns, simple, daily = grammar.examples(seed), grammar.simple(seed), everyday(seed)
        while True:
            for example in (next(pronouns), next(simple), next(pronouns)):
                text = Linked(example.english, example.french, example.links, example.relations)
                yield vary(text, self.rates, chance)
            for text in islice(daily, 2):
                yield vary(text, everyday_rates, chance)

    def _fitting(self, pairs: Sequence[Encoded]) -> list[Encoded]:
        return [pair for pair in pairs if pair.size <= self.longest]
