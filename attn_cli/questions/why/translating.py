"""Long sequences: quality of translations by the length of the texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import islice
from typing import Final

from attn_cli.measure.quality import judge
from attn_cli.models.toy.model import Toy
from attn_cli.questions.why.measure import Experiment, Measure, Point, Series, kept

__all__ = ["NAME", "run", "texts"]

NAME: Final = "long-sequences"
LONGEST = (5, 11, 21, 34, 45, 53)
"""Number of words of the longest text in each group."""
QUICK = 2
"""Number of texts of a group, if only the shortest and the longest are translated."""
MOST_LOST = 0.25
"""Largest share of its quality that a model may lose from the shortest to the longest texts and still keep it up."""


def texts() -> list[tuple[str, str]]:
    """Read English texts of 5 to 50 words and their French translations, written for this and in no training data."""
    table = files("attn_cli.questions.why").joinpath("texts.tsv").read_text(encoding="utf-8")
    pairs = (line.split("\t") for line in table.splitlines())
    return [(english, french) for english, french in pairs]


def run(models: Mapping[str, Toy], *, quick: bool = False) -> Experiment:
    """Translate texts of every length and score the translations with chrF (Popović 2015)."""
    groups = _by_length(texts())
    if quick:
        groups = [dict(islice(group.items(), QUICK)) for group in (groups[0], groups[-1])]
    series = []
    for name, model in models.items():
        points = []
        whole = [text for group in groups for text in group]
        made = {text: one.text for text, one in zip(whole, model.translate(whole), strict=True)}
        for group in groups:
            quality = judge({text: made[text] for text in group}, {text: [group[text]] for text in group})
            words = sum(len(text.split()) for text in group) / len(group)
            points.append(Point(words, quality.chrf, len(group)))
        series.append(Series(name, tuple(points)))
    return _judged(Measure("chrF", "of 100", "words", "high", 100.0, tuple(series)), models)


def _by_length(pairs: Sequence[tuple[str, str]]) -> list[Mapping[str, str]]:
    groups: list[dict[str, str]] = [{} for _ in LONGEST]
    for english, french in pairs:
        group = next(number for number, longest in enumerate(LONGEST) if len(english.split()) <= longest)
        groups[group][english] = french
    return [group for group in groups if group]


def _judged(measure: Measure, models: Mapping[str, Toy]) -> Experiment:
    lost = {one.model: 1 - kept(one.points) for one in measure.series}
    without = [name for name, model in models.items() if not model.info.stacks]
    attending = [name for name in models if name not in without]
    shortest, longest = (measure.series[0].points[place].at for place in (0, -1))
    listed = ", ".join(f"{name} {-share:+z.0%}" for name, share in lost.items())
    return Experiment(
        name=NAME,
        claim="Without attention, one vector must hold the whole text, so long texts are translated badly; with it "
        "they are not.",
        how="Texts written for this, each with a translation that the model's is compared with.",
        measures=(measure,),
        borne_out=all(
            lost[name] <= MOST_LOST and all(lost[name] < lost[other] for other in without) for name in attending
        ),
        found=f"From {shortest:.0f} to {longest:.0f} words chrF changes: {listed}.",
    )
