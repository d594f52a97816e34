"""Vectors as rows of cells, one for each number: colours or shades for its size, and for its sign."""

from __future__ import annotations

import numpy as np
from rich.text import Text

from attn_cli.data.shapes import Float
from attn_cli.draw.colors import Scale, marks, painted
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import PLAIN, Part, flow, line, swatches

__all__ = ["strip", "whole_vector"]


def strip(values: Float[np.ndarray, "dim"], scale: Scale, screen: Screen, *, cell: int = 1) -> list[Part]:
    """Draw numbers side by side.

    Args:
        values: the numbers.
        scale: the scale of their colours or shades.
        screen: the screen to draw on.
        cell: width of a number.
    """
    if screen.color:
        return [(" " * cell, painted(level, screen)) for level in scale.levels(values).tolist()]
    glyphs = marks(unicode=screen.unicode)
    return [("".join(glyphs[shade] * cell for shade in scale.shades(values).tolist()), PLAIN)]


def whole_vector(values: Float[np.ndarray, "dim"], screen: Screen, *, name: str) -> list[Text]:
    """Draw every number of a vector, on as many lines as that takes, and the scale below them.

    Args:
        values: the numbers.
        screen: the screen to draw on.
        name: the name of one number, for the scale.
    """
    scale = Scale.around(values)
    count = -(-len(values) // screen.width)
    size = -(-len(values) // count)
    rows = [line(*strip(values[first : first + size], scale, screen)) for first in range(0, len(values), size)]
    return [*rows, *flow([swatches(scale, name, screen)], screen)]
