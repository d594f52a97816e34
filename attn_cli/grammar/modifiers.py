"""Phrases around the two nouns: their owners, who bought them and where, times, openings and insertions."""

from __future__ import annotations

from typing import NamedTuple

from attn_cli.grammar.lexicon import Templates, Tense

__all__ = [
    "ANYHOW",
    "BETWEEN",
    "BOUGHT",
    "GIVERS",
    "NOTICED",
    "OPENINGS",
    "OWNERS",
    "SAID",
    "WHEN",
    "WHERE",
    "Done",
    "Giver",
]


class Giver(NamedTuple):
    """A person who did something to a thing, and the French auxiliaries that agree with them."""

    name: Templates
    had: str = "avait"
    have: str = "a"


class Done(NamedTuple):
    """A verb for what they did: the English past and participle, and the French participle."""

    past: str
    participle: str
    french: str


OWNERS: tuple[Templates, ...] = (
    ("Tom/1 's/2", "de/2 Tom/1"),
    ("my/1 uncle/2 's/3", "de/3 mon/1 oncle/2"),
    ("my/1 sister/2 's/3", "de/3 ma/1 sœur/2"),
    ("the/1 teacher/2 's/3", "de/3 le/1 professeur/2"),
)
GIVERS = (
    Giver(("I/1", "je/1"), "avais", "ai"),
    Giver(("we/1", "nous/1"), "avions", "avons"),
    Giver(("my/1 parents/2", "mes/1 parents/2"), "avaient", "ont"),
    Giver(("my/1 brother/2", "mon/1 frère/2")),
    Giver(("his/1 father/2", "son/1 père/2")),
    Giver(("Tom/1", "Tom/1")),
    Giver(("she/1", "elle/1")),
    Giver(("the/1 old/2 man/3", "le/1 vieil/2 homme/3")),
)
BOUGHT = (
    Done("bought", "bought", "acheté"),
    Done("found", "found", "trouvé"),
    Done("chose", "chosen", "choisi"),
    Done("borrowed", "borrowed", "emprunté"),
    Done("saw", "seen", "vu"),
)
NOTICED = (
    Done("saw", "seen", "vu"),
    Done("noticed", "noticed", "remarqué"),
    Done("photographed", "photographed", "photographié"),
    Done("found", "found", "trouvé"),
)
WHERE: tuple[Templates, ...] = (
    ("in/1 Paris/2", "à/1 Paris/2"),
    ("in/1 the/2 city/3", "dans/1 la/2 ville/3"),
    ("last/1 year/2", "la/1+2 année/2 dernière/1"),
    ("last/1 summer/2", "le/1+2 été/2 dernier/1"),
    ("in/1 London/2 last/3 week/4", "à/1 Londres/2 la/3+4 semaine/4 dernière/3"),
    ("in/1 Boston/2 last/3 winter/4", "à/1 Boston/2 le/3+4 hiver/4 dernier/3"),
    ("during/1 our/2 vacation/3 in/4 Italy/5", "pendant/1 nos/2 vacances/3 en/4 Italie/5"),
)
# Phrases that can follow a relative clause without being read as a part of it.
ANYHOW: tuple[Templates, ...] = (("despite/1 all/2 our/3 efforts/4", "malgré/1 tous/2 nos/3 efforts/4"),)
WHEN: dict[Tense, tuple[Templates, ...]] = {
    "past": (
        *ANYHOW,
        ("yesterday/1", "hier/1"),
        ("this/1 morning/2", "ce/1 matin/2"),
        ("last/1 week/2", "la/1+2 semaine/2 dernière/1"),
        ("on/1 the/1+2 day/2 of/3 the/3 party/4", "le/1 jour/2 de/3 la/3 fête/4"),
        ("in/1 front/1 of/1 everyone/2", "devant/1 tout/2 le/2 monde/2"),
        ("during/1 the/2 long/3 trip/4 to/5 Paris/6", "pendant/1 le/2 long/3 voyage/4 à/5 Paris/6"),
        (
            "when/1 my/2 parents/3 moved/4 last/5 summer/6",
            "quand/1 mes/2 parents/3 ont/4 déménagé/4 le/5+6 été/6 dernier/5",
        ),
        (
            "when/1 we/2 tried/3 for/4 the/5 first/6 time/7",
            "quand/1 nous/2 avons/3 essayé/3 pour/4 la/5 première/6 fois/7",
        ),
    ),
    "present": (
        ("this/1 time/2", "cette/1 fois/2"),
        ("despite/1 all/2 our/3 efforts/4", "malgré/1 tous/2 nos/3 efforts/4"),
        ("for/1 the/2 moment/3", "pour/1 le/2 moment/3"),
    ),
    "future": (
        ("tomorrow/1", "demain/1"),
        ("this/1 time/2", "cette/1 fois/2"),
        ("next/1 week/2", "la/1+2 semaine/2 prochaine/1"),
        ("on/1 the/1+2 day/2 of/3 the/3 party/4", "le/1 jour/2 de/3 la/3 fête/4"),
    ),
}
BETWEEN: tuple[Templates, ...] = (
    (", according/1 to/1 my/2 brother/3 ,", ", selon/1 mon/2 frère/3 ,"),
    (", as/1 everyone/2 knew/3 ,", ", comme/1 tout/2 le/2 monde/2 le/3 savait/3 ,"),
    (", in/1 my/2 opinion/3 ,", ", à/1 mon/2 avis/3 ,"),
)
OPENINGS: dict[Tense, tuple[Templates, ...]] = {
    "past": (
        ("yesterday/1 ,", "hier/1 ,"),
        ("unfortunately/1 ,", "malheureusement/1 ,"),
        ("I/1 think/2 that/3", "je/1 pense/2 que/3"),
    ),
    "present": (
        ("unfortunately/1 ,", "malheureusement/1 ,"),
        ("I/1 think/2 that/3", "je/1 pense/2 que/3"),
        ("as/1 you/2 can/3 see/4 ,", "comme/1 vous/2 pouvez/3 le/4 voir/4 ,"),
    ),
    "future": (
        ("unfortunately/1 ,", "malheureusement/1 ,"),
        ("I/1 think/2 that/3", "je/1 pense/2 que/3"),
        ("he/1 thinks/2 that/3", "il/1 pense/2 que/3"),
    ),
}
# Openings only for clauses that French puts in the imperfect; a perfect would have to become a pluperfect.
SAID: tuple[Templates, ...] = (
    ("Tom/1 said/2 that/3", "Tom/1 a/2 dit/2 que/3"),
    ("she/1 said/2 that/3", "elle/1 a/2 dit/2 que/3"),
    ("my/1 sister/2 told/3 us/4 that/5", "ma/1 sœur/2 nous/4 a/3 dit/3 que/5"),
)
