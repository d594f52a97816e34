from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color

from attn_cli.draw.colors import BLANK, CHANGES, PALETTES, SHARES, WEIGHTS, Palette, Scale, ink, marks, painted
from attn_cli.draw.screen import Screen

KEYS = [pytest.param(key, id=" ".join(key)) for key in PALETTES]


def linear(color: str) -> tuple[float, float, float]:
    """sRGB without its gamma (IEC 61966-2-1)."""
    red, green, blue = (
        value / 12.92 if (value := part / 255) <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for part in Color.parse(color).get_truecolor()
    )
    return red, green, blue


def lightness(color: str) -> float:
    """OKLab's L."""
    cones = np.cbrt(
        np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        )
        @ np.array(linear(color))
    )
    return float(np.array([0.2104542553, 0.7936177850, -0.0040720468]) @ cones)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    low, high = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ np.array(linear(color))) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("key", KEYS)
def test_lightness_goes_one_way(key: tuple[str, str]) -> None:
    palette: Palette = PALETTES[key]  # type: ignore[index]
    steps = np.diff([lightness(cell) for cell in palette.cells])
    towards = 1 if key[0] == "dark" else -1
    if key[1] == "truecolor":
        # Even: no step differs from their mean by more than an eighth-bit colour can be off.
        np.testing.assert_allclose(steps, steps.mean(), atol=0.004)
        assert steps.mean() * towards > 0.04
    else:
        assert (steps * towards >= 0).all()
        assert len(set(palette.cells)) >= 12


@pytest.mark.parametrize("key", KEYS)
def test_changes_go_away_from_the_ground_both_ways(key: tuple[str, str]) -> None:
    palette: Palette = PALETTES[key]  # type: ignore[index]
    towards = 1 if key[0] == "dark" else -1
    assert len(palette.change_numbers) == len(palette.changes) == 17
    assert palette.changes[8] == palette.cells[0]
    for arm in (palette.changes[8::-1], palette.changes[8:]):
        steps = np.diff([lightness(cell) for cell in arm])
        if key[1] == "truecolor":
            np.testing.assert_allclose(steps, steps.mean(), atol=0.01)
            assert steps.mean() * towards > 0.06
        else:
            assert (steps * towards >= 0).all()
    assert min(contrast(*pair) for pair in zip(palette.changes, palette.change_numbers, strict=True)) >= 4.5
    for weaker, stronger in ((palette.changes[:8], "blue"), (palette.changes[9:], "red")):
        for color in weaker:
            red, _, blue = linear(color)
            assert (blue > red) == (stronger == "blue")


def test_levels_and_shades_of_changes() -> None:
    # 25 ± 8 x |change|^(2/3): .05 -> 1.09, .25 -> 3.17, .5 -> 5.04
    values = np.array([-1, -0.5, -0.25, -0.05, 0, 0.04, 0.05, 0.25, 1, np.nan], np.float32)
    assert CHANGES.levels(values).tolist() == [17, 20, 22, 24, 25, 26, 26, 28, 33, BLANK]
    assert CHANGES.shades(values).tolist() == [5, 5, 5, 6, 0, 0, 7, 8, 8, BLANK]
    assert "".join(marks(unicode=True)[shade] for shade in (5, 6, 0, 7, 8)) == "▼-·+▲"
    assert painted(33, Screen()).bgcolor == Color.parse(PALETTES["dark", "truecolor"].changes[-1])
    assert ink(17, 25, Screen()).color == painted(17, Screen()).bgcolor


@pytest.mark.parametrize("key", KEYS)
def test_numbers_can_be_read_on_their_cells(key: tuple[str, str]) -> None:
    palette: Palette = PALETTES[key]  # type: ignore[index]
    assert len(palette.numbers) == len(palette.cells) == 17
    assert min(contrast(*pair) for pair in zip(palette.cells, palette.numbers, strict=True)) >= 4.5


@pytest.mark.parametrize("key", KEYS)
def test_zero_is_nearly_the_ground(key: tuple[str, str]) -> None:
    palette: Palette = PALETTES[key]  # type: ignore[index]
    ground = "#000000" if key[0] == "dark" else "#ffffff"
    assert contrast(palette.cells[0], ground) < 1.3
    # And bars stand out even from the other ground.
    assert min(contrast(palette.cells[palette.accent], other) for other in ("#000000", "#ffffff")) > 3


def test_levels_of_weights() -> None:
    # 16 x w^(2/3): .05 -> 2.17, .10 -> 3.45, .25 -> 6.35, .50 -> 10.08
    values = np.array([0, 0.05, 0.1, 0.25, 0.5, 1, np.nan, np.inf], np.float32)
    assert WEIGHTS.levels(values).tolist() == [0, 2, 3, 6, 10, 16, BLANK, BLANK]
    assert WEIGHTS.shades(values).tolist() == [0, 1, 2, 3, 4, 4, BLANK, BLANK]
    assert SHARES.levels(values[:6]).tolist() == [0, 1, 2, 4, 8, 16]


@given(st.lists(st.floats(0, 1, width=32), min_size=2))
def test_more_weight_is_never_less_colour(values: list[float]) -> None:
    ordered = np.sort(np.array(values, np.float32))
    assert (np.diff(WEIGHTS.levels(ordered)) >= 0).all()
    assert (np.diff(WEIGHTS.shades(ordered)) >= 0).all()


def test_scores_use_the_whole_scale() -> None:
    scale = Scale.between(np.array([-4.0, 6.0, -np.inf, 1.0], np.float32))
    assert (scale.low, scale.high) == (-4.0, 6.0)
    assert scale.levels(np.array([-4.0, 1.0, 6.0, -np.inf], np.float32)).tolist() == [0, 8, 16, BLANK]
    assert scale.shades(np.array([-4.0, -2.0, 1.0, 6.0], np.float32)).tolist() == [0, 1, 2, 4]
    assert Scale.between(np.array([3.0, 3.0], np.float32)).levels(np.array([3.0], np.float32)).tolist() == [0]


def test_the_end_of_the_scale_leaves_few_above() -> None:
    values = np.full(1000, 0.03, np.float32)
    values[:20] = 0.9
    scale = Scale.reaching(values)
    assert (scale.high, scale.clipped) == (0.05, True)
    assert scale.steps == pytest.approx((0.0025, 0.005, 0.0125, 0.025))
    assert Scale.reaching(values, 0.25).high == 0.5
    assert not Scale.reaching(np.array([0.3, 0.4, np.nan], np.float32)).clipped
    assert Scale.reaching(np.array([np.nan], np.float32)) == WEIGHTS


def test_styles() -> None:
    dark, plain = Screen(), Screen(color=False)
    assert painted(BLANK, dark).bgcolor is None
    assert painted(16, plain).bgcolor is None
    assert painted(16, dark, bold=True).bold
    upper, lower = ink(16, BLANK, dark), ink(BLANK, 16, dark)
    assert upper.bgcolor is None
    assert upper.color == lower.color == painted(16, dark).bgcolor
    assert ink(BLANK, BLANK, dark).color is None
    assert all(mark.isascii() for mark in marks(unicode=False))
