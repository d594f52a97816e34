"""Drawings as text, SVG and HTML files, which fetch nothing and run no scripts.

Rich can export SVG and HTML too, but as letters alone, so that half-blocks and columns align only in some fonts. Here
every cell has a fixed place, and blocks and bars are painted as rectangles.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby

import regex
from rich.color import blend_rgb
from rich.color_triplet import ColorTriplet
from rich.console import RenderableType
from rich.style import Style
from rich.terminal_theme import TerminalTheme

from attn_cli.draw.labels import width
from attn_cli.draw.screen import DARK, LIGHT, Screen, console

__all__ = ["escaped", "html_and_styles", "html_fragment", "to_page", "to_svg", "to_text"]

FONTS = "ui-monospace, 'Cascadia Mono', 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"

NOT_XML = re.compile("[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (controls, surrogates), and the controls that it discourages."""

Box = tuple[float, float, float, float]
"""A rectangle: left, top, right, bottom, as shares of a cell."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

BLOCKS: dict[str, tuple[Box, float]] = {
    "▀": ((0.0, 0.0, 1.0, 1 / 2), 1.0),
    "▐": ((1 / 2, 0.0, 1.0, 1.0), 1.0),
    "░": (WHOLE, 1 / 4),
    "▒": (WHOLE, 1 / 2),
    "▓": (WHOLE, 3 / 4),
    "━": ((0.0, 7 / 16, 1.0, 9 / 16), 1.0),
    "╸": ((0.0, 7 / 16, 1 / 2, 9 / 16), 1.0),
    "╺": ((1 / 2, 7 / 16, 1.0, 9 / 16), 1.0),
    **{chr(0x2580 + eighths): ((0.0, 1 - eighths / 8, 1.0, 1.0), 1.0) for eighths in range(1, 9)},
    **{chr(0x2590 - eighths): ((0.0, 0.0, eighths / 8, 1.0), 1.0) for eighths in range(1, 8)},
}
"""Characters that are rectangles: the part of the cell that each covers, and the opacity of its colour."""

PLAIN = frozenset(map(chr, range(0x20, 0x7F))) | {"·"}
"""Characters that every fixed-width font has, all of one width."""


@dataclass(frozen=True, slots=True)
class _StyledRun:
    """Neighbouring cells of one style."""

    line: int
    column: int
    cells: int
    text: str
    ink: ColorTriplet
    ground: ColorTriplet | None
    """Background colour; None for the page's own."""
    css: str
    """Declarations for font weight, slant and text decoration."""


def to_text(drawing: RenderableType, screen: Screen) -> str:
    """Render a drawing as plain text."""
    lines = console(screen, io.StringIO()).render_lines(drawing, pad=False)
    texts = ("".join(segment.text for segment in line if not segment.control) for line in lines)
    return "\n".join(NOT_XML.sub("", text).rstrip() for text in texts).strip("\n") + "\n"


def html_fragment(drawing: RenderableType, screen: Screen) -> str:
    """Render a drawing as one HTML element with inline styles, for use in any page, such as a notebook's."""
    return _pre(drawing, screen, lambda css: f' style="{css}"')


def html_and_styles(drawing: RenderableType, screen: Screen) -> tuple[str, str]:
    """Render a drawing as one HTML element, and the rules of the classes that it uses, one a line."""
    looks: dict[str, str] = {}
    body = _pre(drawing, screen, lambda css: f' class="{looks.setdefault(css, f"l{len(looks)}")}"')
    return body, "\n".join(f".{name} {{{css}}}" for css, name in looks.items())


def to_page(drawing: RenderableType, screen: Screen, title: str = "attn") -> str:
    """Render a drawing as a self-contained HTML page."""
    body, styles = html_and_styles(drawing, screen)
    theme = _theme(screen)
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="{screen.theme}">
<title>{escaped(title)}</title>
<style>
html {{background: {theme.background_color.hex}}}
body {{margin: 0}}
{styles}
</style>
</head>
<body>
{body}</body>
</html>
"""


LINE = 16
"""Height of a line in HTML, in pixels; even, so that half a line is whole pixels. A cell is about 8.4 pixels wide."""


def _pre(drawing: RenderableType, screen: Screen, look: Callable[[str], str]) -> str:
    theme = _theme(screen)
    lines = ["".join(_span(run, theme, look) for run in runs).rstrip() for runs in _lines(drawing, screen, theme)]
    css = "; ".join(
        (
            f"color: {theme.foreground_color.hex}",
            f"background: {theme.background_color.hex}",
            "margin: 0",
            f"padding: {LINE}px",
            "overflow-x: auto",
            "white-space: pre",
            "direction: ltr",
            "text-align: left",
            f"font: 14px/{LINE}px {FONTS}",
            "print-color-adjust: exact",
        )
    )
    content = "\n".join(lines).strip("\n")
    # The first newline after <pre> is not shown.
    return f"<pre{look(css)}>\n{content}\n</pre>\n"


def _span(run: _StyledRun, theme: TerminalTheme, look: Callable[[str], str]) -> str:
    css = []
    block = BLOCKS.get(run.text[0])
    if block is not None or run.ground is not None or not run.text.isascii():
        # A fixed box keeps the width that a terminal would take in any font.
        css.append(f"display: inline-block; vertical-align: top; height: {LINE}px; width: {run.cells}ch")
    if block is not None:
        (left, top, right, bottom), opacity = block
        paint = blend_rgb(run.ground or theme.background_color, run.ink, opacity).hex
        width = "100%" if right - left == 1 else f"{right - left:g}ch"
        # The character stays so that it can be copied.
        css.append(
            f"color: transparent; background: {(run.ground or theme.background_color).hex} "
            f"linear-gradient({paint}, {paint}) {left:g}ch {top * LINE:g}px / {width} {(bottom - top) * LINE:g}px "
            "no-repeat"
        )
    else:
        if run.ink != theme.foreground_color:
            css.append(f"color: {run.ink.hex}")
        if run.ground is not None:
            css.append(f"background: {run.ground.hex}")
    if run.css:
        css.append(run.css)
    return f"<span{look('; '.join(css))}>{escape(run.text)}</span>" if css else escape(run.text)


CELL = (10, 20)
"""Width and height of a cell in SVG, in pixels; half-blocks are squares."""


def to_svg(drawing: RenderableType, screen: Screen, title: str = "attn") -> str:
    """Render a drawing as an SVG picture."""
    theme = _theme(screen)
    wide, high = CELL
    lines = list(_lines(drawing, screen, theme))
    while lines and not any(run.text.strip() or run.ground for run in lines[-1]):
        lines.pop()
    rectangles: list[str] = []
    texts: list[str] = []
    for runs in lines:
        for run in runs:
            block = BLOCKS.get(run.text[0])
            if run.ground is not None:
                rectangles.append(_rectangle(run, WHOLE, run.ground))
            if block is not None:
                box, opacity = block
                rectangles.append(
                    _rectangle(run, box, blend_rgb(run.ground or theme.background_color, run.ink, opacity))
                )
            else:
                texts += _texts(run)
    width, height = (screen.width + 4) * wide, len(lines) * high + 2 * high
    newline = "\n"
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>{escaped(title)}</title>
<rect width="100%" height="100%" fill="{theme.background_color.hex}"/>
<g transform="translate({2 * wide}, {high})">
<g shape-rendering="crispEdges">
{newline.join(rectangles)}
</g>
<g font-family="{FONTS}" font-size="16.5" fill="{theme.foreground_color.hex}">
{newline.join(texts)}
</g>
</g>
</svg>
"""


def _rectangle(run: _StyledRun, box: Box, fill: ColorTriplet) -> str:
    wide, high = CELL
    left, top, right, bottom = box
    # A box narrower than a cell never has several cells: `_pieces` yields such blocks one by one.
    x, width = (run.column + left) * wide, (right - left) * wide * run.cells
    y, height = (run.line + top) * high, (bottom - top) * high
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill.hex}"/>'


def _texts(run: _StyledRun) -> Iterator[str]:
    """Yield an element for each word with its own position, so that errors of a font's widths do not add up."""
    wide, high = CELL
    style = f' style="{run.css}"' if run.css else ""
    plain = set(run.text) <= PLAIN
    words = [(word.start(), word[0]) for word in re.finditer("[^ ]+", run.text)] if plain else [(0, run.text)]
    for offset, word in words:
        cells = len(word) if plain else run.cells
        fit = "" if plain else ' lengthAdjust="spacingAndGlyphs"'
        length = f' textLength="{cells * wide}"{fit}' if len(word) > 1 else ""
        x, y = (run.column + offset) * wide, run.line * high + 15
        yield f'<text x="{x}" y="{y}"{length} fill="{run.ink.hex}"{style}>{escape(word)}</text>'


def _lines(drawing: RenderableType, screen: Screen, theme: TerminalTheme) -> Iterator[list[_StyledRun]]:
    """Yield the runs of each line."""
    for number, segments in enumerate(console(screen, io.StringIO()).render_lines(drawing, pad=False)):
        runs: list[_StyledRun] = []
        column = 0
        for segment in segments:
            if segment.control:
                continue
            for text in _pieces(NOT_XML.sub("", segment.text)):
                run = _run(number, column, text, segment.style or Style.null(), theme)
                runs.append(run)
                column += run.cells
        yield runs


def _pieces(text: str) -> Iterator[str]:
    """Split text into stretches that one element can show: blocks of one kind, letters in every font, and the rest."""
    for kind, same in groupby(regex.findall(r"\X", text), _kind):
        if kind in BLOCKS and BLOCKS[kind][0][2] - BLOCKS[kind][0][0] < 1:
            yield from same
        else:
            yield "".join(same)


def _kind(grapheme: str) -> str:
    if grapheme in BLOCKS:
        return grapheme
    return "plain" if grapheme in PLAIN else "other"


def _run(line: int, column: int, text: str, style: Style, theme: TerminalTheme) -> _StyledRun:
    ink = theme.foreground_color if style.color is None else style.color.get_truecolor(theme)
    ground = None
    if style.bgcolor is not None and not style.bgcolor.is_default:
        ground = style.bgcolor.get_truecolor(theme, foreground=False)
    if style.reverse:
        ink, ground = ground or theme.background_color, ink
    if style.dim:
        ink = blend_rgb(ink, ground or theme.background_color, 0.5)
    css = {
        "font-weight: bold": style.bold,
        "font-style: italic": style.italic,
        "text-decoration: underline": style.underline,
        "text-decoration: line-through": style.strike,
    }
    return _StyledRun(line, column, width(text), text, ink, ground, "; ".join(name for name, on in css.items() if on))


def _theme(screen: Screen) -> TerminalTheme:
    return DARK if screen.theme == "dark" else LIGHT


def escaped(text: str) -> str:
    """Escape a text for HTML and XML, without characters that these cannot hold."""
    return escape(NOT_XML.sub("", text))
