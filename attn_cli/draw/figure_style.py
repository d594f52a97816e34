"""The look of a figure for a paper: its width, font, title and background. Imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from attn_cli.errors import UsageError, check_range, quoted

__all__ = ["FigureStyle", "points"]

COLUMNS = {"single": 240.0, "double": 504.0}
"""Name -> width in points: one column of a paper in two columns (3⅓ inches), and both with the gap between (7)."""
UNITS = {"pt": 1.0, "in": 72.0, "cm": 72 / 2.54, "mm": 72 / 25.4}
"""Unit -> points, of which 72 make an inch here, as in PDF."""
WIDTH = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(pt|in|cm|mm)")
NARROWEST, WIDEST = 72.0, 2880.0
"""The least and the greatest width, in points: 1 to 40 inches."""
MOST_DOTS = 20_000
"""Most dots of a PNG from left to right: at 2,400 in an inch these are both columns of a paper, and 1.5 GB to draw."""


@dataclass(frozen=True)
class FigureStyle:
    """The look of a figure.

    Raises:
        UsageError: a width, a size or a resolution is out of its range.
    """

    size: str = "single"
    """Width: `single` or `double`, as columns of a paper, or a length such as `8.4cm`, `3.3in` or `240pt`."""
    font: str | None = None
    """Name of an installed font; None for DejaVu Sans, which comes with matplotlib."""
    font_size: float = 7.0
    """Size of the text, in points."""
    dpi: int = 300
    """Dots per inch of a PNG."""
    title: str = ""
    """Title above the figure; empty for none, as a paper has captions."""
    transparent: bool = False
    """True to leave the background transparent; otherwise it is white."""

    def __post_init__(self) -> None:
        points(self.size)
        check_range("--font-size", self.font_size, 4, 40)
        check_range("--dpi", self.dpi, 50, 2400)
        dots = round(self.width / 72 * self.dpi)
        if dots > MOST_DOTS:
            raise UsageError(
                f"A .png is at most {MOST_DOTS:,} dots wide, and {self.size} with --dpi {self.dpi} would be {dots:,}",
                "Take a smaller --dpi, or save it as .pdf",
            )

    @property
    def width(self) -> float:
        """The width in points."""
        return points(self.size)

    @property
    def title_line(self) -> str:
        """The title as one line, without spaces around it."""
        return " ".join(self.title.split())

    @property
    def changed(self) -> tuple[str, ...]:
        """The names of the fields that differ from their defaults."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) != field.default)


def points(size: str) -> float:
    """Convert a width to points.

    Raises:
        UsageError: it is neither a name nor a length, or out of its range.
    """
    if size in COLUMNS:
        return COLUMNS[size]
    match = WIDTH.fullmatch(size.strip())
    if match is None:
        raise UsageError(
            f"--size {quoted(size)} is not a width", "Use single or double, or a length such as 8.4cm, 3.3in or 240pt"
        )
    width = float(match[1]) * UNITS[match[2]]
    if not NARROWEST <= width <= WIDEST:
        raise UsageError(f"--size must be between 1 and 40 inches, and {size.strip()} is not", "Give another width")
    return width
