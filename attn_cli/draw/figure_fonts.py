"""The fonts of figures: the one asked for, and others for letters that it lacks."""

from __future__ import annotations

from matplotlib import font_manager

from attn_cli.draw.figure_style import FigureStyle
from attn_cli.draw.labels import clean
from attn_cli.draw.picture import PaperPicture
from attn_cli.errors import UsageError, quoted

__all__ = ["check_font", "fonts_for"]

DEFAULT_FONT = "DejaVu Sans"


def check_font(name: str) -> None:
    """Check that a font is installed.

    Raises:
        UsageError: it is not.
    """
    try:
        font_manager.findfont(font_manager.FontProperties(family=[name]), fallback_to_default=False)
    except ValueError as fault:
        raise UsageError(
            f"No font {quoted(name)} is installed", "Name one that is, or leave --font out for DejaVu Sans"
        ) from fault


def fonts_for(picture: PaperPicture, style: FigureStyle) -> tuple[list[str], set[str]]:
    """Return the font asked for, after it installed ones that have the letters that it lacks, and what no font has."""
    chosen = style.font or DEFAULT_FONT
    texts = (*picture.rows.texts, *picture.columns.texts, style.title_line)
    lacking = {letter for text in texts for letter in clean(text)} - _letters(chosen)
    fonts = [chosen]
    for name in (DEFAULT_FONT, *_regular_fonts()) if lacking else ():
        if name not in fonts and lacking & _letters(name):
            fonts.append(name)
            lacking -= _letters(name)
    # Where an SVG is looked at, there may be none of them.
    return [*fonts, "sans-serif"], lacking


def _regular_fonts() -> list[str]:
    """Return the names of the installed fonts that are upright and of usual weight and width."""
    found = font_manager.fontManager.ttflist
    plain = {font.name for font in found if (font.style, font.weight, font.stretch) == ("normal", 400, "normal")}
    # The last resort has a box with a code for every letter, which says no more than an empty box.
    return sorted(name for name in plain if not name.startswith((".", "Last Resort")))


def _letters(font: str) -> set[str]:
    """Return the letters that a font has."""
    path = font_manager.findfont(font_manager.FontProperties(family=[font]))
    return set(map(chr, font_manager.get_font(path).get_charmap()))
