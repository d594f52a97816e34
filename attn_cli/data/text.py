"""Tokens to words.

Words are what stands between Unicode word boundaries (UAX #29). Pieces join the word that their offsets fall in, never
by marker characters, so one rule serves every tokenizer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from typing import Literal

import numpy as np
import regex

from attn_cli.data.shapes import Bool, Int

__all__ = [
    "Token",
    "Tokens",
    "Units",
    "Word",
    "at_spaces",
    "make_tokens",
    "spaced_words",
    "word_cells",
    "written_offsets",
]


@dataclass(frozen=True, slots=True)
class Token:
    """One piece that the model reads."""

    piece: str
    """As the vocabulary spells it: `##ing`, `Ġit`, `[SEP]`."""
    start: int
    """Where it stands in the text, in characters; `start == end` where it stands for none."""
    end: int
    word: int | None
    """Index into `Tokens.words`; None for special tokens."""
    special: bool = False
    segment: int = 0
    """0 for the text, 1 for its `--pair`."""
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text: a stretch between Unicode word boundaries that tokens do not straddle."""

    text: str
    start: int
    end: int
    segment: int = 0


@dataclass(frozen=True)
class Tokens:
    """One side's text, its tokens and its words."""

    text: str
    tokens: tuple[Token, ...]
    words: tuple[Word, ...]
    pair: str | None = None
    """The second segment's text, where there is one."""

    def __len__(self) -> int:
        return len(self.tokens)


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
        segment: (cells_of or word_cells)(content) for segment, content in ((0, text), (1, pair or ""))
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


def word_cells(text: str) -> list[tuple[int, int]]:
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


NO_TEXT = Tokens("", (), ())


@dataclass(frozen=True, eq=False)
class Units:
    """One axis of a map as it is shown: words or tokens, with some of them hidden, and perhaps some joined to one."""

    labels: tuple[str, ...]
    """Text of each shown unit."""
    special: tuple[bool, ...]
    """Whether each shown unit is a special token."""
    starts: Int[np.ndarray, "all_units"]
    """First token of each unit, shown or hidden; each ends where the next starts."""
    shown: Bool[np.ndarray, "all_units"]
    tokens: int
    """How many tokens there are."""
    side: Tokens = NO_TEXT
    """The text that the units are of."""
    unit: Literal["word", "token"] = "word"
    base: Units | None = None
    """The units before some were joined; None where none were."""
    firsts: tuple[int, ...] = ()
    """Index in `base` of each unit's first; empty where none were joined."""

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
        wholes = ["" if first.word is None else tokens.words[first.word].text for first in firsts]
        labels = [
            first.piece if unit == "token" or first.word is None else whole
            for first, whole in zip(firsts, wholes, strict=True)
        ]
        return cls(
            labels=tuple(label for label, show in zip(labels, shown, strict=True) if show),
            special=tuple(first.special for first, show in zip(firsts, shown, strict=True) if show),
            starts=np.asarray(starts, dtype=np.intp),
            shown=np.asarray(shown, dtype=np.bool_),
            tokens=len(tokens),
            side=tokens,
            unit=unit,
        )

    def joined(self, spans: Iterable[range]) -> Units:
        """The same with each of some runs of units as one, whose label is the text that they cover.

        Args:
            spans: indices of units shown, consecutive in the text; no two have one in common.

        Raises:
            ValueError: two of them have a unit in common.
        """
        runs = sorted((span for span in set(spans) if len(span) > 1), key=lambda span: span.start)
        if any(one.stop > other.start for one, other in pairwise(runs)):
            raise ValueError("two spans have a unit in common")
        if not runs:
            return self
        inner = {index for run in runs for index in run[1:]}
        firsts = tuple(index for index in range(len(self)) if index not in inner)
        places = np.flatnonzero(self.shown)
        kept = np.ones(len(self.starts), np.bool_)
        kept[places[list(inner)]] = False
        covered = {run.start: run for run in runs}
        return replace(
            self,
            labels=tuple(self.text_of(covered[one]) if one in covered else self.labels[one] for one in firsts),
            special=tuple(self.special[one] and one not in covered for one in firsts),
            starts=self.starts[kept],
            shown=self.shown[kept],
            base=self,
            firsts=firsts,
        )

    def text_of(self, span: range) -> str:
        """The text from the first of some units to the last; their labels where they stand nowhere in it."""
        first, last = self.extents[span.start], self.extents[span[-1]]
        if len(span) == 1 or first is None or last is None:
            return " ".join(self.labels[index] for index in span)
        return self.texts[first[0]][first[1] : last[2]]

    @property
    def texts(self) -> tuple[str, str]:
        """The text, and its second segment."""
        return self.side.text, self.side.pair or ""

    @cached_property
    def extents(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Where each unit shown stands: its segment, its first character and one past its last; None for nowhere.

        Spaces around a token are no part of it, and a token of nothing else stands where the next of its word does.
        """
        found: list[tuple[int, int, int] | None] = [None] * len(self.side)
        following: tuple[int | None, tuple[int, int, int] | None] = (None, None)
        for index in reversed(range(len(self.side))):
            token = self.side.tokens[index]
            if self.unit == "word" and token.word is not None:
                word = self.side.words[token.word]
                found[index] = (word.segment, word.start, word.end) if word.start < word.end else None
                continue
            text = self.texts[token.segment][token.start : token.end]
            start = token.start + len(text) - len(text.lstrip())
            if text.strip():
                found[index] = (token.segment, start, start + len(text.strip()))
            elif token.word is not None and token.word == following[0]:
                found[index] = following[1]
            following = (token.word, found[index])
        return tuple(found[first] for first in self.starts[self.shown].tolist()) if found else (None,) * len(self)

    @cached_property
    def labelled(self) -> Mapping[str, Sequence[int]]:
        """The units of each label."""
        found: dict[str, list[int]] = {}
        for index, label in enumerate(self.labels):
            found.setdefault(label, []).append(index)
        return found

    @cached_property
    def ends(self) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
        """The first unit that begins, and the last that ends, at each place (segment and character) of the text."""
        firsts: dict[tuple[int, int], int] = {}
        lasts: dict[tuple[int, int], int] = {}
        for index, extent in enumerate(self.extents):
            if extent is not None:
                segment, start, end = extent
                firsts.setdefault((segment, start), index)
                lasts[segment, end] = index
        return firsts, lasts

    @property
    def positions(self) -> tuple[int, ...]:
        """The number that a user calls each unit by: the same whether others are joined or not."""
        return self.firsts or tuple(range(len(self)))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def read_as(self) -> tuple[str | None, ...]:
        """What must be equal for two units shown to be the same word; None for what is no word."""
        return tuple(
            label.casefold() if not special and any(map(str.isalnum, label)) else None
            for label, special in zip(self.labels, self.special, strict=True)
        )

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
