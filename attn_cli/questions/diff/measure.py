"""Changes between two texts, two models or two records, aligned word by word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property

import numpy as np

from attn_cli.answer import Answer
from attn_cli.data.model import Stack
from attn_cli.data.naming import occurrence
from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.record import Record
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Selection
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.stream import Block, Source
from attn_cli.data.text import Units
from attn_cli.errors import ModelError, SelectionError, counted, quoted
from attn_cli.measure.derived import measured, scores_of
from attn_cli.measure.maps import layer_bytes, map_bytes
from attn_cli.system.memory import require

__all__ = ["Change", "Differences", "HeadChange", "Overlay", "diff", "divergence", "overlay"]

EXACT = 1e-5
"""Precision of scores as a share of the head's largest; a smaller change is rounding."""


@dataclass(frozen=True, eq=False)
class Overlay:
    """Alignment of two sequences of units; each place holds a unit of A, of B, or of both."""

    a: Int[np.ndarray, "place"]
    """Index of A's unit at each place; -1 if only B has one."""
    b: Int[np.ndarray, "place"]
    """Index of B's unit at each place; -1 if only A has one."""
    labels: tuple[str, ...]
    """Labels: `it` if both units are the same, `big/small` if they differ, `-very` or `+very` if there is only one."""
    special: tuple[bool, ...]
    same: tuple[bool, ...]
    """True for places where both have the same unit."""
    units: tuple[Units, Units]
    """Units of A and of B."""

    def __len__(self) -> int:
        return len(self.labels)

    def named(self, place: int) -> tuple[str, str]:
        """Return a place's label, and `#2` if its text occurs several times in A, or in B if its unit differs."""
        one, other = int(self.a[place]), int(self.b[place])
        ends = [(units, index) for units, index in zip(self.units, (one, other), strict=True) if index >= 0]
        numbers = ["" if number is None else f"#{number}" for number in (occurrence(*end) for end in ends)]
        if len(ends) == 1 or self.same[place]:
            return self.labels[place], numbers[0]
        return f"{self.units[0].labels[one]}{numbers[0]}/{self.units[1].labels[other]}", numbers[1]

    @property
    def both(self) -> Bool[np.ndarray, "place"]:
        """Mask of the places with a unit of each."""
        both: Bool[np.ndarray, "place"] = (self.a >= 0) & (self.b >= 0)
        return both


def overlay(a: Units, b: Units) -> Overlay:
    """Align two sequences of units: equal runs with each other, and between these, runs of equal length unit by unit.

    Equal runs are found by `difflib`: the longest run that both have, then the longest before and after it, and so on.
    """
    ones, others = map(_read, (a, b))
    places: list[tuple[int, int]] = []
    for what, first, stop, other_first, other_stop in SequenceMatcher(None, ones, others, False).get_opcodes():
        left, right = range(first, stop), range(other_first, other_stop)
        if what == "equal" or len(left) == len(right):
            places += zip(left, right, strict=True)
        else:
            places += [(index, -1) for index in left] + [(-1, index) for index in right]
    return _overlay(a, b, places)


def _overlay(a: Units, b: Units, places: Sequence[tuple[int, int]]) -> Overlay:
    ones, others = map(_read, (a, b))
    return Overlay(
        a=np.array([place[0] for place in places], np.intp),
        b=np.array([place[1] for place in places], np.intp),
        labels=tuple(_label(a, b, *place) for place in places),
        special=tuple(a.special[one] if one >= 0 else b.special[other] for one, other in places),
        same=tuple(min(place) >= 0 and ones[place[0]] == others[place[1]] for place in places),
        units=(a, b),
    )


def _read(units: Units) -> list[tuple[str, bool]]:
    return list(zip(units.labels, units.special, strict=True))


def _covered(side: Int[np.ndarray, "place"], run: range) -> range:
    """Return the units of A, or of B, at a run of places; an empty range if there are none."""
    found = side[run.start : run.stop]
    found = found[found >= 0]
    return range(int(found[0]), int(found[-1]) + 1) if len(found) else range(0)


def _joined(axis: Overlay, a: Units, b: Units, runs: Sequence[range]) -> Overlay:
    """Return the alignment with each run of places joined into one.

    Args:
        axis: alignment of units of which none are joined.
        a: A's units, those at the places of each run joined.
        b: B's units, joined likewise.
        runs: runs of places that do not overlap.
    """
    inner = {place for run in runs for place in run[1:]}
    joined = {run.start: run for run in runs}
    places = []
    for place in range(len(axis)):
        if place not in inner:
            ends = [_covered(side, joined.get(place, range(place, place + 1))) for side in (axis.a, axis.b)]
            one, other = (
                units.positions.index(end.start) if end else -1 for units, end in zip((a, b), ends, strict=True)
            )
            places.append((one, other))
    return _overlay(a, b, places)


def _label(a: Units, b: Units, one: int, other: int) -> str:
    if one < 0:
        return f"+{b.labels[other]}"
    if other < 0:
        return f"-{a.labels[one]}"
    return a.labels[one] if a.labels[one] == b.labels[other] else f"{a.labels[one]}/{b.labels[other]}"


def divergence(p: Float[np.ndarray, "*rows key"], q: Float[np.ndarray, "*rows key"]) -> Float[np.ndarray, "*rows"]:
    """Compute the Jensen-Shannon divergence of each pair of rows, in bits: 0 if they are equal, 1 if they share no key.

    (KL(p ‖ m) + KL(q ‖ m)) / 2 with m = (p + q) / 2 (Lin 1991, "Divergence Measures Based on the Shannon Entropy",
    equations 3.2 and 4.1).
    """
    p, q = p.astype(np.float64), q.astype(np.float64)
    mean = (p + q) / 2
    total = np.zeros(p.shape[:-1])
    for rows in (p, q):
        terms = np.divide(rows, mean, out=np.ones_like(mean), where=rows > 0)
        np.log2(terms, out=terms)
        total += np.vecdot(rows, terms) / 2
    result: Float[np.ndarray, "*rows"] = np.clip(total, 0, 1)
    return result


@dataclass(frozen=True, slots=True)
class Change:
    """One weight in A and in B."""

    query: int
    """Place of the query in the alignment of the queries."""
    key: int
    """Place of the key in the alignment of the keys."""
    a: float
    b: float


@dataclass(frozen=True, eq=False)
class HeadChange:
    """Change of one head."""

    layer: int
    head: int
    divergence: float
    """Mean of `rows` over those that are numbers; not-a-number if none is. In bits; for scores, in nats."""
    rows: Float[np.ndarray, "row"]
    """Divergence of each row compared, in bits; for scores, root mean square change in nats. Not-a-number if it has no
    weight or sees fewer than two keys (for scores, fewer than two that A and B share)."""
    largest: Change | None
    """The weight that changed most; None if no row can be compared."""


@dataclass(frozen=True, eq=False)
class _ComparedLayer:
    """Rows of one layer that A and B both have, over the keys of either."""

    heads: tuple[int, ...]
    a: Float[np.ndarray, "head row key"]
    b: Float[np.ndarray, "head row key"]
    seen: Bool[np.ndarray, "row key"]
    """Mask of the keys that the row can see in A or in B; for scores, in both."""
    rows: Float[np.ndarray, "head row"]
    """Divergence of each row; for scores, root mean square change."""


@dataclass(frozen=True, eq=False, repr=False)
class Differences(Answer):
    """Result of `diff`."""

    a: Record
    """Model, text and selection of A, without maps."""
    b: Record
    plans: tuple[Plan, Plan]
    queries: Overlay
    keys: Overlay
    chosen: tuple[int, ...]
    """Places of the queries compared, each of which A and B both have."""
    query: str | None
    """Value of `--query`; None for all queries."""
    heads: tuple[HeadChange, ...]
    """Change of each head, the largest first."""
    layers: Mapping[int, _ComparedLayer]

    def maps(self, layer: int, head: int) -> tuple[Float[np.ndarray, "row key"], Float[np.ndarray, "row key"]]:
        """Return a head's weights in A and in B, a row for each query compared and a column for each key of either.

        Scores are not-a-number where the row cannot see the key.
        """
        found = self.layers[layer]
        index = found.heads.index(head)
        return found.a[index], found.b[index]

    def changes(self, layer: int, head: int) -> Float[np.ndarray, "row key"]:
        """Return a head's weights in B less those in A; not-a-number outside the mask `seen` of the layer."""
        a, b = self.maps(layer, head)
        return np.where(self.layers[layer].seen, b - a, np.float32(np.nan))

    @cached_property
    def most(self) -> float:
        """Largest divergence of a head; 0 if there is none."""
        known = [head.divergence for head in self.heads if np.isfinite(head.divergence)]
        return max(known, default=0.0)


def diff(a: Source, b: Source, selection: Selection, *, verify: bool = False) -> Differences:
    """Compare two texts, models or records head by head.

    Args:
        a: a text prepared for a model, or a record of one.
        b: another one, of a model with as many layers and heads.
        selection: kind, layers, heads, units and the query to compare.
        verify: also run the model without attn and compare.

    Raises:
        SelectionError: a selected kind, layer, head or word does not exist, or has no counterpart.
        ModelError: the models differ in shape, could not be run, or have no attention.
        MemoryLimitError: the weights of both would not fit in memory.
        ExactnessError: a model did not return valid attention weights.
    """
    everything = replace(selection, query=None)
    a, b = (measured(source, selection) for source in (a, b))
    plans = make_plan(a, everything), make_plan(b, everything)
    _check_shapes(*plans)
    queries, keys = overlay(plans[0].queries, plans[1].queries), overlay(plans[0].keys, plans[1].keys)
    runs = _chosen(plans, queries, selection.query)
    if any(len(run) > 1 for run in runs):
        one, other = (
            plan.joined(_covered(side, run) for run in runs)
            for plan, side in zip(plans, (queries.a, queries.b), strict=True)
        )
        queries = _joined(queries, one.queries, other.queries, runs)
        keys = keys if one.kind == "cross" else _joined(keys, one.keys, other.keys, runs)
        plans = one, other
    before = np.cumsum([0, *(len(run) - 1 for run in runs)]).tolist()
    chosen = tuple(run.start - less for run, less in zip(runs, before, strict=False))
    _check_memory(plans, len(chosen), len(keys))
    laid: list[_Lay] = []
    records: list[Record] = []
    for plan, rows, columns in zip(plans, (queries.a, queries.b), (keys.a, keys.b), strict=True):
        lay = _Lay(rows[list(chosen)], columns, scores=selection.scores)
        asked = replace(plan, chosen=tuple(sorted(lay.rows.tolist())))
        report = plan.source.stream(asked.request(verify=verify), Regroup(plan.queries, plan.keys, lay))
        records.append(Record.of(plan.source, report, selection))
        laid.append(lay)
    layers = {}
    heads = []
    for number, names in plans[0].heads.items():
        compare = _compare_scores if selection.scores else _compare
        layer = compare(names, laid[0].layers[number], laid[1].layers[number])
        layers[number] = layer
        heads += [_head_change(number, index, layer, chosen) for index in range(len(names))]
    heads.sort(key=lambda head: -np.nan_to_num(head.divergence, nan=-1.0))
    return Differences(records[0], records[1], plans, queries, keys, chosen, selection.query, tuple(heads), layers)


def _check_shapes(a: Plan, b: Plan) -> None:
    if a.kind != b.kind:
        raise SelectionError(f"A is shown in its {a.kind} attention and B in its {b.kind}", "Choose one with --kind")
    one, other = (plan.source.model.stacks[plan.kind] for plan in (a, b))
    if (one.layers, one.heads) != (other.layers, other.heads):
        raise ModelError(
            f"The {a.kind} attention of A has another shape than that of B ({_shape(one)}, {_shape(other)})",
            "Compare models with as many layers and heads",
        )
    if a.rows != b.rows:
        raise SelectionError(f"A is shown in its {a.rows} rows and B in its {b.rows} rows", "Choose one with --rows")


def _shape(stack: Stack) -> str:
    *fewer, most = sorted(set(stack.heads.values()))
    heads = "".join(f"{number}–" for number in fewer) + counted(most, "head")
    return f"{counted(stack.layers, 'layer')} × {heads}"


def _chosen(plans: tuple[Plan, Plan], queries: Overlay, query: str | None) -> Sequence[range]:
    """Find the places of the rows to compare, in order; words that are named together form one run.

    Raises:
        SelectionError: a word is in neither text or only in one, or the texts have no place in common.
    """
    if query is None:
        both = np.flatnonzero(queries.both).tolist()
        if not both:
            raise SelectionError("The texts have no word in common", "Compare texts that are alike")
        return [range(place, place + 1) for place in both]
    try:
        wanted, own, others, lacking = plans[0].choose_queries(query), queries.a, queries.b, "B"
    except SelectionError as error:
        try:
            wanted, own, others, lacking = plans[1].choose_queries(query), queries.b, queries.a, "A"
        except SelectionError:
            raise error from None
    runs = []
    for span in wanted:
        first, last = (int(np.flatnonzero(own == index)[0]) for index in (span[0], span[-1]))
        runs.append(range(first, last + 1))
        if not _covered(others, runs[-1]):
            units = plans["BA".index(lacking)].queries
            raise SelectionError(
                f"{quoted(units.text_of(span))} has no counterpart in {lacking}", "Choose a word that stands in both"
            )
    return sorted(runs, key=lambda run: run.start)


def _check_memory(plans: tuple[Plan, Plan], rows: int, keys: int) -> None:
    heads = plans[0].head_count
    require(
        2 * map_bytes(heads, rows, keys) + max(map(layer_bytes, plans)),
        f"Comparing {heads} heads of {rows:,} × {keys:,} weights",
        "Choose fewer with --layer, --head or --query",
    )


@dataclass(frozen=True, eq=False)
class _Laid:
    """Rows of one layer, laid out over the places of an alignment."""

    weights: Float[np.ndarray, "head row key"]
    seen: Bool[np.ndarray, "row key"]
    sink: Float[np.ndarray, "head row"]


class _Lay:
    """Collector that lays rows out over the places of an alignment.

    Args:
        rows: query of each row to keep; blocks must come in the same units (see `Regroup`).
        keys: key at each place; -1 if there is none.
        scores: lay out scores instead of weights.
    """

    def __init__(self, rows: Int[np.ndarray, "row"], keys: Int[np.ndarray, "key"], *, scores: bool = False) -> None:
        self.rows, self.keys, self._scores = rows, keys, scores
        self.layers: dict[int, _Laid] = {}

    def __call__(self, block: Block) -> None:
        shape = len(block.heads), len(self.rows), len(self.keys)
        if block.layer not in self.layers:
            self.layers[block.layer] = _Laid(
                np.zeros(shape, np.float32), np.zeros(shape[1:], np.bool_), np.zeros(shape[:2], np.float32)
            )
        laid = self.layers[block.layer]
        places = np.flatnonzero((self.rows >= block.start) & (self.rows < block.start + block.visible.shape[0]))
        rows = self.rows[places] - block.start
        own = np.flatnonzero((self.keys >= 0) & (self.keys < block.weights.shape[2]))
        weights = scores_of(block) if self._scores else block.weights
        laid.weights[:, places[:, None], own] = weights[:, rows[:, None], self.keys[own]]
        visible = block.visible[rows]
        laid.seen[places] = (self.keys >= visible[:, :1]) & (self.keys < visible[:, 1:]) & (self.keys >= 0)
        if self._scores:  # a key that the row cannot see has no score
            laid.weights[:, places] = np.where(laid.seen[places], laid.weights[:, places], np.float32(np.nan))
        if block.sink is not None:
            laid.sink[:, places] = block.sink[:, rows]


def _compare(heads: Sequence[int], a: _Laid, b: _Laid) -> _ComparedLayer:
    telling = np.maximum(a.seen.sum(axis=1), b.seen.sum(axis=1)) >= 2
    rows: list[Float[np.ndarray, "row"]] = []
    for index in range(len(heads)):  # all heads at once would need several copies of the weights
        # The weight of a learned sink counts as that of one more key, which both have.
        p, q = (np.concatenate([laid.weights[index], laid.sink[index, :, None]], axis=1) for laid in (a, b))
        # A row has no weight if it sees no key, or if all of its weight was on hidden keys.
        rows.append(np.where(telling & (p.sum(axis=1) > 0) & (q.sum(axis=1) > 0), divergence(p, q), np.nan))
    return _ComparedLayer(tuple(heads), a.weights, b.weights, a.seen | b.seen, np.stack(rows))


def _compare_scores(heads: Sequence[int], a: _Laid, b: _Laid) -> _ComparedLayer:
    """Compare scores by the root mean square change, over the keys that the row can see in both.

    A softmax is not affected by what is added to a whole row, so each row is taken less its mean over these keys.
    """
    both = a.seen & b.seen
    count = both.sum(axis=1)
    largest = np.zeros(len(heads), np.float32)
    for laid in (a, b):
        mean = laid.weights.sum(axis=2, where=both, dtype=np.float64) / np.maximum(count, 1)
        for index, scores in enumerate(laid.weights):
            largest[index] = np.maximum(largest[index], np.abs(scores).max(initial=0.0, where=laid.seen))
            scores -= mean[index, :, None].astype(np.float32)
    squares = np.stack(
        [
            np.square(two - one).sum(axis=1, where=both, dtype=np.float64)
            for one, two in zip(a.weights, b.weights, strict=True)
        ]
    )
    rows = np.sqrt(squares / np.maximum(count, 1))
    rows = np.where(rows > largest[:, None] * EXACT, rows, 0.0)
    return _ComparedLayer(tuple(heads), a.weights, b.weights, both, np.where(count >= 2, rows, np.nan))


def _head_change(number: int, index: int, layer: _ComparedLayer, chosen: Sequence[int]) -> HeadChange:
    rows = layer.rows[index]
    telling = np.isfinite(rows)
    largest = None
    if telling.any():
        sizes = np.where(telling[:, None] & layer.seen, np.abs(layer.b[index] - layer.a[index]), -1)
        row, key = (int(place) for place in np.unravel_index(int(sizes.argmax()), sizes.shape))
        largest = Change(chosen[row], key, float(layer.a[index, row, key]), float(layer.b[index, row, key]))
    mean = float(rows[telling].mean()) if telling.any() else float("nan")
    return HeadChange(number, layer.heads[index], mean, rows, largest)
