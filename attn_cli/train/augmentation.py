"""Variations of the training texts: other names and numbers, no final mark, small letters, capitals.

The pairs name few people and hold few numbers, and nearly all end in a mark. A model that learns from them alone takes
an unknown name for a word, and reads a text without full stop badly. Each epoch varies the texts anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import regex

from attn_cli.train.linked import Linked
from attn_cli.train.names import renamed
from attn_cli.train.numbers import renumbered

__all__ = ["Rates", "vary"]

MARK = regex.compile(r"(?<=[\p{L}\p{N}]) ?[.?!]$")
"""Pattern of a final mark after a word."""


@dataclass(frozen=True)
class Rates:
    """Share of the texts in which each variation is made, of those in which it can be made."""

    names: float = 0.6
    made_up: float = 0.6
    """Share of the new names that are made up."""
    numbers: float = 0.6
    no_mark: float = 0.3
    lower: float = 0.08
    capitals: float = 0.03
    split: float = 0.35
    """Share of the English texts in which tokens are split; see `Splitter`."""


def vary(text: Linked, rates: Rates, random: Random) -> Linked:
    """Make the variations of a text that chance allows, with its links and relations moved."""
    if random.random() < rates.names:
        text = renamed(text, rates.made_up, random)
    if random.random() < rates.numbers:
        text = renumbered(text, random)
    if random.random() < rates.no_mark:
        text = _without_mark(text)
    chance = random.random()
    if chance < rates.lower:
        return _recased(text, str.lower)
    if chance < rates.lower + rates.capitals:
        return _recased(text, str.upper)
    return text


def _without_mark(text: Linked) -> Linked:
    """Leave the final mark out, where both sides have one."""
    theirs, ours = MARK.search(text.english), MARK.search(text.french)
    if theirs is None or ours is None:
        return text
    english, french = theirs.start(), ours.start()
    kept = tuple(link for link in text.links if link[0][1] <= english and link[1][1] <= french)
    return Linked(text.english[:english], text.french[:french], kept, text.relations)


def _recased(text: Linked, change: Callable[[str], str]) -> Linked:
    """Write both sides in small letters or in capitals; a text whose length would change stays."""
    english, french = change(text.english), change(text.french)
    if (len(english), len(french)) != (len(text.english), len(text.french)):
        return text
    return Linked(english, french, text.links, text.relations)
