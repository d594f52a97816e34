"""Tests of the screens of matrices from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

import attn_cli
from attn_cli.draw.screen import Screen, to_text
from tests.golden_files import assert_golden
from tests.samples import softmax

RANDOM = np.random.default_rng(1)
SHOWN = {
    "crossed": attn_cli.view(
        softmax(RANDOM.normal(scale=2, size=(3, 4, 5))),
        rows=["Le", "chat", "noir", "dort"],
        columns=["[CLS]", "The", "black", "cat", "sleeps"],
    ),
    "unscaled": attn_cli.view(12 * RANDOM.random(size=(2, 2, 6, 6)) ** 4, check=False, name="counts.npy"),
}


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("color", [True, False], ids=["color", "plain"])
@pytest.mark.parametrize("name", SHOWN)
def test_screens(name: str, color: bool, width: int) -> None:
    screen = Screen(width=width, height=40, color=color)
    assert_golden(f"matrix-{name}-{width}-{'color' if color else 'plain'}", to_text(SHOWN[name].draw(screen), screen))
