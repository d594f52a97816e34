"""The place in an explorer: the kind, the head, the query and the key, and what is shown of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from attn_cli.data.selection import Kind, Measure, SortKey

__all__ = ["EFFECT", "FOCUS", "Pane", "Spot"]

Pane = Literal["heads", "picture", "map"]
"""The part of the screen that the arrows move in; a text has no picture."""
FOCUS: Final = "focus"
EFFECT: Final = "effect"
"""Values of the atlas beside the scores of roles: the focus of each head, and the effect of cutting it."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in an explorer. Every step of a walk makes another."""

    kind: Kind
    layer: int
    head: int
    query: int = 0
    """Index of the row under the cursor."""
    key: int = 0
    """Index of the column under the cursor."""
    units: Literal["word", "token"] = "word"
    """The units asked for; scores are shown in tokens in any case."""
    measure: Measure = "weights"
    sort: SortKey = "layer"
    atlas: str = FOCUS
    """The value of each head in the atlas: `FOCUS`, `EFFECT`, or the name of a role."""
    pane: Pane = "heads"

    @property
    def unit(self) -> Literal["word", "token"]:
        """The units shown."""
        return "token" if self.measure == "scores" else self.units
