"""What a user asked for, found in a model and a text: layers, heads, units and positions, or an error listing them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from attn_cli.blocks import ModelInfo, Request, Source, Stack, key_tokens, query_tokens
from attn_cli.errors import InputError, ModelError, SelectionError, quoted, shortened
from attn_cli.selection import KINDS, Kind, Rows, Selection, parse_heads, parse_numbers
from attn_cli.words import Units

__all__ = ["Plan", "choose_heads", "choose_kind", "choose_rows", "choose_units", "make_plan", "name_head"]


NUMBER = re.compile(r"\d{1,18}")
"""Of an occurrence or a position; Python itself refuses to read numbers of some thousand digits."""
TEXT = "the text"
"""What an error calls the text, where there is only one."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What a view of one text needs to know."""

    source: Source
    selection: Selection
    kind: Kind
    heads: Mapping[int, tuple[int, ...]]
    """layer -> heads."""
    queries: Units
    """The rows."""
    keys: Units
    """The columns."""
    chosen: tuple[int, ...] | None
    """The rows that `--query` names; None for all."""
    rows: Rows = "input"
    """Whether a row of cross-attention belongs to the token that its step outputs, or to the one that it reads."""

    @property
    def head_count(self) -> int:
        """How many heads are selected."""
        return sum(len(heads) for heads in self.heads.values())

    @property
    def positions(self) -> tuple[int, ...]:
        """Token positions of the rows needed."""
        if self.chosen is None:
            return tuple(range(self.queries.tokens))
        return tuple(token for unit in self.chosen for token in self.queries.token_positions(unit))

    def choose_queries(self, query: str) -> tuple[int, ...]:
        """Indices of the rows that a user means, as `choose_units` finds them.

        Raises:
            SelectionError: there is no such word or position.
        """
        return choose_units(self.queries, query, "the target, whose words are the rows" if self._crosses else TEXT)

    def choose_keys(self, query: str) -> tuple[int, ...]:
        """Indices of the columns that a user means.

        Raises:
            SelectionError: there is no such word or position.
        """
        return choose_units(self.keys, query, "the source, whose words are the columns" if self._crosses else TEXT)

    @property
    def _crosses(self) -> bool:
        return self.kind == "cross"

    def request(self, *, verify: bool = False) -> Request:
        """What to ask the source for."""
        return Request(
            heads={self.kind: self.heads},
            queries={} if self.chosen is None else {self.kind: self.positions},
            scores=self.selection.scores,
            verify=verify,
        )


def make_plan(source: Source, selection: Selection) -> Plan:
    """Find in this model and text what the user asked for.

    Raises:
        SelectionError: a kind, layer, head or word is not there; what is there is listed.
        InputError: hiding special tokens or the first leaves nothing to show.
        ModelError: the model has no attention, and more is asked for than what it wrote.
    """
    if not source.model.stacks:
        return _plan_without_attention(source, selection)
    kind = choose_kind(source.model.stacks, selection.kind, has_target=source.target is not None)
    heads = choose_heads(source.model.stacks[kind], selection.layer, selection.head)
    side = choose_rows(source.model, selection.rows, kind)
    rows, columns = query_tokens(source, kind, side), key_tokens(source, kind)
    keys = Units.of(columns, selection.unit, special=selection.special, sink=selection.sink)
    # In cross-attention the sink is on the other side, and the decoder's first token is a row like any other.
    queries = Units.of(rows, selection.unit, special=selection.special, sink=selection.sink or kind == "cross")
    if not len(queries) or not len(keys):
        raise InputError("Nothing is left to show", "Leave out --no-special or --no-sink")
    plan = Plan(source, selection, kind, heads, queries, keys, None, side)
    return plan if selection.query is None else replace(plan, chosen=plan.choose_queries(selection.query))


def _plan_without_attention(source: Source, selection: Selection) -> Plan:
    asked = (selection.kind, selection.layer, selection.head, selection.query)
    if not selection.translation or selection.view != "heads" or any(one is not None for one in asked):
        raise ModelError(source.model.without_attention, "Name another model with --model")
    rows = choose_rows(source.model, selection.rows)
    queries, keys = (Units.of(side, selection.unit) for side in (query_tokens(source, "cross", rows), source.source))
    return Plan(source, selection, "cross", {}, queries, keys, None, rows)


def name_head(layer: int, head: int) -> str:
    """`2.5`: layer and head, both counted from 0."""
    return f"{layer}.{head}"


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


def choose_rows(model: ModelInfo, rows: Rows | None, kind: Kind = "cross") -> Rows:
    """Which step a word's row of cross-attention is: as asked for, else as the model declares, else the input's.

    In Transformers whose heads nobody has trained to align, a word aligns far better at the step that reads it (Chen et
    al. 2020, "Accurate Word Alignment Induction from Neural Machine Translation").

    Raises:
        SelectionError: output rows are asked for where rows and columns are the same tokens.
    """
    if kind != "cross":
        if rows == "output":
            raise SelectionError(
                f"--rows output goes with cross attention, and this is {kind} attention",
                "Leave --rows out: rows and columns are the same tokens here",
            )
        return "input"
    return rows or (model.alignment.rows if model.alignment is not None else "input")


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
        number: tuple(sorted({one for ends in heads for one in _head_span(ends, stack, number)})) for number in layers
    }


def _head_span(ends: tuple[int, int], stack: Stack, layer: int) -> range:
    first, last = (_head(stack, layer, head) for head in ends)
    if first > last:
        raise SelectionError(f"Heads {ends[0]}-{ends[1]} run backwards", "Write the smaller number first")
    return range(first, last + 1)


def _span(ends: tuple[int, int], stack: Stack) -> list[int]:
    first, last = (number + stack.layers if number < 0 else number for number in ends)
    if first > last:
        raise SelectionError(f"Layers {ends[0]}-{ends[1]} run backwards", "Write the smaller number first")
    if first == last:
        return [_layer(stack, ends[0])]
    for number in (ends[0], ends[1]):
        _inside(stack, number)
    # A range may run over layers without attention; a layer named alone may not be one, nor may a whole range.
    found = [number for number in range(first, last + 1) if number in stack.heads]
    return found or [_layer(stack, first)]


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


def choose_units(units: Units, query: str, text: str = TEXT) -> tuple[int, ...]:
    """Indices of the shown units that a user means: a position, a word (every occurrence), or `word#2`.

    Args:
        units: those shown.
        query: what the user typed; several are parted by commas.
        text: what an error calls the text that they are of.

    Raises:
        SelectionError: there is no such word or position.
    """
    chosen: list[int] = []
    for part in _query_parts(units, query) or [query]:
        chosen.extend(index for index in _matches(units, part, text) if index not in chosen)
    return tuple(sorted(chosen))


def _query_parts(units: Units, query: str) -> Sequence[str]:
    """`it,trophy` are two words, unless the comma itself is one."""
    query = query.strip()
    return [query] if query in units.labels else [part.strip() for part in query.split(",") if part.strip()]


def _matches(units: Units, query: str, text: str) -> list[int]:
    found = _same_word(units, query)
    if found:
        return found
    word, mark, which = query.rpartition("#")
    if mark and word and NUMBER.fullmatch(which):
        found = _same_word(units, word)
        if not found:
            raise _no_such_word(units, word, text)
        if not 1 <= int(which) <= len(found):
            many = len(found) > 1
            raise SelectionError(
                f"{quoted(word)} stands there only {f'{len(found)} times' if many else 'once'}",
                f"Write {shortened(word)}#1" + (f" to {shortened(word)}#{len(found)}" if many else ""),
            )
        return [found[int(which) - 1]]
    if re.fullmatch(rf"-?{NUMBER.pattern}", query):
        position = int(query) + (len(units) if int(query) < 0 else 0)
        if not 0 <= position < len(units):
            raise SelectionError(f"There is no position {query}", f"Positions run from 0 to {len(units) - 1}")
        return [position]
    raise _no_such_word(units, query, text)


def _same_word(units: Units, word: str) -> list[int]:
    """Every unit with this text; in another case, or less what cannot be seen or typed, only where none has just it."""
    exact = [index for index, label in enumerate(units.labels) if label == word]
    return exact or [index for index, label in enumerate(units.labels) if _plain(label) == _plain(word)]


def _plain(word: str) -> str:
    shown = "".join(character for character in word.casefold() if unicodedata.category(character) not in {"Cf", "Cc"})
    # How pieces say that a word begins with them, which nobody can type.
    return shown[1:] if len(shown) > 1 and shown[0] in "▁ġ" else shown


def _no_such_word(units: Units, word: str, text: str) -> SelectionError:
    shown = list(dict.fromkeys(units.labels))
    listed = ", ".join(map(shortened, shown[:40])) + (f" and {len(shown) - 40} more" if len(shown) > 40 else "")
    pieces = [label for label, whole in zip(units.labels, units.words, strict=False) if _plain(whole) == _plain(word)]
    if pieces:
        made = ", ".join(map(shortened, dict.fromkeys(pieces)))
        return SelectionError(
            f"{quoted(word)} is a word, and rows and columns are the model's own pieces here",
            f"It is made of {made}: name one of them, or look at weights of words",
        )
    return SelectionError(
        f"{quoted(word)} is not in {text}", f"Its {'pieces' if units.words else 'words'} are: {listed}"
    )


def _listed(things: Iterable[object]) -> str:
    return ", ".join(str(thing) for thing in things)
