"""The words of the grammar, read from the tables beside this module.

Each table says in its first lines what its columns mean. Pairs of templates are as `phrase.weave` takes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, cast

from attn_cli.grammar.phrase import opens_with_vowel

__all__ = [
    "ADJECTIVES",
    "BEFORE_NOUN",
    "BY_KIND",
    "COLORS",
    "DEEDS",
    "DETERMINERS",
    "GIVERS",
    "KEPT_BY_KIND",
    "NOUNS",
    "PEOPLE",
    "Adjective",
    "Deed",
    "Determiner",
    "Gender",
    "Giver",
    "Noun",
    "Person",
    "Templates",
    "Tense",
    "adjectives_for",
    "determiners",
    "noun_of",
    "phrases",
    "rows",
    "written",
]

WRITTEN = "written"
"""Folder of the tables of sentences that were written for this project, by subject."""

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
        return not self.kinds & {"animal", "wild", "unique", "grown", "food", "drink"}

    @property
    def can_be_colored(self) -> bool:
        """True if the thing is made in several colours."""
        return self.can_be_owned and not self.kinds & {"animal", "food", "drink"}

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
        uses: where the grammar puts it, besides reasons.
        contraries: reasons that contradict it.
    """

    english: str
    masculine: str
    feminine: str
    before_vowel: str
    uses: frozenset[str]
    contraries: frozenset[str]

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
    imperfect: str
    present: str
    future: str
    have: str
    gender: Gender


class Giver(NamedTuple):
    """A person who did something to a thing, and the French auxiliaries that agree with them."""

    name: Templates
    had: str
    have: str


class Deed(NamedTuple):
    """A verb for what they did: the English past and participle, and the French participle."""

    past: str
    participle: str
    french: str


class Determiner(NamedTuple):
    """An article or another determiner, and its relative frequency."""

    english: str
    masculine: str
    feminine: str
    weight: int
    owns: bool


_OWNED = frozenset({"goods", "thing", "cover", "animal", "vehicle", "load", "pulled", "food", "drink"})


def rows(name: str) -> Iterator[dict[str, str]]:
    """Read the rows of a table beside this module, each by the names of its columns; an empty cell is an empty text.

    Raises:
        ValueError: a row has more cells than there are columns.
    """
    table = files(__package__).joinpath(name).read_text(encoding="utf-8")
    header, *lines = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    for cells in lines:
        yield dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=True))


def written() -> Iterator[tuple[str, str]]:
    """Yield sentences that a language model wrote for this project, each with its French translation.

    None is in a test set, and none holds a noun, a pair of nouns with a pronoun, or a name that is kept for testing.
    """
    for table in sorted(one.name for one in files(__package__).joinpath(WRITTEN).iterdir()):
        for row in rows(f"{WRITTEN}/{table}"):
            yield row["english"], row["french"]


def _gender(row: dict[str, str]) -> Gender:
    return cast("Gender", row["gender"])


def noun_of(row: dict[str, str]) -> Noun:
    """Return the noun of a row with the columns english, french, gender and kinds."""
    return Noun(row["english"], row["french"], _gender(row), frozenset(row["kinds"].split()))


NOUNS = tuple(map(noun_of, rows("nouns.tsv")))


def _by_kind(nouns: Iterable[Noun]) -> dict[str, tuple[Noun, ...]]:
    kinds: dict[str, tuple[Noun, ...]] = {}
    for noun in nouns:
        for kind in noun.kinds:
            kinds[kind] = (*kinds.get(kind, ()), noun)
    return kinds


BY_KIND = _by_kind(noun for noun in NOUNS if "kept" not in noun.kinds)
"""Nouns of each kind that training shows."""
KEPT_BY_KIND = _by_kind(noun for noun in NOUNS if "kept" in noun.kinds)
"""Nouns of each kind that no sentence of this project has for training; pairs of others may."""
ADJECTIVES = {
    row["english"]: Adjective(
        row["english"],
        row["masculine"],
        row["feminine"],
        row["before a vowel"],
        frozenset(row["uses"].split()),
        frozenset(row["contraries"].split()),
    )
    for row in rows("adjectives.tsv")
}


def adjectives_for(use: str) -> tuple[str, ...]:
    """Return the adjectives of one use, as `adjectives.tsv` names it."""
    return tuple(name for name, adjective in ADJECTIVES.items() if use in adjective.uses)


BEFORE_NOUN = adjectives_for("before")
COLORS = adjectives_for("color")
PEOPLE = tuple(
    Person((row["english"], row["french"]), row["imperfect"], row["present"], row["future"], row["have"], _gender(row))
    for row in rows("people.tsv")
)
GIVERS = tuple(Giver((row["english"], row["french"]), row["had"], row["have"]) for row in rows("givers.tsv"))


def _deeds(of: str) -> tuple[Deed, ...]:
    return tuple(Deed(row["past"], row["participle"], row["french"]) for row in rows("deeds.tsv") if row["of"] == of)


DEEDS = {True: _deeds("owned"), False: _deeds("other")}
"""Actions done to things that can be owned, and to others."""


def determiners(sentence: Literal["two nouns", "simple"]) -> tuple[Determiner, ...]:
    """Return the determiners of one sort of sentence, by their weights in it."""
    return tuple(
        Determiner(row["english"], row["masculine"], row["feminine"], int(row[sentence]), row["owns"] == "yes")
        for row in rows("determiners.tsv")
        if int(row[sentence])
    )


DETERMINERS = determiners("two nouns")


@cache
def phrases(use: str, tense: Tense = "past") -> tuple[Templates, ...]:
    """Return the phrases of one use, as `phrases.tsv` names it, that fit a main clause in this tense."""
    return tuple(
        (row["english"], row["french"])
        for row in rows("phrases.tsv")
        if use in row["uses"].split() and (not row["tenses"] or tense in row["tenses"].split())
    )
