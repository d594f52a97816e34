"""The rows of each head that are drawn on the grid of an image's patches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from attn_cli.data.plan import Plan
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block
from attn_cli.data.units import Units

__all__ = ["CollectPatchRows", "PatchRows", "on_grid"]

CLS = "[CLS]"
"""The token from which an encoder's answer about the whole image is read."""


@dataclass(frozen=True, eq=False)
class PatchRows:
    """The rows of some queries in each head; or the mean row of all patches, where an image has no `[CLS]`."""

    queries: tuple[int, ...]
    """Indices of the queries among the plan's; empty if the only row is the mean over all patches."""
    rows: dict[tuple[int, int], Float[np.ndarray, "query key"]]
    """(layer, head) -> weights or scores of each query; not-a-number where a score is masked."""

    def mean(self, places: Iterable[tuple[int, int]]) -> Float[np.ndarray, "query key"]:
        """Return the mean over some heads (layer, head)."""
        mean: Float[np.ndarray, "query key"] = np.mean([self.rows[place] for place in places], axis=0)
        return mean

    def sharpest(self, row: int, keys: Units) -> tuple[int, int]:
        """Return the layer and the number of the head in which a query gives most to one patch other than itself.

        Args:
            row: the index of the query in `queries`.
            keys: the plan's keys.
        """
        others = np.array([cell is not None for cell in keys.cells])
        others[self.queries[row : row + 1]] = False  # in self-attention, rows and columns are the same units
        return max(self.rows, key=lambda place: float(np.nanmax(self.rows[place][row][others], initial=-np.inf)))


class CollectPatchRows:
    """A collector of the rows to draw of each head: those chosen, else that of `[CLS]`, else the mean over patches.

    Args:
        plan: the plan of the view.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._queries = tuple(plan.queries.labelled.get(CLS, ())) if plan.chosen is None else plan.chosen
        self._patches = np.array([cell is not None for cell in plan.queries.cells])
        self._rows: dict[tuple[int, int], Float[np.ndarray, "query key"]] = {}

    @property
    def bytes_needed(self) -> int:
        """Memory that is kept, in bytes."""
        return 8 * self._plan.head_count * max(len(self._queries), 1) * len(self._plan.keys)

    def __call__(self, block: Block) -> None:
        """Consume some rows of a layer, in the plan's units."""
        values = block.weights
        if self._plan.selection.scores and block.scores is not None:
            values = np.where(np.isfinite(block.scores), block.scores, np.nan)
        positions = block.positions.tolist()
        for index, head in enumerate(block.heads):
            place = block.layer, head
            if place not in self._rows:
                self._rows[place] = np.zeros((max(len(self._queries), 1), len(self._plan.keys)))
            kept = self._rows[place]
            if not self._queries:
                among = self._patches[positions]
                kept[0, : values.shape[2]] += values[index][among].sum(axis=0) / max(self._patches.sum(), 1)
            for row, query in enumerate(self._queries):
                if query in positions:
                    kept[row, : values.shape[2]] = values[index, positions.index(query)]

    @property
    def result(self) -> PatchRows:
        """The rows."""
        return PatchRows(self._queries, self._rows)


def on_grid(values: Float[np.ndarray, "key"], keys: Units) -> Float[np.ndarray, "row column"]:
    """Put what a row gives each unit in its place on the grid of patches; not-a-number where a patch is not shown.

    Args:
        values: one number for each unit.
        keys: the units, of an image.
    """
    grid = keys.side.grid
    shape = (0, 0) if grid is None else (grid.rows, grid.columns)
    found: Float[np.ndarray, "row column"] = np.full(shape, np.nan)
    for cell, value in zip(keys.cells, values.tolist(), strict=True):
        if cell is not None:
            found[cell] = value
    return found
