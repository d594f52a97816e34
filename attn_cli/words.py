"""Tokens to words, and maps of tokens to maps of words.

Words are what stands between Unicode word boundaries (UAX #29). Pieces join the word that their offsets fall in, never
by marker characters, so one rule serves every tokenizer. The weight *to* a word is the sum over its pieces and the
weight *from* a word is the mean over its pieces (Clark et al. 2019, section 4.1), so rows still sum to 1.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Literal

import numpy as np
import regex

from attn_cli.blocks import Block, Eat, Kind, Token, Tokens, Word
from attn_cli.shapes import Bool, Float, Int

__all__ = ["Regroup", "Units", "at_spaces", "make_tokens", "spaced_words", "written_offsets"]

WORD_BOUNDARY = regex.compile(r"(?wV1)\b")
SPACED_WORD = regex.compile(r"[^ \t]+")


def make_tokens(
    text: str,
    pieces: Sequence[str],
    offsets: Sequence[tuple[int, int]],
    special: Sequence[bool],
    *,
    pair: str | None = None,
    segments: Sequence[int] | None = None,
    ids: Sequence[int | None] | None = None,
    cells_of: Callable[[str], list[tuple[int, int]]] | None = None,
) -> Tokens:
    """Group a tokenizer's pieces into words.

    Args:
        text: what was tokenized.
        pieces: as the vocabulary spells them.
        offsets: first character of each piece and one past its last, in `text` or `pair`.
        special: whether a piece is a special token, which belongs to no word.
        pair: the second segment's text.
        segments: 0 for pieces of `text`, 1 for pieces of `pair`; all 0 by default.
        ids: the pieces' numbers in the vocabulary.
        cells_of: where the words of a text stand; between Unicode word boundaries by default.
    """
    count = len(pieces)
    segments = [0] * count if segments is None else segments
    spans: list[tuple[int, int, int] | None] = [None] * count  # (segment, first boundary cell, one past the last)
    cells: dict[int, list[tuple[int, int]]] = {
        segment: (cells_of or _word_cells)(content) for segment, content in ((0, text), (1, pair or ""))
    }
    for index, (start, end) in enumerate(offsets):
        if not special[index]:
            spans[index] = _cells_touched(cells[segments[index]], (text, pair or "")[segments[index]], start, end)
    _adopt_spaces(spans, segments, special)

    words: list[Word] = []
    word_of: list[int | None] = [None] * count
    previous: tuple[int, int, int] | None = None
    for index in range(count):
        if special[index]:
            previous = None
            continue
        segment = segments[index]
        span = spans[index]
        if span is None:  # stands for nothing in the text, and nothing follows that it could belong to
            words.append(Word(pieces[index], offsets[index][0], offsets[index][1], segment))
            previous = None
        elif previous is not None and previous[0] == segment and span[1] < previous[2]:
            previous = (segment, previous[1], max(previous[2], span[2]))
            words[-1] = _word(cells[segment], (text, pair or "")[segment], previous)
        else:
            previous = span
            words.append(_word(cells[segment], (text, pair or "")[segment], span))
        word_of[index] = len(words) - 1
    tokens = tuple(
        Token(
            pieces[i],
            offsets[i][0],
            offsets[i][1],
            word_of[i],
            special[i],
            segments[i],
            None if ids is None else ids[i],
        )
        for i in range(count)
    )
    return Tokens(text=text, tokens=tokens, words=tuple(words), pair=pair)


def at_spaces(tokens: Tokens) -> Tokens:
    """The same tokens with words as aligners' tools count them: what stands between spaces."""
    return _regrouped(tokens, spaced_words)


def at_cells(tokens: Tokens, cells: list[tuple[int, int]]) -> Tokens:
    """The same tokens with other words.

    Args:
        tokens: of one text.
        cells: where each word begins, and one past its end, in their order.
    """
    return _regrouped(tokens, lambda _: cells)


def _regrouped(tokens: Tokens, cells_of: Callable[[str], list[tuple[int, int]]]) -> Tokens:
    every = tokens.tokens
    return make_tokens(
        tokens.text,
        [token.piece for token in every],
        [(token.start, token.end) for token in every],
        [token.special for token in every],
        pair=tokens.pair,
        segments=[token.segment for token in every],
        ids=[token.id for token in every],
        cells_of=cells_of,
    )


def spaced_words(text: str) -> list[tuple[int, int]]:
    """Where each word between spaces begins, and one past its end."""
    return [match.span() for match in SPACED_WORD.finditer(text)]


def written_offsets(text: str, growing: Iterable[str]) -> list[tuple[int, int]]:
    """Where each piece of a text that was written piece by piece stands in it.

    A piece that changes what came before (an accent, the second byte of a letter) stands where the change begins; one
    that adds nothing stands for no character.

    Args:
        text: the whole text.
        growing: what the text reads after each piece.
    """
    offsets = []
    end = 0
    for so_far in growing:
        start, end = end, max(end, _common(so_far, text))
        offsets.append((start, end))
    return offsets


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _word_cells(text: str) -> list[tuple[int, int]]:
    """The stretches between word boundaries, those of plain spaces left out."""
    cells = []
    start = 0
    for part in WORD_BOUNDARY.split(text):
        if part.strip(" "):
            cells.append((start, start + len(part)))
        start += len(part)
    return cells


def _cells_touched(cells: list[tuple[int, int]], text: str, start: int, end: int) -> tuple[int, int, int] | None:
    """Which cells a piece's characters fall in; None where it covers only spaces or nothing."""
    while start < end and text[start] == " ":
        start += 1
    while end > start and text[end - 1] == " ":
        end -= 1
    if start == end:
        return None
    first = bisect_right(cells, start, key=itemgetter(0)) - 1
    last = bisect_left(cells, end, key=itemgetter(0))
    return (0, first, last)


def _adopt_spaces(spans: list[tuple[int, int, int] | None], segments: Sequence[int], special: Sequence[bool]) -> None:
    """Give each piece its segment, and pieces of nothing but space to the word that follows them."""
    following: tuple[int, int, int] | None = None
    for index in reversed(range(len(spans))):
        span = spans[index]
        if special[index]:
            following = None
        elif span is not None:
            following = spans[index] = (segments[index], span[1], span[2])
        elif following is not None and following[0] == segments[index]:
            spans[index] = (following[0], following[1], following[1] + 1)


def _word(cells: list[tuple[int, int]], text: str, span: tuple[int, int, int]) -> Word:
    start, end = cells[span[1]][0], cells[span[2] - 1][1]
    return Word(text[start:end], start, end, span[0])


@dataclass(frozen=True, eq=False)
class Units:
    """One axis of a map as it is shown: words or tokens, with some of them hidden."""

    labels: tuple[str, ...]
    """Text of each shown unit."""
    special: tuple[bool, ...]
    """Whether each shown unit is a special token."""
    starts: Int[np.ndarray, "all_units"]
    """First token of each unit, shown or hidden; each ends where the next starts."""
    shown: Bool[np.ndarray, "all_units"]
    tokens: int
    """How many tokens there are."""

    @classmethod
    def of(
        cls, tokens: Tokens, unit: Literal["word", "token"] = "word", *, special: bool = True, sink: bool = True
    ) -> Units:
        """The units of one side.

        Args:
            tokens: that side.
            unit: words, or the model's own pieces.
            special: show special tokens.
            sink: show the unit that holds the first token.
        """
        starts = [
            i
            for i, token in enumerate(tokens.tokens)
            if i == 0 or unit == "token" or token.word is None or token.word != tokens.tokens[i - 1].word
        ]
        firsts = [tokens.tokens[i] for i in starts]
        shown = [(special or not first.special) and (sink or i > 0) for i, first in enumerate(firsts)]
        labels = [
            first.piece if unit == "token" or first.word is None else tokens.words[first.word].text for first in firsts
        ]
        return cls(
            labels=tuple(label for label, show in zip(labels, shown, strict=True) if show),
            special=tuple(first.special for first, show in zip(firsts, shown, strict=True) if show),
            starts=np.asarray(starts, dtype=np.intp),
            shown=np.asarray(shown, dtype=np.bool_),
            tokens=len(tokens),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def plain(self) -> bool:
        """Every token is a unit of its own and all are shown."""
        return len(self) == self.tokens

    @property
    def hides(self) -> bool:
        """Something is hidden, so that rows over these keys must be renormalised."""
        return not bool(self.shown.all())

    @property
    def shows_first(self) -> bool:
        """The first token is among the units shown."""
        return bool(self.shown[:1].all()) and len(self) > 0

    def token_positions(self, unit: int) -> range:
        """The tokens of the shown unit of this index."""
        place = int(np.flatnonzero(self.shown)[unit])
        stop = self.tokens if place + 1 == len(self.starts) else int(self.starts[place + 1])
        return range(int(self.starts[place]), stop)

    def unit_of_token(self) -> Int[np.ndarray, "token"]:
        """Index, among all units, of each token's."""
        marks = np.zeros(self.tokens, dtype=np.intp)
        marks[self.starts] = 1
        return np.cumsum(marks) - 1

    def shown_before(self) -> Int[np.ndarray, "all_units_and_end"]:
        """How many shown units come before each unit, and in all."""
        return np.concatenate([[0], np.cumsum(self.shown)])


class Regroup:
    """A collector that turns blocks of tokens into blocks of units, and hands those to another.

    Sums over a key's tokens, averages over a query's, drops what is hidden and renormalises the rows. `start`, rows and
    columns of what it hands on are counted in shown units. Scores are only possible where each token is a unit: a word
    of several pieces has no single score.
    """

    def __init__(self, queries: Units, keys: Units, eat: Eat) -> None:
        self.queries, self.keys, self.eat = queries, keys, eat
        self._query_unit = queries.unit_of_token()
        self._key_unit = keys.unit_of_token()
        self._query_before = queries.shown_before()
        self._key_before = keys.shown_before()
        self._pieces = np.diff([*queries.starts, queries.tokens])
        self._pending: dict[tuple[Kind, int], tuple[int, Block]] = {}

    def __call__(self, block: Block) -> None:
        if self.queries.plain and self.keys.plain:
            self.eat(block)
            return
        block = self._join_pending(self._merge_keys(block))
        units = self._query_unit[block.start : block.start + block.visible.shape[0]]
        stop = block.start + len(units)
        last = int(units[-1])
        end = self.queries.tokens if last + 1 == len(self.queries.starts) else int(self.queries.starts[last + 1])
        if end > stop:  # the last word goes on in the next block
            cut = int(np.searchsorted(units, last))
            self._pending[block.kind, block.layer] = (stop, _rows(block, slice(cut, None)))
            if cut == 0:
                return
            block, units = _rows(block, slice(0, cut)), units[:cut]
        merged = self._merge_queries(block, units)
        if merged.visible.shape[0]:
            self.eat(merged)

    def _join_pending(self, block: Block) -> Block:
        stop, rest = self._pending.pop((block.kind, block.layer), (-1, block))
        if stop != block.start:
            return block
        keys = max(rest.weights.shape[2], block.weights.shape[2])
        return replace(
            block,
            start=rest.start,
            weights=np.concatenate([_widen(rest.weights, keys), _widen(block.weights, keys)], axis=1),
            visible=np.concatenate([rest.visible, block.visible]),
            sink=None if block.sink is None or rest.sink is None else np.concatenate([rest.sink, block.sink], axis=1),
        )

    def _merge_keys(self, block: Block) -> Block:
        present = int(np.searchsorted(self.keys.starts, block.weights.shape[2]))
        shown = self.keys.shown[:present]
        weights, scores, sink = block.weights, block.scores, block.sink
        if present != weights.shape[2]:
            weights, scores = np.add.reduceat(weights, self.keys.starts[:present], axis=2), None
        if not shown.all():
            weights = weights[:, :, shown]
        if self.keys.hides:
            total = weights.sum(axis=2, keepdims=True)
            weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
            scores, sink = None if scores is None else scores[:, :, shown], None
        first = self._key_before[self._key_unit[np.minimum(block.visible[:, 0], self.keys.tokens - 1)]]
        stop = self._key_before[self._key_unit[block.visible[:, 1] - 1] + 1]
        empty = block.visible[:, 0] >= block.visible[:, 1]
        visible = np.where(empty[:, None], 0, np.stack([first, stop], axis=1))
        return replace(block, weights=weights, visible=visible, scores=scores, sink=sink)

    def _merge_queries(self, block: Block, units: Int[np.ndarray, "query"]) -> Block:
        firsts = np.flatnonzero(np.diff(units, prepend=-1))
        present = units[firsts]
        shown = self.queries.shown[present]
        start = int(self._query_before[present[0]])
        if len(firsts) == len(units):
            return replace(_rows(block, shown), start=start)
        pieces = self._pieces[present].astype(np.float32)
        lowest = np.minimum.reduceat(block.visible[:, 0], firsts)
        highest = np.maximum.reduceat(block.visible[:, 1], firsts)
        merged = replace(
            block,
            weights=np.add.reduceat(block.weights, firsts, axis=1) / pieces[:, None],
            visible=np.stack([lowest, highest], axis=1),
            scores=None,
            sink=None if block.sink is None else np.add.reduceat(block.sink, firsts, axis=1) / pieces,
        )
        return replace(_rows(merged, shown), start=start)


def _rows(block: Block, rows: slice | Bool[np.ndarray, "query"]) -> Block:
    """Some of a block's rows; `start` moves along with a slice."""
    return replace(
        block,
        start=block.start + ((rows.start or 0) if isinstance(rows, slice) else 0),
        weights=block.weights[:, rows],
        visible=block.visible[rows],
        scores=None if block.scores is None else block.scores[:, rows],
        sink=None if block.sink is None else block.sink[:, rows],
    )


def _widen(weights: Float[np.ndarray, "head query some_keys"], keys: int) -> Float[np.ndarray, "head query key"]:
    """Append keys of weight zero."""
    missing = keys - weights.shape[2]
    return np.pad(weights, ((0, 0), (0, 0), (0, missing))) if missing else weights
