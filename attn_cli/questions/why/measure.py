"""What an experiment on attention measured, and whether it bears out what textbooks say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

__all__ = ["Experiment", "Measure", "Point", "Series", "kept", "standard_error"]


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement."""

    at: float
    """Where along the measure's axis; 0 where it has none."""
    value: float
    count: int
    """How many texts it was measured on."""


@dataclass(frozen=True)
class Series:
    """One model's measurements."""

    model: str
    points: tuple[Point, ...]
    """In the order of the axis; none where there is nothing to measure."""
    absent: str = ""
    """Why there are none."""


@dataclass(frozen=True)
class Measure:
    """One quantity, of several models."""

    name: str
    unit: str
    along: str
    """What its points lie along; empty where each model has one."""
    better: Literal["high", "low"]
    top: float | None
    """The best or the worst there can be, where there is one: a full bar."""
    series: tuple[Series, ...]

    def of(self, model: str) -> Series:
        """One model's.

        Raises:
            StopIteration: it was not measured.
        """
        return next(one for one in self.series if one.model == model)


@dataclass(frozen=True)
class Experiment:
    """One row of the textbook's table, measured."""

    name: str
    claim: str
    """What textbooks say, in one sentence."""
    how: str
    """What was done, in a sentence or two."""
    measures: tuple[Measure, ...]
    borne_out: bool
    """Whether the measurement bears the claim out."""
    found: str
    """What was measured of it, in numbers."""


def kept(points: Sequence[Point]) -> float:
    """The last value as a share of the first."""
    return points[-1].value / points[0].value if points[0].value else 0.0


def standard_error(share: float, count: int) -> float:
    """Of a share that was counted in so many cases: sqrt(p (1 - p) / n)."""
    return sqrt(share * (1 - share) / count)
