"""Measurements of an experiment on attention, and whether they bear out what textbooks say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import sqrt
from typing import Literal, get_args

from attn_cli.answer import Answer
from attn_cli.data.model import GuidedHead, GuidedRole, ModelInfo
from attn_cli.data.suggestion import Suggestion
from attn_cli.io.csv import Cell

__all__ = [
    "Experiment",
    "ExperimentName",
    "Measure",
    "Point",
    "Series",
    "Verdict",
    "guided_for",
    "kept",
    "standard_error",
]

EXAMPLE = "The trophy didn't fit in the suitcase because it was too big"
ExperimentName = Literal["long-sequences", "context-linking", "interpretability", "parallelization", "causality"]


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement."""

    at: float
    """Position along the measure's axis; 0 if it has none."""
    value: float
    count: int
    """Number of texts or turns that were measured."""


@dataclass(frozen=True)
class Series:
    """One model's measurements."""

    model: str
    points: tuple[Point, ...]
    """Points in the order of the axis; empty if there is nothing to measure."""
    absent: str = ""
    """Reason why there are no points."""


@dataclass(frozen=True)
class Measure:
    """One quantity, measured on several models."""

    name: str
    unit: str
    along: str
    """Name of the axis of the points; empty if each model has one point."""
    better: Literal["high", "low"]
    top: float | None
    """Best or worst possible value, drawn as a full bar; None if there is none."""
    series: tuple[Series, ...]

    def of(self, model: str) -> Series:
        """Return the series of one model.

        Raises:
            StopIteration: the model was not measured.
        """
        return next(one for one in self.series if one.model == model)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A part of a claim, and whether it is borne out."""

    claim: str
    borne_out: bool
    found: str
    """Result of the measurement, in numbers."""


@dataclass(frozen=True, repr=False)
class Experiment(Answer):
    """The answer of `attn why`: one row of the textbook's table, measured."""

    name: ExperimentName
    claim: str
    """Claim of the textbooks, in one sentence."""
    how: str
    """Method, in one or two sentences."""
    measures: tuple[Measure, ...]
    borne_out: bool
    """True if the measurement bears the claim out, all its parts included."""
    found: str
    """Result of the measurement, in numbers."""
    verdicts: tuple[Verdict, ...] = ()
    """Verdicts on the parts of the claim; empty if it has no parts."""
    guidance: Mapping[str, tuple[GuidedHead, ...]] = field(default_factory=dict)
    """Model -> its heads that were trained for what is measured; empty if no model could be trained for it."""
    quick: bool = False
    """True if few texts were taken; its drawing is short then."""

    columns = ("experiment", "measure", "unit", "along", "at", "model", "value", "count", "borne_out")

    @property
    def title(self) -> str:
        return self.name

    @property
    def suggestion(self) -> Suggestion | None:
        names = get_args(ExperimentName)
        place = names.index(self.name) + 1
        return Suggestion("why", options=(names[place],)) if place < len(names) else Suggestion("ablate", EXAMPLE)

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        return tuple(chain.from_iterable(self.guidance.values()))

    def rows(self) -> Iterable[Sequence[Cell]]:
        """Yield a row for each point."""
        for measure in self.measures:
            for series in measure.series:
                for point in series.points:
                    yield (
                        self.name,
                        measure.name,
                        measure.unit,
                        measure.along,
                        point.at if measure.along else None,
                        series.model,
                        point.value,
                        point.count,
                        "yes" if self.borne_out else "no",
                    )


def guided_for(role: GuidedRole, models: Mapping[str, ModelInfo]) -> Mapping[str, tuple[GuidedHead, ...]]:
    """Return the heads of each model that were trained for one role."""
    return {name: tuple(head for head in model.guided if head.role == role) for name, model in models.items()}


def kept(points: Sequence[Point]) -> float:
    """Return the last value as a share of the first; 0 if the first is 0."""
    return points[-1].value / points[0].value if points[0].value else 0.0


def standard_error(share: float, count: int) -> float:
    """Compute the standard error of a share of `count` cases: sqrt(p (1 - p) / n)."""
    return sqrt(share * (1 - share) / count)
