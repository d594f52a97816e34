"""The words of the grammar: nouns for everyday things and their kinds, adjectives, people, determiners.

Nouns and adjectives stand in `nouns.tsv` and `adjectives.tsv`, one a line: gender is `m` or `f`, and the kinds are what
a noun can be in a sentence. Pairs of templates are as `phrase.weave` takes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, NamedTuple, cast

from attn_cli.grammar.phrase import opens_with_vowel

__all__ = [
    "ADJECTIVES",
    "BEFORE_NOUN",
    "BY_KIND",
    "COLORS",
    "DETERMINERS",
    "NOUNS",
    "PEOPLE",
    "Adjective",
    "Determiner",
    "Gender",
    "Noun",
    "Person",
    "Templates",
    "Tense",
]

Gender = Literal["m", "f"]
Tense = Literal["past", "present", "future"]
Templates = tuple[str, str]
"""An English template and its French counterpart, as `phrase.weave` takes them."""


@dataclass(frozen=True)
class Noun:
    """A thing or an animal.

    Attributes:
        english: the English noun, one word.
        french: the French noun, one word, without article.
        gender: gender of the French noun.
        kinds: roles that it can have in a sentence (`box`: something can be put into it).
    """

    english: str
    french: str
    gender: Gender
    kinds: frozenset[str] = frozenset()

    @property
    def can_be_owned(self) -> bool:
        """True if somebody can buy it, or have it in a colour of their choice."""
        return bool(self.kinds & _OWNED) and "wild" not in self.kinds

    @property
    def can_be_new(self) -> bool:
        """True if the thing was made, and not grown, so that it can be called new."""
        return not self.kinds & {"animal", "wild", "unique"} and self.english not in _GROWN

    def agree(self, masculine: str, feminine: str) -> str:
        """Return the form that agrees with this noun in gender."""
        return masculine if self.gender == "m" else feminine


@dataclass(frozen=True)
class Adjective:
    """An adjective and its French forms.

    Attributes:
        english: the English adjective, one word.
        masculine: the French masculine form.
        feminine: the French feminine form, which may be the same.
        before_vowel: the masculine form right before a vowel, where it differs (`un vieil homme`).
    """

    english: str
    masculine: str
    feminine: str
    before_vowel: str = ""

    def french(self, gender: Gender) -> str:
        """Return the French form of that gender."""
        return self.masculine if gender == "m" else self.feminine

    def before(self, noun: Noun) -> str:
        """Return the French form that stands right before the noun."""
        if noun.gender == "m" and self.before_vowel and opens_with_vowel(noun.french):
            return self.before_vowel
        return self.french(noun.gender)


class Person(NamedTuple):
    """A person, and the forms of French verbs that agree with them."""

    name: Templates
    imperfect: str = "pouvait"
    present: str = "peut"
    future: str = "pourra"
    have: str = "a"
    gender: Gender = "m"


class Determiner(NamedTuple):
    """An article or another determiner, and its relative frequency."""

    english: str
    masculine: str
    feminine: str
    weight: int
    owns: bool = False


_GROWN = frozenset(
    {"apple", "beach", "branch", "egg", "field", "fire", "forest", "hill", "hole", "island", "lake", "mountain"}
    | {"orange", "river", "stone", "tree"}
)
_OWNED = frozenset({"goods", "thing", "cover", "animal", "vehicle", "load", "pulled"})


def _rows(name: str) -> Iterator[list[str]]:
    """Read the rows of a table beside this module, without its header."""
    table = files(__package__).joinpath(name).read_text(encoding="utf-8")
    yield from (line.split("\t") for line in table.splitlines()[1:])


NOUNS = tuple(
    Noun(english, french, cast("Gender", gender), frozenset(kinds.split()))
    for english, french, gender, kinds in _rows("nouns.tsv")
)
BY_KIND = {
    kind: tuple(noun for noun in NOUNS if kind in noun.kinds)
    for kind in sorted(frozenset[str]().union(*(noun.kinds for noun in NOUNS)))
}
ADJECTIVES = {english: Adjective(english, *forms) for english, *forms in _rows("adjectives.tsv")}

BEFORE_NOUN = ("old", "new", "beautiful")
COLORS = ("red", "blue", "green", "white", "black", "yellow", "brown", "gray")

PEOPLE = (
    Person(("I/1", "je/1"), "pouvais", "peux", "pourrai", "ai"),
    Person(("we/1", "nous/1"), "pouvions", "pouvons", "pourrons", "avons"),
    Person(("the/1 children/2", "les/1 enfants/2"), "pouvaient", "peuvent", "pourront", "ont"),
    Person(("Tom/1", "Tom/1")),
    Person(("he/1", "il/1")),
    Person(("she/1", "elle/1"), gender="f"),
    Person(("my/1 sister/2", "ma/1 sœur/2"), gender="f"),
    Person(("my/1 brother/2", "mon/1 frère/2")),
    Person(("my/1 uncle/2", "mon/1 oncle/2")),
    Person(("my/1 friend/2", "mon/1 ami/2")),
    Person(("his/1 mother/2", "sa/1 mère/2"), gender="f"),
    Person(("the/1 man/2", "le/1 homme/2")),
    Person(("the/1 woman/2", "la/1 femme/2"), gender="f"),
    Person(("the/1 boy/2", "le/1 garçon/2")),
    Person(("the/1 girl/2", "la/1 fille/2"), gender="f"),
    Person(("the/1 teacher/2", "le/1 professeur/2")),
    Person(("the/1 doctor/2", "le/1 médecin/2")),
    Person(("our/1 neighbor/2", "notre/1 voisin/2")),
)
DETERMINERS = (
    Determiner("the", "le", "la", 14),
    Determiner("this", "ce", "cette", 1),
    Determiner("my", "mon", "ma", 2, owns=True),
    Determiner("his", "son", "sa", 1, owns=True),
    Determiner("her", "son", "sa", 1, owns=True),
    Determiner("our", "notre", "notre", 1, owns=True),
)
