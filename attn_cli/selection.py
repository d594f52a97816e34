"""What a user asks for, as it is typed: `0-2,5`, `2.5`, `it#2`. Nothing heavy is imported to find a typing error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from attn_cli.errors import UsageError

__all__ = ["KINDS", "Kind", "Rows", "Selection", "SortKey", "check_syntax", "parse_heads", "parse_numbers"]

Kind = Literal["encoder", "decoder", "cross"]
KINDS: tuple[Kind, ...] = ("encoder", "decoder", "cross")

Rows = Literal["output", "input"]
"""Whose a decoder's step is, in cross-attention: the token's that it outputs, or the one's that it reads as input."""

SortKey = Literal["layer", "focus", "entropy", "distance", "first", "itself", "previous", "link"]

RANGE = re.compile(r"(-?\d+)(?:-(-?\d+))?")
PLACE = re.compile(r"(-?\d+)\.(-?\d+)")


@dataclass(frozen=True)
class Selection:
    """What a user asked to see, as it was typed; `attn_cli.plan` turns it into indices."""

    view: Literal["heads", "query", "grid"] = "heads"
    """`heads` shows one head's whole table where only one is chosen."""
    kind: Kind | None = None
    """None: the model's first kind, or `cross` where a target was given."""
    layer: str | None = None
    """`0-2,5`, `-1`; None for all."""
    head: str | None = None
    """`3`, `0-3`, or `2.5,4.1` (layer.head); None for all."""
    query: str | None = None
    """`it`, `it#2`, `11`; None for all."""
    unit: Literal["word", "token"] = "word"
    special: bool = True
    """Show special tokens; where not, the rows are renormalised."""
    sink: bool = True
    """Show the first token; where not, the rows are renormalised."""
    rows: Rows | None = None
    """Which word a row of cross-attention belongs to; None: as the model declares, else the input (see `plan`)."""
    scores: bool = False
    top_k: int = 3
    sort: SortKey = "layer"
    all: bool = False

    @property
    def measure(self) -> Literal["weight", "score"]:
        """What heatmaps and tables of keys show."""
        return "score" if self.scores else "weight"


def parse_numbers(text: str, option: str) -> tuple[tuple[int, int], ...]:
    """`0-2,5,-1` as inclusive ranges.

    Raises:
        UsageError: it is not written that way.
    """
    ranges = []
    for part in text.split(","):
        match = RANGE.fullmatch(part.strip())
        if match is None:
            raise UsageError(
                f"{option} {text!r} is not a list of numbers", f"Write it like {option} 0-2,5 or {option} -1"
            )
        first = int(match[1])
        ranges.append((first, first if match[2] is None else int(match[2])))
    return tuple(ranges)


def parse_heads(text: str) -> tuple[tuple[int, int], ...] | None:
    """`2.5,4.1` as (layer, head) pairs; None where it is a plain list of head numbers.

    Raises:
        UsageError: the two ways are mixed, or it is neither.
    """
    parts = [part.strip() for part in text.split(",")]
    places = [PLACE.fullmatch(part) for part in parts]
    if any(places):
        if not all(places):
            raise UsageError(
                f"--head {text!r} mixes layer.head with plain heads", "Write --head 2.5,4.1, or --layer 2 --head 5,1"
            )
        return tuple((int(place[1]), int(place[2])) for place in places if place)
    parse_numbers(text, "--head")
    return None


def check_syntax(selection: Selection) -> None:
    """Find what no model could make sense of, before one is loaded.

    Raises:
        UsageError: a list is not written as one, or a layer is given twice over.
    """
    if selection.layer is not None:
        parse_numbers(selection.layer, "--layer")
    if selection.head is not None and parse_heads(selection.head) is not None and selection.layer is not None:
        raise UsageError("--head names layers already, so --layer cannot go with it", "Leave --layer out")
    if selection.query is not None and not selection.query.strip():
        raise UsageError("--query is empty", "Give a word of the sentence or its position")
