"""What a drawing must know of the place it is drawn on, and how it gets there.

Renderers are pure: they are told by a `Screen`, and never ask the environment. The command line probes once; a file is
a screen too, so the same drawing goes to a terminal, to text, to SVG and to HTML.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.terminal_theme import TerminalTheme

__all__ = ["NARROWEST", "Depth", "Screen", "Theme", "console", "probe", "to_html", "to_svg", "to_text"]

Theme = Literal["dark", "light"]
Depth = Literal["truecolor", "256"]

NARROWEST = 40
"""Columns that every drawing may count on; on a narrower terminal the lines are this long all the same."""

GLYPHS = "▀▄█░▒▓■□━╸·…→×–"
"""Every character beyond ASCII that the renderers themselves draw."""

DARK = TerminalTheme((14, 15, 19), (216, 217, 222), [(0, 0, 0)] * 8)
LIGHT = TerminalTheme((255, 255, 255), (32, 33, 38), [(0, 0, 0)] * 8)
"""Ground and ink of pictures; drawings use none of a terminal's own sixteen colours."""

SVG_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" xml:space="preserve">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font: bold 16px system-ui, "DejaVu Sans", sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""

HTML_STYLE = (
    "color: {ink}; background: {ground}; padding: 16px; overflow-x: auto; font: 14px/16px ui-monospace, Menlo, "
    "Consolas, 'DejaVu Sans Mono', monospace"
)
"""Lines just less high than letters, so that painted cells meet."""

FOREIGN = re.compile(r"[^\x00-\x7f·]+")
"""Characters that a browser may take from another font, of another width, or write from right to left."""


@dataclass(frozen=True, slots=True)
class Screen:
    """A place to draw on."""

    width: int = 80
    """In cells; at least 40."""
    height: int | None = None
    """In lines; None where there is no end (a file, a pipe)."""
    color: bool = True
    """Whether colours (and bold, and dim) can be used; where not, shades carry the weights."""
    unicode: bool = True
    """Whether more than ASCII can be shown."""
    theme: Theme = "dark"
    """The ground the colours stand on."""
    depth: Depth = "truecolor"
    """How many colours there are."""

    def __post_init__(self) -> None:
        if self.width < NARROWEST:
            raise ValueError(f"a screen has at least {NARROWEST} columns, not {self.width}")


def console(screen: Screen, file: Any) -> Console:
    """A console that writes drawings made for `screen` to `file`, and decides nothing itself."""
    return Console(
        file=file,
        width=screen.width,
        height=screen.height or 100,
        force_terminal=screen.color,
        color_system=screen.depth if screen.color else None,
        force_jupyter=False,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=False,
        _environ={},
    )


def to_text(drawing: RenderableType, screen: Screen) -> str:
    """The drawing as text, with ANSI colours where the screen has colour."""
    file = io.StringIO()
    console(screen, file).print(drawing)
    return file.getvalue()


def to_svg(drawing: RenderableType, screen: Screen, title: str = "attn") -> str:
    """The drawing as an SVG picture that fetches nothing."""
    recorder = _full_color(screen, record=True)
    recorder.print(drawing)
    return recorder.export_svg(title=title, theme=_theme(screen), code_format=SVG_FORMAT, unique_id="attn")


def to_html(drawing: RenderableType, screen: Screen) -> str:
    """The drawing as one `<pre>` element with inline styles, to be put into a page; it fetches nothing."""
    theme = _theme(screen)
    rows = [
        "".join(_span(segment, theme) for segment in segments)
        for segments in _full_color(screen).render_lines(drawing, pad=False)
    ]
    style = HTML_STYLE.format(ink=theme.foreground_color.hex, ground=theme.background_color.hex)
    return f'<pre style="{style}">' + "\n".join(rows).rstrip("\n") + "</pre>\n"


def _full_color(screen: Screen, *, record: bool = False) -> Console:
    """A console for pictures, which have every colour whatever the terminal has."""
    return Console(
        file=io.StringIO(),
        width=screen.width,
        record=record,
        force_terminal=True,
        color_system="truecolor",
        force_jupyter=False,
        legacy_windows=False,
        _environ={},
    )


def _theme(screen: Screen) -> TerminalTheme:
    return DARK if screen.theme == "dark" else LIGHT


def _span(segment: Segment, theme: TerminalTheme) -> str:
    """A stretch of one style, with what is not ASCII in boxes as wide as a terminal makes it."""
    from html import escape  # its table of entities takes time to load, and only pages need it

    text = FOREIGN.sub(
        lambda match: (
            f'<span style="display: inline-block; height: 16px; width: {cell_len(match[0])}ch">{match[0]}</span>'
        ),
        escape(segment.text, quote=False),
    )
    style = segment.style.get_html_style(theme) if segment.style else ""
    return f'<span style="{style}">{text}</span>' if style else text


def probe(stdout: Any, environ: Mapping[str, str], *, color: bool | None = None, theme: Theme | None = None) -> Screen:
    """Find out what `stdout` can show.

    Width, height and colours are Rich's findings (`NO_COLOR`, `FORCE_COLOR`, `TERM`, `COLORTERM`, `COLUMNS`). A
    terminal with fewer than 256 colours counts as one without: sixteen cannot show a scale.

    Args:
        stdout: the text stream that the drawings will go to.
        environ: the environment.
        color: colour or not, whatever the terminal says; None to ask it.
        theme: the terminal's ground; None to go by `COLORFGBG`, which some terminals set, and else `dark`.
    """
    found = Console(file=stdout, _environ=environ)
    colorful = found.color_system in ("truecolor", "256") and not found.no_color and not found.is_dumb_terminal
    return Screen(
        width=max(found.width, NARROWEST),
        height=found.height if found.is_terminal else None,
        color=colorful if color is None else color,
        unicode=_can_show(GLYPHS, stdout.encoding),
        theme=theme or _ground(environ.get("COLORFGBG", "")),
        depth="256" if found.color_system == "256" else "truecolor",
    )


def _can_show(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _ground(colorfgbg: str) -> Theme:
    """What `COLORFGBG` says (rxvt's `foreground;background`): of the sixteen colours 7 and 9 to 15 are light."""
    background = colorfgbg.rpartition(";")[2]
    return "light" if background.isdigit() and int(background) in (7, *range(9, 16)) else "dark"
