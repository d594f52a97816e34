"""One line about each head, from blocks that are looked at once and let go."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from attn_cli.blocks import Block
from attn_cli.selection import Kind
from attn_cli.shapes import Float, Int
from attn_cli.words import Units

__all__ = ["HeadSummary", "Link", "Summarize", "entropy"]

WORTH_THREADS = 2**19
"""With fewer weights than these, threads cost more than they bring."""
TINY = np.float32(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Link:
    """One weight worth naming: from a query to a key, as indices into the units shown."""

    query: int
    key: int
    weight: float


@dataclass(frozen=True, slots=True)
class HeadSummary:
    """A head's figures, means over the rows that can see at least two keys; not-a-number where there is no such row."""

    kind: Kind
    layer: int
    head: int
    focus: float
    """1 - entropy / ln(visible keys): 0 where a row is even, 1 where it is on one key."""
    entropy: float
    """In nats."""
    distance: float | None
    """Mean distance from query to key, weighted, in units; None in cross-attention, which has no common positions."""
    first: float | None
    """Weight on the first key (the sink in most decoders); None where it is hidden."""
    itself: float | None
    """Weight on the query's own position; None in cross-attention."""
    previous: float | None
    """Weight on the position before the query's; None in cross-attention."""
    links: tuple[Link, ...]
    """The strongest weights between two different words, strongest first; see `Summarize`."""


def entropy(weights: Float[np.ndarray, "*rows key"]) -> Float[np.ndarray, "*rows"]:
    """Shannon entropy of each row, in nats: -sum p ln p, with 0 ln 0 = 0."""
    logarithms = weights + TINY
    np.log(logarithms, out=logarithms)
    result: Float[np.ndarray, "*rows"] = -np.vecdot(weights, logarithms)
    return result


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="heads")


def _each_head(
    reduce: Callable[[Float[np.ndarray, "query key"]], Float[np.ndarray, "query"]],
    weights: Float[np.ndarray, "head query key"],
) -> Float[np.ndarray, "head query"]:
    """Reduce each head's rows: one head fits in a processor's own cache, and NumPy lets several run at once."""
    mapped = map if weights.size < WORTH_THREADS else _threads().map
    return np.stack(list(mapped(reduce, weights)))


class _Running:
    """Sums over the rows of one layer seen so far, per head."""

    def __init__(self, heads: tuple[int, ...]) -> None:
        self.heads = heads
        self.sums: dict[str, Float[np.ndarray, "head"]] = {}
        self.rows: dict[str, int] = {}
        self.links: list[list[Link]] = [[] for _ in heads]

    def add(self, name: str, values: Float[np.ndarray, "head query"]) -> None:
        self.sums[name] = self.sums.get(name, np.zeros(len(self.heads))) + values.sum(axis=1, dtype=np.float64)
        self.rows[name] = self.rows.get(name, 0) + values.shape[1]

    def mean(self, name: str, index: int) -> float:
        rows = self.rows.get(name, 0)
        return float(self.sums[name][index]) / rows if rows else float("nan")


class Summarize:
    """A collector of `HeadSummary` for every head that passes.

    A link joins two different units that are not special tokens; in a decoder's self-attention the first token is left
    out too: most decoders rest there what they need nowhere else (Xiao et al. 2024), and `first` tells how much.

    Args:
        queries: the units along the rows; what it eats must be in those units (see `Regroup`).
        keys: the units along the columns.
        links: how many of the strongest links to keep for each head.
    """

    def __init__(self, queries: Units, keys: Units, links: int = 1) -> None:
        self.queries, self.keys, self.links = queries, keys, links
        self._running: dict[tuple[Kind, int], _Running] = {}
        self._query_links = ~np.asarray(queries.special, dtype=np.bool_)
        self._key_links = ~np.asarray(keys.special, dtype=np.bool_)

    def __call__(self, block: Block) -> None:
        running = self._running.setdefault((block.kind, block.layer), _Running(block.heads))
        counts = block.visible[:, 1] - block.visible[:, 0]
        telling = counts >= 2
        if not telling.any():
            return
        weights = block.weights
        if not telling.all():
            weights, counts = weights[:, telling], counts[telling]
        positions = np.flatnonzero(telling) + block.start
        entropies = _each_head(entropy, weights)
        running.add("entropy", entropies)
        running.add("focus", 1 - entropies / np.log(counts).astype(np.float32))
        if self.keys.shows_first:
            running.add("first", weights[:, :, 0])
        if block.kind != "cross":
            self._add_positions(running, weights, positions)
        if self.links:
            self._add_links(running, block.kind, weights, positions)

    def _add_positions(
        self, running: _Running, weights: Float[np.ndarray, "head query key"], positions: Int[np.ndarray, "query"]
    ) -> None:
        keys = weights.shape[2]
        distance = np.abs(positions[:, None] - np.arange(keys)[None, :]).astype(np.float32)
        running.add("distance", _each_head(lambda rows: np.vecdot(rows, distance), weights))
        rows = np.arange(len(positions))
        running.add("itself", weights[:, rows, np.minimum(positions, keys - 1)] * (positions < keys))
        later = positions >= 1
        running.add("previous", weights[:, rows[later], positions[later] - 1])

    def _add_links(
        self,
        running: _Running,
        kind: Kind,
        weights: Float[np.ndarray, "head query key"],
        positions: Int[np.ndarray, "query"],
    ) -> None:
        # Few weights beat the weakest link kept so far, so everything after this comparison is small.
        floors = np.asarray([kept[-1].weight if len(kept) == self.links else 0.0 for kept in running.links], np.float32)
        # (On a flat array, finding them is thirty times faster.)
        strong = np.flatnonzero(weights > floors[:, None, None])
        heads, rows, keys = np.unravel_index(strong, weights.shape)
        queries = positions[rows]
        fit = self._query_links[queries] & self._key_links[keys]
        if kind != "cross":
            fit &= queries != keys
        if kind == "decoder" and self.keys.shows_first:
            fit &= keys > 0
        heads, rows, keys, queries = heads[fit], rows[fit], keys[fit], queries[fit]
        strengths = weights[heads, rows, keys]
        for index in np.unique(heads):
            own = np.flatnonzero(heads == index)
            best = own[np.argsort(-strengths[own], kind="stable")[: self.links]]
            kept = running.links[index]
            kept.extend(Link(int(queries[i]), int(keys[i]), float(strengths[i])) for i in best)
            kept.sort(key=lambda link: -link.weight)
            del kept[self.links :]

    @property
    def result(self) -> tuple[HeadSummary, ...]:
        """The summaries, by kind, layer and head as they came."""
        return tuple(
            HeadSummary(
                kind=kind,
                layer=layer,
                head=head,
                focus=running.mean("focus", index),
                entropy=running.mean("entropy", index),
                distance=None if kind == "cross" else running.mean("distance", index),
                first=running.mean("first", index) if self.keys.shows_first else None,
                itself=None if kind == "cross" else running.mean("itself", index),
                previous=None if kind == "cross" else running.mean("previous", index),
                links=tuple(running.links[index]),
            )
            for (kind, layer), running in self._running.items()
            for index, head in enumerate(running.heads)
        )
