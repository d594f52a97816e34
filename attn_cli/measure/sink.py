"""The share of each row that a learned sink takes, as in gpt-oss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attn_cli.data.stream import Block

__all__ = ["SinkShare"]


@dataclass(eq=False)
class SinkShare:
    """A collector of the mean share that a learned sink takes of a row."""

    total: float = 0.0
    """Sum of the shares."""
    rows: int = 0
    """The number of rows."""

    def __call__(self, block: Block) -> None:
        if block.sink is not None:
            self.total += float(block.sink.sum(dtype=np.float64))
            self.rows += block.sink.size

    @property
    def mean(self) -> float | None:
        """The mean share; None if there is no learned sink."""
        return self.total / self.rows if self.rows else None
