"""Checks of the reader's sentence and chapter, made before anything heavy is imported."""

from __future__ import annotations

from attn_cli.errors import UsageError, check_range
from attn_cli.system.encoding import check_text

__all__ = ["LAST", "check"]

LAST = 8
"""The number of the last chapter."""
MOST_WORDS = 40
"""Most words of a reader's own sentence, for which the pictures have room."""


def check(text: str | None, chapter: int | None) -> None:
    """Check the reader's own sentence, and the chapter asked for.

    Raises:
        InputError: the sentence is empty, or is not text.
        UsageError: it has too many words, or there is no such chapter.
    """
    if text is not None and len(check_text(text).split()) > MOST_WORDS:
        raise UsageError(
            f"The tour takes a sentence of at most {MOST_WORDS} words, and this has {len(text.split())}",
            "Give a shorter one, or leave it out",
        )
    if chapter is not None:
        check_range("--chapter", chapter, 1, LAST)
