"""Offsets of the pieces of a tokenizer that returns none, recovered from the pieces' spelling.

Offsets are returned only where the pieces spell the whole text, letter by letter or byte by byte, and nothing else, so
a wrong guess about a tokenizer cannot put a piece in a wrong place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from unicodedata import combining, normalize

import regex

__all__ = ["letter_shown", "spelled_offsets"]

MARKS = (("##", ""), ("", "@@"), ("", "</w>"), ("▁", ""), ("Ġ", ""))
"""Marks that tokenizers write before or behind the letters of a piece where a word begins, continues or ends."""

UNKNOWN = regex.compile(r"(?V1)\p{Ideographic}|[\w--\p{Ideographic}]+|\S")

Offsets = list[tuple[int, int]]


def spelled_offsets(
    text: str, pieces: Sequence[str], special: Collection[str] = (), unknown: str | None = None
) -> Offsets | None:
    """Return the first character of each piece and one past its last; None where the pieces do not spell the text.

    Args:
        text: the text that was tokenized.
        pieces: pieces of the text alone, as the tokenizer spells them.
        special: pieces that the text contains exactly as spelled, without marks.
        unknown: the piece for anything that the tokenizer has no piece for.
    """
    return _bytes(text, pieces, special) or _letters(text, pieces, special, unknown)


def letter_shown(piece: str, *, of_bytes: bool) -> str:
    """Make a one-character piece readable: `␣` for a space, a code for a character that cannot be printed, or a byte.

    Args:
        piece: a piece as the tokenizer spells it; longer pieces are returned unchanged.
        of_bytes: true if the tokenizer's characters stand for the bytes of UTF-8.
    """
    if piece == " ":
        return "␣"
    if len(piece) != 1 or (piece.isprintable() and not (of_bytes and piece > "~")):
        return piece
    return f"<0x{ord(piece):02X}>" if piece < "\x80" or of_bytes else f"<U+{ord(piece):04X}>"


def _bytes(text: str, pieces: Sequence[str], special: Collection[str]) -> Offsets | None:
    """Find the offsets where each piece, special ones aside, is one byte of the text's UTF-8."""
    starts = [place for place, letter in enumerate(text) for _ in letter.encode()]
    encoded = text.encode()
    if not starts or len(starts) == len(text):  # without text, or in ASCII, where bytes are letters
        return None
    offsets: Offsets = []
    place = 0
    for piece in pieces:
        whole = piece.encode() if piece in special else _byte(piece)
        while whole and not encoded.startswith(whole, place) and encoded[place : place + 1].isspace():
            place += 1
        if not whole or not encoded.startswith(whole, place):
            return None
        offsets.append((starts[place], starts[place + len(whole) - 1] + 1))
        place += len(whole)
    return offsets if not encoded[place:].strip() else None


def _byte(piece: str) -> bytes:
    return bytes([ord(piece)]) if len(piece) == 1 and ord(piece) < 256 else b""


def _letters(text: str, pieces: Sequence[str], special: Collection[str], unknown: str | None) -> Offsets | None:
    """Find the offsets where the pieces' letters are the text's, exactly or up to case, accents and compatibility."""
    return next(
        (
            offsets
            for read in (str, _plain)
            if (offsets := _Walk(text, read).through(pieces, special, unknown)) is not None
        ),
        None,
    )


def _plain(letters: str) -> str:
    """Strip case and accents from letters of both text and pieces, as the tokenizer may or may not have done."""
    return "".join(letter for letter in normalize("NFKD", letters).casefold() if not combining(letter))


class _Walk:
    """A walk through a text from left to right.

    Args:
        text: the text to walk through.
        read: a function that normalizes letters of the text and the pieces before they are compared.
    """

    def __init__(self, text: str, read: Callable[[str], str]) -> None:
        self._read = read
        units = [read(letter) for letter in text]
        self._letters = "".join(units)
        self._places = [place for place, unit in enumerate(units) for _ in unit]

    def through(self, pieces: Sequence[str], special: Collection[str], unknown: str | None) -> Offsets | None:
        """Find the offsets of all pieces; None where they do not spell the text."""
        offsets: Offsets = []
        place = 0
        for index, piece in enumerate(pieces):
            if piece == unknown and self._find([piece], place) is None:
                following = pieces[index + 1] if index + 1 < len(pieces) else None
                found = self._unknown(place, None if following is None else self._forms(following, special))
            else:
                found = self._find(self._forms(piece, special), place)
            if found is None:
                return None
            start, place = found
            offsets.append(self._offsets(start, place))
        return offsets if not self._letters[place:].strip() else None

    def _forms(self, piece: str, special: Collection[str]) -> list[str]:
        """Return the spellings that a piece may stand for, its full spelling first."""
        forms = [piece]
        if piece not in special:
            for before, behind in MARKS:
                if piece.startswith(before) and piece.endswith(behind) and len(piece) >= len(before + behind):
                    forms.append(piece[len(before) : len(piece) - len(behind)])
        return [self._read(form) for form in forms]

    def _find(self, forms: list[str], place: int) -> tuple[int, int] | None:
        """Find the start of the first form that fits and one past its end, at this place or after spaces."""
        for begin in dict.fromkeys((place, self._past_spaces(place))):
            for form in forms:
                if form and self._letters.startswith(form, begin):
                    return begin, begin + len(form)
        return (place, place) if "" in forms else None

    def _unknown(self, place: int, following: list[str] | None) -> tuple[int, int] | None:
        """Find the letters up to the next piece, within one stretch between spaces; else one word as BERT splits it."""
        start = stop = self._past_spaces(place)
        while following is not None and stop < len(self._letters) and not self._letters[stop].isspace():
            stop += 1
            if self._find(following, stop) is not None:
                return start, stop
        found = UNKNOWN.match(self._letters, start)
        return None if found is None else found.span()

    def _past_spaces(self, place: int) -> int:
        while place < len(self._letters) and self._letters[place].isspace():
            place += 1
        return place

    def _offsets(self, start: int, stop: int) -> tuple[int, int]:
        if start == stop:
            place = self._places[start] if start < len(self._places) else (self._places[-1] + 1 if self._places else 0)
            return place, place
        return self._places[start], self._places[stop - 1] + 1
