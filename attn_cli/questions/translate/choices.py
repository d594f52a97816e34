"""Choice of word links: the method, and the least weight. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from attn_cli.errors import check_range

__all__ = ["AlignMethod", "LinkChoice"]

AlignMethod = Literal["argmax", "mutual", "itermax"]
"""`argmax`: each target word with its strongest source word. `mutual`: words that are each other's strongest.
`itermax`: these, and then those among the words that are left (Jalili Sabet et al. 2020)."""


@dataclass(frozen=True)
class LinkChoice:
    """The word links that are wanted.

    Raises:
        UsageError: the least weight is not between 0 and 1.
    """

    method: AlignMethod = "argmax"
    least: float = 0.0
    """The least weight of a link."""

    def __post_init__(self) -> None:
        check_range("--min", self.least, 0, 1)

    @property
    def title(self) -> str:
        """The choice as the end of a title; empty if each target word is linked."""
        method = "" if self.method == "argmax" else f", {self.method} links"
        return f"{method}{f', weight {self.least:g} or more' if self.least else ''}"
