"""The share of a row's weight on each part of a prompt, with the sink set aside too, and that in an even row."""

from __future__ import annotations

import numpy as np

from attn_cli.data.parts import PartShares, part_of_tokens
from attn_cli.data.plan import Plan
from attn_cli.data.regroup import Regroup
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block
from attn_cli.measure.measures import even_rows

__all__ = ["CollectParts"]


class CollectParts:
    """A collector of the shares of the parts of a text, from blocks of tokens.

    The rows are those that were written behind a prompt, or those of `--query`, or the last.

    Args:
        plan: the plan to show, of a text with parts.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        units = plan.keys
        names, of = part_of_tokens(units.side)
        place_of_token = np.flatnonzero(units.shown[units.unit_of_token()])
        self._names = names
        self._tokens = tuple(np.bincount(of[place_of_token], minlength=len(names)).tolist())
        self._part: Int[np.ndarray, "unit"] = of[units.starts[units.shown]]
        written = plan.chosen is None and plan.begins > 0
        rows = range(len(plan.queries)) if written else plan.chosen or (len(plan.queries) - 1,)
        self._rows = tuple(rows)
        self._row = {row: index for index, row in enumerate(self._rows)}
        self._needed = np.asarray([token for row in self._rows for token in plan.queries.token_positions(row)])
        size = len(self._rows), len(names)
        self._shares, self._even = np.zeros(size), np.zeros(size)
        self._sinks = np.zeros(len(self._rows))
        self._heads = 0
        self._seen: set[int] = set()
        self._weights = Regroup(plan.queries, plan.keys, self._add)
        self._evenly = Regroup(plan.queries, plan.keys, self._add_even)

    def __call__(self, block: Block) -> None:
        """Consume some rows of a layer."""
        if block.layer not in self._seen:
            self._seen.add(block.layer)
            self._heads += len(block.heads)
        # Consecutive rows only, as a block of fewer would lose their positions.
        inside = np.flatnonzero(np.isin(block.positions, self._needed))
        for run in np.split(inside, np.flatnonzero(np.diff(inside) != 1) + 1) if len(inside) else ():
            part = block.take(rows=slice(int(run[0]), int(run[-1]) + 1))
            self._weights(part)
            self._evenly(even_rows(part))

    def _add(self, block: Block) -> None:
        for index, row in self._wanted(block):
            weights = np.asarray(block.weights[:, index].sum(axis=0, dtype=np.float64))
            self._shares[row] += self._over_parts(weights)
            self._sinks[row] += weights[0] if self._plan.keys.shows_first else 0

    def _add_even(self, block: Block) -> None:
        for index, row in self._wanted(block):
            self._even[row] += self._over_parts(block.weights[0, index])

    def _over_parts(self, weights: Float[np.ndarray, "some_units"]) -> Float[np.ndarray, "part"]:
        shares: Float[np.ndarray, "part"] = np.bincount(self._part[: len(weights)], weights, minlength=len(self._names))
        return shares

    def _wanted(self, block: Block) -> list[tuple[int, int]]:
        """Return two indices of each row that is wanted: in the block, and among the rows of the result."""
        found = ((index, self._row.get(block.start + index)) for index in range(len(block.visible)))
        return [(index, row) for index, row in found if row is not None]

    @property
    def result(self) -> PartShares:
        """The shares, means over the heads."""
        heads = max(self._heads, 1)
        return PartShares(
            self._names,
            self._tokens,
            tuple(self._plan.queries.positions[row] for row in self._rows),
            self._heads,
            self._shares / heads,
            self._sinks / heads,
            int(self._part[0]) if self._plan.keys.shows_first else None,
            self._even / max(len(self._seen), 1),
        )
