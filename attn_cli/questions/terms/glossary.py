"""The glossary: each term with its formula and where it is shown."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import chain, groupby
from operator import attrgetter

from attn_cli.answer import Answer
from attn_cli.errors import SelectionError, enumerated, quoted
from attn_cli.io.csv import Cell
from attn_cli.questions.heads.roles import EVERY_ROLE, NATS, Role

__all__ = ["TERMS", "Glossary", "Term", "find_terms"]

CLOSE = 0.7
"""Least similarity, from 0 to 1, between a word and a term that is suggested in its place."""


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the field, as this tool uses it."""

    name: str
    group: str
    """The terms that it stands with in the index."""
    meaning: str
    """The meaning, in one or two sentences."""
    formula: str = ""
    """The formula; empty for a term that is not a number."""
    shown: str = ""
    """Commands, columns and options that show it."""
    source: str = ""
    """The work that defined it."""
    also: tuple[str, ...] = ()
    """Other names by which it can be looked up."""


def _of_role(role: Role, group: str) -> Term:
    """Describe a role as a term: where such a head looks, its score, and the score from which on the role is given."""
    scored = f" With --measure scores: {role.of_scores}, given from {NATS:g} up." if role.of_scores else ""
    if not role.formula:
        return Term(
            f"{role.name} head",
            group,
            f"A head that looks at {role.looks_at}. It is not measured: the model names such heads in its config.json.",
            "",
            f"heads; heads --by {role.option}; translate",
            role.source,
        )
    beats = f"from {role.threshold:g} up and " if role.threshold else ""
    return Term(
        f"{role.name} head",
        group,
        f"A head that looks at {role.looks_at}. The role is given {beats}above {role.baseline}, where at least "
        f"{role.fewest} rows count.{scored}",
        role.formula,
        f"heads; heads --by {role.option}",
        role.source,
    )


def _read() -> Iterator[Term]:
    """Read the terms of `terms.toml`, then describe the roles, which belong to its last group."""
    table = tomllib.loads(files(__package__).joinpath("terms.toml").read_text(encoding="utf-8"))
    for group in table["group"]:
        for term in group["term"]:
            yield Term(group=group["name"], **{**term, "also": tuple(term.get("also", ()))})
    for role in EVERY_ROLE:
        yield _of_role(role, group["name"])


TERMS = tuple(_read())


@dataclass(frozen=True, eq=False, repr=False)
class Glossary(Answer):
    """The answer of `attn terms`."""

    terms: Sequence[Term]
    """The terms, in the order in which they are shown."""
    unknown: Sequence[str] = ()
    """The words asked for that match no term."""

    title = ""
    columns = ("name", "group", "formula", "meaning", "shown", "source", "also")

    @cached_property
    def notes(self) -> tuple[str, ...]:
        if not self.unknown:
            return ()
        fault = _no_terms(self.unknown)
        return (f"{fault.problem}. {fault.remedy}",)

    def rows(self) -> Iterable[Sequence[Cell]]:
        for term in self.terms:
            yield term.name, term.group, term.formula, term.meaning, term.shown, term.source, "; ".join(term.also)

    def groups(self) -> Iterable[tuple[str, Sequence[Term]]]:
        """Yield each group with its terms."""
        for group, terms in groupby(self.terms, key=attrgetter("group")):
            yield group, tuple(terms)


def find_terms(*words: str) -> Glossary:
    """Find the terms that a user asks for.

    Args:
        words: terms, or parts of some; none for all.

    Returns:
        The terms that exist; a note names the words that match none.

    Raises:
        SelectionError: no word matches a term.
    """
    if not words:
        return Glossary(TERMS)
    matches = {word: _matching(word) for word in words}
    unknown = tuple(word for word, terms in matches.items() if not terms)
    if len(unknown) == len(matches):
        raise _no_terms(unknown)
    return Glossary(tuple(dict.fromkeys(chain.from_iterable(matches.values()))), unknown)


def _matching(word: str) -> Sequence[Term]:
    """Return the term of this name, or all terms that have it in their name; none if no term matches."""
    wanted = _plain(word)
    exact = [term for term in TERMS if wanted in (_plain(term.name), _called(term), *map(_plain, term.also))]
    return exact or [term for term in TERMS if wanted and wanted in _plain(term.name)]


def _no_terms(words: Sequence[str]) -> SelectionError:
    """Build the error for words that match no term, with the nearest terms."""
    terms = f"is no term {quoted(words[0])}" if len(words) == 1 else f"are no terms {enumerated(map(quoted, words))}"
    near = dict.fromkeys(name for word in words for name in _nearest(word))
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return SelectionError(f"There {terms}", f"{meant}List all terms with attn terms")


def _nearest(word: str) -> Sequence[str]:
    """Return the names of the terms most like a word, each with the other name that is like it."""
    names = {_plain(name): (name, term.name) for term in TERMS for name in (*term.also, term.name)}
    alike = [names[one] for one in difflib.get_close_matches(_plain(word), names, n=2, cutoff=CLOSE)]
    return [name if alias == name else f"{name} ({alias})" for alias, name in alike]


def _called(term: Term) -> str:
    """Return a term's plain name without the word that all roles end in."""
    return _plain(term.name).removesuffix(" head")


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())
