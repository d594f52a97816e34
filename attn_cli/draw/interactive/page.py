"""Pages of HTML that can be played with: a drawing, the data behind it, and a script that draws them anew.

Everything is in the one file. Its policy lets nothing be fetched and nothing be run but the script it came with, and
where no script is run the drawing stays.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template

from rich.console import RenderableType

from attn_cli.draw.colors import PALETTES
from attn_cli.draw.labels import clipped
from attn_cli.draw.page import escaped, html_and_styles
from attn_cli.draw.screen import Screen
from attn_cli.system.encoding import json_bytes

__all__ = ["in_frame", "to_interactive_page"]

SCRIPTS = ("maps.js", "drawing.js", "patches.js", "app.js")
"""The parts of the script, in the order in which they build on one another."""
LONGEST_TITLE = 120
FRAME = "width: 100%; height: 660px; border: 0"
"""Style of a frame in a notebook, in which a long page scrolls."""


def to_interactive_page(drawing: RenderableType, screen: Screen, pages: Sequence[bytes], title: str) -> str:
    """Render a drawing as a self-contained HTML page that can be played with.

    Args:
        drawing: what is shown where no script is run, and below the rest.
        screen: the screen that it is drawn on.
        pages: the data of each text, as JSON.
        title: the title of the page.
    """
    picture, looks = html_and_styles(drawing, screen)
    style = _asset("page.css") + looks + "\n"
    script = "".join(map(_asset, SCRIPTS))
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return Template(_asset("page.html")).substitute(
        policy=policy,
        title=escaped(clipped(title, LONGEST_TITLE)) or "attn",
        style=style,
        script=script,
        picture=picture,
        colors=_in_script(json_bytes(_colors())),
        texts="\n".join(f'<script type="application/json" class="text">{_in_script(page)}</script>' for page in pages),
    )


def in_frame(page: str) -> str:
    """Put a page into a frame for a notebook, which can run its script but cannot reach the notebook."""
    return (
        f'<iframe title="attention" sandbox="allow-scripts allow-downloads" allow="clipboard-write" '
        f'style="{FRAME}" srcdoc="{escape(page)}"></iframe>'
    )


def _colors() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the colours of cells and of numbers on either ground, as the terminal has them."""
    return {
        theme: {
            "cells": palette.cells,
            "numbers": palette.numbers,
            "changes": palette.changes,
            "changeNumbers": palette.change_numbers,
        }
        for (theme, depth), palette in PALETTES.items()
        if depth == "truecolor"
    }


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the hash by which a policy knows the content of an element."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _in_script(data: bytes) -> str:
    """Write JSON so that nothing in it can end the element that holds it."""
    return data.decode().strip().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
