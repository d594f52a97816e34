"""Options that methods take by name, and the selection that they make."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from inspect import signature
from typing import Any, Literal

from attn_cli.api.inputs import Parts, Texts, Words
from attn_cli.data.selection import (
    Choices,
    ChoicesOfACut,
    ChoicesOfARow,
    ChoicesOfChanges,
    ChoicesOfHeads,
    ChoicesOfSegments,
    Selection,
    check_syntax,
)
from attn_cli.errors import UsageError, quoted
from attn_cli.questions.ablate.choices import By, Instead

__all__ = [
    "FIELDS_OF_CHANGES",
    "FIELDS_OF_CUTS",
    "FIELDS_OF_HEADS",
    "FIELDS_OF_ROWS",
    "FIELDS_OF_SEGMENTS",
    "AblateOptions",
    "InspectOptions",
    "TranslateOptions",
    "check_names",
    "check_unused",
    "nearest",
    "selection_of",
]

FIELDS = frozenset(Choices.__annotations__)
"""Fields of a selection that most questions take."""
FIELDS_OF_SEGMENTS = frozenset(ChoicesOfSegments.__annotations__)
"""Fields of a selection that `inspect` takes, whose text may be a pair."""
FIELDS_OF_HEADS = frozenset(ChoicesOfHeads.__annotations__)
"""Fields of a selection that `heads` and `find` take."""
FIELDS_OF_CHANGES = frozenset(ChoicesOfChanges.__annotations__)
"""Fields of a selection that `diff` takes."""
FIELDS_OF_ROWS = frozenset(ChoicesOfARow.__annotations__)
"""Fields of a selection that `explain` takes, beside its query."""
FIELDS_OF_CUTS = frozenset(ChoicesOfACut.__annotations__)
"""Fields of a selection that `ablate` takes."""
LISTS = frozenset({"layer", "head", "query"})
"""Fields of a `Selection` written as lists, for which a single int is accepted too."""


class InspectOptions(ChoicesOfSegments, total=False):
    """Options of `Inspector.inspect`."""

    parts: Parts | None
    split: Words | None
    pair: str | None
    target: str | None
    source_language: str | None
    target_language: str | None
    truncate: bool
    verify: bool
    without: str | int | None


class TranslateOptions(Choices, total=False):
    """Options of `Inspector.translate`."""

    target: str | None
    beam: int | None
    max_length: int | None
    source_language: str | None
    target_language: str | None
    truncate: bool
    verify: bool
    without: str | int | None


class AblateOptions(ChoicesOfACut, total=False):
    """Options of `Inspector.ablate`."""

    image: object
    edge: str | Sequence[str]
    by: By | None
    instead: Instead | None
    from_text: str | Texts | None
    from_probe: bool
    seed: int | None
    output: Literal["words", "states"] | None
    target: str | None
    against: str | None
    mask: str | None
    target_tokens: Literal["first", "all"] | None
    continuation: str | None
    pair: str | None
    source_language: str | None
    target_language: str | None
    truncate: bool
    verify: bool


def selection_of(
    base: Selection,
    given: Mapping[str, Any],
    method: Callable[..., Any],
    fields: Collection[str] = FIELDS,
    *,
    viewed: bool = False,
) -> Selection:
    """Make a selection from fields, as the command makes one from its options; scores change the unit to tokens.

    Args:
        base: the selection without them.
        given: the fields, by name.
        method: the method that was called; its own parameters are suggested for a misspelled one.
        fields: the names that it takes.
        viewed: change the view to a query that is named.

    Raises:
        UsageError: there is no such field, or a list does not have the syntax of a list.
    """
    check_names(given, fields, method)
    numbers = {name: str(value) for name, value in given.items() if name in LISTS and type(value) is int}
    choice = replace(base, **{**given, **numbers})
    if viewed and choice.query is not None and choice.view == "heads":
        choice = replace(choice, view="query")
    if choice.scores:  # a word of several pieces has no single score
        choice = replace(choice, unit="token")
    check_syntax(choice)
    return choice


def check_names(given: Iterable[str], known: Iterable[str], function: Callable[..., Any]) -> None:
    """Check the names of options, which Python itself does not where they are collected.

    Raises:
        UsageError: an option has another name.
    """
    for name in given:
        if name not in known:
            own = [one.name for one in signature(function).parameters.values() if one.kind is not one.VAR_KEYWORD]
            names = sorted({*known, *own})
            raise UsageError(f"{function.__name__}() has no option {quoted(name)}", nearest(name, names))


def check_unused(reason: str, **given: object) -> None:
    """Check that no option is given where it would mean nothing.

    Args:
        reason: why it would.
        **given: the options, None where they are not given.

    Raises:
        UsageError: one is given.
    """
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{reason}, so {name} cannot be used with it", f"Leave {name} out")


def nearest(name: str, names: Iterable[str]) -> str:
    """Name the nearest of some names; if none is near, all of them."""
    names = list(names)
    alike = get_close_matches(name, names, n=1)
    return f"Did you mean {alike[0]}?" if alike else f"Use {', '.join(names)}"
