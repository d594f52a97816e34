"""Screens: the properties of the places that drawings go to, and consoles that write to them.

Renderers are pure: they take a `Screen` and never read the environment. The command line probes the terminal once; a
file is a screen too, so the same drawing goes to a terminal, to text, to SVG and to HTML.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console, RenderableType
from rich.terminal_theme import TerminalTheme

from attn_cli.errors import UsageError, quoted
from attn_cli.system.background import is_light

__all__ = ["NARROWEST", "Depth", "Screen", "Theme", "console", "lines_of", "probe", "to_text"]

Theme = Literal["dark", "light"]
Depth = Literal["truecolor", "256"]

NARROWEST = 40
"""Least width of a screen in columns; on a narrower terminal, lines are still this long."""

GLYPHS = "▀▄█░▒▓■▲▼━╸·…→×–▁▂▃▅▆▇"
"""Characters beyond ASCII that the renderers themselves draw."""

DARK = TerminalTheme((14, 15, 19), (216, 217, 222), [(0, 0, 0)] * 8)
LIGHT = TerminalTheme((255, 255, 255), (32, 33, 38), [(0, 0, 0)] * 8)
"""Background and foreground of pictures; drawings use none of a terminal's own sixteen colours."""

FOREIGN = re.compile(r"[^\x00-\x7f·]+")
"""Characters that a browser may take from a font of another width, or write from right to left."""


@dataclass(frozen=True, slots=True)
class Screen:
    """A place to draw on."""

    width: int = 80
    """Width in cells; at least 40."""
    height: int | None = None
    """Height in lines; None if unlimited (a file, a pipe)."""
    color: bool = True
    """True if colours, bold and dim can be used; otherwise shades show the weights."""
    unicode: bool = True
    """True if more than ASCII can be shown."""
    theme: Theme = "dark"
    """Theme of the background."""
    depth: Depth = "truecolor"
    """Number of colours available."""
    part: bool = False
    """True for a part of a screen, which may be narrower."""

    def __post_init__(self) -> None:
        if self.width < NARROWEST and not self.part:
            raise ValueError(f"a screen has at least {NARROWEST} columns, not {self.width}")


def console(screen: Screen, file: Any) -> Console:
    """Make a console that writes drawings made for `screen` to `file` and detects nothing itself."""
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
    """Render a drawing as text, with ANSI colours if the screen has colour."""
    file = io.StringIO()
    console(screen, file).print(drawing)
    return file.getvalue()


def lines_of(drawing: RenderableType, screen: Screen) -> int:
    """Count the lines that a drawing takes."""
    return to_text(drawing, screen).count("\n")


def probe(
    stdout: Any,
    environ: Mapping[str, str],
    *,
    color: bool | None = None,
    theme: Theme | None = None,
    stdin: Any = None,
) -> Screen:
    """Detect what `stdout` can show.

    Rich detects width, height and colours (`NO_COLOR`, `FORCE_COLOR`, `TERM`, `COLORTERM`, `COLUMNS`). A terminal with
    fewer than 256 colours counts as one without colour: sixteen cannot show a scale.

    Args:
        stdout: the text stream that the drawings will go to.
        environ: the environment variables.
        color: force colour on or off; None to detect it.
        theme: the terminal's background; None to read `ATTN_THEME` or `COLORFGBG`, which some terminals set, or else
            to ask the terminal, or else use `dark`.
        stdin: the text stream that the terminal answers on; None not to ask it.

    Raises:
        UsageError: `ATTN_THEME` is neither dark nor light.
    """
    found = Console(file=stdout, _environ=environ)
    colorful = found.color_system in ("truecolor", "256") and not found.no_color and not found.is_dumb_terminal
    shown = colorful if color is None else color
    theme = theme or _named(environ.get("ATTN_THEME", "")) or _ground(environ.get("COLORFGBG", ""))
    if theme is None and shown and found.is_terminal and is_light(stdin, stdout, environ):
        theme = "light"
    return Screen(
        width=max(found.width, NARROWEST),
        height=found.height if found.is_terminal else None,
        color=shown,
        unicode=_can_show(GLYPHS, stdout.encoding),
        theme=theme or "dark",
        depth="256" if found.color_system == "256" else "truecolor",
    )


def _can_show(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _named(theme: str) -> Theme | None:
    """Read the theme from `ATTN_THEME`."""
    themes: Mapping[str, Theme | None] = {"dark": "dark", "light": "light", "auto": None, "": None}
    if theme not in themes:
        raise UsageError(f"ATTN_THEME must be dark or light, not {quoted(theme)}", "Set one of them, or unset it")
    return themes[theme]


def _ground(colorfgbg: str) -> Theme | None:
    """Read the theme from `COLORFGBG` (rxvt's `foreground;background`): colours 7 and 9 to 15 of sixteen are light."""
    background = colorfgbg.rpartition(";")[2]
    if not background.isdigit():
        return None
    return "light" if int(background) in (7, *range(9, 16)) else "dark"
