"""Texts as phones and word processors write them, in the plain characters of the training texts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Side", "TypedText", "in_plain_characters"]

Side = Literal["text", "target"]

INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufe0e\ufe0f\ufeff"
"""Soft hyphens, joiners, direction marks, and the selectors of emoji."""
APOSTROPHES, QUOTES, GUILLEMETS = "’‘‚‛ʼ´`′", "“”„‟″", "«»"
HYPHENS, DASHES = "‐‑–", "—―"
SINGLE = rf"[{INVISIBLE}{APOSTROPHES}{QUOTES}{HYPHENS}…\ufb00-\ufb06\uff01-\uff5e\U0001d400-\U0001d7ff]"
"""Characters that are written as others; the last are ligatures, wide letters and those of formulas."""
ANYWHERE = rf"(?P<end>\A\s+|\s+\Z)|(?P<space>[^\S ]\s*| \s+)|(?P<single>{SINGLE})"
CHANGED = {
    "text": re.compile(
        rf"(?P<start>\A\s*[{DASHES}–]+\s*(?=[^\s{DASHES}–]))"
        rf"|(?P<dash>(?<=[^\s{DASHES}])\s*[{DASHES}]+\s*(?=[^\s{DASHES}])"
        r"|(?<=[^\W\d_])\s+[-–]+\s+(?=\w)|(?<=\w)\s+[-–]+\s+(?=[^\W\d_]))"
        rf"|(?P<and>(?<= )&(?= ))|(?P<quote>[{GUILLEMETS}{DASHES}])|{ANYWHERE}"
    ),
    "target": re.compile(ANYWHERE),
}
"""side -> what is written in another way there. In a text: a dash that begins it or stands between words, *&* and
French quotation marks; on either side: space at the ends, space that is not a single blank, and single characters."""


@dataclass(frozen=True, slots=True)
class TypedText:
    """A text in plain characters, and the place of each in the text as it was typed."""

    text: str
    starts: tuple[int, ...]
    """The first character that each stands for."""
    stops: tuple[int, ...]
    """One past the last."""

    def typed(self, start: int, stop: int) -> tuple[int, int]:
        """Return the place in the text as it was typed of some characters of the plain one."""
        if start >= stop:
            place = self.starts[start] if start < len(self.starts) else (self.stops[-1] if self.stops else 0)
            return place, place
        return self.starts[start], max(self.starts[start], self.stops[stop - 1])


def in_plain_characters(text: str, what: Side) -> TypedText:
    """Write a text in the characters that the training texts hold.

    Their quotation marks and apostrophes are straight and their spaces plain. The English ones have no dashes between
    words, and a comma in their place.
    """
    made = [*_characters(text, CHANGED[what])]
    return TypedText(
        "".join(one for one, _, _ in made), tuple(start for _, start, _ in made), tuple(stop for _, _, stop in made)
    )


def _characters(text: str, changed: re.Pattern[str]) -> Iterator[tuple[str, int, int]]:
    """Yield each plain character with its place in the text as it was typed."""
    done = 0
    for found in changed.finditer(text):
        yield from ((text[place], place, place + 1) for place in range(done, found.start()))
        done = found.end()
        if found.lastgroup in {"start", "dash"}:
            place = found.start() + len(found.group()) - len(found.group().lstrip())
            yield "-" if found.lastgroup == "start" else ",", place, place + len(found.group().strip())
            yield " ", done, done
        elif found.lastgroup == "space":
            yield " ", done, done
        elif found.lastgroup != "end":
            for one in _plain(found.group()):
                yield one, found.start(), done
    yield from ((text[place], place, place + 1) for place in range(done, len(text)))


def _plain(character: str) -> str:
    """Write one character in plain ones."""
    if character in INVISIBLE:
        return ""
    if character in APOSTROPHES:
        return "'"
    if character in QUOTES or character in GUILLEMETS:
        return '"'
    if character in HYPHENS or character in DASHES:
        return "-"
    if character == "&":
        return "and"
    return unicodedata.normalize("NFKC", character)
