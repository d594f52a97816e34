"""Changes between two texts, two models or two records, aligned word by word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from attn_cli.answer import Answer
from attn_cli.data.model import GuidedHead, Stack
from attn_cli.data.plan import Plan, make_plan, name_head
from attn_cli.data.record import Record
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Source
from attn_cli.data.suggestion import Suggestion, suggest
from attn_cli.data.text import Tokens
from attn_cli.data.without import typed_without
from attn_cli.errors import ModelError, SelectionError, counted, quoted
from attn_cli.io.csv import Cell
from attn_cli.measure.derived import measured
from attn_cli.measure.maps import layer_bytes, map_bytes
from attn_cli.questions.diff.layers import ComparedLayer, Lay, compare_scores, compare_weights
from attn_cli.questions.diff.overlay import Overlay, covered, joined, overlay
from attn_cli.system.memory import require

__all__ = ["Change", "DiffSort", "Differences", "HeadChange", "diff"]

DiffSort = Literal["divergence", "layer"]


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


@dataclass(frozen=True, eq=False, repr=False)
class Differences(Answer):
    """The answer of `attn diff`."""

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
    layers: Mapping[int, ComparedLayer]
    sort: DiffSort = "divergence"
    """The order of the heads that are listed."""
    fail_above: float | None = None
    """Value of `--fail-above`."""

    columns = (
        *("kind", "layer", "head", "query", "query_text", "divergence"),
        *("key", "key_text", "a", "b", "measure", "unit"),
    )

    @property
    def title(self) -> str:
        one, other = self.a.source.name, self.b.source.name
        return one if one == other else f"{one} / {other}"

    @property
    def without(self) -> str:
        sides = {"A": self.a.model.without, "B": self.b.model.without}
        return " ".join(f"{name} {typed_without(heads)}" for name, heads in sides.items() if heads)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.a.notes, *self.b.notes)))

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        return tuple(dict.fromkeys((*self.guided_in(self.a), *self.guided_in(self.b))))

    def guided_in(self, side: Record) -> tuple[GuidedHead, ...]:
        """Return the heads compared that the model of A or of B was trained to look with where they look."""
        return side.model.guided_among(self.plans[0].places)

    @property
    def suggestion(self) -> Suggestion | None:
        if not self.heads or self.plans[0].kind != next(iter(self.a.model.stacks)):
            return None
        return suggest(self.a, "inspect", "--head", name_head(self.heads[0].layer, self.heads[0].head))

    @property
    def listed(self) -> Sequence[HeadChange]:
        """Heads in the order asked for."""
        if self.sort == "layer":
            return sorted(self.heads, key=lambda head: (head.layer, head.head))
        return self.heads

    def rows(self) -> Iterable[Sequence[Cell]]:
        kind = self.plans[0].kind
        for head in self.listed:
            a, b = self.maps(head.layer, head.head)
            keys = np.nan_to_num(np.abs(b - a), nan=-1.0).argmax(axis=1)
            for row, (place, key) in enumerate(zip(self.chosen, keys.tolist(), strict=True)):
                front = (kind, head.layer, head.head, place, self.queries.labels[place])
                change = key, self.keys.labels[key], float(a[row, key]), float(b[row, key])
                yield *front, float(head.rows[row]), *change, self.a.selection.measure, self.plans[0].unit

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

    @property
    def telling(self) -> tuple[int, int]:
        """The least and the largest number of rows that a head's divergence is the mean of."""
        counts = [int(np.isfinite(head.rows).sum()) for head in self.heads]
        return min(counts, default=0), max(counts, default=0)

    @property
    def precedes_cuts(self) -> bool:
        """True if heads are cut, and no layer that is compared reads their output."""
        cut = [
            (kind, layer)
            for record in (self.a, self.b)
            for kind, layers in record.model.without.items()
            for layer in layers
        ]
        own = self.plans[0].kind
        return bool(cut) and not any(_reads(own, layer, *one) for layer in self.layers for one in cut)


def _reads(kind: Kind, layer: int, earlier: Kind, earlier_layer: int) -> bool:
    """Return whether the attention of one layer depends on the output of another's."""
    if earlier == "encoder":
        return layer > earlier_layer if kind == "encoder" else kind == "cross" or layer > 0
    if kind == "encoder":
        return False
    return layer > earlier_layer or (layer == earlier_layer and (earlier, kind) == ("decoder", "cross"))


def diff(a: Source, b: Source, selection: Selection, *, verify: bool = False) -> Differences:
    """Compare two texts, models or records head by head.

    Args:
        a: a text prepared for a model, or a record of one.
        b: another one, of a model with as many layers and heads.
        selection: kind, layers, heads, units and the query to compare.
        verify: also run the model without attn and compare.

    Raises:
        SelectionError: a selected kind, layer, head or word does not exist, or has no counterpart, or two images have
            other grids.
        ModelError: the models differ in shape, could not be run, or have no attention.
        MemoryLimitError: the weights of both would not fit in memory.
        ExactnessError: a model did not return valid attention weights.
    """
    _check_grids(a.source, b.source)
    everything = replace(selection, query=None)
    a, b = (measured(source, selection) for source in (a, b))
    plans = make_plan(a, everything), make_plan(b, everything)
    _check_shapes(*plans)
    queries, keys = overlay(plans[0].queries, plans[1].queries), overlay(plans[0].keys, plans[1].keys)
    runs = _chosen(plans, queries, selection.query)
    if any(len(run) > 1 for run in runs):
        one, other = (
            plan.joined(covered(side, run) for run in runs)
            for plan, side in zip(plans, (queries.a, queries.b), strict=True)
        )
        queries = joined(queries, one.queries, other.queries, runs)
        keys = keys if one.crosses else joined(keys, one.keys, other.keys, runs)
        plans = one, other
    before = np.cumsum([0, *(len(run) - 1 for run in runs)]).tolist()
    chosen = tuple(run.start - less for run, less in zip(runs, before, strict=False))
    _check_memory(plans, len(chosen), len(keys))
    laid: list[Lay] = []
    records: list[Record] = []
    for plan, rows, columns in zip(plans, (queries.a, queries.b), (keys.a, keys.b), strict=True):
        lay = Lay(rows[list(chosen)], columns, scores=selection.scores)
        asked = replace(plan, chosen=tuple(sorted(lay.rows.tolist())))
        report = plan.source.stream(asked.request(verify=verify), Regroup(plan.queries, plan.keys, lay))
        records.append(Record.of(plan.source, report, selection))
        laid.append(lay)
    layers = {}
    heads = []
    compare = compare_scores if selection.scores else compare_weights
    for number, names in plans[0].heads.items():
        layer = compare(names, laid[0].layers[number], laid[1].layers[number])
        layers[number] = layer
        heads += [_head_change(number, index, layer, chosen) for index in range(len(names))]
    heads.sort(key=lambda head: -np.nan_to_num(head.divergence, nan=-1.0))
    return Differences(records[0], records[1], plans, queries, keys, chosen, selection.query, tuple(heads), layers)


def _check_grids(a: Tokens, b: Tokens) -> None:
    """Check that of two images the same places are compared.

    Raises:
        SelectionError: their grids differ, or one of them is a text.
    """
    one, other = a.grid, b.grid
    if (one is None) != (other is None):
        raise SelectionError("One of A and B is an image, and the other a text", "Compare two texts, or two images")
    if one is not None and other is not None and (one.rows, one.columns) != (other.rows, other.columns):
        raise SelectionError(
            f"A has {one.rows} rows of {one.columns} patches, and B {other.rows} of {other.columns}, so no patch has a "
            "counterpart",
            "Scale or crop the images to the same size, or take models with the same grid",
        )


def _check_shapes(a: Plan, b: Plan) -> None:
    if a.kind != b.kind:
        raise SelectionError(f"A is shown in its {a.kind} attention and B in its {b.kind}", "Choose one with --kind")
    one, other = (plan.source.model.stacks[plan.kind] for plan in (a, b))
    if (one.layers, one.heads) != (other.layers, other.heads):
        raise ModelError(
            f"The {a.kind} attention of A has a different shape from that of B ({_shape(one)}, {_shape(other)})",
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
        if not covered(others, runs[-1]):
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


def _head_change(number: int, index: int, layer: ComparedLayer, chosen: Sequence[int]) -> HeadChange:
    rows = layer.rows[index]
    telling = np.isfinite(rows)
    largest = None
    if telling.any():
        sizes = np.where(telling[:, None] & layer.seen, np.abs(layer.b[index] - layer.a[index]), np.nan)
        sizes = np.nan_to_num(sizes, nan=-1.0)  # scores are not-a-number where the head cannot see the key
        row, key = (int(place) for place in np.unravel_index(int(sizes.argmax()), sizes.shape))
        largest = Change(chosen[row], key, float(layer.a[index, row, key]), float(layer.b[index, row, key]))
    mean = float(rows[telling].mean()) if telling.any() else float("nan")
    return HeadChange(number, layer.heads[index], mean, rows, largest)
