"""Drawing of one experiment: figures, curves and bars, and whether they bear the claim out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Group, RenderableType

from attn_cli.data.plan import name_guided
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, PLAIN, bar, caption_lines, drawing, flow, line, stacked, text_lines, title_lines
from attn_cli.draw.table import Column, figures, names, table, total_width
from attn_cli.errors import enumerated
from attn_cli.questions.why.measure import Experiment, Measure, Point, Series, Verdict

__all__ = ["draw"]

CURVE = "▁▂▃▄▅▆▇█"
WIDEST_NAME = 20


def draw(answer: Experiment, screen: Screen) -> Group:
    """Draw the claim, the method, each measure, and the verdict."""
    verdicts = answer.verdicts or (Verdict("", answer.borne_out, answer.found),)
    how = "Measured on few texts; without --quick, on more." if answer.quick else answer.how
    return stacked(
        [
            drawing([*text_lines(answer.claim, screen), *caption_lines(f"{how} {_guidance(answer)}", screen)]),
            *(part for measure in answer.measures for part in _measure(measure, screen, quick=answer.quick)),
            *(_verdict(one, screen) for one in verdicts),
        ]
    )


def _verdict(verdict: Verdict, screen: Screen) -> Group:
    said = "Borne out" if verdict.borne_out else "Not borne out"
    judged = f"{verdict.claim}: {said.lower()}." if verdict.claim else f"{said}."
    words = [(judged, BOLD), (verdict.found, PLAIN)]
    return drawing(flow([[(word, style)] for text, style in words for word in text.split()], screen, between=" "))


def _guidance(answer: Experiment) -> str:
    """Say which models were trained for what is measured, and which were not; nothing if none was."""
    said = []
    for name, heads in answer.guidance.items():
        said += [
            f"{name} was guided: its {name_guided(one)} was trained to look {one.towards}, on {one.on}."
            for one in heads
        ]
    rest = [name for name, heads in answer.guidance.items() if not heads]
    if said and rest:
        said.append(f"{enumerated(rest)} {'was' if len(rest) == 1 else 'were'} not trained for this.")
    return " ".join(said)


def _measure(measure: Measure, screen: Screen, *, quick: bool) -> list[RenderableType]:
    """Draw the figures along the axis with a small curve, unless it is to be short, and bars of the last ones."""
    ends = [series.points[-1] if series.points else None for series in measure.series]
    axis = next((series.points for series in measure.series if series.points), ())
    parts = []
    if measure.along and not quick:
        parts.append(_along(measure, axis, screen))
    place = f" at {axis[-1].at:.0f} {measure.along}" if measure.along and axis else ""
    unit = f" ({measure.unit})" if measure.unit else ""
    parts.append(_ends(f"{measure.name}{unit}{place}", measure, ends, screen))
    return parts


def _along(measure: Measure, axis: Sequence[Point], screen: Screen) -> RenderableType:
    title = f"{measure.name} by {measure.along}"
    columns = [names(title, [one.model for one in measure.series], screen, most=WIDEST_NAME)]
    last = len(axis) - 1
    for place, point in enumerate(axis):
        values = [series.points[place].value if series.points else None for series in measure.series]
        # The first and the last say most, so those between are dropped first if there is no room.
        rank = 0 if place in {0, last} else 1 + place
        columns.append(figures(f"{point.at:.0f}", values, rank=rank, form=_form(measure), faint=0.0))
    if screen.unicode:
        curves = [[(_curve(series, measure), PLAIN)] for series in measure.series]
        columns.append(Column("", curves, right=False, rank=len(axis) + 1))
    if total_width(columns) <= screen.width:
        return table(columns, screen)
    # A title as wide as several columns would push them out.
    return Group(drawing(title_lines(title, screen)), table([replace(columns[0], name=""), *columns[1:]], screen))


def _form(measure: Measure) -> str:
    """Choose a format: whole numbers, unless small values need a decimal."""
    values = [point.value for series in measure.series for point in series.points]
    return ".0f" if all(value == round(value) or value >= 10 for value in values) else ".1f"


def _top(measure: Measure) -> float:
    if measure.top is not None:
        return measure.top
    return max((point.value for series in measure.series for point in series.points), default=1) or 1


def _curve(series: Series, measure: Measure) -> str:
    steps = len(CURVE) - 1
    return "".join(CURVE[min(round(point.value / _top(measure) * steps), steps)] for point in series.points)


def _ends(title: str, measure: Measure, ends: Sequence[Point | None], screen: Screen) -> RenderableType:
    label = max(len(series.model) for series in measure.series)
    size = max(min(10, screen.width - label - 8), min(40, screen.width - label - 20))
    rows = title_lines(title, screen)
    for series, end in zip(measure.series, ends, strict=True):
        name = series.model.ljust(label) + "  "
        if end is None:
            room = len(name) + len(series.absent) <= screen.width
            rows.append(line((name if room else f"{series.model}  ", PLAIN), (series.absent, PLAIN)))
        else:
            drawn = bar(end.value / _top(measure), size, screen, rail=True)
            rows.append(line((name, PLAIN), *drawn, (f" {end.value:{_form(measure)}}", PLAIN)))
    return drawing(rows)
