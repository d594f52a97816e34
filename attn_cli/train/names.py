"""Names that stand in for one another, and new ones, so that a model learns to copy a name that it has never seen."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Literal, cast, get_args

import regex

from attn_cli.grammar.lexicon import rows
from attn_cli.grammar.phrase import opens_with_vowel
from attn_cli.grammar.words import Span
from attn_cli.train.linked import Linked, edited

__all__ = ["NAMES", "Name", "NameKind", "elided", "elides", "is_held_out", "new_name", "renamed"]

NameKind = Literal["man", "woman", "family", "city"]

HELD_OUT_PERCENT = 10
"""Percentage of the names that training never sees."""


@dataclass(frozen=True)
class Name:
    """A name in the training texts."""

    kind: NameKind
    french: frozenset[str]
    """The ways in which a French text may write it."""
    is_kept: bool = False
    """True for a name of a test sentence, which training never sees."""


NAMES: Mapping[str, Name] = {
    row["name"]: Name(
        cast("NameKind", row["kind"]), frozenset({row["name"], row["french"] or row["name"]}), row["kept"] == "yes"
    )
    for row in rows("names.tsv")
}
"""Names that may stand in for one another."""
NAMED = regex.compile(r"\b\L<names>\b", names=list(NAMES))

PARTS: Mapping[str, Sequence[str]] = {
    kind: [row["part"] for row in rows("name_parts.tsv") if row["kind"] == kind]
    for kind in ("onset", "vowel", "coda", *get_args(NameKind))
}
"""Parts of names that are made up."""
BLENDED = 0.6
"""Share of the names made up that are blends of two from the table; the others are of syllables."""
LENGTHS = range(4, 13)
"""Numbers of letters of a name that is made up."""
VOWELS = frozenset("aeiouyàâäãåáæèéêëìíîïıòóôöõøœùúûü")
VOWEL_FIRST = 0.15
"""Share of the names of syllables that lose the beginning, and so often open with a vowel."""
MUTE_H = frozenset(
    {"Hector", "Hélène", "Heloise", "Henri", "Henriette", "Hermione", "Hervé", "Hortensia", "Hubert", "Huguette"}
)
"""Names before whose h French elides."""

ELIDING = regex.compile(r"(?<!\p{L})(?:[Dd]|(?:[Ll]ors|[Pp]uis|[Qq]uoi|[Jj]us)?[Qq]u)(e |'|’)$")
"""Pattern of a word that French elides before a name, at the end of a text."""


def is_held_out(name: str) -> bool:
    """Return whether training never puts this name into a text, so that a test can ask for it."""
    return (name in NAMES and NAMES[name].is_kept) or zlib.crc32(name.encode()) % 100 < HELD_OUT_PERCENT


@cache
def _known(kind: NameKind) -> tuple[str, ...]:
    return tuple(name for name, known in NAMES.items() if known.kind == kind and not is_held_out(name))


def new_name(kind: NameKind, made_up: float, random: Random) -> str:
    """Draw a name that training may see.

    Args:
        kind: what it is the name of.
        made_up: share of the names that are made up; the others are from the table.
        random: generator of the random choices.
    """
    if random.random() >= made_up:
        return random.choice(_known(kind))
    while True:
        name = _blend(kind, random) if random.random() < BLENDED else _of_syllables(kind, random)
        if len(name) in LENGTHS and not is_held_out(name):
            return name


def _blend(kind: NameKind, random: Random) -> str:
    """Join the beginning of a name and the end of another of its kind where a vowel and a consonant meet."""
    first, last = random.choice(_known(kind)), random.choice(_known(kind))
    begun = first[: random.randrange(2, len(first) + 1)]
    ends = [
        last[place:] for place in range(1, len(last) - 1) if (last[place] in VOWELS) != (begun[-1].lower() in VOWELS)
    ]
    return begun + random.choice(ends or [""])


def _of_syllables(kind: NameKind, random: Random) -> str:
    syllables = random.choice((1, 1, 2, 2, 3))
    name = "".join(random.choice(PARTS["onset"]) + random.choice(PARTS["vowel"]) for _ in range(syllables))
    if random.random() < VOWEL_FIRST:
        name = name[random.choice((1, 2)) :]
    last = random.choice(PARTS["coda" if random.random() < 0.7 else "onset"])
    return (name + last + random.choice(PARTS[kind])).capitalize()


def renamed(text: Linked, made_up: float, random: Random) -> Linked:
    """Replace the names that stand on both sides, each by another of its kind; French elides as it must."""
    english: dict[Span, str] = {}
    french: dict[Span, str] = {}
    for old in dict.fromkeys(match.group() for match in NAMED.finditer(text.english)):
        places = [match.span() for match in _standing(NAMES[old].french, text.french)]
        if not places:
            continue
        new = new_name(NAMES[old].kind, made_up, random)
        english.update((match.span(), new) for match in _standing({old}, text.english))
        for start, end in places:
            french[start, end] = new
            eliding = ELIDING.search(text.french[:start])
            if eliding is not None:
                french[eliding.span(1)] = "'" if elides(new) else "e "
    return edited(text, english, french)


def _standing(names: Iterable[str], text: str) -> list[regex.Match[str]]:
    return list(regex.finditer(r"(?<!\p{L})\L<names>(?!\p{L})", text, names=sorted(names)))


def elided(before: str, name: str) -> str:
    """Return the French text before a name, where it ends in `de` or `que`, with the elision that the name asks for."""
    eliding = ELIDING.search(before)
    return before if eliding is None or not elides(name) else before[: eliding.start(1)] + "'"


def elides(name: str) -> bool:
    """Return whether French elides before a name: before vowels (`d'Ahmed`), and before the mute h of French names."""
    if name[0] == "H":
        return name in MUTE_H
    if name[0] == "Y":
        return name[1] not in "aeiou"  # d'Yves, de Yasmin
    return opens_with_vowel(name)
