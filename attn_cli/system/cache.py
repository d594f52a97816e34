"""The folder in which attn keeps what it would take long to make again."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(name: str) -> Path:
    """Return a folder in the user's cache, which may not be there yet.

    Args:
        name: the folder's own name.
    """
    own = os.environ.get("XDG_CACHE_HOME")
    return (Path(own) if own else Path.home() / ".cache") / "attn" / name
