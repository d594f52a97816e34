"""Words as word aligners want them: elided words, English endings and punctuation stand on their own."""

from __future__ import annotations

from collections.abc import Sequence

import regex

__all__ = ["Span", "spaced", "spans"]

Span = tuple[int, int]
"""First character and one past the last."""

ENDING = r"'(?:s|m|d|ll|re|ve)\b"
"""What English hangs on a word: `Tom's`, `I'm`, `they'll`."""
WORD = regex.compile(
    rf"[\p{{L}}\p{{M}}]+n't\b|[\p{{L}}\p{{M}}]+(?={ENDING})|{ENDING}|[\p{{L}}\p{{M}}]+'(?=\p{{L}})|[\p{{L}}\p{{M}}]+|\p{{N}}+|\S"
)
"""`didn't`; `Tom` + `'s`; `l'` + `ami`; a word; a number; a mark."""


def spans(text: str) -> list[Span]:
    """Where each word stands in a text."""
    return [match.span() for match in WORD.finditer(text)]


def spaced(text: str, moved: Sequence[Span]) -> tuple[str, list[Span]]:
    """A text with a space between all its words, as word aligners write it, and where the spans of words went."""
    words = spans(text)
    places: dict[Span, Span] = {}
    at = 0
    for start, end in words:
        places[start, end] = (at, at + end - start)
        at += end - start + 1
    return " ".join(text[start:end] for start, end in words), [places.get(span, (0, 0)) for span in moved]
