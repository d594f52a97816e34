"""What a user types (`0-2,5`, `2.5`, `-1`, `it`, `it#2`) to layers, heads and positions.

Parsing needs no model, so a typing error is found before one is loaded; resolving needs one, and lists what there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from attn_cli.blocks import KINDS, Kind, Stack
from attn_cli.errors import SelectionError, UsageError
from attn_cli.words import Units

__all__ = ["check_syntax", "choose_heads", "choose_kind", "choose_queries", "name_head"]

RANGE = re.compile(r"(-?\d+)(?:-(-?\d+))?")
PLACE = re.compile(r"(-?\d+)\.(\d+)")


def name_head(layer: int, head: int) -> str:
    """`2.5`: layer and head, both counted from 0."""
    return f"{layer}.{head}"


def parse_numbers(text: str, option: str) -> tuple[tuple[int, int], ...]:
    """`0-2,5,-1` as inclusive ranges.

    Raises:
        UsageError: it is not written that way.
    """
    ranges = []
    for part in text.split(","):
        match = RANGE.fullmatch(part.strip())
        if match is None:
            raise UsageError(
                f"{option} {text!r} is not a list of numbers", f"Write it like {option} 0-2,5 or {option} -1"
            )
        first = int(match[1])
        ranges.append((first, first if match[2] is None else int(match[2])))
    return tuple(ranges)


def parse_heads(text: str) -> tuple[tuple[int, int], ...] | None:
    """`2.5,4.1` as (layer, head) pairs; None where it is a plain list of head numbers.

    Raises:
        UsageError: the two ways are mixed, or it is neither.
    """
    parts = [part.strip() for part in text.split(",")]
    places = [PLACE.fullmatch(part) for part in parts]
    if any(places):
        if not all(places):
            raise UsageError(
                f"--head {text!r} mixes layer.head with plain heads", "Write --head 2.5,4.1, or --layer 2 --head 5,1"
            )
        return tuple((int(place[1]), int(place[2])) for place in places if place)
    parse_numbers(text, "--head")
    return None


def check_syntax(layer: str | None, head: str | None, query: str | None) -> None:
    """Find what no model could make sense of, before one is loaded.

    Raises:
        UsageError: a list is not written as one, or a layer is given twice over.
    """
    if layer is not None:
        parse_numbers(layer, "--layer")
    if head is not None and parse_heads(head) is not None and layer is not None:
        raise UsageError("--head names layers already, so --layer cannot go with it", "Leave --layer out")
    if query is not None and not query.strip():
        raise UsageError("--query is empty", "Give a word of the sentence or its position")


def choose_kind(stacks: Mapping[Kind, Stack], kind: Kind | None, *, has_target: bool) -> Kind:
    """The kind asked for, or the one that says most about the text given.

    Raises:
        SelectionError: the model has no attention of that kind.
    """
    if kind is None:
        return "cross" if has_target and "cross" in stacks else next(k for k in KINDS if k in stacks)
    if kind not in stacks:
        raise SelectionError(f"This model has no {kind} attention", f"It has {_listed(stacks)}")
    return kind


def choose_heads(stack: Stack, layer: str | None, head: str | None) -> dict[int, tuple[int, ...]]:
    """Heads by layer, in the model's own order.

    Raises:
        SelectionError: a layer or head is not there.
    """
    places = None if head is None else parse_heads(head)
    if places is not None:
        chosen: dict[int, set[int]] = {}
        for place_layer, place_head in places:
            number = _layer(stack, place_layer)
            chosen.setdefault(number, set()).add(_head(stack, number, place_head))
        return {number: tuple(sorted(chosen[number])) for number in sorted(chosen)}
    layers: Iterable[int] = stack.heads
    if layer is not None:
        layers = sorted({number for part in parse_numbers(layer, "--layer") for number in _span(part, stack)})
    if head is None:
        return {number: tuple(range(stack.heads[number])) for number in layers}
    heads = parse_numbers(head, "--head")
    return {
        number: tuple(
            sorted(
                {
                    one
                    for first, last in heads
                    for one in range(_head(stack, number, first), _head(stack, number, last) + 1)
                }
            )
        )
        for number in layers
    }


def _span(ends: tuple[int, int], stack: Stack) -> list[int]:
    first, last = (number + stack.layers if number < 0 else number for number in ends)
    if first > last:
        raise SelectionError(f"Layers {ends[0]}-{ends[1]} run backwards", "Write the smaller number first")
    if first == last:
        return [_layer(stack, ends[0])]
    for number in (ends[0], ends[1]):
        _inside(stack, number)
    # A range may run over layers without attention; a layer named alone may not be one.
    return [number for number in range(first, last + 1) if number in stack.heads]


def _inside(stack: Stack, layer: int) -> int:
    number = layer + stack.layers if layer < 0 else layer
    if not 0 <= number < stack.layers:
        raise SelectionError(
            f"There is no layer {layer}", f"This model has layers 0 to {stack.layers - 1} (or -1 for the last)"
        )
    return number


def _layer(stack: Stack, layer: int) -> int:
    number = _inside(stack, layer)
    if number not in stack.heads:
        raise SelectionError(
            f"Layer {number} has no attention ({stack.without.get(number, 'something else')} stands there)",
            f"The layers with attention are {_listed(stack.heads)}",
        )
    return number


def _head(stack: Stack, layer: int, head: int) -> int:
    count = stack.heads[layer]
    number = head + count if head < 0 else head
    if not 0 <= number < count:
        raise SelectionError(f"There is no head {head} in layer {layer}", f"It has heads 0 to {count - 1}")
    return number


def choose_queries(units: Units, query: str) -> tuple[int, ...]:
    """Indices of the shown units that a user means: a position, a word (every occurrence), or `word#2`.

    Raises:
        SelectionError: there is no such word or position.
    """
    chosen: list[int] = []
    for part in _query_parts(units, query):
        chosen.extend(index for index in _matches(units, part) if index not in chosen)
    return tuple(sorted(chosen))


def _query_parts(units: Units, query: str) -> Sequence[str]:
    """`it,trophy` are two words, unless the comma itself is one."""
    query = query.strip()
    return [query] if query in units.labels else [part.strip() for part in query.split(",") if part.strip()]


def _matches(units: Units, query: str) -> list[int]:
    word, mark, which = query.rpartition("#")
    if mark and word and which.isdecimal():
        found = _same_word(units, word)
        if not found:
            raise _no_such_word(units, word)
        if not 1 <= int(which) <= len(found):
            times = "once" if len(found) == 1 else f"{len(found)} times"
            raise SelectionError(f"{word!r} stands there only {times}", f"Write {word}#1 to {word}#{len(found)}")
        return [found[int(which) - 1]]
    found = _same_word(units, query)
    if found:
        return found
    if re.fullmatch(r"-?\d+", query):
        position = int(query) + (len(units) if int(query) < 0 else 0)
        if not 0 <= position < len(units):
            raise SelectionError(f"There is no position {query}", f"Positions run from 0 to {len(units) - 1}")
        return [position]
    raise _no_such_word(units, query)


def _same_word(units: Units, word: str) -> list[int]:
    """Every unit with this text; in another case only where none has it as typed."""
    exact = [index for index, label in enumerate(units.labels) if label == word]
    return exact or [index for index, label in enumerate(units.labels) if label.casefold() == word.casefold()]


def _no_such_word(units: Units, word: str) -> SelectionError:
    shown = list(dict.fromkeys(units.labels))
    listed = ", ".join(shown[:40]) + (f" and {len(shown) - 40} more" if len(shown) > 40 else "")
    return SelectionError(f"{word!r} is not in the text", f"Its words are: {listed}")


def _listed(things: Iterable[object]) -> str:
    return ", ".join(str(thing) for thing in things)
