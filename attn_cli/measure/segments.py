"""The share of the rows' weight on the segment whose words alone are the columns."""

from __future__ import annotations

import numpy as np

from attn_cli.data.outcomes import SegmentShares
from attn_cli.data.plan import Plan
from attn_cli.data.shapes import Bool
from attn_cli.data.stream import Block
from attn_cli.data.units import Units

__all__ = ["CollectSegmentShares"]


class CollectSegmentShares:
    """A collector of each head's share of weight on the columns shown, the mean over the rows shown.

    It takes blocks of tokens, before their rows are renormalized (see `Regroup`).

    Args:
        plan: the plan to show.
    """

    def __init__(self, plan: Plan) -> None:
        self._keys = _shown_tokens(plan.keys)
        self._rows = _shown_tokens(plan.queries)
        if plan.chosen is not None:
            self._rows[:] = False
            self._rows[list(plan.positions)] = True
        self._sums: dict[tuple[int, int], float] = {}
        self._counts: dict[int, int] = {}

    def __call__(self, block: Block) -> None:
        """Consume some rows of a layer."""
        inside = block.positions < len(self._rows)
        rows = np.flatnonzero(inside)[self._rows[block.positions[inside]]]
        keys = np.flatnonzero(self._keys[: block.weights.shape[2]])
        sums = block.weights[:, rows][:, :, keys].sum(axis=(1, 2), dtype=np.float64)
        self._counts[block.layer] = self._counts.get(block.layer, 0) + len(rows)
        for head, own in zip(block.heads, sums.tolist(), strict=True):
            self._sums[block.layer, head] = self._sums.get((block.layer, head), 0.0) + own

    @property
    def result(self) -> SegmentShares:
        """The shares, the largest first."""
        shares = [(layer, head, own / max(self._counts[layer], 1)) for (layer, head), own in self._sums.items()]
        return SegmentShares(tuple(sorted(shares, key=lambda one: (-one[2], one[:2]))))


def _shown_tokens(units: Units) -> Bool[np.ndarray, "token"]:
    """Return True for each token of a unit that is shown."""
    shown: Bool[np.ndarray, "token"] = units.shown[units.unit_of_token()]
    return shown
