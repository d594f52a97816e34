"""The grouping of tokens into words.

Words are the stretches between Unicode word boundaries (UAX #29). A piece belongs to the word that its offsets fall in,
whatever its marker characters, so that one rule serves every tokenizer.
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
    """The piece as the vocabulary spells it: `##ing`, `Ġit`, `[SEP]`."""
    start: int
    """First character in the text; `start == end` if the piece covers none."""
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
    """The second segment's text, if there is one."""

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
        text: the text that was tokenized.
        pieces: the pieces as the vocabulary spells them.
        offsets: first character of each piece and one past its last, in `text` or `pair`.
        special: whether each piece is a special token, which belongs to no word.
        pair: the second segment's text.
        segments: 0 for pieces of `text`, 1 for pieces of `pair`; all 0 by default.
        ids: the pieces' numbers in the vocabulary.
        cells_of: function from a text to the start and end of each word; Unicode word boundaries by default.
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
        if span is None:  # covers nothing in the text, and no word follows that it could belong to
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
    """Return the same tokens with words split at spaces, as alignment tools count them."""
    return _regrouped(tokens, spaced_words)


def at_cells(tokens: Tokens, cells: list[tuple[int, int]]) -> Tokens:
    """Return the same tokens with other words.

    Args:
        tokens: the tokens of one text.
        cells: the start of each word and one past its end, in order.
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
    """Return the start of each word between spaces, and one past its end."""
    return [match.span() for match in SPACED_WORD.finditer(text)]


def written_offsets(text: str, growing: Iterable[str]) -> list[tuple[int, int]]:
    """Return the offsets of the pieces of a text that was written piece by piece.

    A piece that changes what came before (an accent, the second byte of a letter) begins where the change does; one
    that adds nothing covers no character.

    Args:
        text: the whole text.
        growing: the text so far after each piece.
    """
    offsets = []
    end = 0
    for so_far in growing:
        start, end = end, max(end, _common(so_far, text))
        offsets.append((start, end))
    return offsets


def _common(one: str, other: str) -> int:
    """Count the leading characters that two texts have in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def word_cells(text: str) -> list[tuple[int, int]]:
    """Return the stretches between word boundaries, except those of plain spaces."""
    cells = []
    start = 0
    for part in WORD_BOUNDARY.split(text):
        if part.strip(" "):
            cells.append((start, start + len(part)))
        start += len(part)
    return cells


def _cells_touched(cells: list[tuple[int, int]], text: str, start: int, end: int) -> tuple[int, int, int] | None:
    """Return the cells that a piece's characters fall in; None if it covers only spaces or nothing."""
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
    """Set the segment of each piece, and join pieces of only spaces to the word that follows them."""
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
    """One axis of a map as it is shown: words or tokens, some of them perhaps hidden or joined into one."""

    labels: tuple[str, ...]
    """Text of each shown unit."""
    special: tuple[bool, ...]
    """True for each shown unit that is a special token."""
    starts: Int[np.ndarray, "all_units"]
    """First token of each unit, shown or hidden; each ends where the next starts."""
    shown: Bool[np.ndarray, "all_units"]
    tokens: int
    """The number of tokens."""
    side: Tokens = NO_TEXT
    """The text that the units belong to."""
    unit: Literal["word", "token"] = "word"
    base: Units | None = None
    """The units before some were joined; None if none were."""
    firsts: tuple[int, ...] = ()
    """Index in `base` of the first unit joined into each; empty if none were joined."""

    @classmethod
    def of(
        cls, tokens: Tokens, unit: Literal["word", "token"] = "word", *, special: bool = True, sink: bool = True
    ) -> Units:
        """Build the units of one side.

        Args:
            tokens: the tokens of that side.
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
        """Return the units with each of these runs joined into one, labelled with the text that it covers.

        Args:
            spans: runs of indices of shown units, consecutive in the text, that do not overlap.

        Raises:
            ValueError: two runs have a unit in common.
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
        """Return the text from the first of some units to the last; their labels if they have no place in it."""
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
        """The place of each shown unit: its segment, its first character and one past its last; None if it has none.

        Spaces around a token are no part of it, and a token of only spaces has the place of the next token of its word.
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
        """Indices of the units of each label."""
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
        """The number of each unit in commands: the same whether others are joined or not."""
        return self.firsts or tuple(range(len(self)))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def read_as(self) -> tuple[str | None, ...]:
        """The case-folded label of each shown unit, equal for equal words; None for a unit that is not a word."""
        return tuple(
            label.casefold() if not special and any(map(str.isalnum, label)) else None
            for label, special in zip(self.labels, self.special, strict=True)
        )

    @property
    def plain(self) -> bool:
        """True if every token is a unit of its own and all are shown."""
        return len(self) == self.tokens

    @property
    def hides(self) -> bool:
        """True if some units are hidden, so that rows over these keys must be renormalised."""
        return not bool(self.shown.all())

    @property
    def shows_first(self) -> bool:
        """True if the first token is among the units shown."""
        return bool(self.shown[:1].all()) and len(self) > 0

    def token_positions(self, unit: int) -> range:
        """Return the positions of the tokens of the shown unit with this index."""
        place = int(np.flatnonzero(self.shown)[unit])
        stop = self.tokens if place + 1 == len(self.starts) else int(self.starts[place + 1])
        return range(int(self.starts[place]), stop)

    def unit_of_token(self) -> Int[np.ndarray, "token"]:
        """Return the index, among all units, of each token's unit."""
        marks = np.zeros(self.tokens, dtype=np.intp)
        marks[self.starts] = 1
        return np.cumsum(marks) - 1

    def shown_before(self) -> Int[np.ndarray, "all_units_and_end"]:
        """Count the shown units before each unit, and in all."""
        return np.concatenate([[0], np.cumsum(self.shown)])
