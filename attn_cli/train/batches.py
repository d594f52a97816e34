"""Training pairs as tokens with links, in joined runs and in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from attn_cli.data.shapes import Bool, Int
from attn_cli.grammar.words import Span

__all__ = ["Encoded", "SpanLink", "TrainingBatch", "batches", "encode", "joined", "make_batch"]

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
