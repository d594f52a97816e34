"""A text's tokens, and their grouping into words; an image's patches are tokens as well.

Words are the stretches between Unicode word boundaries (UAX #29). A piece belongs to the word that its offsets fall in,
whatever its marker characters, so that one rule serves every tokenizer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Literal

import regex

from attn_cli.data.image import PatchGrid
from attn_cli.errors import ExactnessError

__all__ = [
    "ANSWER",
    "WORD_STARTS",
    "Part",
    "Split",
    "Token",
    "Tokens",
    "Word",
    "at_spaces",
    "make_tokens",
    "spaced_words",
    "split_words",
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


@dataclass(frozen=True, slots=True)
class Part:
    """A named stretch of a prompt: a turn of a chat, a document, a question."""

    name: str
    start: int
    """First character in the text."""
    end: int


ANSWER = "answer"
"""Name of the part of a chat that a model is to write: its mark, and then what it writes."""


@dataclass(frozen=True)
class Tokens:
    """One side's text, its tokens and its words.

    Raises:
        ExactnessError: the grid has more or fewer patches than there are tokens.
    """

    text: str
    tokens: tuple[Token, ...]
    words: tuple[Word, ...]
    pair: str | None = None
    """The second segment's text, if there is one."""
    written: int | None = None
    """The first token of what a decoder wrote behind its prompt; None if nothing here was written behind a prompt.

    The decoder has read all of these tokens but the last, which it only wrote."""
    parts: tuple[Part, ...] = ()
    """The parts of the text, in its order; none where they are not told apart."""
    grid: PatchGrid | None = None
    """The grid of patches, if this is an image; then the tokens that are not special are its patches, row by row."""

    def __post_init__(self) -> None:
        patches = sum(not token.special for token in self.tokens)
        if self.grid is not None and patches != len(self.grid):
            raise ExactnessError(
                f"There are {patches} patches, and a grid of {self.grid.rows} x {self.grid.columns} needs "
                f"{len(self.grid)}"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def name(self) -> str:
        """The text itself, or the name of the image."""
        return self.text if self.grid is None else self.grid.name

    def text_of(self, token: Token) -> str:
        """Return the characters that a token covers, in the text or in its pair."""
        return (self.text, self.pair or "")[token.segment][token.start : token.end]


WORD_STARTS = ("▁", "Ġ")
"""Marks of pieces that begin a word, which stand for the space before it, and which nobody can type."""
WORD_BOUNDARY = regex.compile(r"(?wV1)\b")
SPACED_WORD = regex.compile(r"[^ \t]+")
BETWEEN_SPACES = regex.compile(r"\S+|[^\S ]+")
"""A word between spaces; line ends and tabs, which have tokens of their own, are words, as they are by default."""

Split = Callable[[str], list[tuple[int, int]]]
"""A function from a text to the start of each word and one past its end, in order."""


def make_tokens(
    text: str,
    pieces: Sequence[str],
    offsets: Sequence[tuple[int, int]],
    special: Sequence[bool],
    *,
    pair: str | None = None,
    segments: Sequence[int] | None = None,
    ids: Sequence[int | None] | None = None,
    written: int | None = None,
    cells_of: Split | None = None,
    parts: tuple[Part, ...] = (),
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
        written: the first piece that was written behind a prompt, at which a word ends in any case.
        cells_of: function from a text to the start and end of each word; Unicode word boundaries by default.
        parts: the parts of the text.
    """
    count = len(pieces)
    segments = [0] * count if segments is None else segments
    spans: list[tuple[int, int, int] | None] = [None] * count  # (segment, first boundary cell, one past the last)
    cells: dict[int, list[tuple[int, int]]] = {
        segment: (cells_of or word_cells)(content) for segment, content in ((0, text), (1, pair or ""))
    }
    # No word goes on across the place where writing began, or across a special token that the text spells.
    ends = [offsets[written][0]] if written is not None and written < count else []
    ends += [place for index in range(count) if special[index] and not segments[index] for place in offsets[index]]
    cells[0] = _cut(cells[0], ends)
    for index, (start, end) in enumerate(offsets):
        if not special[index]:
            spans[index] = _cells_touched(cells[segments[index]], (text, pair or "")[segments[index]], start, end)
    _adopt_spaces(spans, segments, special, written)

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
            words.append(_alone(pieces[index], (text, pair or "")[segment], *offsets[index], segment))
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
    return Tokens(text=text, tokens=tokens, words=tuple(words), pair=pair, written=written, parts=parts)


def _cut(cells: list[tuple[int, int]], places: Iterable[int]) -> list[tuple[int, int]]:
    """Cut the cells that some places in the text lie within."""
    ends = sorted({place for place in places if place})
    if not ends:
        return cells
    cut: list[tuple[int, int]] = []
    for start, end in cells:
        inside = ends[bisect_right(ends, start) : bisect_left(ends, end)]
        cut += pairwise([start, *inside, end])
    return cut


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
        written=tokens.written,
        cells_of=cells_of,
        parts=tokens.parts,
    )


def spaced_words(text: str) -> list[tuple[int, int]]:
    """Return the start of each word between spaces, and one past its end."""
    return [match.span() for match in SPACED_WORD.finditer(text)]


def split_words(how: Literal["spaces", "words"] | Sequence[str]) -> Split | None:
    """Return the function that divides a text into words.

    Args:
        how: `words` for Unicode word boundaries, `spaces` for what stands between spaces and line ends, or a list of
            words: the longest that begins at a place is one, and what is in none of them is divided at word boundaries.

    Returns:
        The function; None for the default, `words`.
    """
    if how == "words":
        return None
    if how == "spaces":
        return lambda text: [match.span() for match in BETWEEN_SPACES.finditer(text)]
    known = regex.compile("|".join(map(regex.escape, sorted(how, key=len, reverse=True))))

    def cells_of(text: str) -> list[tuple[int, int]]:
        cells: list[tuple[int, int]] = []
        place = 0
        for match in known.finditer(text):
            cells += [(place + start, place + end) for start, end in word_cells(text[place : match.start()])]
            cells.append(match.span())
            place = match.end()
        return cells + [(place + start, place + end) for start, end in word_cells(text[place:])]

    return cells_of


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


def _adopt_spaces(
    spans: list[tuple[int, int, int] | None], segments: Sequence[int], special: Sequence[bool], written: int | None
) -> None:
    """Set the segment of each piece, and join pieces of only spaces to the word that follows them.

    Spaces at the end of a prompt do not belong to the first word that was written behind it.
    """
    following: tuple[int, int, int] | None = None
    for index in reversed(range(len(spans))):
        span = spans[index]
        if written is not None and index == written - 1:
            following = None
        if special[index]:
            following = None
        elif span is not None:
            following = spans[index] = (segments[index], span[1], span[2])
        elif following is not None and following[0] == segments[index]:
            spans[index] = (following[0], following[1], following[1] + 1)


def _alone(piece: str, text: str, start: int, end: int, segment: int) -> Word:
    """Make a word of a piece that covers only spaces or nothing: the spaces, or the piece where it stands for none."""
    spaces = text[start:end] or " " * len(piece) * (not piece.strip("".join(WORD_STARTS)))
    return Word(spaces or piece, start, end, segment)


def _word(cells: list[tuple[int, int]], text: str, span: tuple[int, int, int]) -> Word:
    start, end = cells[span[1]][0], cells[span[2] - 1][1]
    return Word(text[start:end], start, end, span[0])
