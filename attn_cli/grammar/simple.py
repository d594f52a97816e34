"""Simple sentences with links between the words that stand for each other: who did what to what, and where."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from attn_cli.grammar.clauses import Draw, noun_phrase
from attn_cli.grammar.lexicon import (
    BY_KIND,
    COLORS,
    PEOPLE,
    Noun,
    Templates,
    adjectives_for,
    determiners,
    noun_of,
    phrases,
    rows,
)
from attn_cli.grammar.phrase import EMPTY, Phrase, marked, weave

__all__ = ["is_simple_held_out", "sentence"]

NO_STOP_SHARE = 0.15  # share of sentences without full stop, as users type them
HELD_OUT_PERCENT = 15  # percentage of the combinations of subject, verb and place


class PlaceName(NamedTuple):
    """A place, and the names of the prepositions that it can have."""

    noun: Noun
    prepositions: tuple[str, ...]


class Preposition(NamedTuple):
    """A preposition, and the names of those that a second place can have."""

    templates: Templates
    then: frozenset[str]


VERBS = {
    of: tuple((row["english"], row["french"]) for row in rows("verbs.tsv") if row["of"] == of)
    for of in ("staying", "doing", "being")
}
PLACES = tuple(PlaceName(noun_of(row), tuple(row["prepositions"].split())) for row in rows("places.tsv"))
PREPOSITIONS = {
    row["name"]: Preposition((row["english"], row["french"]), frozenset(row["then"].split()))
    for row in rows("prepositions.tsv")
}
ADJECTIVES = adjectives_for("simple")
FUR = adjectives_for("fur")
DETERMINERS = determiners("simple")
SUBJECTS = tuple(person for person in PEOPLE if person.have == "a" and person.name[0] not in {"he/1", "she/1"})


def is_simple_held_out(subject: str, verb: str, place: str) -> bool:
    """Return whether a simple sentence of this subject, verb and first place is kept for testing."""
    if (subject, verb, place) == ("cat", "sat", "mat"):  # the example sentence of the documentation
        return True
    return zlib.crc32(f"{subject}+{verb}+{place}".encode()) % 100 < HELD_OUT_PERCENT


def sentence(draw: Draw) -> tuple[tuple[str, str, str], Phrase]:
    """Draw a sentence; return its subject, verb and first place as English words, and the sentence itself."""
    draw.new_sentence()
    place, places = _places(draw)
    shape = draw.choices(("staying", "doing", "being"), (50, 30, 20))[0]
    slots = {"places": places, "thing": EMPTY, "when": EMPTY}
    if shape == "being" or (shape == "staying" and draw.happens(0.75)):
        noun = draw.choice(BY_KIND["thing" if shape == "being" else "animal"])
        name, slots["subject"], ending = noun.english, _noun(noun, draw, role="+@main.subject"), noun.agree("", "e")
    else:
        person = draw.choice(SUBJECTS)
        slots["subject"] = marked(weave(*person.name), "@main.subject")
        name, ending = person.name[0], "e" if person.gender == "f" else ""
    english, french = draw.choice(VERBS[shape])
    slots["verb"] = weave(english, french.replace("~", ending))
    if shape == "doing":
        slots["thing"] = _noun(draw.choice(BY_KIND["thing"]), draw, role="+@main.object")
    if not english.startswith("is/") and draw.happens(0.2):
        slots["when"] = draw.fresh(phrases("simple"))
    template = "{subject} {verb} {thing} {places} {when}" + ("" if draw.happens(NO_STOP_SHARE) else " .")
    return (_plain(name), _plain(english), place), weave(template, template, **slots)


def _plain(template: str) -> str:
    return " ".join(piece.partition("/")[0] for piece in template.split())


def _noun(noun: Noun, draw: Draw, *, adjectives: float = 0.25, role: str = "") -> Phrase:
    choices = [row for row in DETERMINERS if noun.can_be_owned or not row.owns]
    chosen = DETERMINERS[0] if "unique" in noun.kinds else draw.choices(choices, [row.weight for row in choices])[0]
    adjective = ""
    if "unique" not in noun.kinds and draw.happens(adjectives):
        colors = COLORS if noun.can_be_colored else FUR if "animal" in noun.kinds else ()
        adjective = draw.choice([*ADJECTIVES, *colors])
        if adjective == "new" and not noun.can_be_new:
            adjective = "old"
    determiner = f"{chosen.english}/1", f"{noun.agree(chosen.masculine, chosen.feminine)}/1"
    return noun_phrase(noun, determiner, adjective, mark=f"noun{role}")


def _places(draw: Draw) -> tuple[str, Phrase]:
    """Draw one place or two ("on the mat near the window"); return the first one's English noun and the phrase."""
    noun, preposition = _place(draw)
    first = _at(noun, preposition, draw)
    if draw.happens(0.6):
        other, further = _place(draw)
        into = further != "in" or ("room" in other.kinds and "indoors" in noun.kinds)
        if other.french != noun.french and further in PREPOSITIONS[preposition].then and into:
            second = _at(other, further, draw)
            return noun.english, weave("{first} {second}", "{first} {second}", first=first, second=second)
    return noun.english, first


def _place(draw: Draw) -> tuple[Noun, str]:
    place = draw.choice(PLACES)
    return place.noun, draw.choice(place.prepositions)


def _at(noun: Noun, preposition: str, draw: Draw) -> Phrase:
    before = weave(*PREPOSITIONS[preposition].templates)
    return weave("{before} {noun}", "{before} {noun}", before=before, noun=_noun(noun, draw, adjectives=0.1))
