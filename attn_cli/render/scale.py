"""From a number to a colour or a shade.

Two tables of 17 colours, one for each ground, dark and light. Both start near the ground, so that zero recedes, and go
away from it in even steps of OKLab lightness; hue turns from violet over rose to amber meanwhile, and back. Every cell is
painted, zero included, and every number has its own colour against its cell, so a map drawn for the wrong ground is a
plate of another brightness but reads the same.

Colours: OKLCH with lightness even from 0.22 to 0.93 (dark) and from 0.965 to 0.30 (light), converted with the matrices of
B. Ottosson, "A perceptual color space for image processing", 2020, https://bottosson.github.io/posts/oklab/ ; numbers
contrast with their cell by at least 4.5 to 1 as WCAG 2.2 defines contrast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from rich.color import Color
from rich.style import Style

from attn_cli.render.screen import Theme
from attn_cli.shapes import Float, Int

__all__ = ["BLANK", "PALETTES", "WEIGHTS", "Scale", "accent", "ink", "marks", "painted"]

PALETTES: Mapping[Theme, tuple[str, ...]] = {
    "dark": (
        "#181a22", "#21223a", "#2e2952", "#402e68", "#5b3076", "#78307d", "#963277", "#b23866", "#c9434d",
        "#d75742", "#e36b37", "#eb812e", "#f1972c", "#f3ae35", "#f4c355", "#f5d779", "#f7ea9b",
    ),
    "light": (
        "#f8f3eb", "#f4e3ce", "#f1d2b1", "#f0c097", "#f0ac7e", "#ef976a", "#ec825f", "#e66c5c", "#de565e",
        "#cd4769", "#b93a72", "#a43179", "#8c2c7c", "#74277c", "#5e2375", "#4a2069", "#371b5b",
    ),
}  # fmt: skip
"""Level 0 to 16."""

NUMBERS: Mapping[Theme, tuple[str, ...]] = {
    "dark": ("#8b8d99", "#9a9bab", "#b3aec4", "#d6cfe4", *("#ffffff",) * 5, *("#000000",) * 8),
    "light": ("#6e675c", "#63594b", "#584a38", "#46382a", *("#000000",) * 5, *("#ffffff",) * 8),
}
"""Colour of a number on a cell of each level; small ones stand back."""

LEVELS = 17
BLANK = -1
"""Level of what is not there: masked, or not a number."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How values become levels 0 to 16 (colour) or 0 to 4 (shade).

    Weights are placed by their square root. They span decades, and a root leaves `.05` and `.10` apart in a map that
    also holds a `1`; it is the same for every map, so one colour means one weight everywhere.
    """

    low: float = 0.0
    high: float = 1.0
    root: bool = True
    steps: tuple[float, float, float, float] = (0.05, 0.10, 0.25, 0.50)
    """Values at which the shades change."""

    @classmethod
    def between(cls, low: float, high: float) -> Scale:
        """An even scale from the lowest to the highest value of a map, for scores."""
        reach = high - low
        return cls(
            low, high, root=False, steps=(low + 0.2 * reach, low + 0.4 * reach, low + 0.6 * reach, low + 0.8 * reach)
        )

    def levels(self, values: Float[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
        """Level of each value; `BLANK` where it is not finite."""
        known = np.isfinite(values)
        reach = self.high - self.low
        share = np.clip((np.where(known, values, self.low) - self.low) / (reach if reach > 0 else 1.0), 0, 1)
        level = np.rint((np.sqrt(share) if self.root else share) * (LEVELS - 1))
        return np.where(known, level, BLANK).astype(np.intp)

    def shades(self, values: Float[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
        """Shade of each value, 0 to 4; `BLANK` where it is not finite."""
        known = np.isfinite(values)
        shade = np.searchsorted(np.asarray(self.steps), np.where(known, values, self.low), side="right")
        return np.where(known, shade, BLANK).astype(np.intp)


WEIGHTS = Scale()


def marks(*, unicode: bool, strongest: bool = False) -> tuple[str, ...]:
    """What stands for shade 0 to 4 where there is no colour; with `strongest`, a sixth for the strongest of a row."""
    if strongest:
        return ("·", "□", "□", "□", "□", "■") if unicode else (".", "o", "o", "o", "o", "X")
    return ("·", "░", "▒", "▓", "█") if unicode else (".", ":", "+", "*", "#")


@lru_cache(maxsize=256)
def painted(level: int, theme: Theme, *, bold: bool = False) -> Style:
    """A cell of this level, with a colour for what is written in it; no style for `BLANK`."""
    if level == BLANK:
        return Style.null()
    return Style(color=NUMBERS[theme][level], bgcolor=PALETTES[theme][level], bold=bold or None)


@lru_cache(maxsize=1024)
def ink(upper: int, lower: int, theme: Theme) -> Style:
    """Two cells in one character: `▀` of the upper's colour on the lower's; `▄` where the upper is `BLANK`."""
    palette = PALETTES[theme]
    if upper == BLANK:
        return Style(color=palette[lower]) if lower != BLANK else Style.null()
    return Style(color=palette[upper], bgcolor=palette[lower] if lower != BLANK else None)


def accent(theme: Theme, *, ground: bool = False) -> Style:
    """The colour of inline bars; with `ground`, on the track that shows how long a bar can be."""
    palette = PALETTES[theme]
    return Style(color=Color.parse(palette[11]), bgcolor=palette[0] if ground else None)
