"""Everyday sentences about names, dates, times and numbers, of which the pairs hold few; patterns in a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import cast, get_args

import regex

from attn_cli.grammar.lexicon import rows
from attn_cli.grammar.words import Span
from attn_cli.train.linked import Linked
from attn_cli.train.names import NameKind, elided, new_name
from attn_cli.train.numbers import DAYS, MONTHS, english_number, french_number, ordinal

__all__ = ["everyday"]

MADE_UP = 0.4
"""Share of the names that are made up."""
SLOT = regex.compile(r"\{(\w+)\}")


def everyday(seed: int) -> Iterator[Linked]:
    """Yield everyday sentences, endlessly and the same for the same seed; what fills a slot is linked."""
    random = Random(f"everyday {seed}")  # noqa: S311 (nothing secret)
    templates = [(row["english"], row["french"]) for row in rows("everyday.tsv")]
    while True:
        english, french = random.choice(templates)
        slots = {slot: _drawn(slot.removeprefix("other_"), random) for slot in dict.fromkeys(SLOT.findall(english))}
        theirs, places = _filled(english, {slot: words[0] for slot, words in slots.items()})
        ours, lieux = _filled(french, {slot: words[1] for slot, words in slots.items()}, eliding=True)
        yield Linked(theirs, ours, tuple((places[slot], lieux[slot]) for slot in slots))


def _drawn(slot: str, random: Random) -> tuple[str, str]:
    """Draw what fills a slot, in English and in French.

    Raises:
        KeyError: there is no such slot.
    """
    if slot in {"name", "other"}:
        slot = random.choice(("man", "woman"))
    if slot in get_args(NameKind):
        name = new_name(cast("NameKind", slot), MADE_UP, random)
        return name, name
    if slot == "month":
        return random.choice(list(MONTHS.items()))
    if slot == "time":
        hour, minute = random.randrange(24), f"{random.randrange(60):02}"
        return f"{hour}:{minute}", f"{hour} h {minute}"
    if slot == "day":
        day = str(random.choice(DAYS))
        return ordinal(day) if random.random() < 0.5 else day, day
    least, most = {
        "count": (2, 99),
        "year": (1400, 2060),
        "code": (10, random.choice((99, 999, 9999))),
        "many": (100, random.choice((999, 9999, 99999))),
        "price": (2, 99),
    }[slot]
    number = str(random.randint(least, most)) + (f".{random.randrange(100):02}" if slot == "price" else "")
    return english_number(number, grouped=slot == "many"), french_number(number, grouped=slot == "many")


def _filled(template: str, words: Mapping[str, str], *, eliding: bool = False) -> tuple[str, dict[str, Span]]:
    """Put words into a template's slots, and return where they stand."""
    text, at = "", 0
    places: dict[str, Span] = {}
    for match in SLOT.finditer(template):
        text += template[at : match.start()]
        word = words[match[1]]
        if eliding and word[0].isupper():
            text = elided(text, word)
        places[match[1]] = (len(text), len(text) + len(word))
        text += word
        at = match.end()
    return text + template[at:], places
