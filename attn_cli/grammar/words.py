"""Splitting text into words for word aligners: elided words, English endings and punctuation stand on their own."""

from __future__ import annotations

from collections.abc import Sequence

import regex

__all__ = ["Span", "spaced", "spans"]

Span = tuple[int, int]
"""Offsets of the first character and of the one past the last."""

ENDING = r"'(?:s|m|d|ll|re|ve)\b"
"""Pattern of an English ending with an apostrophe: `Tom's`, `I'm`, `they'll`."""
WORD = regex.compile(
    rf"[\p{{L}}\p{{M}}]+n't\b|[\p{{L}}\p{{M}}]+(?={ENDING})|{ENDING}|[\p{{L}}\p{{M}}]+'(?=\p{{L}})|[\p{{L}}\p{{M}}]+|\p{{N}}+|\S"
)
"""Pattern of a word: `didn't`; `Tom` + `'s`; `l'` + `ami`; a plain word; a number; a mark."""


def spans(text: str) -> list[Span]:
    """Return the span of each word in a text."""
    return [match.span() for match in WORD.finditer(text)]


def spaced(text: str, moved: Sequence[Span]) -> tuple[str, list[Span]]:
    """Put a space between all words of a text, as word aligners write it, and return the new spans of words too."""
    words = spans(text)
    places: dict[Span, Span] = {}
    at = 0
    for start, end in words:
        places[start, end] = (at, at + end - start)
        at += end - start + 1
    return " ".join(text[start:end] for start, end in words), [places.get(span, (0, 0)) for span in moved]
