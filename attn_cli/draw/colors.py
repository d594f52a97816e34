"""Colours and shades for numbers.

There are two tables of 17 colours, one for a dark and one for a light background. Both start near the background, so
that zero recedes, and move away from it in even steps of OKLab lightness, while the hue turns from violet over rose to
amber or back. Every cell is painted, zero included, and every number has a colour that contrasts with its cell, so a
map drawn for the wrong background differs in brightness but reads the same.

Changes have two tables of their own. These diverge from the background: blue for lost weight and amber for gained
weight, two hues that stay distinct in the common kinds of colour blindness.

Colours: OKLCH with lightness even from 0.22 to 0.93 (dark) and from 0.965 to 0.30 (light); for changes from 0.22 to
0.86 and from 0.965 to 0.38. They are converted with the matrices of B. Ottosson, "A perceptual color space for image
processing", 2020, https://bottosson.github.io/posts/oklab/. Numbers contrast with their cell by at least 4.5 to 1 as
WCAG 2.2 defines contrast. Terminals with 256 colours get the nearest of xterm's colours 16 to 255 that keep lightness
monotonic; some of these are used twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from rich.style import Style

from attn_cli.data.shapes import Float, Int
from attn_cli.draw.screen import Depth, Screen, Theme

__all__ = [
    "BLANK",
    "CHANGES",
    "PALETTES",
    "ROUNDED",
    "SHARES",
    "WEIGHTS",
    "Palette",
    "Scale",
    "bar_styles",
    "ink",
    "marks",
    "painted",
    "strongest_mark",
]


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of cells and of their numbers at each level, 0 to 16; numbers of small weights are subdued."""

    cells: tuple[str, ...]
    numbers: tuple[str, ...]
    accent: int
    """Level of the colour of inline bars, which stands out from either background."""
    rail: int
    """Level of the colour that shows the full length of a bar."""
    changes: tuple[str, ...]
    """Cell colours at each level of a change: all weight lost first, no change in the middle, all gained last."""
    change_numbers: tuple[str, ...]

    def cell(self, level: int) -> str:
        """Return the colour of a cell of any level."""
        return self.cells[level] if level < LEVELS else self.changes[level - LEVELS]

    def number(self, level: int) -> str:
        """Return the colour of a number on a cell of any level."""
        return self.numbers[level] if level < LEVELS else self.change_numbers[level - LEVELS]


LEVELS = 17
"""Number of levels of weights and similar values; the same number of levels for changes follows them."""


def _xterm(*numbers: int) -> tuple[str, ...]:
    return tuple(f"color({number})" for number in numbers)


WHITE, BLACK = "#ffffff", "#000000"

PALETTES: Mapping[tuple[Theme, Depth], Palette] = {
    ("dark", "truecolor"): Palette(
        (
            "#181a22", "#21223a", "#2e2952", "#402e68", "#5b3076", "#78307d", "#963277", "#b23866", "#c9434d",
            "#d75742", "#e36b37", "#eb812e", "#f1972c", "#f3ae35", "#f4c355", "#f5d779", "#f7ea9b",
        ),
        ("#8b8d99", "#9a9bab", "#b3aec4", "#d6cfe4", *(WHITE,) * 5, *(BLACK,) * 8),
        accent=10,
        rail=2,
        changes=(
            "#8cdeff", "#39c7ff", "#07abeb", "#0c8fcf", "#1d75af", "#1f5b8e", "#1c446f", "#162e50", "#181a22",
            "#4a200e", "#663214", "#844518", "#a25919", "#c07016", "#dc8819", "#f3a537", "#fec675",
        ),
        change_numbers=(
            "#000000", "#000000", "#000000", "#000000", "#ffffff", "#ffffff", "#c4c5d2", "#a5a7b5", "#8b8d99",
            "#a5a7b5", "#c4c5d2", "#ffffff", "#ffffff", "#000000", "#000000", "#000000", "#000000",
        ),
    ),
    ("light", "truecolor"): Palette(
        (
            "#f6f3ef", "#eee4d7", "#e7d5c0", "#e7c3a0", "#e8b081", "#e89c66", "#e8864c", "#e3723f", "#dd5a41",
            "#d0474e", "#c0365c", "#aa2c69", "#932672", "#7a2277", "#621e76", "#4c1d6a", "#371b5b",
        ),
        ("#6e675c", "#63594b", "#584a38", "#46382a", *(BLACK,) * 6, *(WHITE,) * 7),
        accent=9,
        rail=1,
        changes=(
            "#03379a", "#0050b1", "#036ac7", "#2183d8", "#439de4", "#64b5f0", "#85cdfc", "#b3e3ff", "#f6f3ef",
            "#ffd2a8", "#f3b582", "#e59861", "#d77a41", "#c85b20", "#b43e02", "#9a2501", "#800600",
        ),
        change_numbers=(
            "#ffffff", "#ffffff", "#ffffff", "#000000", "#000000", "#000000", "#463f36", "#5f574b", "#6e675c",
            "#5f574b", "#463f36", "#000000", "#000000", "#000000", "#ffffff", "#ffffff", "#ffffff",
        ),
    ),
    ("dark", "256"): Palette(
        _xterm(234, 235, 236, 53, 53, 89, 125, 161, 161, 166, 202, 208, 208, 214, 221, 222, 229),
        _xterm(245, 247, 249, *(231,) * 6, *(16,) * 8),
        accent=10,
        rail=2,
        changes=_xterm(117, 45, 39, 32, 31, 24, 24, 18, 234, 52, 52, 94, 130, 130, 172, 214, 222),
        change_numbers=_xterm(16, 16, 16, 16, 16, 231, 231, 249, 245, 247, 249, 231, 231, 231, 16, 16, 16),
    ),
    ("light", "256"): Palette(
        _xterm(255, 254, 223, 216, 216, 209, 209, 203, 167, 161, 161, 125, 125, 90, 54, 53, 17),
        _xterm(241, 240, 239, 237, *(16,) * 5, *(231,) * 8),
        accent=9,
        rail=1,
        changes=_xterm(19, 25, 25, 32, 39, 75, 117, 153, 255, 223, 216, 173, 173, 166, 124, 124, 88),
        change_numbers=_xterm(231, 231, 231, 16, 16, 16, 239, 240, 241, 240, 239, 16, 16, 16, 231, 231, 231),
    ),
}  # fmt: skip

ROUNDED = 1.005
"""Largest weight that is 1 where it is written with two decimals."""
BLANK = -1
"""Level of a missing value: masked, or not a number."""

STEPS = (0.05, 0.10, 0.25, 0.50)
"""Thresholds between the shades of weights, as shares of the scale."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A mapping of values to levels 0 to 16 (colour) or shades 0 to 4; changes map to the levels and shades after."""

    low: float = 0.0
    high: float = 1.0
    power: float = 1.0
    """Exponent applied to a value's share of the scale."""
    steps: tuple[float, float, float, float] = (0.2, 0.4, 0.6, 0.8)
    """Thresholds between the shades, as values."""
    clipped: bool = False
    """True if there are values beyond an end: above `high`, or below -`high` where they are signed."""
    signed: bool = False
    """True if values are changes, from -`high` to `high`; their levels and shades come after all others."""

    @classmethod
    def weights(cls, high: float = 1.0, *, clipped: bool = False) -> Scale:
        """Make a scale for weights, whose power keeps .05 and .10 apart in a map that also holds a 1."""
        steps = tuple(step * high for step in STEPS)
        return cls(0.0, high, power=2 / 3, steps=(steps[0], steps[1], steps[2], steps[3]), clipped=clipped)

    @classmethod
    def reaching(cls, values: Float[np.ndarray, "..."], share: float = 0.0) -> Scale:
        """Make a scale for weights drawn without numbers, up to a round number that covers the lowest 98 % of them.

        Args:
            values: the weights.
            share: the share of the largest weight that it covers at least.
        """
        known = values[np.isfinite(values)]
        if not known.size:
            return cls.weights()
        reach = max(float(np.quantile(known, 0.98)), share * float(known.max()))
        # (A weight is at most 1, but for rounding, unless its row does not sum to 1.)
        ends = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, ROUNDED)
        high = next((min(high, 1.0) for high in ends if reach <= high), _above(max(reach, 1.0)))
        return cls.weights(high, clipped=bool(known.max() > high))

    def both_ways(self) -> Scale:
        """Return a copy of this scale for differences of two such values: blue for losses, amber for gains."""
        return replace(self, low=-self.high, signed=True)

    @classmethod
    def around(cls, values: Float[np.ndarray, "..."]) -> Scale:
        """Make a scale for scores or their changes, symmetric around 0 and up to a round number."""
        most = float(np.abs(values).max(initial=0.0, where=np.isfinite(values)))
        return cls.weights(_above(most) if most > 0 else 1.0).both_ways()

    @classmethod
    def between(cls, values: Float[np.ndarray, "..."]) -> Scale:
        """Make a linear scale from the lowest to the highest value, for scores."""
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
        steps = [low + share * (high - low) for share in (0.2, 0.4, 0.6, 0.8)]
        return cls(low, high, steps=(steps[0], steps[1], steps[2], steps[3]))

    def levels(self, values: Float[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
        """Return the level of each value; `BLANK` where it is not finite."""
        known = np.isfinite(values)
        if self.signed:
            share = np.clip(np.abs(np.where(known, values, 0)) / self.high, 0, 1) ** self.power
            steps = np.rint(share * (LEVELS // 2)) * np.sign(np.where(known, values, 0))
            return np.where(known, LEVELS + LEVELS // 2 + steps, BLANK).astype(np.intp)
        reach = self.high - self.low
        share = np.clip((np.where(known, values, self.low) - self.low) / (reach if reach > 0 else 1.0), 0, 1)
        return np.where(known, np.rint(share**self.power * (LEVELS - 1)), BLANK).astype(np.intp)

    def shades(self, values: Float[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
        """Return the shade of each value, 0 to 4, or of each change, 0 or 5 to 8; `BLANK` where it is not finite."""
        known = np.isfinite(values)
        if self.signed:
            size = np.searchsorted(np.asarray(self.steps)[[0, 2]], np.abs(np.where(known, values, 0)), side="right")
            shade = np.where(size == 0, 0, np.where(np.where(known, values, 0) > 0, 6 + size, 7 - size))
            return np.where(known, shade, BLANK).astype(np.intp)
        shade = np.searchsorted(np.asarray(self.steps), np.where(known, values, self.low), side="right")
        return np.where(known, shade, BLANK).astype(np.intp)


WEIGHTS = Scale.weights()
"""Scale for weights drawn with numbers: one colour means one weight in every map."""
CHANGES = WEIGHTS.both_ways()
"""Scale for changes drawn with numbers."""
SHARES = Scale()
"""Scale for figures that are spread evenly from 0 to 1, such as focus."""


def _above(value: float) -> float:
    """Round a positive value up to the next of 1, 2, 5, 10, 20, 50, ..."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value))


def marks(*, unicode: bool) -> tuple[str, ...]:
    """Return the marks of shades 0 to 4 for use without colour, then of changes: much less, less, more, much more."""
    return (*("·░▒▓█" if unicode else ".:+*#"), *("▼-+▲" if unicode else "v-+^"))


def strongest_mark(*, unicode: bool) -> str:
    """Return the mark of the strongest key of a row, which stands beside its shade."""
    return "■" if unicode else "X"


@lru_cache(maxsize=256)
def painted(level: int, screen: Screen, *, bold: bool = False) -> Style:
    """Return the style of a cell of this level and its text; no style for `BLANK` or without colour."""
    if level == BLANK or not screen.color:
        return Style.null()
    palette = _palette(screen)
    return Style(color=palette.number(level), bgcolor=palette.cell(level), bold=bold or None)


@lru_cache(maxsize=1024)
def ink(upper: int, lower: int, screen: Screen) -> Style:
    """Style two cells in one character: `▀` of the upper's colour on the lower's; `▄` where the upper is `BLANK`."""
    color = _palette(screen).cell
    if upper == BLANK:
        return Style(color=color(lower)) if lower != BLANK else Style.null()
    return Style(color=color(upper), bgcolor=color(lower) if lower != BLANK else None)


def bar_styles(screen: Screen) -> tuple[Style, Style]:
    """Return the style of an inline bar and that of the rest of its length."""
    palette = _palette(screen)
    return Style(color=palette.cells[palette.accent]), Style(color=palette.cells[palette.rail])


def _palette(screen: Screen) -> Palette:
    return PALETTES[screen.theme, screen.depth]
