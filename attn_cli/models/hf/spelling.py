"""Where the pieces of a tokenizer stand that does not say so itself: it is read from how they are spelled.

Places are given only where the pieces spell the whole text, letter by letter or byte by byte, and nothing else: so a
wrong guess about a tokenizer cannot put a piece in a wrong place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from unicodedata import combining, normalize

import regex

__all__ = ["letter_shown", "spelled_offsets"]

MARKS = (("##", ""), ("", "@@"), ("", "</w>"), ("▁", ""), ("Ġ", ""))
"""What tokenizers write before or behind the letters of a piece, to say that a word begins, goes on or ends there."""

UNKNOWN = regex.compile(r"(?V1)\p{Ideographic}|[\w--\p{Ideographic}]+|\S")

Offsets = list[tuple[int, int]]


def spelled_offsets(
    text: str, pieces: Sequence[str], special: Collection[str] = (), unknown: str | None = None
) -> Offsets | None:
    """First character of each piece and one past its last; None where the pieces do not spell the text.

    Args:
        text: what was tokenized.
        pieces: of the text alone, as the tokenizer spells them.
        special: pieces that the text spells out, and which nothing is taken off or added to.
        unknown: the piece that stands for what the tokenizer has no piece for.
    """
    return _bytes(text, pieces, special) or _letters(text, pieces, special, unknown)


def letter_shown(piece: str, *, of_bytes: bool) -> str:
    """A piece that is one character, as it is shown: `␣` for a space, a number for what cannot be seen or is no letter.

    Args:
        piece: as the tokenizer spells it; longer ones stay as they are.
        of_bytes: the tokenizer's characters stand for the bytes of UTF-8.
    """
    if piece == " ":
        return "␣"
    if len(piece) != 1 or (piece.isprintable() and not (of_bytes and piece > "~")):
        return piece
    return f"<0x{ord(piece):02X}>" if piece < "\x80" or of_bytes else f"<U+{ord(piece):04X}>"


def _bytes(text: str, pieces: Sequence[str], special: Collection[str]) -> Offsets | None:
    """Where each piece is one byte of the text's UTF-8."""
    starts = [place for place, letter in enumerate(text) for _ in letter.encode()]
    encoded = text.encode()
    if not starts or len(starts) == len(text):  # bytes are letters there
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
    """Where the pieces' letters are the text's own, or else the same but for case, accents and compatibility."""
    return next(
        (
            offsets
            for read in (str, _plain)
            if (offsets := _Walk(text, read).through(pieces, special, unknown)) is not None
        ),
        None,
    )


def _plain(letters: str) -> str:
    """Letters without case and accents; the same on both sides, so whatever a tokenizer does of these is covered."""
    return "".join(letter for letter in normalize("NFKD", letters).casefold() if not combining(letter))


class _Walk:
    """A text, read from left to right.

    Args:
        text: what to read.
        read: how its letters and those of the pieces are compared.
    """

    def __init__(self, text: str, read: Callable[[str], str]) -> None:
        self._read = read
        units = [read(letter) for letter in text]
        self._letters = "".join(units)
        self._places = [place for place, unit in enumerate(units) for _ in unit]

    def through(self, pieces: Sequence[str], special: Collection[str], unknown: str | None) -> Offsets | None:
        """Places of all pieces; None where they do not fit."""
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
        """What a piece may stand for; what it spells in full comes first."""
        forms = [piece]
        if piece not in special:
            for before, behind in MARKS:
                if piece.startswith(before) and piece.endswith(behind) and len(piece) >= len(before + behind):
                    forms.append(piece[len(before) : len(piece) - len(behind)])
        return [self._read(form) for form in forms]

    def _find(self, forms: list[str], place: int) -> tuple[int, int] | None:
        """Where the first form that fits begins, and one past its end: here, or after spaces."""
        for begin in dict.fromkeys((place, self._past_spaces(place))):
            for form in forms:
                if form and self._letters.startswith(form, begin):
                    return begin, begin + len(form)
        return (place, place) if "" in forms else None

    def _unknown(self, place: int, following: list[str] | None) -> tuple[int, int] | None:
        """The letters up to where the next piece begins, within one stretch between spaces; else one word of BERT's."""
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
