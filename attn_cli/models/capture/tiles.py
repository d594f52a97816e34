"""Statistics of a layer's rows without its weights, computed a tile of the map at a time.

Flash attention (Dao et al. 2022) returns each row's normalizer L_i, the logarithm of the sum of its exponentials, so
any weight is exp(s_ij - L_i), and a tile of the map can be computed on its own. -L_i is one more column of the queries,
whose partner in the keys is 1, so that one matrix product gives the logarithms of the weights. While a tile is in the
processor's cache it is summed up for everything that is asked for: entropy is -sum p log p, and so on.

A row's weight on itself and those on keys where heads rest are left out of the tiles and computed apart: the largest of
the others is then the strongest link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.statistics import LayerStatistics, StatisticsRequest
from attn_cli.data.stream import Block
from attn_cli.errors import ExactnessError
from attn_cli.models.capture.slices import is_seen

__all__ = ["LayerTiles"]

ROWS, COLUMNS = 128, 512
"""Size of a tile: its logarithms and weights together are half a megabyte, and stay in a processor core's cache."""
NEVER = -1e30
"""Logarithm of the weight of a hidden key."""
TOLERANCE = 1e-3
"""The most that a row's sum may differ from 1, as for streamed rows in single precision."""
SAME = 1e-3
"""The most that the logarithm of one weight differs between two products that compute it."""


@dataclass(frozen=True, eq=False)
class LayerTiles:
    """The queries, keys and normalizers of one layer."""

    query: Float[torch.Tensor, "head query dim"]
    """Queries times the layer's scaling, float32."""
    key: Float[torch.Tensor, "kv_head key dim"]
    """Keys, float32; heads share them in groups of consecutive heads."""
    normalizer: Float[torch.Tensor, "head query"]
    """Logarithm of the sum of each row's exponentials."""
    mask: torch.Tensor | None
    """True (or a number near 0) at visible keys, `[1 or head, 1 or query, key]`; None if all are, or by `causal`."""
    causal: bool
    """True if, without a mask, a query sees only the keys up to its own position."""
    visible: Int[np.ndarray, "query 2"]
    """First key that each query sees in any head, and one past the last."""

    def sum_up(self, kind: Kind, layer: int, heads: tuple[int, ...], request: StatisticsRequest) -> LayerStatistics:
        """Compute the statistics of some heads.

        Raises:
            ExactnessError: the weights of a row do not sum to 1.
        """
        return _Sums(self, heads, request).of(kind, layer)

    def seen(self, head: int, rows: slice, columns: slice) -> Bool[torch.Tensor, "query key"] | None:
        """Return which keys these queries see; None if they see all of them."""
        if self.mask is not None:
            mask = self.mask[head if len(self.mask) > 1 else 0, :, columns]
            return is_seen(mask[rows] if len(mask) > 1 else mask)
        if not self.causal or columns.stop <= rows.start + 1:
            return None
        return torch.arange(rows.start, rows.stop)[:, None] >= torch.arange(columns.start, columns.stop)

    def lengthened(self, head: int) -> tuple[Float[torch.Tensor, "query wide"], Float[torch.Tensor, "key wide"]]:
        """Return one head's queries and keys, whose products are the logarithms of its weights.

        The last column but one is that of the normalizer; the last is 0 in the keys, and 1 in the queries: what is put
        there is added to the logarithms of a key. The width is rounded up to what processors multiply fastest.
        """
        query, key = self.query[head], self.key[head * len(self.key) // len(self.query)]
        width = -(-(query.shape[1] + 2) // 8) * 8
        queries, keys = query.new_zeros((len(query), width)), key.new_zeros((len(key), width))
        queries[:, : query.shape[1]], keys[:, : key.shape[1]] = query, key
        queries[:, -2], keys[:, -2] = -self.normalizer[head], 1.0
        queries[:, -1] = 1.0
        return queries, keys

    def blocks(self, kind: Kind, layer: int, head: int, most: int) -> Callable[[], Iterator[Block]]:
        """Return a function that computes one head's weights, in blocks of at most about `most` weights."""
        own = LayerTiles(
            self.query[head : head + 1].clone(),
            self.key[(group := head * len(self.key) // len(self.query)) : group + 1].clone(),
            self.normalizer[head : head + 1].clone(),
            self.mask if self.mask is None or len(self.mask) == 1 else self.mask[head : head + 1],
            self.causal,
            self.visible,
        )
        return partial(own._blocks, kind, layer, head, most)

    def _blocks(self, kind: Kind, layer: int, head: int, most: int) -> Iterator[Block]:
        queries, keys = self.lengthened(0)
        step = max(1, most // len(keys))
        for start in range(0, len(queries), step):
            rows = slice(start, min(start + step, len(queries)))
            visible = self.visible[rows]
            columns = slice(0, int(visible[:, 1].max(initial=0)))
            weights = torch.exp_(queries[rows] @ keys[columns].T)
            seen = self.seen(0, rows, columns)
            if seen is not None:
                weights.masked_fill_(~seen, 0.0)
            yield Block(kind, layer, (head,), start, weights[None].numpy(), visible)


class _Sums:
    """Sums over the rows of one layer.

    Args:
        tiles: the layer.
        heads: the heads to sum up.
        request: the statistics to compute.
    """

    def __init__(self, tiles: LayerTiles, heads: tuple[int, ...], request: StatisticsRequest) -> None:
        self.tiles, self.heads, self.request = tiles, heads, request
        queries, keys = tiles.query.shape[1], tiles.key.shape[1]
        shape = len(heads), queries
        self.entropy = torch.zeros(shape)
        self.first, self.itself, self.previous = (torch.zeros(shape) for _ in range(3))
        self.key = torch.zeros(shape, dtype=torch.int64)
        self.top = torch.full(shape, NEVER)
        """Logarithm of each row's largest weight."""
        self.link = torch.full(shape, NEVER)
        """Logarithm of the largest weight in each row that may be a link."""
        self.sums = torch.zeros(len(heads), keys)
        self.distance = np.zeros(len(heads))
        size = request.square
        self.pooled = None if size is None else torch.full((len(heads), -(-queries // size), -(-keys // size)), NEVER)
        self.rests = torch.from_numpy(np.flatnonzero(request.rests))
        self.words = torch.from_numpy(request.words)
        self.columns = COLUMNS if size is None else max(COLUMNS // size, 1) * size

    def of(self, kind: Kind, layer: int) -> LayerStatistics:
        """Compute and return the sums."""
        # Each head, or a part of its rows where there are fewer heads than processor cores, is one thread's work.
        cores = torch.get_num_threads()
        queries = self.tiles.query.shape[1]
        align = self.request.square or ROWS
        step = -(-queries // max(1, -(-2 * cores // len(self.heads))) // align) * align
        parts = [(index, start) for start in range(0, queries, step) for index in range(len(self.heads))]
        with ThreadPoolExecutor(cores, "attn-tiles", torch.set_num_threads, (1,)) as pool:
            for index, sums, distance in pool.map(lambda part: self._add(*part, min(part[1] + step, queries)), parts):
                self.sums[index] += sums
                self.distance[index] += distance
        torch.set_num_threads(cores)
        own = not self.request.crosses
        return LayerStatistics(
            kind=kind,
            layer=layer,
            heads=self.heads,
            visible=self.tiles.visible,
            entropy=self.entropy.numpy(),
            distance=self.distance if own else None,
            itself=self.itself.numpy() if own else None,
            previous=self.previous.numpy() if own else None,
            first=self.first.numpy(),
            key=self.key.numpy(),
            weight=torch.exp(self.top).numpy(),
            sums=self.sums.numpy(),
            links=tuple(self._links(index) for index in range(len(self.heads))),
            pooled=self._squares(),
            blocks_of=lambda head: self.tiles.blocks(kind, layer, head, 3 * 2**20),
        )

    def _add(self, index: int, first: int, last: int) -> tuple[int, Float[torch.Tensor, "key"], float]:
        """Add the rows from `first` up to but not including `last` of one head.

        Returns:
            The index, for each key the sum of its weights in rows that are words, and the sum of the rows' distances.
        """
        queries, keys = self.tiles.lengthened(self.heads[index])
        sums, distance = keys.new_zeros(len(keys)), 0.0
        rests = keys[self.rests].T.contiguous()
        ends = keys[:1].T.contiguous()
        open_keys = keys.clone()
        open_keys[self.rests, -1] = NEVER
        turned = open_keys.T.contiguous()
        buffers = torch.empty(2, ROWS * self.columns)
        for start in range(first, last, ROWS):
            rows = slice(start, min(start + ROWS, last))
            strip = _Strip(self, index, rows, queries[rows], buffers)
            distance += strip.tiles(turned, sums)
            distance += strip.resting(rests, sums)
            if not self.request.crosses:
                strip.own(keys, sums)
            strip.finish(ends)
        return index, sums, distance

    def _links(self, index: int) -> tuple[tuple[int, int, float], ...]:
        """Return the strongest links of one head: they are in the rows whose strongest links are the strongest."""
        count = self.request.links
        rank = torch.where(self.words, self.link[index], NEVER)
        rows = torch.topk(rank, min(count, len(rank))).indices
        queries, keys = self.tiles.lengthened(self.heads[index])
        keys[self.rests, -1] = NEVER
        found: list[tuple[int, int, float]] = []
        for row in rows[rank[rows] > NEVER / 2].tolist():
            logs = keys @ queries[row]
            seen = self.tiles.seen(self.heads[index], slice(row, row + 1), slice(0, len(keys)))
            if seen is not None:
                logs.masked_fill_(~seen[0], NEVER)
            if not self.request.crosses:
                logs[row] = NEVER
            best = torch.topk(logs, min(count, len(logs)))
            weights = torch.exp(best.values).tolist()
            found += [(row, key, weight) for key, weight in zip(best.indices.tolist(), weights, strict=True) if weight]
        return tuple(sorted(found, key=lambda link: (-link[2], link[0], link[1]))[:count])

    def _squares(self) -> Float[np.ndarray, "head query_square key_square"] | None:
        size = self.request.square
        if self.pooled is None or size is None:
            return None
        starts = np.arange(0, self.tiles.key.shape[1], size)
        first, stop = self.tiles.visible[:, :1], self.tiles.visible[:, 1:]
        sees = (np.maximum(first, starts) < np.minimum(stop, starts + size)).view(np.uint8)
        seen = np.maximum.reduceat(sees, np.arange(0, len(sees), size)).view(np.bool_)
        pooled: Float[np.ndarray, "head query_square key_square"] = torch.exp(self.pooled).numpy()
        pooled[:, ~seen] = np.nan
        return pooled


class _Strip:
    """A run of rows of one head.

    Args:
        whole: the sums to add to.
        index: the index of the head.
        rows: the rows.
        queries: the rows' lengthened queries.
        buffers: memory for the logarithms and the weights of a tile.
    """

    def __init__(
        self,
        whole: _Sums,
        index: int,
        rows: slice,
        queries: Float[torch.Tensor, "query wide"],
        buffers: Float[torch.Tensor, "2 weight"],
    ) -> None:
        self._whole, self._index, self._rows, self._queries, self._buffers = whole, index, rows, queries, buffers
        self._head = whole.heads[index]
        self._positions = torch.arange(rows.start, rows.stop)
        self._offsets = (self._positions - rows.start).float()
        self._entropy, self._mass = torch.zeros(2, len(queries))
        self._top, self._link = torch.full((2, len(queries)), NEVER)
        self._key = torch.zeros(len(queries), dtype=torch.int64)
        words = whole.request.words[rows]
        self._apart = None if words.all() else torch.from_numpy(np.flatnonzero(~words))
        """Rows that are not words."""
        self._squares = None if whole.pooled is None else torch.full((len(queries), whole.pooled.shape[2]), NEVER)

    def _count(
        self, logs: Float[torch.Tensor, "query key"], weights: Float[torch.Tensor, "query key"]
    ) -> tuple[Float[torch.Tensor, "key"], Float[torch.Tensor, "query"]]:
        """Add weights to the entropy and to the sums of the rows; overwrite `weights`.

        Args:
            logs: logarithms of the weights.
            weights: the weights.

        Returns:
            The sums of the columns over rows that are words, and of the rows.
        """
        sums, mass = weights.sum(0), weights.sum(1)
        self._mass += mass
        self._entropy -= weights.mul_(logs).sum(1)
        return sums, mass

    def tiles(self, turned: Float[torch.Tensor, "wide key"], sums: Float[torch.Tensor, "key"]) -> float:
        """Add the weights on all keys but the row's own and those where heads rest; return their distances."""
        whole, rows, crosses = self._whole, self._rows, self._whole.request.crosses
        step, size = whole.columns, whole.request.square
        visible = whole.tiles.visible[rows]
        begin = int(visible[:, 0].min()) // step * step
        end = int(visible[:, 1].max())
        count = len(self._queries)
        most = torch.full((count, step), NEVER)
        tops: list[torch.Tensor] = []
        distance = 0.0
        for start in range(begin, end, step):
            columns = slice(start, min(start + step, end))
            width = columns.stop - columns.start
            logs, weights = self._buffers[:, : count * width].view(2, count, width)
            torch.mm(self._queries, turned[:, columns], out=logs)
            self._hide(logs, columns)
            torch.maximum(most[:, :width], logs, out=most[:, :width])
            if size is None:
                tops.append(logs.amax(1, keepdim=True))
            else:
                padded = torch.nn.functional.pad(logs, (0, -width % size), value=NEVER) if width % size else logs
                tops.append(padded.view(count, -1, size).amax(2))
            torch.exp(logs, out=weights)
            near = not crosses and columns.stop > rows.start and columns.start < rows.stop
            if near:
                apart = (self._positions[:, None] - torch.arange(columns.start, columns.stop)).abs_()
                distance += float((weights * apart).sum())
            if self._apart is not None:
                sums[columns] -= weights[self._apart].sum(0)
            added, mass = self._count(logs, weights)
            sums[columns] += added
            if not (crosses or near):
                # Counted from the first row, so that no large numbers cancel each other out.
                away = torch.arange(columns.start - rows.start, columns.stop - rows.start, dtype=torch.float32)
                distance += abs(float(added @ away) - float(mass @ self._offsets))
        if tops:
            self._strongest(torch.cat(tops, 1), most, begin, size or step, turned)
        return distance

    def _hide(self, logs: Float[torch.Tensor, "query key"], columns: slice) -> None:
        """Set the logarithms of hidden keys, and of the row's own, to `NEVER`."""
        rows = self._rows
        seen = self._whole.tiles.seen(self._head, rows, columns)
        if seen is not None:
            logs.masked_fill_(~seen, NEVER)
        if not self._whole.request.crosses and columns.stop > rows.start and columns.start < rows.stop:
            own = self._positions[:, None] == torch.arange(columns.start, columns.stop)
            logs.masked_fill_(own, NEVER)

    def _strongest(
        self,
        tops: Float[torch.Tensor, "query part"],
        most: Float[torch.Tensor, "query column"],
        begin: int,
        size: int,
        turned: Float[torch.Tensor, "wide key"],
    ) -> None:
        """Find each row's strongest key: in which part of the columns it is, and at which place in a tile.

        Args:
            tops: the largest logarithm in each part of the columns.
            most: the largest logarithm at each place of any tile.
            begin: the first column.
            size: the number of columns of each part.
            turned: the keys.
        """
        self._link, part = tops.max(1)
        start = begin + part * size
        places = most.argmax(1)
        # The place is that in a tile; the part says in which tile, or in which square of it.
        key = begin + (start - begin) // len(most[0]) * len(most[0]) + places
        key = key.clamp_(max=turned.shape[1] - 1)
        again = (self._queries * turned[:, key].T).sum(1)
        # Equal maxima in two tiles, of which either may have given the place: look for the first.
        for row in torch.nonzero((again - self._link).abs() > SAME)[:, 0].tolist():
            if self._link[row] > NEVER / 2:
                begun = int(start[row])
                logs = (self._queries[row] @ turned[:, begun : begun + size])[None]
                columns = slice(begun, begun + logs.shape[1])
                seen = self._whole.tiles.seen(
                    self._head, slice(self._rows.start + row, self._rows.start + row + 1), columns
                )
                logs = logs if seen is None else logs.masked_fill(~seen, NEVER)
                own = self._rows.start + row - begun
                if not self._whole.request.crosses and 0 <= own < logs.shape[1]:
                    logs[0, own] = NEVER
                key[row] = begun + int(logs.argmax())
        self._key, self._top = key, self._link.clone()
        if self._squares is not None:
            self._squares[:, begin // size : begin // size + tops.shape[1]] = tops

    def _better(self, logs: Float[torch.Tensor, "query"], keys: Int[torch.Tensor, "query"]) -> None:
        """Replace the strongest key of the rows in which these are stronger."""
        better = logs > self._top
        self._top = torch.where(better, logs, self._top)
        self._key = torch.where(better, keys, self._key)

    def resting(self, rests: Float[torch.Tensor, "wide resting"], sums: Float[torch.Tensor, "key"]) -> float:
        """Add the weights on keys where heads rest; return their distances."""
        whole, keys = self._whole, self._whole.rests
        if not len(keys):
            return 0.0
        logs = self._queries @ rests
        seen = self._seen_at(keys)
        if seen is not None:
            logs.masked_fill_(~seen, NEVER)
        weights = torch.exp(logs)
        top, place = logs.max(1)
        self._better(top, keys[place])
        if self._squares is not None and whole.request.square is not None:
            squares = (keys // whole.request.square).expand(len(logs), -1)
            self._squares.scatter_reduce_(1, squares, logs, "amax")
        distance = 0.0
        if not whole.request.crosses:
            distance = float((weights * (self._positions[:, None] - keys).abs()).sum())
        if self._apart is not None:
            sums[keys] -= weights[self._apart].sum(0)
        added, _ = self._count(logs, weights)
        sums[keys] += added
        return distance

    def _seen_at(self, keys: Int[torch.Tensor, "some_keys"]) -> Bool[torch.Tensor, "query some_keys"] | None:
        """Return which of the keys the rows see; None if they see all of them."""
        tiles = self._whole.tiles
        if tiles.mask is None:
            return self._positions[:, None] >= keys if tiles.causal else None
        seen = tiles.seen(self._head, self._rows, slice(0, tiles.key.shape[1]))
        return None if seen is None else seen[:, keys].expand(len(self._queries), -1)

    def own(self, keys: Float[torch.Tensor, "key wide"], sums: Float[torch.Tensor, "key"]) -> None:
        """Add the weights of the rows on themselves, at a distance of 0, and note those on the position before."""
        whole, rows, index = self._whole, self._rows, self._index
        logs = self._at(keys, self._positions)
        whole.itself[index, rows] = torch.exp(logs)
        before = self._at(keys, (self._positions - 1).clamp_(min=0))
        whole.previous[index, rows] = torch.where(self._positions > 0, torch.exp(before), 0.0)
        self._better(logs, self._positions)
        if self._squares is not None and whole.request.square is not None:
            squares = (self._positions // whole.request.square)[:, None]
            self._squares.scatter_reduce_(1, squares, logs[:, None], "amax")
        rests = torch.from_numpy(whole.request.rests[rows])
        logs = torch.where(rests, NEVER, logs)  # those have been added
        weights = torch.exp(logs)
        self._mass += weights
        self._entropy -= weights * logs
        sums[rows] += weights * whole.words[rows]

    def _at(
        self, keys: Float[torch.Tensor, "key wide"], places: Int[torch.Tensor, "query"]
    ) -> Float[torch.Tensor, "query"]:
        """Return the logarithm of each row's weight on the key paired with it."""
        logs = (self._queries * keys[places]).sum(1)
        mask = self._whole.tiles.mask
        if mask is None:
            return logs
        own = mask[self._head if len(mask) > 1 else 0]
        seen = is_seen(own[self._positions if len(own) > 1 else 0, places])
        return torch.where(seen, logs, NEVER)

    def finish(self, ends: Float[torch.Tensor, "wide 1"]) -> None:
        """Write what belongs to each row.

        Raises:
            ExactnessError: the weights of a row do not sum to 1.
        """
        whole, rows, index = self._whole, self._rows, self._index
        visible = torch.from_numpy(whole.tiles.visible[rows])
        sees = visible[:, 0] < visible[:, 1]
        wrong = ~((self._mass - 1).abs() <= TOLERANCE) & sees
        if wrong.any():
            row = int(wrong.nonzero()[0, 0])
            raise ExactnessError(
                f"row {rows.start + row} of head {self._head} sums to {float(self._mass[row]):.4f} instead of 1",
                "This model's attention is not a plain softmax",
            )
        whole.entropy[index, rows] = self._entropy
        logs = (self._queries @ ends)[:, 0]
        seen = self._seen_at(torch.zeros(1, dtype=torch.int64))
        whole.first[index, rows] = torch.exp(logs if seen is None else torch.where(seen[:, 0], logs, NEVER))
        whole.top[index, rows] = self._top
        whole.link[index, rows] = self._link
        whole.key[index, rows] = self._key
        if whole.pooled is not None and self._squares is not None and whole.request.square is not None:
            squares = (self._positions // whole.request.square)[:, None].expand_as(self._squares)
            whole.pooled[index].scatter_reduce_(0, squares, self._squares, "amax")
