"""Pairs of sentences as a model is trained on them: tokens, links, joined runs, batches of like length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from attn_cli.data.shapes import Bool, Int
from attn_cli.grammar.words import Span

__all__ = ["Batch", "Encoded", "SpanLink", "batches", "encode", "joined", "make_batch"]

SpanLink = tuple[Span, Span]
"""A span of the English text and the span it is linked to."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A pair as tokens, each side ending with the end token."""

    source: Int[np.ndarray, "source"]
    target: Int[np.ndarray, "target"]
    links: Int[np.ndarray, "link 2"]
    """Linked (target, source) tokens."""
    references: Int[np.ndarray, "reference 2"]
    """(pronoun, noun) tokens of the source: what a pronoun stands for."""
    words: int
    """Words of the source."""

    @property
    def size(self) -> int:
        """Tokens of the longer side."""
        return max(len(self.source), len(self.target))


def encode(
    tokenizer: Tokenizer,
    pairs: Sequence[tuple[str, str]],
    links: Iterable[Sequence[SpanLink]] | None = None,
    references: Iterable[Sequence[SpanLink]] | None = None,
) -> list[Encoded]:
    """Tokenize pairs, and carry links between characters over to tokens.

    Args:
        tokenizer: of both languages.
        pairs: English and French.
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
    """Runs of 2 to 5 pairs, read as one text each.

    Args:
        pairs: what to join.
        count: how many runs.
        words: the most source words of a run.
        random: what chooses.
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
class Batch:
    """Pairs of like length, padded with zeros."""

    source: Int[np.ndarray, "batch source"]
    read: Int[np.ndarray, "batch target"]
    """What the decoder reads: the start token, then all but the last token of the translation."""
    written: Int[np.ndarray, "batch target"]
    """What it should write: the translation and the end token."""
    links: Bool[np.ndarray, "batch target source"]
    """Which source tokens the token *read* at each place is linked to."""
    references: Bool[np.ndarray, "batch source source"]
    """Which tokens a pronoun stands for."""

    @property
    def tokens(self) -> int:
        """Tokens to write."""
        return int((self.written != 0).sum())


def make_batch(pairs: Sequence[Encoded]) -> Batch:
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
    return Batch(source, read, written, links, references)


def batches(pairs: Sequence[Encoded], tokens: int, random: np.random.Generator) -> Iterator[Batch]:
    """All pairs once, in batches of like length and in random order.

    Args:
        pairs: what to put in batches.
        tokens: the most tokens of a batch on its longer side, padding counted.
        random: what shuffles.
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
