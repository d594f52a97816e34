"""Whole screens, compared with what was looked at and found good: as text, and as a picture where they have colour.

Run `ATTN_WRITE_GOLDEN=1 pytest -n 0 tests` to write them anew after a change that was meant, then look at the
difference: `git diff` shows text, and any browser the pictures.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parent / "golden"
ESCAPE = "\x1b"


def assert_golden(name: str, text: str, folder: Path = FOLDER) -> None:
    """Compare a screen with `golden/NAME.txt`, or with `golden/NAME.svg` where it has colour."""
    colored = ESCAPE in text
    path = folder / f"{name}.{'svg' if colored else 'txt'}"
    shown = _picture(text) if colored else text
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        path.write_text(shown, encoding="utf-8", newline="\n")
    assert shown == path.read_text(encoding="utf-8")


def _picture(text: str) -> str:
    """Draw what a terminal shows of these escape codes, by Rich's own reading of them."""
    screen = Text.from_ansi(text.rstrip("\n"))
    width = max(line.cell_len for line in screen.split("\n"))
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(screen, no_wrap=True, crop=False, end="")
    return console.export_svg(title="attn", unique_id="screen")
