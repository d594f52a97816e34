"""The browser that a page is opened in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from attn_cli.cli.streams import say

__all__ = ["can_open", "open_page"]

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""Variables of which one is set where a browser can show something; elsewhere Python might open one in the terminal."""


def can_open(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Return whether a browser would open on the screen that the user looks at.

    Args:
        environ: the environment variables.
        platform: the system, as `sys.platform` names it.
    """
    if any(environ.get(name) for name in DISPLAYS):
        return True
    return platform in {"darwin", "win32"} and not environ.get("SSH_CONNECTION")


def open_page(path: Path, *, quiet: bool = False) -> None:
    """Open a file in the browser, and say so on stderr, or say where it is if it cannot be opened.

    Args:
        path: the file.
        quiet: say nothing if it is opened.
    """
    import webbrowser  # late, since few commands open anything

    if can_open(os.environ) and webbrowser.open(path.absolute().as_uri()):
        if not quiet:
            say(f"opened {path}")
    else:
        say(f"no browser can be opened from here: copy {path} to where there is one, and open it")
