"""Two sequences of words or tokens laid over each other, place by place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from attn_cli.data.naming import occurrence
from attn_cli.data.shapes import Bool, Int
from attn_cli.data.units import Units

__all__ = ["Overlay", "covered", "joined", "overlay"]


@dataclass(frozen=True, eq=False)
class Overlay:
    """Alignment of two sequences of units; each place holds a unit of A, of B, or of both."""

    a: Int[np.ndarray, "place"]
    """Index of A's unit at each place; -1 if only B has one."""
    b: Int[np.ndarray, "place"]
    """Index of B's unit at each place; -1 if only A has one."""
    labels: tuple[str, ...]
    """Labels: `it` if both units are the same, `big/small` if they differ, `-very` or `+very` if there is only one."""
    special: tuple[bool, ...]
    same: tuple[bool, ...]
    """True for places where both have the same unit."""
    units: tuple[Units, Units]
    """Units of A and of B."""

    def __len__(self) -> int:
        return len(self.labels)

    def named(self, place: int) -> tuple[str, str]:
        """Return a place's label, and `#2` if its text occurs several times in A, or in B if its unit differs."""
        one, other = int(self.a[place]), int(self.b[place])
        ends = [(units, index) for units, index in zip(self.units, (one, other), strict=True) if index >= 0]
        numbers = ["" if number is None else f"#{number}" for number in (occurrence(*end) for end in ends)]
        if len(ends) == 1 or self.same[place]:
            return self.labels[place], numbers[0]
        return f"{self.units[0].labels[one]}{numbers[0]}/{self.units[1].labels[other]}", numbers[1]

    @property
    def both(self) -> Bool[np.ndarray, "place"]:
        """Mask of the places with a unit of each."""
        both: Bool[np.ndarray, "place"] = (self.a >= 0) & (self.b >= 0)
        return both


def overlay(a: Units, b: Units) -> Overlay:
    """Align two sequences of units: equal runs with each other, and between these, runs of equal length unit by unit.

    Equal runs are found by `difflib`: the longest run that both have, then the longest before and after it, and so on.
    """
    ones, others = map(_read, (a, b))
    places: list[tuple[int, int]] = []
    for what, first, stop, other_first, other_stop in SequenceMatcher(None, ones, others, False).get_opcodes():
        left, right = range(first, stop), range(other_first, other_stop)
        if what == "equal" or len(left) == len(right):
            places += zip(left, right, strict=True)
        else:
            places += [(index, -1) for index in left] + [(-1, index) for index in right]
    return _overlay(a, b, places)


def _overlay(a: Units, b: Units, places: Sequence[tuple[int, int]]) -> Overlay:
    ones, others = map(_read, (a, b))
    return Overlay(
        a=np.array([place[0] for place in places], np.intp),
        b=np.array([place[1] for place in places], np.intp),
        labels=tuple(_label(a, b, *place) for place in places),
        special=tuple(a.special[one] if one >= 0 else b.special[other] for one, other in places),
        same=tuple(min(place) >= 0 and ones[place[0]] == others[place[1]] for place in places),
        units=(a, b),
    )


def _read(units: Units) -> list[tuple[str, bool]]:
    return list(zip(units.labels, units.special, strict=True))


def covered(side: Int[np.ndarray, "place"], run: range) -> range:
    """Return the units of A, or of B, at a run of places; an empty range if there are none."""
    found = side[run.start : run.stop]
    found = found[found >= 0]
    return range(int(found[0]), int(found[-1]) + 1) if len(found) else range(0)


def joined(axis: Overlay, a: Units, b: Units, runs: Sequence[range]) -> Overlay:
    """Return the alignment with each run of places joined into one.

    Args:
        axis: alignment of units of which none are joined.
        a: A's units, those at the places of each run joined.
        b: B's units, joined likewise.
        runs: runs of places that do not overlap.
    """
    inner = {place for run in runs for place in run[1:]}
    joined = {run.start: run for run in runs}
    places = []
    for place in range(len(axis)):
        if place not in inner:
            ends = [covered(side, joined.get(place, range(place, place + 1))) for side in (axis.a, axis.b)]
            one, other = (
                units.positions.index(end.start) if end else -1 for units, end in zip((a, b), ends, strict=True)
            )
            places.append((one, other))
    return _overlay(a, b, places)


def _label(a: Units, b: Units, one: int, other: int) -> str:
    if one < 0:
        return f"+{b.labels[other]}"
    if other < 0:
        return f"-{a.labels[one]}"
    return a.labels[one] if a.labels[one] == b.labels[other] else f"{a.labels[one]}/{b.labels[other]}"
