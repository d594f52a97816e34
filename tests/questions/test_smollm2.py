"""Tests of the screens of a trained decoder: its sink, and the effect of cutting a head."""

from __future__ import annotations

import pytest

from tests.conftest import Run
from tests.golden_files import assert_golden

FRANCE = "The capital of France is"
SCREENS = {
    "inspect-80": (["inspect", FRANCE, "--layer", "16,23"], "focus"),
    "inspect-60": (["inspect", FRANCE, "--layer", "16,23", "--width", "60"], "focus"),
    "ablate-head-80": (["ablate", FRANCE, "--head", "23.4"], "Decoder head 23.4"),
}
"""The arguments of each, and how the line begins from which on it is compared: before it stands the file's name."""


@pytest.mark.unchecked
@pytest.mark.parametrize("screen", SCREENS)
def test_golden_screens(screen: str, attn: Run, smollm2: str) -> None:
    arguments, begin = SCREENS[screen]
    lines = attn(*arguments, "--model", smollm2, "--no-color").splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith(begin))
    assert_golden(f"smollm2-{screen}", "".join(lines[start:]))
