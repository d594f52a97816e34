"""Single keys and screenfuls, for a command that somebody walks through in a terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

import typer

__all__ = ["LEAVE", "pages", "pressed", "watched_by_somebody"]

LEAVE = ""
"""Value that `pressed` returns at the end of the input."""
COLORS = re.compile(r"\x1b\[[0-9;]*m")


def watched_by_somebody() -> bool:
    """Return whether somebody can press keys and see what comes of it: both ends are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def pressed() -> str:
    """Wait for a key, and return its character; some keys send several, and the end of the input none.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    try:
        return typer.getchar()
    except EOFError:  # Ctrl-D
        return LEAVE


def pages(lines: Sequence[str], height: int) -> Iterator[Sequence[str]]:
    """Divide lines into pages, at a blank line if there is one in the lower half of a page, which is left out.

    Args:
        lines: the lines, with their ends.
        height: most lines of a page.
    """
    first = 0
    while len(lines) - first > height:
        lower_half = range(first + height, first + height // 2, -1)
        blank = next((place for place in lower_half if not COLORS.sub("", lines[place]).strip()), None)
        yield lines[first : first + height if blank is None else blank]
        first = first + height if blank is None else blank + 1
    yield lines[first:]
