"""The training texts, as tokens with links and in batches of similar length.

They are pairs, runs of pairs, pairs spaced as aligners write them, and the grammar's sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from tokenizers import Tokenizer

from attn_cli.data.shapes import Bool, Int
from attn_cli.grammar import sentences as grammar
from attn_cli.grammar.words import Span, spaced

__all__ = [
    "LONGEST_RUN",
    "Encoded",
    "Mixture",
    "SpanLink",
    "TrainingBatch",
    "batches",
    "encode",
    "joined",
    "make_batch",
]

LONGEST_RUN = 60
"""Most source words of a joined run."""
SPACED = 0.06
"""Share of the pairs that are also read with spaces between all words and marks."""
RUNS = 0.12
"""Number of joined runs of 2 to 5 texts, as a share of the number of `Mixture.fixed` texts."""
PICTURES = "😀😂😍😎😢😡👍👏🙏💪🎉🎂🍎🍕🍷☕🐱🐶🐭🐟🌳🌹🌞🌙⭐🔥🌍🏠🚗🚲🚆📚📷🎵🎸⚽🏆🎁💡❤"

SpanLink = tuple[Span, Span]
"""A span of the English text and the span it is linked to."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A pair as tokens, each side ending with the end token."""

    source: Int[np.ndarray, "source"]
    target: Int[np.ndarray, "target"]
    links: Int[np.ndarray, "link 2"]
    """Indices of linked (target, source) tokens."""
    references: Int[np.ndarray, "reference 2"]
    """Indices of (pronoun, noun) tokens of the source; the pronoun stands for the noun."""
    words: int
    """Number of words in the source."""

    @property
    def size(self) -> int:
        """The number of tokens of the longer side."""
        return max(len(self.source), len(self.target))


def encode(
    tokenizer: Tokenizer,
    pairs: Sequence[tuple[str, str]],
    links: Iterable[Sequence[SpanLink]] | None = None,
    references: Iterable[Sequence[SpanLink]] | None = None,
) -> list[Encoded]:
    """Tokenize pairs, and carry links between characters over to tokens.

    Args:
        tokenizer: tokenizer of both languages.
        pairs: English sentences and their French translations.
        links: for each pair, linked English and French words.
        references: for each pair, pronouns and the nouns they stand for, both English.
    """
    english = tokenizer.encode_batch([pair[0] for pair in pairs])
    french = tokenizer.encode_batch([pair[1] for pair in pairs])
    nothing: Sequence[Sequence[SpanLink]] = [()] * len(pairs)
    return [
        Encoded(
            np.asarray(source.ids, np.int32),
            np.asarray(target.ids, np.int32),
            _token_links([(theirs, ours) for ours, theirs in link], target.offsets, source.offsets),
            _token_links(reference, source.offsets, source.offsets),
            len(pair[0].split()),
        )
        for source, target, link, reference, pair in zip(
            english,
            french,
            nothing if links is None else links,
            nothing if references is None else references,
            pairs,
            strict=True,
        )
    ]


def _token_links(links: Sequence[SpanLink], rows: Sequence[Span], columns: Sequence[Span]) -> Int[np.ndarray, "link 2"]:
    found = {
        (row, column)
        for from_span, to_span in links
        for row in _touching(from_span, rows)
        for column in _touching(to_span, columns)
    }
    return np.asarray(sorted(found), np.int32).reshape(-1, 2)


def _touching(span: Span, offsets: Sequence[Span]) -> list[int]:
    return [index for index, (start, end) in enumerate(offsets) if start < span[1] and end > span[0]]


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
        np.concatenate(
            [pair.references + np.int32(source) for pair, source in zip(run, source_starts[:-1], strict=True)]
        ),
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
    links: Bool[np.ndarray, "batch target source"]
    """True where the token *read* at a place is linked to a source token."""
    references: Bool[np.ndarray, "batch source source"]
    """True where a pronoun's token stands for another source token."""

    @property
    def tokens(self) -> int:
        """The number of tokens to write."""
        return int((self.written != 0).sum())


def make_batch(pairs: Sequence[Encoded]) -> TrainingBatch:
    """Pad pairs to the longest of them."""
    count = len(pairs)
    sources, targets = max(len(pair.source) for pair in pairs), max(len(pair.target) for pair in pairs)
    source = np.zeros((count, sources), np.int64)
    read, written = np.zeros((2, count, targets), np.int64)
    links = np.zeros((count, targets, sources), np.bool_)
    references = np.zeros((count, sources, sources), np.bool_)
    for row, pair in enumerate(pairs):
        source[row, : len(pair.source)] = pair.source
        written[row, : len(pair.target)] = pair.target
        read[row, 1 : len(pair.target)] = pair.target[:-1]
        seen = pair.links[pair.links[:, 0] + 1 < len(pair.target)]
        links[row, seen[:, 0] + 1, seen[:, 1]] = True
        references[row, pair.references[:, 0], pair.references[:, 1]] = True
    return TrainingBatch(source, read, written, links, references)


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
            many simple ones are added.
        seed: seed of all random choices.
        longest: number of the model's positions; texts with more tokens are left out.
    """

    tokenizer: Tokenizer
    pairs: Sequence[tuple[str, str]]
    links: Sequence[Sequence[SpanLink]] | None
    coreference: int
    seed: int
    longest: int

    def fixed(self) -> list[Encoded]:
        """Encode the texts of every epoch: the pairs, and copies of some of them spaced or with an emoji."""
        random = np.random.default_rng([self.seed, 1])
        links = self.links or [[]] * len(self.pairs)
        texts, moved = list(self.pairs), list(links)
        for index in np.flatnonzero(random.random(len(self.pairs)) < SPACED).tolist():
            (english, theirs), (french, ours) = (
                spaced(self.pairs[index][side], [link[side] for link in links[index]]) for side in (0, 1)
            )
            texts.append((english, french))
            moved.append(list(zip(theirs, ours, strict=True)))
        for index in random.integers(0, len(self.pairs), len(self.pairs) // 100).tolist():
            english, french = self.pairs[index]
            mark = " " + PICTURES[random.integers(len(PICTURES))]
            texts.append((english + mark, french + mark))
            moved.append([*links[index], ((len(english) + 1, len(english) + 2), (len(french) + 1, len(french) + 2))])
        return self._fitting(encode(self.tokenizer, texts, moved))

    def epoch(self, number: int, fixed: Sequence[Encoded], tokens: int) -> Iterator[TrainingBatch]:
        """Yield the batches of one epoch; the same for the same number.

        Args:
            number: number of the epoch, counted from 0.
            fixed: texts from `fixed`.
            tokens: most tokens of a batch; see `batches`.
        """
        random = np.random.default_rng([self.seed, 2, number])
        drawn: list[grammar.Example] = []
        if self.coreference:
            seed = int(random.integers(2**31))
            drawn += islice(grammar.examples(seed), self.coreference)
            drawn += islice(grammar.simple(seed), self.coreference // 2)
        written = encode(
            self.tokenizer,
            [(one.english, one.french) for one in drawn],
            [one.links for one in drawn],
            [() if one.coreference is None else [(one.coreference.pronoun, one.coreference.meant)] for one in drawn],
        )
        short = [*fixed, *self._fitting(written)]
        runs = self._fitting(joined(short, int(RUNS * len(fixed)), LONGEST_RUN, random))
        yield from batches([*short, *runs], tokens, random)

    def _fitting(self, pairs: Sequence[Encoded]) -> list[Encoded]:
        return [pair for pair in pairs if pair.size <= self.longest]
