"""A user's selection resolved in a model and a text: layers, heads, units and positions, or an error listing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from attn_cli.data.model import NOT_GIVEN, GuidedHead, ModelInfo, Stack
from attn_cli.data.naming import TEXT, choose_units
from attn_cli.data.selection import KINDS, Kind, Rows, Selection, parse_heads, parse_numbers
from attn_cli.data.stream import Request, Source, key_tokens, query_tokens
from attn_cli.data.text import Tokens
from attn_cli.data.units import Units
from attn_cli.errors import InputError, ModelError, SelectionError, quoted, shortened

__all__ = [
    "Plan",
    "choose_heads",
    "choose_kind",
    "choose_rows",
    "listed",
    "make_plan",
    "name_guided",
    "name_head",
    "told_guided",
]


@dataclass(frozen=True, eq=False)
class Plan:
    """A selection resolved to the indices that a view of one text needs."""

    source: Source
    selection: Selection
    kind: Kind
    heads: Mapping[int, tuple[int, ...]]
    """layer -> selected heads."""
    queries: Units
    """The units along the rows."""
    keys: Units
    """The units along the columns."""
    chosen: tuple[int, ...] | None
    """Indices of the rows that `--query` names; None for all."""
    rows: Rows = "input"
    """The token that a decoder's row belongs to: the one that its step outputs, or the one that it reads."""

    @property
    def head_count(self) -> int:
        """The number of selected heads."""
        return len(self.places)

    @property
    def unit(self) -> str:
        """The name of one row or column: a word, a token, or a patch of an image."""
        return self.keys.named

    @property
    def draws_patches(self) -> bool:
        """True if rows are drawn on the grid of an image's patches, and not maps from patch to patch."""
        return self.keys.side.grid is not None and self.selection.view != "map" and bool(self.heads)

    @property
    def places(self) -> list[tuple[Kind, int, int]]:
        """Kind, layer and number of each selected head."""
        return [(self.kind, layer, head) for layer, heads in self.heads.items() for head in heads]

    @property
    def begins(self) -> int:
        """The first row shown: that of the first token that was written, where a prompt was written on."""
        return self.queries.begins

    @property
    def crosses(self) -> bool:
        """True if a row and the column with its number are not the same word."""
        same = self.queries.segment == self.keys.segment
        return self.kind == "cross" or self.rows == "output" or self.begins > 0 or not same

    @property
    def step(self) -> Rows | None:
        """The step that is a word's row, where that must be said; None where it goes without saying.

        A matrix from elsewhere does not say it.
        """
        said = self.kind == "cross" or self.rows == "output"
        return self.rows if said and self.source.model.captured != "given" else None

    @property
    def positions(self) -> tuple[int, ...]:
        """Token positions of the rows needed."""
        if self.chosen is None:
            return self.every_position
        return tuple(token for unit in self.chosen for token in self.queries.token_positions(unit))

    @property
    def every_position(self) -> tuple[int, ...]:
        """Token positions of all rows that can be shown, whichever are chosen."""
        return tuple(range(self.begins, len(query_tokens(self.source, self.kind))))

    def choose_queries(self, query: str) -> tuple[range, ...]:
        """Find the rows that a user names (see `choose_units`); the plan must not have joined units.

        Raises:
            SelectionError: there is no such word or position.
        """
        written = "what was written" if self.begins else TEXT
        side = "the target, whose words are the rows" if self.kind == "cross" else written
        return choose_units(self.queries, query, side)

    def choose_keys(self, query: str) -> tuple[range, ...]:
        """Find the columns that a user names (see `choose_units`); the plan must not have joined units.

        Raises:
            SelectionError: there is no such word or position.
        """
        side = "the source, whose words are the columns" if self.kind == "cross" else TEXT
        return choose_units(self.keys, query, side)

    def joined(self, queries: Iterable[range], keys: Iterable[range] = ()) -> Plan:
        """Return the plan with runs of rows averaged and runs of columns summed; in self-attention, each run in both.

        Raises:
            SelectionError: two runs have a unit in common, or scores are shown, which have no mean and no sum.
        """
        rows, columns = tuple(queries), tuple(keys)
        if not self.crosses:
            rows = columns = rows + columns
        if all(len(span) == 1 for span in (*rows, *columns)):
            return self
        units = _joined(self.queries, rows, self.selection), _joined(self.keys, columns, self.selection)
        return replace(self, queries=units[0], keys=units[1])

    def request(self, *, verify: bool = False, rows: tuple[int, ...] | None = None, in_place: bool = False) -> Request:
        """Build the request for the source.

        Args:
            verify: also run the model without attn, and compare.
            rows: the positions of the rows to ask for; by default those needed.
            in_place: let weights stay on the device where they are computed; see `Request.in_place`.
        """
        rows = self.positions if rows is None else rows
        every = len(query_tokens(self.source, self.kind))
        return Request(
            heads={self.kind: self.heads},
            queries={self.kind: rows} if len(rows) < every else {},
            scores=self.selection.scores,
            verify=verify,
            in_place=in_place,
        )


def make_plan(source: Source, selection: Selection) -> Plan:
    """Resolve a selection in a model and a text.

    Raises:
        SelectionError: a kind, layer, head or word does not exist; the message lists those that do.
        InputError: hiding special tokens, the first or a segment leaves nothing to show.
        ModelError: the model has no attention, and more than its translation is asked for.
    """
    if not source.model.stacks:
        return _plan_without_attention(source, selection)
    name = source.model.name
    kind = choose_kind(source.model.stacks, selection.kind, has_target=source.target is not None, name=name)
    heads = choose_heads(source.model.stacks[kind], selection.layer, selection.head, name)
    written = source.source.written
    side = choose_rows(source.model, selection, kind, written=written is not None)
    rows, columns = query_tokens(source, kind, side), key_tokens(source, kind, side)
    _check_segments(selection, kind, rows)
    begins = 0 if written is None else written - (side == "output")
    sink = not selection.hides_first(kind)
    special = selection.special
    keys = Units.of(columns, selection.unit, special=special, sink=sink, segment=selection.to_segment)
    # The sink is on the other side in cross-attention, and is no output: the first row is like any other.
    sink = sink or kind == "cross" or side == "output"
    queries = Units.of(
        rows,
        selection.unit,
        special=special,
        sink=sink,
        begins=begins,
        output=side == "output",
        segment=selection.from_segment,
    )
    if 0 < begins >= len(rows):
        raise InputError("One token was written, and no step reads it", "Leave --rows input out")
    if not len(queries) or not len(keys):
        raise InputError(
            "Nothing is left to show",
            "Leave --from-segment and --to-segment out"
            if selection.segmented
            else "Show what is hidden with --special or --sink",
        )
    plan = Plan(source, selection, kind, heads, queries, keys, None, side)
    if selection.query is None:
        return plan
    chosen = plan.choose_queries(selection.query)
    plan = plan.joined(chosen)
    return replace(plan, chosen=tuple(plan.queries.positions.index(span.start) for span in chosen))


def _check_segments(selection: Selection, kind: Kind, tokens: Tokens) -> None:
    """Check that the text has the segments that are asked for, and that one can see the other.

    Raises:
        SelectionError: there is one segment alone, or no row can look at any column.
    """
    if not selection.segmented:
        return
    if kind == "cross":
        raise SelectionError(
            "--from-segment and --to-segment choose between two segments of one text, and cross-attention joins two "
            "texts already",
            "Leave them out, or choose --kind encoder",
        )
    if tokens.pair is None:
        raise SelectionError(
            "The text has no second segment, so --from-segment and --to-segment cannot be used",
            "Give a second text with --pair",
        )
    if kind == "decoder" and selection.to_segment == 1 and selection.from_segment != 1:
        raise SelectionError(
            "A decoder reads segment 0 before segment 1, so no word of 0 looks at 1",
            "Turn it round: --from-segment 1 --to-segment 0",
        )


def _joined(units: Units, spans: Iterable[range], selection: Selection) -> Units:
    """Join each of these spans of units into one.

    Raises:
        SelectionError: two spans have a unit in common, or scores are shown.
    """
    ordered = sorted(set(spans), key=lambda span: (span.start, span.stop))
    for one, other in pairwise(ordered):
        if one.stop > other.start:
            raise SelectionError(
                f"{quoted(units.text_of(one))} and {quoted(units.text_of(other))} share a {units.unit}",
                "Name them one at a time",
            )
    long = [span for span in ordered if len(span) > 1]
    if long and selection.scores:
        made = ", ".join(dict.fromkeys(map(shortened, units.labels[long[0].start : long[0].stop])))
        raise SelectionError(
            f"{quoted(units.text_of(long[0]))} is made of several pieces here, which have no single score",
            f"Name one of them ({made}), or choose another measure",
        )
    return units.joined(long)


def _plan_without_attention(source: Source, selection: Selection) -> Plan:
    asked = (selection.kind, selection.layer, selection.head, selection.query)
    if not selection.translation or selection.view != "heads" or any(one is not None for one in asked):
        raise ModelError(source.model.without_attention, "Name another model with --model")
    rows = choose_rows(source.model, selection)
    queries = Units.of(query_tokens(source, "cross", rows), selection.unit, output=rows == "output")
    keys = Units.of(source.source, selection.unit)
    return Plan(source, selection, "cross", {}, queries, keys, None, rows)


def name_head(layer: int, head: int) -> str:
    """Return the name of a head, `2.5`: layer and head, both counted from 0."""
    return f"{layer}.{head}"


def name_guided(head: GuidedHead) -> str:
    """Return a head with its kind, as a sentence names it: `cross-attention head 2.0`."""
    return f"{'cross-attention' if head.kind == 'cross' else head.kind} head {name_head(head.layer, head.head)}"


def told_guided(head: GuidedHead) -> str:
    """Return the sentence that says where a head was trained to look, without its full stop."""
    named = name_guided(head)
    return f"{named[0].upper()}{named[1:]} was trained to look {head.towards}"


def choose_kind(stacks: Mapping[Kind, Stack], kind: Kind | None, *, has_target: bool, name: str = "This model") -> Kind:
    """Return the kind asked for; by default `cross` if there is a target for it, else the model's first.

    Args:
        stacks: the model's attention layers.
        kind: the kind asked for.
        has_target: true if there is a target.
        name: the model's name, for messages.

    Raises:
        SelectionError: the model has no attention of that kind.
    """
    if kind is None:
        return "cross" if has_target and "cross" in stacks else next(k for k in KINDS if k in stacks)
    if kind not in stacks:
        raise SelectionError(f"{name} has no {kind} attention", f"It has {_listed(stacks)}")
    return kind


def choose_rows(model: ModelInfo, selection: Selection, kind: Kind = "cross", *, written: bool = False) -> Rows:
    """Choose the step that is a word's row.

    That is the step asked for. Else it is, in self-attention, the one that reads the word, or the one that writes it
    behind a prompt; in cross-attention, the one at which the heads selected were guided to align, if they were, or the
    one that the model is best shown at (`ModelInfo.shown_at`).

    Args:
        model: the model.
        selection: the rows and heads asked for.
        kind: the kind of attention.
        written: True for a decoder's text that was written behind a prompt.

    Raises:
        SelectionError: output rows are asked of an encoder, which writes nothing, or a head does not exist.
    """
    if kind == "encoder" and selection.rows == "output":
        raise SelectionError(
            "--rows output takes the step that writes a word, and an encoder writes none",
            "Leave --rows out, or choose --kind decoder or cross of a model that has them",
        )
    if selection.rows is not None:
        return selection.rows
    if kind != "cross":
        return "output" if written else "input"
    if "cross" in model.stacks and (selection.layer is not None or selection.head is not None):
        heads = choose_heads(model.stacks["cross"], selection.layer, selection.head, model.name)
        return model.rows_of(heads)
    return model.shown_at


def choose_heads(
    stack: Stack, layer: str | None, head: str | None, name: str = "This model"
) -> dict[int, tuple[int, ...]]:
    """Return the selected heads by layer, in the model's own order.

    Args:
        stack: the model's attention layers of one kind.
        layer: the layers, as they were typed.
        head: the heads, as they were typed.
        name: the model's name, for messages.

    Raises:
        SelectionError: a layer or head does not exist.
    """
    places = None if head is None else parse_heads(head)
    if places is not None:
        chosen: dict[int, set[int]] = {}
        for place_layer, place_head in places:
            number = _layer(stack, place_layer, name)
            chosen.setdefault(number, set()).add(_head(stack, number, place_head))
        return {number: tuple(sorted(chosen[number])) for number in sorted(chosen)}
    layers: Iterable[int] = stack.heads
    if layer is not None:
        layers = sorted({number for part in parse_numbers(layer, "--layer") for number in _span(part, stack, name)})
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


def _span(ends: tuple[int, int], stack: Stack, name: str) -> list[int]:
    first, last = (number + stack.layers if number < 0 else number for number in ends)
    if first > last:
        raise SelectionError(f"Layers {ends[0]}-{ends[1]} run backwards", "Write the smaller number first")
    if first == last:
        return [_layer(stack, ends[0], name)]
    for number in (ends[0], ends[1]):
        _inside(stack, number, name)
    # A range may include layers without attention, but not only those; a layer named alone must have attention.
    found = [number for number in range(first, last + 1) if number in stack.heads]
    return found or [_layer(stack, first, name)]


def _inside(stack: Stack, layer: int, name: str) -> int:
    number = layer + stack.layers if layer < 0 else layer
    if not 0 <= number < stack.layers:
        has = f"has layers 0 to {stack.layers - 1} (or -1 for the last)" if stack.layers > 1 else "has only layer 0"
        raise SelectionError(f"There is no layer {layer}", f"{name} {has}")
    return number


def _layer(stack: Stack, layer: int, name: str) -> int:
    number = _inside(stack, layer, name)
    if number not in stack.heads:
        instead = stack.without.get(number, "something else")
        raise SelectionError(
            f"Layer {number} has {instead}, which is not a map from token to token"
            if instead.startswith("attention")
            else f"The maps of layer {number} were not given"
            if instead == NOT_GIVEN
            else f"Layer {number} has no attention (in its place: {instead})",
            f"The layers with {'maps' if instead == NOT_GIVEN else 'attention'} are {_listed(stack.heads)}",
        )
    return number


def _head(stack: Stack, layer: int, head: int) -> int:
    count = stack.heads[layer]
    number = head + count if head < 0 else head
    if not 0 <= number < count:
        raise SelectionError(f"There is no head {head} in layer {layer}", f"It has heads 0 to {count - 1}")
    return number


def _listed(things: Iterable[object]) -> str:
    return ", ".join(str(thing) for thing in things)


def listed(numbers: Sequence[int]) -> str:
    """Format numbers in order, with runs collapsed: `0-2, 5`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
