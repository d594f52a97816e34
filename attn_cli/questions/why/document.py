"""The document of `attn why`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from attn_cli.io.document import begin, describe_guided
from attn_cli.io.structs import FOUND, Count, Entry, FindingDocument, GuidedHeadEntry, Number

if TYPE_CHECKING:
    from attn_cli.questions.why.measure import Experiment, Measure

__all__ = [
    "DOCUMENT",
    "GuidedModelEntry",
    "MeasureEntry",
    "PointEntry",
    "SeriesEntry",
    "VerdictEntry",
    "WhyDocument",
    "describe",
]


class PointEntry(Entry):
    """One measurement."""

    at: Annotated[Number | None, Meta(description="Its place on the axis; null where the points lie along none.")]
    value: Number
    count: Annotated[Count, Meta(description="How many texts (or turns) it was measured on.")]


class SeriesEntry(Entry):
    """One model's measurements."""

    model: str
    points: Sequence[PointEntry]
    absent: Annotated[str, Meta(description="Why there are no points, where there are none.")]


class MeasureEntry(Entry):
    """One quantity, measured on several models."""

    name: str
    unit: str
    along: Annotated[str, Meta(description="What the points lie along; empty where each model has one.")]
    better: Literal["high", "low"]
    top: Annotated[Number | None, Meta(description="The highest value that there can be; null where there is no end.")]
    series: Annotated[Sequence[SeriesEntry], Meta(min_length=1)]


class VerdictEntry(Entry):
    """A part of the claim, and whether it is borne out."""

    claim: str
    borne_out: bool
    found: Annotated[str, Meta(description="What was measured of it, in numbers.")]


class GuidedModelEntry(Entry):
    """A model, and its heads that were trained for what is measured."""

    model: str
    heads: Annotated[Sequence[GuidedHeadEntry], Meta(description="Empty for a model that was not guided.")]


class WhyDocument(FindingDocument, kw_only=True):
    """One experiment on why attention matters, as attn why prints it."""

    finding: Annotated[Literal["why"], FOUND]
    name: str
    claim: Annotated[str, Meta(description="What textbooks say.")]
    how: Annotated[str, Meta(description="What was done.")]
    measures: Annotated[Sequence[MeasureEntry], Meta(min_length=1)]
    borne_out: Annotated[bool, Meta(description="Whether the measurement bears the claim out.")]
    found: Annotated[str, Meta(description="What was measured of it, in numbers.")]
    verdicts: Annotated[Sequence[VerdictEntry], Meta(description="Its parts, where it has several.")] = ()
    guidance: Annotated[
        Sequence[GuidedModelEntry],
        Meta(description="Which models had heads trained for what is measured; empty where none could have."),
    ] = ()


DOCUMENT = WhyDocument


def describe(experiment: Experiment) -> WhyDocument:
    """Describe the measurements and what they say of the claim."""
    return WhyDocument(
        **begin(),
        finding="why",
        name=experiment.name,
        claim=experiment.claim,
        how=experiment.how,
        measures=[_measure(measure) for measure in experiment.measures],
        borne_out=experiment.borne_out,
        found=experiment.found,
        verdicts=[VerdictEntry(one.claim, one.borne_out, one.found) for one in experiment.verdicts],
        guidance=[GuidedModelEntry(model, describe_guided(heads)) for model, heads in experiment.guidance.items()],
    )


def _measure(measure: Measure) -> MeasureEntry:
    return MeasureEntry(
        name=measure.name,
        unit=measure.unit,
        along=measure.along,
        better=measure.better,
        top=measure.top,
        series=[
            SeriesEntry(
                series.model,
                [PointEntry(point.at if measure.along else None, point.value, point.count) for point in series.points],
                series.absent,
            )
            for series in measure.series
        ],
    )
