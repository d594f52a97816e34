"""Statistics of a layer's rows without its weights, summed up a tile of the map at a time.

While a tile is in the processor's cache it is summed up for everything that is asked for: entropy is -sum p log p, and
so on. A row's weight on itself and those on keys where heads rest are left out of the tiles and computed apart: the
largest of the others is then the strongest link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.statistics import LayerStatistics, StatisticsRequest
from attn_cli.errors import ExactnessError
from attn_cli.models.capture.slices import is_seen, to_host
from attn_cli.models.capture.tiles import LayerTiles

__all__ = ["sum_up_tiles", "tile_bytes"]

ROWS, COLUMNS = 256, 256
"""Size of a tile: its logarithms and weights together are half a megabyte, and stay in a processor core's cache."""
ELSEWHERE = 4096, 4096
"""Size of a tile on a GPU, which takes longer to be told what to compute than to compute a small one."""
NEVER = -1e30
"""Logarithm of the weight of a hidden key."""
TOLERANCE = 1e-3
"""The most that a row's sum may differ from 1, as for streamed rows in single precision."""
SAME = 1e-3
"""The most that the logarithm of one weight differs between two products that compute it."""


def tile_bytes(queries: int, keys: int) -> int:
    """Return the memory that tiles take on a GPU, in bytes: three numbers for each place, and a distance, at once."""
    rows, columns = ELSEWHERE
    return (3 * 4 + 8 + 4 + 2) * min(rows, queries) * min(columns, keys)


def sum_up_tiles(
    tiles: LayerTiles, kind: Kind, layer: int, heads: tuple[int, ...], request: StatisticsRequest
) -> LayerStatistics:
    """Compute the statistics of some heads of a layer.

    Raises:
        ExactnessError: the weights of a row do not sum to 1.
    """
    return _LayerSums(tiles, heads, request).of(kind, layer)


class _LayerSums:
    """Sums over the rows of one layer.

    Args:
        tiles: the layer.
        heads: the heads to sum up.
        request: the statistics to compute.
    """

    def __init__(self, tiles: LayerTiles, heads: tuple[int, ...], request: StatisticsRequest) -> None:
        self.tiles, self.heads, self.request = tiles, heads, request
        queries, keys = tiles.query.shape[1], tiles.key.shape[1]
        shape, new, place = (len(heads), queries), tiles.query, tiles.query.device
        self.entropy = new.new_zeros(shape)
        self.first, self.itself, self.previous = (new.new_zeros(shape) for _ in range(3))
        self.key = new.new_zeros(shape, dtype=torch.int64)
        self.top = new.new_full(shape, NEVER)
        """Logarithm of each row's largest weight."""
        self.link = new.new_full(shape, NEVER)
        """Logarithm of the largest weight in each row that may be a link."""
        self.sums = new.new_zeros((len(heads), keys))
        self.distance = np.zeros(len(heads))
        size = request.square
        squares = None if size is None else (len(heads), -(-queries // size), -(-keys // size))
        self.pooled = None if squares is None else new.new_full(squares, NEVER)
        self.rests = torch.from_numpy(np.flatnonzero(request.rests)).to(place)
        self.resting = torch.from_numpy(request.rests).to(place)
        self.words = torch.from_numpy(request.words).to(place)
        rows, columns = (ROWS, COLUMNS) if place.type == "cpu" else ELSEWHERE
        self.rows, columns = min(rows, queries), min(columns, keys)
        self.columns = columns if size is None else max(columns // size, 1) * size

    def of(self, kind: Kind, layer: int) -> LayerStatistics:
        """Compute and return the sums."""
        # Each head, or a part of its rows where there are fewer heads than processor cores, is one thread's work.
        cores = torch.get_num_threads() if self.tiles.query.device.type == "cpu" else 1
        queries = self.tiles.query.shape[1]
        align = self.request.square or self.rows
        step = -(-queries // max(1, -(-2 * cores // len(self.heads))) // align) * align
        ends = [(start, min(start + step, queries)) for start in range(0, queries, step)]
        parts = [(index, *rows) for rows in ends for index in range(len(self.heads))]
        with nullcontext(map) if cores == 1 else _in_threads(cores) as each:
            for index, sums, distance in each(self._add, *zip(*parts, strict=True)):
                self.sums[index] += sums
                self.distance[index] += distance
        own = not self.request.crosses
        return LayerStatistics(
            kind=kind,
            layer=layer,
            heads=self.heads,
            visible=self.tiles.visible,
            entropy=to_host(self.entropy),
            distance=self.distance if own else None,
            itself=to_host(self.itself) if own else None,
            previous=to_host(self.previous) if own else None,
            first=to_host(self.first),
            key=to_host(self.key),
            weight=to_host(torch.exp(self.top)),
            sums=to_host(self.sums),
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
        tiles = _Keys(keys, self.rests, self.rows, self.columns)
        sums, distance = keys.new_zeros(len(keys)), 0.0
        for start in range(first, last, self.rows):
            rows = slice(start, min(start + self.rows, last))
            strip = _Strip(self, index, rows, queries[rows], tiles)
            strip.count_open()
            strip.count_resting()
            if not self.request.crosses:
                strip.count_own()
            strip.finish(sums)
            distance += strip.distance
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
        pooled: Float[np.ndarray, "head query_square key_square"] = to_host(torch.exp(self.pooled))
        pooled[:, ~seen] = np.nan
        return pooled


@contextmanager
def _in_threads(cores: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield a `map` that works in as many threads, each of which has one processor core."""
    try:
        with ThreadPoolExecutor(cores, "attn-tiles", torch.set_num_threads, (1,)) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(cores)


class _Keys:
    """The keys of one head, cut into tiles.

    Args:
        keys: the lengthened keys.
        rests: the keys where heads rest, which are hidden in the tiles.
        rows: the most rows of a tile.
        step: the number of keys of each tile; the last is filled up with hidden ones.
    """

    def __init__(
        self, keys: Float[torch.Tensor, "key wide"], rests: Int[torch.Tensor, "resting"], rows: int, step: int
    ) -> None:
        self.all = keys
        self.step = step
        self.resting = keys[rests].T.contiguous()
        count = -(-len(keys) // step)
        filled = keys.new_zeros((count * step, keys.shape[1]))
        filled[:, -1] = NEVER
        filled[: len(keys)] = keys
        filled[rests, -1] = NEVER
        self.open = filled.view(count, step, -1).transpose(1, 2).contiguous()
        """Tiles of the keys that do not rest, each laid out as a product reads it."""
        self.logs, self.weights, self.most = keys.new_empty((3, rows, step))
        """Memory for the logarithms and the weights of a tile, and for the largest logarithm at each of its places."""


class _Strip:
    """A run of rows of one head.

    Args:
        whole: the sums to add to.
        index: the index of the head.
        rows: the rows.
        queries: the rows' lengthened queries.
        keys: the keys.
    """

    def __init__(
        self, whole: _LayerSums, index: int, rows: slice, queries: Float[torch.Tensor, "query wide"], keys: _Keys
    ) -> None:
        self._whole, self._index, self._rows, self._queries, self._keys = whole, index, rows, queries, keys
        self._head = whole.heads[index]
        self._positions = torch.arange(rows.start, rows.stop, device=queries.device)
        self._offsets = (self._positions - rows.start).float()
        self._visible = whole.tiles.visible[rows]
        self._entropy = queries.new_zeros(len(queries))
        self._mass, self._behind = queries.new_zeros((2, len(queries)))
        """Weight of each row on all keys but those in tiles before the rows, and on those in tiles behind them."""
        self._top, self._link = queries.new_full((2, len(queries)), NEVER)
        self._key = queries.new_zeros(len(queries), dtype=torch.int64)
        self._sums = queries.new_zeros(keys.open.shape[0] * keys.step)
        """Sums of the columns over all rows."""
        self._squares = None if whole.pooled is None else queries.new_full((len(queries), whole.pooled.shape[2]), NEVER)
        self.distance = 0.0

    def count_open(self) -> None:
        """Count the weights on all keys but the row's own and those where heads rest."""
        rows, step, crosses = self._rows, self._keys.step, self._whole.request.crosses
        size = self._whole.request.square or step
        begin = int(self._visible[:, 0].min()) // step
        end = -(-int(self._visible[:, 1].max()) // step)
        if begin >= end:
            return
        count = len(self._queries)
        logs, weights, most = (one[:count] for one in (self._keys.logs, self._keys.weights, self._keys.most))
        most.fill_(NEVER)
        squares = logs.view(count, -1, size)
        tops = logs.new_empty((end - begin, count, step // size))
        entropies = logs.new_empty((end - begin, count))
        sums = self._sums.view(-1, step)
        for tile, index in enumerate(range(begin, end)):
            start = index * step
            near = start < rows.stop and start + step > rows.start
            torch.mm(self._queries, self._keys.open[index], out=logs)
            if near or self._whole.tiles.mask is not None:
                self.hide(logs, start)
            torch.maximum(most, logs, out=most)
            torch.amax(squares, 2, out=tops[tile])
            torch.exp(logs, out=weights)
            torch.sum(weights, 0, out=sums[index])
            if near and not crosses:
                self._mass += weights.sum(1)
                apart = (self._positions[:, None] - torch.arange(start, start + step, device=logs.device)).abs_()
                self.distance += float((weights * apart).sum())
            elif start >= rows.stop and not crosses:
                self._behind += weights.sum(1)
            torch.sum(weights.mul_(logs), 1, out=entropies[tile])
        self._entropy -= entropies.sum(0)
        self._strongest(tops.movedim(0, 1).flatten(1), most, begin * step, size)

    def hide(self, logs: Float[torch.Tensor, "query key"], start: int) -> None:
        """Set the logarithms of hidden keys, and of the row's own, to `NEVER`, in a tile from key `start` on."""
        whole, rows = self._whole, self._rows
        columns = slice(start, min(start + logs.shape[1], whole.tiles.key.shape[1]))
        logs = logs[:, : columns.stop - start]
        seen = whole.tiles.seen(self._head, rows, columns)
        if seen is not None:
            logs.masked_fill_(~seen, NEVER)
        if not whole.request.crosses and columns.stop > rows.start and start < rows.stop:
            own = self._positions[:, None] == torch.arange(start, columns.stop, device=logs.device)
            logs.masked_fill_(own, NEVER)

    def _strongest(
        self, tops: Float[torch.Tensor, "query part"], most: Float[torch.Tensor, "query place"], begin: int, size: int
    ) -> None:
        """Find each row's strongest key: in which part of the columns it is, and at which place in a tile.

        Args:
            tops: the largest logarithm in each part of the columns.
            most: the largest logarithm at each place of any tile.
            begin: the first column.
            size: the number of columns of each part.
        """
        step = self._keys.step
        self._link, part = tops.max(1)
        start = begin + part * size
        key = start // step * step + most.argmax(1)
        key = key.clamp_(max=len(self._keys.all) - 1)
        again = (self._queries * self._keys.all[key]).sum(1)
        # Of equal maxima in two tiles, one may have given the part and the other the place.
        unsure = ((again - self._link).abs() > SAME) & (self._link > NEVER / 2)
        for row in torch.nonzero(unsure)[:, 0].tolist():
            first = int(start[row])
            logs = (self._queries[row] @ self._keys.open[first // step])[None]
            self._row(row).hide(logs, first // step * step)
            place = first % step
            key[row] = first + int(logs[0, place : place + size].argmax())
        self._key, self._top = key, self._link.clone()
        if self._squares is not None:
            first = begin // size
            kept = self._squares[:, first : first + tops.shape[1]]
            kept.copy_(tops[:, : kept.shape[1]])

    def _row(self, row: int) -> _Strip:
        """Return a strip of one row."""
        place = self._rows.start + row
        return _Strip(self._whole, self._index, slice(place, place + 1), self._queries[row : row + 1], self._keys)

    def _better(self, logs: Float[torch.Tensor, "query"], keys: Int[torch.Tensor, "query"]) -> None:
        """Replace the strongest key of the rows in which these are stronger."""
        better = logs > self._top
        self._top = torch.where(better, logs, self._top)
        self._key = torch.where(better, keys, self._key)

    def count_resting(self) -> None:
        """Count the weights on keys where heads rest."""
        whole, keys = self._whole, self._whole.rests
        if not len(keys):
            return
        logs = self._queries @ self._keys.resting
        seen = self._seen_at(keys)
        if seen is not None:
            logs.masked_fill_(~seen, NEVER)
        weights = torch.exp(logs)
        top, place = logs.max(1)
        self._better(top, keys[place])
        if self._squares is not None and whole.request.square is not None:
            squares = (keys // whole.request.square).expand(len(logs), -1)
            self._squares.scatter_reduce_(1, squares, logs, "amax")
        if not whole.request.crosses:
            self.distance += float((weights * (self._positions[:, None] - keys).abs()).sum())
        self._mass += weights.sum(1)
        self._sums[keys] += weights.sum(0)
        self._entropy -= (weights * logs).sum(1)

    def _seen_at(self, keys: Int[torch.Tensor, "some_keys"]) -> Bool[torch.Tensor, "query some_keys"] | None:
        """Return which of the keys the rows see; None if they see all of them."""
        tiles = self._whole.tiles
        if tiles.mask is None:
            return self._positions[:, None] >= keys if tiles.causal else None
        seen = tiles.seen(self._head, self._rows, slice(0, tiles.key.shape[1]))
        return None if seen is None else seen[:, keys].expand(len(self._queries), -1)

    def count_own(self) -> None:
        """Count the weights of the rows on themselves, at a distance of 0, and note those on the position before."""
        whole, rows, index = self._whole, self._rows, self._index
        logs = self._at(self._positions)
        whole.itself[index, rows] = torch.exp(logs)
        before = self._at((self._positions - 1).clamp_(min=0))
        whole.previous[index, rows] = torch.where(self._positions > 0, torch.exp(before), 0.0)
        self._better(logs, self._positions)
        if self._squares is not None and whole.request.square is not None:
            squares = (self._positions // whole.request.square)[:, None]
            self._squares.scatter_reduce_(1, squares, logs[:, None], "amax")
        logs = torch.where(whole.resting[rows], NEVER, logs)  # those have been counted
        weights = torch.exp(logs)
        self._mass += weights
        self._sums[rows] += weights
        self._entropy -= weights * logs

    def _at(self, places: Int[torch.Tensor, "query"]) -> Float[torch.Tensor, "query"]:
        """Return the logarithm of each row's weight on the key paired with it."""
        logs = (self._queries * self._keys.all[places]).sum(1)
        mask = self._whole.tiles.mask
        if mask is None:
            return logs
        own = mask[self._head if len(mask) > 1 else 0]
        seen = is_seen(own[self._positions if len(own) > 1 else 0, places])
        return torch.where(seen, logs, NEVER)

    def _weights_of(self, some: Int[torch.Tensor, "some_queries"]) -> Float[torch.Tensor, "some_queries key"]:
        """Return the whole rows of some queries."""
        keys = self._keys.all
        seen = self._whole.tiles.seen(self._head, self._rows, slice(0, len(keys)))
        weights = torch.exp(self._queries[some] @ keys.T)
        return weights if seen is None else weights * seen.expand(len(self._queries), -1)[some]

    def finish(self, sums: Float[torch.Tensor, "key"]) -> None:
        """Write what belongs to each row, and add the sums of the columns.

        Raises:
            ExactnessError: the weights of the rows do not sum to 1.
        """
        whole, rows, index = self._whole, self._rows, self._index
        own = self._sums[: len(sums)]
        sees = torch.from_numpy(self._visible[:, 0] < self._visible[:, 1]).to(own.device)
        if not abs(float(own.sum()) - int(sees.sum())) <= TOLERANCE * len(sees):
            raise ExactnessError(
                f"{len(sees)} rows of head {self._head} from row {rows.start} on sum to {float(own.sum()):.4f}",
                "This model's attention is not a plain softmax",
            )
        if not whole.request.crosses:
            step = self._keys.step
            # Counted from the first row, so that no large numbers cancel each other out.
            away = torch.arange(-rows.start, len(sums) - rows.start, dtype=torch.float32, device=own.device)
            before, behind = rows.start // step * step, -(-rows.stop // step) * step
            away[before:behind] = 0.0
            away[whole.rests] = 0.0  # those have been counted
            masses = torch.where(sees, 1 - self._mass - self._behind, 0.0) - self._behind
            self.distance += float(away[behind:] @ own[behind:]) - float(away[:before] @ own[:before])
            self.distance += float(masses @ self._offsets)
        others = np.flatnonzero(~whole.request.words[rows])
        if len(others):
            own = own - self._weights_of(torch.from_numpy(others).to(own.device)).sum(0)
        sums += own
        whole.entropy[index, rows] = self._entropy
        whole.first[index, rows] = torch.exp(self._at(torch.zeros_like(self._positions)))
        whole.top[index, rows] = self._top
        whole.link[index, rows] = self._link
        whole.key[index, rows] = self._key
        if whole.pooled is not None and self._squares is not None and whole.request.square is not None:
            squares = (self._positions // whole.request.square)[:, None].expand_as(self._squares)
            whole.pooled[index].scatter_reduce_(0, squares, self._squares, "amax")
