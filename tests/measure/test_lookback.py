"""Lookback by hand, where a sliding window hides the prompt."""

from __future__ import annotations

import numpy as np

from attn_cli.data.stream import Block
from attn_cli.measure.lookback import Lookback


def test_a_token_that_a_window_hides_counts_with_a_weight_of_0() -> None:
    """A prompt of 4 tokens, 6 written, a window of 3 and even rows (Chuang et al. 2024, equations 1 to 3).

    The first step that reads a written token sees two of the prompt: (2/3 / 4) / (2/3 / 4 + 1/3 / 1) = 1/3; the next
    (1/3 / 4) / (1/3 / 4 + 2/3 / 2) = 1/5; then none.
    """
    weights = np.zeros((1, 10, 10), np.float32)
    visible = np.array([[max(0, row - 2), row + 1] for row in range(10)])
    for row, (start, stop) in enumerate(visible):
        weights[0, row, start:stop] = 1 / (stop - start)
    lookback = Lookback(4, 6)
    lookback(Block("decoder", 0, (0,), 0, weights, visible))
    np.testing.assert_allclose(lookback.ratios[0, 0], [np.nan, 1 / 3, 1 / 5, 0, 0, 0], atol=1e-6)
    ((_, _, mean),) = lookback.result.heads
    np.testing.assert_allclose(mean, (1 / 3 + 1 / 5) / 5, atol=1e-6)
