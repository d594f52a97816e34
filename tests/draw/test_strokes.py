"""The key to a scale: the values that its colours and shades stand for, and the ends that are open."""

from __future__ import annotations

import numpy as np
import pytest

from attn_cli.draw.colors import Scale
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import swatches

WEIGHTS = Scale.weights(0.05)
CLIPPED = Scale.weights(0.05, clipped=True)
BETWEEN = ["-.0125", "-.0025", "0", "+.0025", "+.0125"]


@pytest.mark.parametrize(
    ("scale", "unicode", "ends"),
    [
        (CLIPPED.both_ways(), True, ("≤-.05", "≥+.05")),
        (CLIPPED.both_ways(), False, ("<=-.05", ">=+.05")),
        (WEIGHTS.both_ways(), True, ("-.05", "+.05")),
    ],
    ids=["open", "open in ASCII", "closed"],
)
def test_changes_may_go_beyond_both_ends(scale: Scale, unicode: bool, ends: tuple[str, str]) -> None:
    words = "".join(text for text, _ in swatches(scale, "change", Screen(unicode=unicode))).split()
    assert words == ["change", ends[0], *BETWEEN, ends[1]]


def test_one_loss_far_below_the_others_has_the_colour_of_the_lower_end() -> None:
    changes = np.full(100, 0.01)
    changes[::2] = -0.01
    changes[7] = -0.6
    scale = Scale.reaching(np.abs(changes)).both_ways()
    assert scale.clipped
    assert scale.levels(np.array([-0.6])) == scale.levels(np.array([-scale.high]))
    assert "≤" in "".join(text for text, _ in swatches(scale, "change", Screen()))


def test_weights_may_go_beyond_the_upper_end_alone() -> None:
    assert "".join(text for text, _ in swatches(CLIPPED, "weight", Screen())).split()[-1] == ".05+"
    assert "".join(text for text, _ in swatches(WEIGHTS, "weight", Screen())).split()[-1] == ".05"
