"""Main clauses about two things, of which only the reason tells which one is meant, and what joins the two.

They stand in `constructions.toml`, which explains each field.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

from attn_cli.grammar.lexicon import Templates, Tense

__all__ = [
    "CLAUSES",
    "COMPARED",
    "CONSTRUCTIONS",
    "DEGREES",
    "FRAMES",
    "HELD_OUT_CONSTRUCTIONS",
    "Construction",
    "Frame",
    "Verb",
]


@dataclass(frozen=True)
class Verb:
    """A verb for what a thing does not do: in English, and its forms in French."""

    english: str
    infinitive: str
    present: str
    future: str
    imperfect: str = ""
    perfect: str = ""
    auxiliary: str = "a"
    only_able: bool = False


@dataclass(frozen=True)
class Construction:
    """A main clause about two things, `{a}` and `{b}`, and the reasons for it."""

    name: str
    a: str
    b: str
    clause: Templates
    because_of_a: str
    because_of_b: str
    variants: tuple[Templates, ...] = ()
    object: str = ""
    despite: tuple[str, str] | None = None
    verb: Verb | None = None
    degrees: tuple[str, ...] = ("too", "too", "too", "too", "far too", "much too", "a bit too")
    tenses: tuple[Tense, ...] = ("past",)
    frames: tuple[str, ...] = ()
    event: bool = False
    weight: int = 2
    held_out: bool = False

    @property
    def subject(self) -> str:
        """The thing that is the subject of the clause; "" where a person is."""
        return "a" if self.clause[0].startswith("{a}") else ""


class Frame(NamedTuple):
    """A pattern that joins the main clause and the reason."""

    templates: Templates
    weight: int
    first: bool = False
    subjunctive: bool = False


def _frozen(value: Any) -> Any:
    """Turn lists into tuples, at every depth."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _construction(verb: dict[str, Any] | None = None, **fields: Any) -> Construction:
    frozen = {name: _frozen(value) for name, value in fields.items()}
    return Construction(verb=None if verb is None else Verb(**verb), **frozen)


_TABLE = tomllib.loads(files(__package__).joinpath("constructions.toml").read_text(encoding="utf-8"))

CONSTRUCTIONS = tuple(_construction(**fields) for fields in _TABLE["construction"])
HELD_OUT_CONSTRUCTIONS = frozenset(construction.name for construction in CONSTRUCTIONS if construction.held_out)
FRAMES = {
    fields["name"]: Frame(**{key: _frozen(value) for key, value in fields.items() if key != "name"})
    for fields in _TABLE["frame"]
}
CLAUSES: dict[str, tuple[Templates, Templates]] = {name: _frozen(pair) for name, pair in _TABLE["reasons"].items()}
"""Reasons that are not adjectives, in the past and in the present."""
COMPARED: dict[str, tuple[str, str]] = {name: _frozen(pair) for name, pair in _TABLE["comparisons"].items()}
"""Comparatives of one word: the French degree, and the adjective that is compared."""
DEGREES: dict[str, Templates] = {name: _frozen(pair) for name, pair in _TABLE["degrees"].items()}
"""Degrees of an adjective, whose place is `{adjective}`."""
