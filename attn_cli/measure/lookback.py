"""Lookback: how much of a written token's attention is on the prompt, and how much on what was written before it."""

from __future__ import annotations

import math

import numpy as np

from attn_cli.data.outcomes import LookbackRatios
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block

__all__ = ["Lookback"]


class Lookback:
    """A collector of the lookback ratio of every head, at each step that wrote a token behind a prompt.

    It is m / (m + n), where m is the mean weight of a token of the prompt and n that of a token written so far (Chuang
    et al. 2024, "Lookback Lens", equations 1 to 3): 1 where all is on the prompt, 0 where all is on what was written,
    and 0.5 where a token of either has the same weight. As in the paper, the first token counts like any other.

    Args:
        written: the first token that was written; blocks must be in the model's tokens.
        steps: the number of tokens written.
    """

    def __init__(self, written: int, steps: int) -> None:
        self._written, self._steps = written, steps
        self.ratios: dict[tuple[int, int], Float[np.ndarray, "step"]] = {}
        """(layer, head) -> the ratio of each step; not-a-number where nothing was written yet, as at the first."""

    def __call__(self, block: Block) -> None:
        """Consume some rows of a layer."""
        cut = self._written
        rows = np.flatnonzero((block.positions >= cut) & (block.positions < cut - 1 + self._steps))
        if not len(rows):
            return
        # As in the equations, a token that a sliding window hides counts too, with a weight of 0.
        counts = np.full(len(rows), cut), block.positions[rows] + 1 - cut
        weights = block.weights[:, rows]
        with np.errstate(invalid="ignore", divide="ignore"):
            on_prompt, on_written = (
                part.sum(axis=2, dtype=np.float64) / count
                for part, count in zip((weights[:, :, :cut], weights[:, :, cut:]), counts, strict=True)
            )
            ratios = on_prompt / (on_prompt + on_written)
        steps = block.positions[rows] - (cut - 1)
        for index, head in enumerate(block.heads):
            own = self.ratios.setdefault((block.layer, head), np.full(self._steps, np.nan, np.float32))
            own[steps] = ratios[index]

    @property
    def result(self) -> LookbackRatios:
        """The means over the heads, and those over the steps."""
        if not self.ratios:
            return LookbackRatios(np.full(self._steps, np.nan, np.float32), ())
        every = np.stack(list(self.ratios.values()))
        known = ~np.isnan(every)
        sums = np.where(known, every, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            steps, heads = (sums.sum(axis=axis) / known.sum(axis=axis) for axis in (0, 1))
        told = [
            (layer, head, mean)
            for (layer, head), mean in zip(self.ratios, heads.tolist(), strict=True)
            if not math.isnan(mean)
        ]
        return LookbackRatios(steps.astype(np.float32), tuple(sorted(told, key=lambda one: (-one[2], one[:2]))))
