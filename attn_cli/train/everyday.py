"""Everyday sentences about names, times, numbers and many things, of which the pairs hold few, and a phrasebook.

The patterns are in tables of the grammar.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from random import Random
from typing import NamedTuple, cast, get_args

import regex

from attn_cli.grammar.lexicon import BY_KIND, Gender, Noun, rows
from attn_cli.grammar.phrase import spell, weave
from attn_cli.grammar.words import Span
from attn_cli.train.linked import Linked, SpanLink
from attn_cli.train.names import NameKind, elided, new_name
from attn_cli.train.numbers import DAYS, MONTHS, english_number, french_number, ordinal, sometimes_round

__all__ = ["drawn", "everyday"]

TEMPLATES = ("everyday.tsv", "phrasebook.tsv")
"""Tables with a pattern per line; most phrases of the phrasebook have no slot."""
MADE_UP = 0.6
"""Share of the names that are made up."""
SLOT = regex.compile(r"\{(\w+)\}")
OTHER = "other_"
"""Prefix of the name of a second slot of one kind: `{other_time}` beside `{time}`."""

DETERMINERS = {row["english"]: (row["masculine"], row["feminine"]) for row in rows("determiners.tsv")}
KINDS: Mapping[str, Sequence[str]] = {
    "thing": ("thing",),
    "animal": ("animal",),
    "place": ("building", "crossed", "spot"),
    "body": ("body",),
    "nature": ("weather", "sky", "veil"),
    "mass": ("drink",),
}
"""Kind of everyday nouns -> the kinds of the grammar's nouns that belong to it."""
ACTIVITIES = tuple(rows("activities.tsv"))


class Filling(NamedTuple):
    """A phrase that fills a slot, in English and in French, with links between its words."""

    english: str
    french: str
    links: tuple[SpanLink, ...] = ()

    @classmethod
    def of(cls, english: str, french: str) -> Filling:
        """Make a filling whose two sides stand for each other as a whole."""
        return cls(english, french, (((0, len(english)), (0, len(french))),))


@cache
def _nouns(kind: str) -> tuple[Noun, ...]:
    """Return the everyday nouns of a kind that training may see."""
    listed = tuple(
        Noun(row["english"], row["french"], cast("Gender", row["gender"]))
        for row in rows("vocabulary.tsv")
        if row["kind"] == kind
    )
    return listed + tuple(noun for other in KINDS.get(kind, ()) for noun in BY_KIND[other])


def everyday(seed: int) -> Iterator[Linked]:
    """Yield everyday sentences, endlessly and the same for the same seed; what fills a slot is linked."""
    random = Random(f"everyday {seed}")  # noqa: S311 (nothing secret)
    templates = [(row["english"], row["french"]) for name in TEMPLATES for row in rows(name)]
    while True:
        english, french = random.choice(templates)
        slots = {slot: drawn(slot.replace(OTHER, ""), random) for slot in dict.fromkeys(SLOT.findall(english))}
        theirs, starts = _filled(english, {slot: filling.english for slot, filling in slots.items()})
        ours, others = _filled(french, {slot: filling.french for slot, filling in slots.items()}, eliding=True)
        links = (
            (_moved(one, starts[slot]), _moved(other, others[slot]))
            for slot, filling in slots.items()
            for one, other in filling.links
        )
        yield Linked(theirs, ours, tuple(links))


def _moved(span: Span, by: int) -> Span:
    return span[0] + by, span[1] + by


def drawn(slot: str, random: Random) -> Filling:
    """Draw a phrase for a slot.

    Raises:
        KeyError: there is no such slot.
    """
    if slot in {"name", "other"}:
        slot = random.choice(("man", "woman"))
    if slot in get_args(NameKind):
        name = new_name(cast("NameKind", slot), MADE_UP, random)
        return Filling.of(name, name)
    if slot == "person":
        noun = random.choice([one for one in _nouns(slot) if one.gender == "m"])
        return _spelled(f"a {noun.english}/1", f"{noun.french}/1")
    if slot == "mass":
        noun = random.choice(_nouns(slot))
        return _spelled(f"{noun.english}/1", f"{noun.agree('le', 'la')} {noun.french}/1")
    if slot in {"do", "did"}:
        activity = random.choice(ACTIVITIES)
        return (
            Filling(activity["english"], activity["french"])
            if slot == "do"
            else Filling(activity["past"], activity["participle"])
        )
    if slot in {"am", "pm"}:
        hour, minute = random.randrange(1, 12), f"{random.randrange(60):02}"
        mark = random.choice((f" {slot[0]}.m.", f" {slot}", slot))
        return Filling.of(f"{hour}:{minute}{mark}", f"{hour + 12 * (slot == 'pm')} h {minute}")
    determiner, _, kind = slot.partition("_")
    if kind:
        return _noun(determiner, kind, random)
    if slot == "month":
        return Filling.of(*random.choice(list(MONTHS.items())))
    if slot == "time":
        hour, minute = random.randrange(24), f"{random.randrange(60):02}"
        return Filling.of(f"{hour}:{minute}", f"{hour} h {minute}")
    if slot == "day":
        day = str(random.choice(DAYS))
        return Filling.of(ordinal(day) if random.random() < 0.5 else day, day)
    least, most = {
        "count": (2, 99),
        "year": (1400, 2060),
        "code": (10, random.choice((99, 999, 9999))),
        "many": (100, random.choice((999, 9999, 99999, 999999, 9999999))),
        "price": (2, 99),
    }[slot]
    number = str(random.randint(least, most))
    if slot in {"count", "many"}:
        number = sometimes_round(number, random)
    if slot == "price":
        number += f".{random.randrange(100):02}"
    grouped = slot == "many"
    return Filling.of(english_number(number, grouped=grouped), french_number(number, grouped=grouped))


def _noun(determiner: str, kind: str, random: Random) -> Filling:
    """Draw a noun of a kind, with a determiner; one with a capital makes both sides open with a capital."""
    noun = random.choice(_nouns(kind))
    said = determiner.lower()
    article = noun.agree(*DETERMINERS["the" if kind == "body" else said])
    return _spelled(f"{said}/1 {noun.english}/2", f"{article}/1 {noun.french}/2", capital=determiner != said)


def _spelled(english: str, french: str, *, capital: bool = False) -> Filling:
    """Spell out a phrase, with its elisions."""
    spelled = spell(weave(english, french))
    sides = [spelled.english, spelled.french]
    if not capital:
        sides = [side[0].lower() + side[1:] for side in sides]
    return Filling(sides[0], sides[1], spelled.links)


def _filled(template: str, words: Mapping[str, str], *, eliding: bool = False) -> tuple[str, dict[str, int]]:
    """Put words into a template's slots, and return where they start."""
    text, at = "", 0
    starts: dict[str, int] = {}
    for match in SLOT.finditer(template):
        text += template[at : match.start()]
        word = words[match[1]]
        if eliding:
            text = elided(text, word)
        starts[match[1]] = len(text)
        text += word
        at = match.end()
    return text + template[at:], starts
