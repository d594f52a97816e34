"""Heads and edges to cut, resolved in a model and a text, and the weights of the edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean

import numpy as np

from attn_cli.data.cuts import CutEdges, EvenHeads, ReplacedHeads, Variation, ZeroedHeads
from attn_cli.data.naming import occurrence
from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.selection import KINDS, Kind, Selection
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Source
from attn_cli.data.units import Units
from attn_cli.errors import ModelError, SelectionError, quoted
from attn_cli.questions.ablate.choices import Instead, parse_edge
from attn_cli.questions.ablate.donors import Contexts

__all__ = ["Edges", "WeighEdges", "bands", "cut_heads", "find_edges", "first_kind", "keys_of", "plan_of"]

BANDS = 6
"""The least number of bands of layers to cut an edge in, if there are as many layers."""
LOOKED_FOR: tuple[Kind, ...] = ("encoder", "cross", "decoder")
"""The kinds in whose words an edge is looked for."""


@dataclass(frozen=True, eq=False)
class Edges:
    """Queries that look at keys, of one kind of attention."""

    plan: Plan
    """The kind, and the heads to cut them in."""
    queries: tuple[range, ...]
    """The units of each query; empty for all that see a key."""
    keys: tuple[range, ...]
    """The units of each key; empty for all but the query itself."""
    pairs: tuple[tuple[int, int], ...]
    """The tokens of the edges: query and key."""

    @property
    def names(self) -> tuple[str, str]:
        """The texts of the queries and of the keys; empty for all of them."""
        return _texts(self.plan.queries, self.queries), _texts(self.plan.keys, self.keys)

    @property
    def labels(self) -> tuple[str, str]:
        """The texts of the queries and of the keys, where some read alike as a user names them; empty for all."""
        return (
            _texts(self.plan.queries, self.queries, numbered=True),
            _texts(self.plan.keys, self.keys, numbered=True),
        )

    def variation(self, heads: Mapping[int, tuple[int, ...]] | None = None) -> Variation:
        """Return the cut of these edges in the heads of the plan, or in these heads of each layer."""
        chosen = self.plan.heads if heads is None else heads
        return tuple(CutEdges(self.plan.kind, layer, some, edges=self.pairs) for layer, some in chosen.items())


def plan_of(source: Source, selection: Selection, kind: Kind) -> Plan:
    """Resolve the heads of a selection in one kind of attention.

    Raises:
        SelectionError: a layer or head does not exist.
    """
    return make_plan(source, replace(selection, kind=kind, query=None))


def find_edges(source: Source, selection: Selection, edge: str) -> Edges:
    """Find the edges that a user names, in the first kind of attention that has these words.

    Args:
        source: a text given to a model.
        selection: the kind, the heads, and words or tokens.
        edge: the edge as it was typed.

    Raises:
        UsageError: it has another form.
        SelectionError: there is no such word, or no head sees the key from the query.
    """
    faults: list[SelectionError] = []
    ways = parse_edge(edge)
    for kind in [selection.kind] if selection.kind is not None else LOOKED_FOR:
        if kind not in source.model.stacks and selection.kind is None:
            continue
        plan = plan_of(source, selection, kind)
        for start, end in ways:
            try:
                return _edges(plan, start, end, edge)
            except SelectionError as fault:
                faults.append(fault)
    raise faults[0]


def _edges(plan: Plan, start: str, end: str, edge: str) -> Edges:
    queries = plan.choose_queries(start) if start else ()
    keys = plan.choose_keys(end) if end else ()
    pairs: dict[tuple[int, int], None] = {}
    for query, key in product(queries or [range(len(plan.queries))], keys or [range(len(plan.keys))]):
        for unit, other in product(query, key):
            if not keys and not plan.crosses and unit == other:
                continue
            tokens = plan.queries.token_positions(unit), plan.keys.token_positions(other)
            pairs |= dict.fromkeys(product(*tokens))
    if plan.kind == "decoder":
        seen = tuple((query, key) for query, key in pairs if key <= query)
        if not seen:
            raise SelectionError(
                f"{quoted(edge)} is masked: a decoder's word sees only itself and the words before it",
                "Name the later word first",
            )
        pairs = dict.fromkeys(seen)
    return Edges(plan, queries, keys, tuple(pairs))


def _texts(units: Units, spans: Sequence[range], *, numbered: bool = False) -> str:
    """Return the texts of some spans of units; numbered, with `#2` where other occurrences of a text are left out."""
    places = {span.start for span in spans if len(span) == 1}
    texts = []
    for span in spans:
        text = units.text_of(span)
        some = numbered and len(span) == 1 and not places.issuperset(units.labelled[text])
        number = occurrence(units, span.start) if some else None
        texts.append(text if number is None else f"{text}#{number}")
    return ", ".join(dict.fromkeys(texts))


def keys_of(source: Source, selection: Selection, query: str) -> tuple[Edges, ...]:
    """Find the edges from one word to each key that it may see, one after another.

    Raises:
        SelectionError: there is no such word, or more than one.
    """
    faults: list[SelectionError] = []
    for kind in [selection.kind] if selection.kind is not None else LOOKED_FOR:
        if kind not in source.model.stacks and selection.kind is None:
            continue
        plan = plan_of(source, selection, kind)
        try:
            spans = plan.choose_queries(query)
        except SelectionError as fault:
            faults.append(fault)
            continue
        if len(spans) > 1:
            raise SelectionError(
                f"{quoted(query)} names {len(spans)} places, and one query is looked at at a time",
                f"Name one of them, like {query.partition(',')[0]}#1",
            )
        (span,) = spans
        rows = [token for unit in span for token in plan.queries.token_positions(unit)]
        found = []
        for unit in range(len(plan.keys)):
            tokens = plan.keys.token_positions(unit)
            pairs = tuple((row, key) for row, key in product(rows, tokens) if plan.kind != "decoder" or key <= row)
            if pairs:
                found.append(Edges(plan, spans, (range(unit, unit + 1),), pairs))
        return tuple(found)
    raise faults[0]


def bands(layers: Sequence[int]) -> list[tuple[int, ...]]:
    """Split layers into neighbours to cut at once: one at a time in models of few layers."""
    size = max(1, len(layers) // BANDS)
    return [tuple(layers[first : first + size]) for first in range(0, len(layers), size)]


def cut_heads(
    heads: Sequence[tuple[Kind, Mapping[int, tuple[int, ...]]]], instead: Instead, vectors: Contexts, name: str
) -> list[Variation]:
    """Return a variation for each of these groups of heads, all of a group cut at once.

    Args:
        heads: the kind, and the heads of each layer, of each group.
        instead: what stands in the place of their output.
        vectors: the vectors to put there, if it is vectors.
        name: the model's name, for messages.

    Raises:
        ModelError: a layer has no vectors, as it keeps its heads' outputs to itself.
    """
    if instead == "zero":
        return [tuple(ZeroedHeads(kind, layer, some) for layer, some in group.items()) for kind, group in heads]
    if instead == "even":
        return [tuple(EvenHeads(kind, layer, some) for layer, some in group.items()) for kind, group in heads]

    def replaced(kind: Kind, layer: int, some: tuple[int, ...]) -> ReplacedHeads:
        if (kind, layer) not in vectors:
            raise ModelError(
                f"The code of {name} keeps the outputs of the heads in {kind} layer {layer} to itself",
                "Cut with --with zero",
            )
        return ReplacedHeads(kind, layer, some, vectors=np.ascontiguousarray(vectors[kind, layer][list(some)]))

    return [tuple(replaced(kind, layer, some) for layer, some in group.items()) for kind, group in heads]


class WeighEdges:
    """A collector of the weight that each group of edges takes of its rows, by layer: the mean over heads and rows.

    Args:
        groups: groups of edges of one kind.
    """

    def __init__(self, groups: Sequence[Edges]) -> None:
        self._groups: list[dict[int, list[int]]] = []
        for edges in groups:
            rows: dict[int, list[int]] = {}
            for query, key in edges.pairs:
                rows.setdefault(query, []).append(key)
            self._groups.append(rows)
        self._sums: dict[int, Float[np.ndarray, "group head"]] = {}
        self._heads: dict[int, tuple[int, ...]] = {}
        self._seen = [False] * len(groups)

    def __call__(self, block: Block) -> None:
        sums = self._sums.setdefault(block.layer, np.zeros((len(self._groups), len(block.heads))))
        self._heads[block.layer] = block.heads
        width = block.weights.shape[2]
        for index, rows in enumerate(self._groups):
            for query, keys in rows.items():
                row = query - block.start
                if not 0 <= row < len(block.visible):
                    continue
                first, stop = block.visible[row].tolist()
                inside = [key for key in keys if first <= key < min(stop, width)]
                self._seen[index] |= bool(inside)
                sums[index] += block.weights[:, row, inside].sum(axis=1, dtype=np.float64) / len(rows)

    def visible(self, group: int) -> bool:
        """Return whether some head sees a key of a group from its query."""
        return self._seen[group]

    def weight(self, group: int, heads: Mapping[int, Sequence[int]] | None = None) -> float:
        """Return the weight of a group of edges: the mean over these heads of each layer, by default over all."""
        chosen = self._heads if heads is None else heads
        places = [(layer, head) for layer, some in chosen.items() for head in some]
        return fmean(self.of_head(group, layer, head) for layer, head in places)

    def of_head(self, group: int, layer: int, head: int) -> float:
        """Return the weight of a group of edges in one head."""
        return float(self._sums[layer][group, self._heads[layer].index(head)])


def first_kind(source: Source) -> Kind:
    """Return the kind of attention that heads are of if none is named."""
    return next(kind for kind in KINDS if kind in source.model.stacks)
