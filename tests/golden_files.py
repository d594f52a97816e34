"""Whole screens, compared as text with what was looked at and found good.

Run `ATTN_WRITE_GOLDEN=1 pytest tests` to write them anew after a change that was meant, then look at the difference
(`git diff`; `cat tests/golden/NAME.txt` shows the colours).
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def assert_golden(name: str, text: str) -> None:
    """Compare `text` with `golden/NAME.txt`."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")
