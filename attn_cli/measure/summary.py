"""Summary figures of each head, computed from blocks that are reduced as they come and not kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attn_cli.data.elsewhere import Elsewhere, largest
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.statistics import LayerStatistics
from attn_cli.data.stream import Block, each_head
from attn_cli.data.sums import Sums, layers_in
from attn_cli.data.units import Units

__all__ = ["HeadSummary", "Link", "Summarize", "entropy"]

SUMMED = ("entropy", "focus", "first", "distance", "itself", "previous")
"""The figures that are means over rows."""
FIRST_ROWS = 8
"""The number of rows of a block in which links are searched first."""
TINY = np.float32(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Link:
    """One strong weight from a query to a key, both given as indices of units."""

    query: int
    key: int
    weight: float


@dataclass(frozen=True, slots=True)
class HeadSummary:
    """The figures of one head: means over the rows that see at least two keys; not-a-number if there is no such row."""

    kind: Kind
    layer: int
    head: int
    focus: float
    """1 - entropy / ln(visible keys): 0 if a row's weights are all equal, 1 if all the weight is on one key."""
    entropy: float
    """Shannon entropy of a row, in nats."""
    distance: float | None
    """Weighted mean distance from query to key, in units; None where rows and columns have no common positions, as in
    cross-attention and where rows are those of the steps that write a word. In an image, from patch to patch along a
    straight line, over the weight on patches (Dosovitskiy et al. 2021)."""
    first: float | None
    """Weight on the first key (the sink in most decoders); None if that key is hidden."""
    itself: float | None
    """Weight on the query's own position; None where `distance` is."""
    previous: float | None
    """Weight on the position before the query's; None where `distance` is, and in an image."""
    links: tuple[Link, ...]
    """The strongest weights between two different words, strongest first; see `Summarize`."""


def entropy(weights: Float[np.ndarray, "*rows key"]) -> Float[np.ndarray, "*rows"]:
    """Compute the Shannon entropy of each row, in nats: -sum p ln p, with 0 ln 0 = 0."""
    logarithms = weights + TINY
    np.log(logarithms, out=logarithms)
    result: Float[np.ndarray, "*rows"] = -np.vecdot(weights, logarithms)
    return result


class _Running:
    """Sums per head over the rows of one layer read so far."""

    def __init__(self, heads: tuple[int, ...]) -> None:
        self.heads = heads
        self.sums: dict[str, Float[np.ndarray, "head"]] = {}
        self.rows: dict[str, int] = {}
        self.links: list[list[Link]] = [[] for _ in heads]

    def add(self, name: str, values: Float[np.ndarray, "head query"]) -> None:
        self.add_sums(name, values.sum(axis=1, dtype=np.float64), values.shape[1])

    def add_sums(self, name: str, sums: Float[np.ndarray, "head"], rows: int) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + np.asarray(sums)
        self.rows[name] = self.rows.get(name, 0) + rows

    def mean(self, name: str, index: int) -> float:
        rows = self.rows.get(name, 0)
        return float(self.sums[name][index]) / rows if rows else float("nan")


def _at(
    weights: Float[np.ndarray, "head query key"], rows: Int[np.ndarray, "row"], keys: Int[np.ndarray, "row"]
) -> Float[np.ndarray, "head row"]:
    """Return the weight of each row on the key paired with it; 0 if that key was cut off because no row sees it."""
    present = weights.shape[2]
    found: Float[np.ndarray, "head row"] = weights[:, rows, np.minimum(keys, present - 1)] * (keys < present)
    return found


def _cells(units: Units) -> Float[np.ndarray, "unit 2"]:
    """Return the row and the column of each unit of an image; not-a-number for special tokens."""
    cells = [(np.nan, np.nan) if cell is None else cell for cell in units.cells]
    return np.array(cells, np.float64)


class Summarize:
    """A collector of a `HeadSummary` for every head streamed.

    A link joins two different units that are not special tokens. In a decoder's self-attention, links to the first
    token are left out too: most decoders put unneeded weight there (Xiao et al. 2024), and `first` says how much.

    Args:
        queries: the units along the rows; blocks must be in these units (see `Regroup`).
        keys: the units along the columns.
        links: number of strongest links to keep for each head.
        crosses: True if a row and the column with its number are not the same unit (`Plan.crosses`), as is always so
            in cross-attention.
    """

    def __init__(self, queries: Units, keys: Units, links: int = 1, *, crosses: bool = False) -> None:
        self.links, self._crosses = links, crosses
        self._running: dict[tuple[Kind, int], _Running] = {}
        self._query_links = ~np.asarray(queries.special, dtype=np.bool_)
        self._key_links = ~np.asarray(keys.special, dtype=np.bool_)
        self._shows_first: Bool[np.ndarray, "row"] = np.full(len(queries), keys.shows_first)
        """True for each row whose keys include the first one."""
        self._ever_first = keys.shows_first
        self._cells = _cells(keys) if keys.side.grid is not None else None
        """Row and column of each key on the grid of an image's patches; not-a-number for special tokens."""

    def turn(self, sides: Sequence[tuple[Units, Units]]) -> None:
        """Begin another text or several, whose rows are added to those read so far.

        Args:
            sides: units along the rows and along the columns of each text.

        Raises:
            ValueError: links are kept, and these belong to one text.
        """
        if self.links:
            raise ValueError("links are of one text")
        self._shows_first = np.concatenate([np.full(len(queries), keys.shows_first) for queries, keys in sides])
        self._ever_first |= bool(self._shows_first.any())

    def __call__(self, block: Block) -> None:
        running = self._running.setdefault((block.kind, block.layer), _Running(block.heads))
        counts = block.visible[:, 1] - block.visible[:, 0]
        telling = counts >= 2
        if not telling.any():
            return
        weights = block.weights
        if not telling.all():
            weights, counts = weights[:, telling], counts[telling]
        positions = block.positions[telling]
        keys = weights.shape[2]
        distance = None
        crosses = self._crosses or block.kind == "cross"
        if self._cells is not None:
            self._add_distances(running, weights, positions)
        elif not crosses:
            # Each row of distances is a slice of the same line, so only the line is computed.
            last = int(positions.max())
            line = np.asarray(np.abs(np.arange(last + keys, dtype=np.float32) - last), like=weights)
            distance = np.lib.stride_tricks.sliding_window_view(line, keys)[last - positions]

        # A learned sink takes a share that is on no key: the spread of a row is that of the rest, scaled to sum to 1.
        rests = None if block.sink is None else np.asarray(weights.sum(axis=2))

        def reduce(index: int) -> tuple[Float[np.ndarray, "query"], float]:
            """Return the entropies and the weighted distance of one head, while its rows are in the CPU cache."""
            rows = weights[index]
            if self.links:
                self._add_links(running.links[index], block.kind, rows, positions, crosses=crosses)
            if rests is None:
                return entropy(rows), 0.0 if distance is None else float(np.vdot(rows, distance))
            rest = np.where(rests[index] > 0, rests[index], np.float32(1))
            spread = np.asarray(entropy(rows)) / rest + np.log(rest)
            return spread, 0.0 if distance is None else float((np.asarray(np.vecdot(rows, distance)) / rest).sum())

        reduced = each_head(reduce, weights)
        entropies = np.stack([one for one, _ in reduced])
        running.add("entropy", entropies)
        running.add("focus", 1 - entropies / np.log(counts).astype(np.float32))
        shows_first = self._shows_first[positions if block.rows is None else telling]
        if shows_first.any():
            running.add("first", weights[:, shows_first, 0])
        if not crosses:
            rows = np.arange(len(positions))
            running.add("itself", _at(weights, rows, positions))
            if self._cells is not None:
                return
            running.add_sums("distance", np.array([one for _, one in reduced]), len(positions))
            later = positions >= 1
            running.add("previous", _at(weights, rows[later], positions[later] - 1))

    def _add_distances(
        self, running: _Running, weights: Float[np.ndarray, "head query key"], positions: Int[np.ndarray, "query"]
    ) -> None:
        """Add the mean distance from each patch to the patches that it looks at, in patches along a straight line."""
        cells = np.zeros((0, 2)) if self._cells is None else self._cells
        among = np.isfinite(cells[:, 0])
        rows = among[positions]
        away = cells[positions[rows], None] - cells[None, among]
        distance = np.sqrt((away**2).sum(axis=-1)).astype(np.float32)
        looked = weights[:, rows][:, :, among[: weights.shape[2]]]
        sums = looked.sum(axis=2)
        means = np.einsum("hqk,qk->hq", looked, distance) / np.maximum(sums, TINY)
        running.add("distance", means)

    def add(self, layer: LayerStatistics) -> None:
        """Add the rows of one layer, of which these statistics were computed without its weights."""
        running = self._running.setdefault((layer.kind, layer.layer), _Running(layer.heads))
        counts = layer.visible[:, 1] - layer.visible[:, 0]
        telling = counts >= 2
        rows = int(telling.sum())
        entropies = layer.entropy[:, telling]
        running.add("entropy", entropies)
        running.add("focus", 1 - entropies / np.log(counts[telling]).astype(np.float32))
        if self._ever_first:
            running.add("first", layer.first[:, telling])
        if layer.distance is not None and layer.itself is not None and layer.previous is not None:
            running.add_sums("distance", layer.distance, rows)
            running.add("itself", layer.itself[:, telling])
            running.add("previous", layer.previous[:, telling & (np.arange(len(counts)) >= 1)])
        for kept, links in zip(running.links, layer.links, strict=True):
            kept += [Link(*link) for link in links]

    def _add_links(
        self,
        kept: list[Link],
        kind: Kind,
        weights: Float[np.ndarray, "query key"],
        positions: Int[np.ndarray, "query"],
        *,
        crosses: bool,
    ) -> None:
        if isinstance(weights, Elsewhere):
            self._add_largest(kept, kind, weights, positions, crosses=crosses)
            return
        # After the first rows, few weights exceed the weakest link kept, so few candidates are left to sort.
        cuts = [0] if len(kept) == self.links else [0, FIRST_ROWS]
        for first, stop in zip(cuts, [*cuts[1:], len(weights)], strict=True):
            part = weights[first:stop]
            floor = np.float32(kept[-1].weight if len(kept) == self.links else 0.0)
            # (On a flat array, the search is thirty times faster.)
            strong = np.flatnonzero(part > floor)
            if not strong.size:
                continue
            rows, keys = np.unravel_index(strong, part.shape)
            queries = positions[first + rows]
            fit = self._query_links[queries] & self._key_links[keys]
            if not crosses:
                fit &= queries != keys
            if kind == "decoder" and self._ever_first:
                fit &= keys > 0
            rows, keys, queries = rows[fit], keys[fit], queries[fit]
            strengths = part[rows, keys]
            best = np.argsort(-strengths, kind="stable")[: self.links]
            self._keep(kept, queries[best], keys[best], strengths[best])

    def _add_largest(
        self,
        kept: list[Link],
        kind: Kind,
        weights: Float[np.ndarray, "query key"],
        positions: Int[np.ndarray, "query"],
        *,
        crosses: bool,
    ) -> None:
        """Add the links among weights on another device, which has all weights sorted sooner than a few copied."""
        keys = np.arange(weights.shape[1])
        ends = self._key_links[keys]
        if kind == "decoder" and self._ever_first:
            ends[:1] = False
        fit = np.asarray(self._query_links[positions], like=weights)[:, None] & ends
        if not crosses:
            fit &= np.asarray(positions, like=weights)[:, None] != keys
        links = np.where(fit, weights, np.float32(0))
        best = largest(links, self.links)
        rows, keys = np.unravel_index(best, links.shape)
        self._keep(kept, positions[rows], keys, np.asarray(links[rows, keys]))

    def _keep(
        self,
        kept: list[Link],
        queries: Int[np.ndarray, "link"],
        keys: Int[np.ndarray, "link"],
        strengths: Float[np.ndarray, "link"],
    ) -> None:
        """Add links, and drop all but the strongest."""
        ends = zip(queries.tolist(), keys.tolist(), strengths.tolist(), strict=True)
        kept.extend(Link(*one) for one in ends if one[2] > 0)
        kept.sort(key=lambda link: -link.weight)
        del kept[self.links :]

    def state(self) -> dict[str, np.ndarray]:
        """Return the sums of each figure so far, `[head]`, and over how many rows they are."""
        state = {"shows_first": np.array(self._ever_first)}
        for (kind, layer), running in self._running.items():
            state[f"{kind}.{layer}.heads"] = np.array(running.heads, np.int64)
            for name, sums in running.sums.items():
                state[f"{kind}.{layer}.{name}"] = sums
                state[f"{kind}.{layer}.{name}.rows"] = np.array(running.rows[name], np.int64)
        return state

    def merge(self, state: Sums) -> None:
        """Add the sums of another collector over other texts.

        Raises:
            ValueError: links are kept, and these belong to one text, or the sums are not of the heads that they name.
        """
        if self.links:
            raise ValueError("links are of one text")
        self._ever_first |= bool(state["shows_first"])
        for kind, layer, heads in layers_in(state):
            running = self._running.setdefault((kind, layer), _Running(heads))
            for name in SUMMED:
                if (place := f"{kind}.{layer}.{name}") in state:
                    if state[place].shape != (len(running.heads),):
                        raise ValueError(f"{place} has shape {state[place].shape}")
                    running.add_sums(name, state[place], int(state[f"{place}.rows"]))

    @property
    def result(self) -> tuple[HeadSummary, ...]:
        """The summaries by kind, layer and head, in the order in which they were streamed."""
        image = self._cells is not None
        return tuple(
            HeadSummary(
                kind=kind,
                layer=layer,
                head=head,
                focus=running.mean("focus", index),
                entropy=running.mean("entropy", index),
                distance=None if self._crosses or kind == "cross" else running.mean("distance", index),
                first=running.mean("first", index) if self._ever_first else None,
                itself=None if self._crosses or kind == "cross" else running.mean("itself", index),
                previous=None if self._crosses or kind == "cross" or image else running.mean("previous", index),
                links=tuple(running.links[index]),
            )
            for (kind, layer), running in self._running.items()
            for index, head in enumerate(running.heads)
        )
