"""Words as word aligners want them: elided words, English endings and punctuation stand on their own."""

from __future__ import annotations

import regex

__all__ = ["Span", "spans"]

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
