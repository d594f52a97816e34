"""Heads that link two words: every head's weight from one to the other, and the baselines to compare it with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from attn_cli.answer import Answer
from attn_cli.data.model import GuidedHead
from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.record import Record
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Selection
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.stream import Block, Source
from attn_cli.data.suggestion import Suggestion, suggest_explaining
from attn_cli.data.units import Units
from attn_cli.data.without import typed_without
from attn_cli.errors import SelectionError, UsageError
from attn_cli.io.csv import Cell
from attn_cli.measure.derived import centred, measured
from attn_cli.measure.maps import layer_bytes
from attn_cli.measure.measures import even_rows
from attn_cli.measure.sink import SinkShare
from attn_cli.system.memory import require

__all__ = ["CollectLinks", "FindSort", "FoundLink", "FoundLinks", "Pair", "choose_pairs", "find"]

FindSort = Literal["weight", "usual", "others", "layer"]

MOST_PAIRS = 1000
"""Most pairs of occurrences to look up; two words that are both frequent have very many."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a key, as indices into the shown units."""

    query: int
    key: int


@dataclass(frozen=True, slots=True)
class FoundLink:
    """One head's weight from a query to a key; or its norm, or its score less its row's mean, as `measure` says."""

    layer: int
    head: int
    pair: Pair
    weight: float
    even: float
    """The weight in an even row, which gives the same to each token that the query can see."""
    usual: float | None
    """This head's mean weight between two other units (special tokens aside) that are equally far apart in the same
    direction, of an image along its rows and its columns; None if there are none, and in cross-attention, which has no
    common positions."""
    others: float | None
    """This head's mean weight to the same key from all other units (special tokens and the key itself aside) that can
    see it; None if there are none."""


ORDER: Mapping[FindSort, Callable[[FoundLink], float | tuple[int, int]]] = {
    "weight": lambda link: -link.weight,
    "usual": lambda link: _over(link.usual, link),
    "others": lambda link: _over(link.others, link),
    "layer": lambda link: (link.layer, link.head),
}


def _over(base: float | None, link: FoundLink) -> float:
    """Return a sort key: links furthest above their baseline first, those without a baseline last."""
    return np.inf if base is None else base - link.weight


@dataclass(frozen=True, eq=False, repr=False)
class FoundLinks(Answer):
    """The answer of `attn find`."""

    record: Record
    """The model, the text and the selection, without maps."""
    plan: Plan
    start: str
    """The name of the query, as it was typed."""
    end: str
    """The name of the key, as it was typed."""
    both: bool
    pairs: tuple[Pair, ...]
    """All pairs of query and key that were looked up."""
    masked: tuple[Pair, ...]
    """Pairs whose key the query cannot see in any selected head."""
    links: tuple[FoundLink, ...]
    """One link for each head and each pair that it can see, strongest first."""
    alike: Mapping[Pair, int] = field(default_factory=dict)
    """pair -> number of other pairs that `usual` averages, in the layer with the most; absent if there are none."""
    sink: float | None = None
    """Mean share of a row that a learned sink takes; None if there is none."""
    least: float | None = None
    """The smallest weight to list; None for all."""
    sort: FindSort = "weight"
    """The order of the links that are listed."""

    columns = (
        *("kind", "layer", "head", "query", "query_text", "key", "key_text"),
        *("weight", "even", "usual", "others", "measure", "unit"),
    )

    @property
    def title(self) -> str:
        return self.record.source.name

    @property
    def without(self) -> str:
        return typed_without(self.record.model.without)

    @property
    def largest(self) -> Mapping[tuple[int, int], float]:
        """The largest weight of all pairs in each (layer, head)."""
        found: dict[tuple[int, int], float] = {}
        for link in self.links:
            place = link.layer, link.head
            found[place] = max(link.weight, found.get(place, link.weight))
        return found

    @cached_property
    def notes(self) -> tuple[str, ...]:
        return self.record.notes

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        places = [(self.plan.kind, link.layer, link.head) for link in self.listed]
        return self.record.model.guided_among(places)

    @property
    def suggestion(self) -> Suggestion | None:
        if not self.links:
            return None
        link = self.links[0]
        return suggest_explaining(self.record, self.plan, (link.layer, link.head), link.pair.query)

    @property
    def listed(self) -> list[FoundLink]:
        """Links that are strong enough, in the order asked for."""
        # In the precision of a weight, in which 0.7 is not quite the 0.7 that was typed.
        links = [link for link in self.links if self.least is None or np.float32(link.weight) >= np.float32(self.least)]
        return sorted(links, key=ORDER[self.sort])

    def ordered(self, sort: FindSort) -> FoundLinks:
        """Return the same with its links in another order.

        Raises:
            UsageError: rows and columns are different words, of which no pairs are equally far apart.
        """
        if sort == "usual" and self.plan.crosses:
            raise UsageError(
                "Rows and columns are different words here, and no pairs are equally far apart, as --sort usual needs",
                "Choose --sort others",
            )
        return replace(self, sort=sort)

    def ends(self, pair: Pair) -> tuple[int, str, int, str]:
        """Return position and label of the query, and of the key."""
        queries, keys = self.plan.queries, self.plan.keys
        return (
            queries.positions[pair.query],
            queries.labels[pair.query],
            keys.positions[pair.key],
            keys.labels[pair.key],
        )

    def rows(self) -> Iterable[Sequence[Cell]]:
        for link in self.listed:
            ends = self.ends(link.pair)
            numbers = link.weight, link.even, link.usual, link.others
            yield (
                self.plan.kind,
                link.layer,
                link.head,
                *ends,
                *numbers,
                self.record.selection.measure,
                self.plan.unit,
            )


def find(
    source: Source, selection: Selection, start: str, end: str, *, both: bool = False, verify: bool = False
) -> FoundLinks:
    """Find every head's weight from one word to another, strongest first.

    Args:
        source: a text given to a model, or a record of one.
        selection: kind, layers, heads and units to look at.
        start: the name of the query: a word (`it`, `it#2`), several words as one (`New York`) or a position; or several
            names, separated by commas.
        end: the name of the key, in the same form.
        both: also find the weights in the other direction.
        verify: also run the model without attn, and compare.

    Raises:
        SelectionError: a kind, layer, head or word does not exist, or the words make too many pairs.
        UsageError: the other direction is asked for where rows and columns are different words.
        ModelError: the model could not be run, or has no attention.
        MemoryLimitError: a layer of old-style code would not fit in memory.
        ExactnessError: the model's output is not attention weights.
    """
    source = measured(source, selection)
    plan = make_plan(source, selection)
    if both and plan.crosses:
        only = "only the target looks at the source" if plan.kind == "cross" else "a word looks only at those before it"
        where = "cross-attention" if plan.kind == "cross" else "output rows"
        raise UsageError(f"In {where} {only}, so --both cannot be used with it", "Leave it out")
    plan, pairs = choose_pairs(plan, start, end, both=both)
    require(
        layer_bytes(plan), f"Inspecting a layer of {plan.keys.tokens:,} keys", "Choose fewer heads, or cut the text"
    )
    collect = CollectLinks(plan.queries, plan.keys, pairs, crosses=plan.crosses, scores=selection.scores)
    weights = Regroup(plan.queries, plan.keys, collect)
    even = Regroup(plan.queries, plan.keys, collect.eat_even)

    def eat(block: Block) -> None:
        even(even_rows(block))
        weights(block)

    report = source.stream(plan.request(verify=verify, in_place=True), eat)
    links = sorted(collect.links(), key=lambda link: -link.weight)
    seen = {link.pair for link in links}
    return FoundLinks(
        record=Record.of(source, report, selection),
        plan=plan,
        start=start,
        end=end,
        both=both,
        pairs=pairs,
        masked=tuple(pair for pair in pairs if pair not in seen),
        links=tuple(links),
        alike=collect.alike(),
        sink=collect.sink.mean,
    )


def choose_pairs(plan: Plan, start: str, end: str, *, both: bool) -> tuple[Plan, tuple[Pair, ...]]:
    """Pair every occurrence of one name with every one of the other; a unit with itself only if there is no other pair.

    Returns:
        The plan with the words that each name covers joined into one unit, and the pairs in its units.

    Raises:
        SelectionError: a word does not exist, two names have a word in common, or there are too many pairs.
    """
    ways = [_named(plan, start, end)]
    if both:
        ways.append(_named(plan, end, start))
    if sum(len(queries) * len(keys) for queries, keys in ways) > MOST_PAIRS:
        raise SelectionError(
            f"There are {len(ways[0][0])} × {len(ways[0][1])} pairs of these words, and at most "
            f"{MOST_PAIRS:,} can be shown",
            "Name occurrences, like it#2",
        )
    plan = plan.joined([span for queries, _ in ways for span in queries], [span for _, keys in ways for span in keys])
    row, column = plan.queries.positions.index, plan.keys.positions.index
    pairs = dict.fromkeys(
        Pair(row(query.start), column(key.start)) for queries, keys in ways for query in queries for key in keys
    )
    apart = [pair for pair in pairs if plan.crosses or pair.query != pair.key]
    return plan, tuple(apart or pairs)


def _named(plan: Plan, query: str, key: str) -> tuple[tuple[range, ...], tuple[range, ...]]:
    """Find the rows and the columns that two names mean.

    Raises:
        SelectionError: there are none; the message says where words of the translation can be named.
    """
    try:
        return plan.choose_queries(query), plan.choose_keys(key)
    except SelectionError as error:
        translation = _translation(plan)
        raise SelectionError(error.problem, "; ".join(filter(None, (error.remedy, translation)))) from error


def _translation(plan: Plan) -> str:
    """Say which words of the translation can be named, where an error calls rows and columns the text."""
    source = plan.source
    if "cross" not in source.model.stacks:
        return ""
    if plan.kind == "decoder":
        return "in decoder attention, both are words of the translation"
    # A record has no model that could translate its text.
    translates = plan.selection.kind is None and source.target is None and not isinstance(source, Record)
    return "the attending word may also be one of the translation" if translates else ""


_Offset = tuple[int, int] | None
"""Rows and columns from a patch to another, or 0 and units of a text; None from or to a special token of an image."""


class _LinkedLayer:
    """The values collected from one layer."""

    def __init__(self, heads: tuple[int, ...], pairs: int, offsets: int, keys: int) -> None:
        self.heads = heads
        self.weights: Float[np.ndarray, "head pair"] = np.full((len(heads), pairs), np.nan)
        self.even: Float[np.ndarray, "pair"] = np.full(pairs, np.nan)
        self.at_offset: Float[np.ndarray, "head offset"] = np.zeros((len(heads), offsets))
        self.at_offset_count: Int[np.ndarray, "offset"] = np.zeros(offsets, np.intp)
        self.to_key: Float[np.ndarray, "head key"] = np.zeros((len(heads), keys))
        self.to_key_count: Int[np.ndarray, "key"] = np.zeros(keys, np.intp)


class CollectLinks:
    """A collector of the weights of some pairs, and of the means to compare them with.

    Args:
        queries: the units along the rows; blocks must be in those units (see `Regroup`).
        keys: the units along the columns.
        pairs: the pairs whose weights to collect.
        crosses: True if a row and the column with its number are not the same unit (`Plan.crosses`).
        scores: collect each score less the mean of its row's, in the place of a weight.
    """

    def __init__(
        self, queries: Units, keys: Units, pairs: Sequence[Pair], *, crosses: bool, scores: bool = False
    ) -> None:
        self._scores = scores
        self.sink = SinkShare()
        self._pairs, self._crosses = pairs, crosses
        self._plain_query = ~np.asarray(queries.special, np.bool_)
        self._plain_key = ~np.asarray(keys.special, np.bool_)
        self._cells = (queries.cells, keys.cells) if queries.side.grid is not None else None
        self._offsets = [] if self._crosses else list(dict.fromkeys(map(self._offset, pairs)))
        self._keys_at = [self._find_keys(offset, len(queries)) for offset in self._offsets]
        self._keys = sorted({pair.key for pair in pairs})
        self._layers: dict[int, _LinkedLayer] = {}

    def _offset(self, pair: Pair) -> _Offset:
        """Return how far the key of a pair is from its query."""
        if self._cells is None:
            return 0, pair.key - pair.query
        start, end = self._cells[0][pair.query], self._cells[1][pair.key]
        return None if start is None or end is None else (end[0] - start[0], end[1] - start[1])

    def _find_keys(self, offset: _Offset, queries: int) -> Int[np.ndarray, "query"]:
        """Find the key at this distance from each query; a negative number where there is none."""
        if offset is None:
            return np.full(queries, -1)
        down, across = offset
        if self._cells is None:
            return np.arange(queries) + across
        places = {cell: index for index, cell in enumerate(self._cells[1]) if cell is not None}
        found = [-1 if cell is None else places.get((cell[0] + down, cell[1] + across), -1) for cell in self._cells[0]]
        return np.array(found, np.intp)

    def eat_even(self, block: Block) -> None:
        """Consume even rows, which must come before the weights of the same rows."""
        found: dict[int, float] = {}
        for index, pair in self._inside(block):
            found[index] = 0.0 if self._scores else float(block.weights[0, pair.query - block.start, pair.key])
        self._even = found

    def __call__(self, block: Block) -> None:
        if block.layer not in self._layers:
            sizes = len(self._pairs), len(self._offsets), len(self._keys)
            self._layers[block.layer] = _LinkedLayer(block.heads, *sizes)
        layer = self._layers[block.layer]
        weights = centred(block) if self._scores else block.weights
        self.sink(block)
        for index, pair in self._inside(block):
            layer.weights[:, index] = weights[:, pair.query - block.start, pair.key]
            layer.even[index] = self._even[index]
        rows = np.arange(block.visible.shape[0])
        for index, keys_at in enumerate(self._keys_at):
            keys = keys_at[rows + block.start]
            counted = np.flatnonzero(self._counts(block, rows, keys))
            layer.at_offset[:, index] += weights[:, counted, keys[counted]].sum(axis=1, dtype=np.float64)
            layer.at_offset_count[index] += len(counted)
        for index, key in enumerate(self._keys):
            counted = np.flatnonzero(
                self._plain_query[rows + block.start] & _sees(block, rows, np.full(len(rows), key))
            )
            if not self._crosses:
                counted = counted[counted + block.start != key]
            layer.to_key[:, index] += weights[:, counted, key].sum(axis=1, dtype=np.float64)
            layer.to_key_count[index] += len(counted)

    def _inside(self, block: Block) -> Iterable[tuple[int, Pair]]:
        """Yield the pairs in a block whose query can see the key, with their indices."""
        for index, pair in enumerate(self._pairs):
            row = np.array([pair.query - block.start])
            if 0 <= row[0] < block.visible.shape[0] and _sees(block, row, np.array([pair.key]))[0]:
                yield index, pair

    def _counts(
        self, block: Block, rows: Int[np.ndarray, "row"], keys: Int[np.ndarray, "row"]
    ) -> Bool[np.ndarray, "row"]:
        """Return whether each row can see the key beside it, and neither is a special token."""
        known = _sees(block, rows, keys)
        known &= self._plain_query[rows + block.start]
        known[known] &= self._plain_key[keys[known]]
        return known

    def links(self) -> Iterable[FoundLink]:
        """Yield a link for each head and each pair that it can see."""
        for number, layer in self._layers.items():
            for index, pair in enumerate(self._pairs):
                if np.isnan(layer.even[index]):
                    continue
                usual, others = self._usual(layer, index), self._others(layer, index)
                for place, head in enumerate(layer.heads):
                    yield FoundLink(
                        layer=number,
                        head=head,
                        pair=pair,
                        weight=float(layer.weights[place, index]),
                        even=float(layer.even[index]),
                        usual=None if usual is None else float(usual[place]),
                        others=None if others is None else float(others[place]),
                    )

    def alike(self) -> dict[Pair, int]:
        """Count the other pairs that are as far apart, in the layer where most of them can be seen."""
        counts = {
            pair: max((self._alike(layer, index) for layer in self._layers.values()), default=0)
            for index, pair in enumerate(self._pairs)
        }
        return {pair: count for pair, count in counts.items() if count}

    def _alike(self, layer: _LinkedLayer, index: int) -> int:
        if self._crosses:
            return 0
        pair = self._pairs[index]
        own = self._plain_query[pair.query] and self._plain_key[pair.key] and not np.isnan(layer.even[index])
        return int(layer.at_offset_count[self._offsets.index(self._offset(pair))]) - int(own)

    def _usual(self, layer: _LinkedLayer, index: int) -> Float[np.ndarray, "head"] | None:
        count = self._alike(layer, index)
        if not count:
            return None
        pair = self._pairs[index]
        total = layer.at_offset[:, self._offsets.index(self._offset(pair))]
        own = self._plain_query[pair.query] and self._plain_key[pair.key]
        return self._without(total, layer.weights[:, index], own=bool(own)) / count

    def _others(self, layer: _LinkedLayer, index: int) -> Float[np.ndarray, "head"] | None:
        pair = self._pairs[index]
        own = bool(self._plain_query[pair.query]) and (self._crosses or pair.query != pair.key)
        place = self._keys.index(pair.key)
        count = int(layer.to_key_count[place]) - own
        if not count:
            return None
        return self._without(layer.to_key[:, place], layer.weights[:, index], own=own) / count

    def _without(
        self, total: Float[np.ndarray, "head"], weights: Float[np.ndarray, "head"], *, own: bool
    ) -> Float[np.ndarray, "head"]:
        """Subtract the pair's own weight from a sum that includes it; rounding must not take weights below 0."""
        if not own:
            return total
        rest: Float[np.ndarray, "head"] = total - weights
        return rest if self._scores else np.maximum(rest, 0)


def _sees(block: Block, rows: Int[np.ndarray, "row"], keys: Int[np.ndarray, "row"]) -> Bool[np.ndarray, "row"]:
    """Return whether each of these rows of a block sees the key beside it."""
    first, stop = block.visible[rows, 0], block.visible[rows, 1]
    known: Bool[np.ndarray, "row"] = (keys >= np.maximum(first, 0)) & (keys < np.minimum(stop, block.weights.shape[2]))
    return known
