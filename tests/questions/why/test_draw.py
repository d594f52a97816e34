"""Tests of the drawing and the files of an experiment of `attn why`, from one made by hand."""

from __future__ import annotations

import csv
import io
import shlex
from dataclasses import replace
from typing import get_args

import pytest

from attn_cli.draw.screen import Screen, to_text
from attn_cli.errors import InputError
from attn_cli.io.csv import CsvTable
from attn_cli.io.records import from_json
from attn_cli.questions.why.measure import EXAMPLE, Experiment, ExperimentName, Measure, Point, Series, Verdict
from tests.drawings import longest, shown
from tests.golden_files import assert_golden
from tests.records import validated

LENGTHS = (5, 11, 21, 33, 42, 51)


def points(*values: float) -> tuple[Point, ...]:
    return tuple(Point(float(at), float(value), 8) for at, value in zip(LENGTHS, values, strict=False))


EXPERIMENT = Experiment(
    name="long-sequences",
    claim="Without attention, one vector must hold the whole text, so long texts are translated badly.",
    how="Texts written for this.",
    measures=(
        Measure(
            "chrF",
            "of 100",
            "words",
            "high",
            100.0,
            (
                Series("toy", points(94, 87, 76, 78, 78, 74)),
                Series("toy-rnn-attention", points(75, 77, 65, 59, 71, 61)),
                Series("toy-rnn", points(78, 64, 39, 35, 33, 30)),
            ),
        ),
        Measure(
            "alignment error rate",
            "%",
            "",
            "low",
            100.0,
            (Series("toy", (Point(0.0, 3.7, 8),)), Series("toy-rnn", (), absent="no map at all")),
        ),
        Measure("time to read", "ms", "tokens", "low", None, (Series("toy", points(1.5, 2, 3, 4, 5.25, 9)),)),
    ),
    borne_out=False,
    found="From 5 to 51 words chrF falls: toy 21%, toy-rnn-attention 19%, toy-rnn 61%.",
)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_screen_is_as_it_was_found_good(width: int) -> None:
    assert_golden(
        f"why-{width}", to_text(EXPERIMENT.draw(Screen(width=width, color=False)), Screen(width=width, color=False))
    )


def test_each_experiment_suggests_the_next_and_the_last_an_ablation() -> None:
    names = get_args(ExperimentName)
    suggested = [replace(EXPERIMENT, name=name).suggestion for name in names]
    assert [shlex.split(one.typed("toy")) for one in suggested if one is not None] == [
        *(["attn", "why", name] for name in names[1:]),
        ["attn", "ablate", EXAMPLE],
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 160])
@pytest.mark.parametrize("unicode", [True, False])
def test_it_keeps_to_the_screen(width: int, *, unicode: bool) -> None:
    for color in (True, False):
        screen = Screen(width=width, color=color, unicode=unicode)
        lines = shown(EXPERIMENT.draw(screen), screen)
        assert longest(lines) <= width
        assert unicode or "".join(lines).isascii()


def test_a_long_title_pushes_no_number_out() -> None:
    screen = Screen(width=40, color=False)
    long = Measure(
        "steps that wait for one another",
        "",
        "tokens",
        "low",
        None,
        (Series("toy", points(3, 3)), Series("toy-rnn", points(5, 11))),
    )
    drawn = to_text(replace(EXPERIMENT, measures=(long,)).draw(screen), screen)
    assert (
        "steps that wait for one another by\ntokens\n         5  11\ntoy      3   3  ▃▃\ntoy-rnn  5  11  ▄█\n\n"
        "steps that wait for one another at 11\ntokens\ntoy      ━━━"
    ) in "\n".join(line.rstrip() for line in drawn.splitlines())


def test_it_is_shown_like_everything_else() -> None:
    document = validated(EXPERIMENT.data(), "why")
    assert document["name"] == EXPERIMENT.title == "long-sequences"
    assert document["measures"][0]["series"][2]["points"][5] == {"at": 51.0, "value": 30.0, "count": 8}
    assert document["measures"][1]["series"][0]["points"] == [{"at": None, "value": 3.7, "count": 8}]
    with pytest.raises(InputError, match="is what attn why found, not a record"):
        from_json(EXPERIMENT.data())
    file = io.BytesIO()
    EXPERIMENT.add_rows(CsvTable(file, EXPERIMENT.columns), 0)
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode(), newline="")))
    assert len(rows) == 18 + 1 + 6
    last = [rows[17][name] for name in ("model", "at", "value", "borne_out")]
    assert last == ["toy-rnn", "51.0", "30.0", "no"]
    assert rows[18]["at"] == ""


def test_parts_of_a_claim_have_verdicts_of_their_own() -> None:
    parts = (
        Verdict("Fewer steps", borne_out=True, found="3 for 256."),
        Verdict("Less time", borne_out=False, found="9 ms."),
    )
    screen = Screen(width=80, color=False)
    drawn = to_text(replace(EXPERIMENT, verdicts=parts).draw(screen), screen)
    assert drawn.rstrip().endswith("Fewer steps: borne out. 3 for 256.\n\nLess time: not borne out. 9 ms.")
    assert EXPERIMENT.found not in drawn
    document = validated(replace(EXPERIMENT, verdicts=parts).data(), "why")
    assert [one["borne_out"] for one in document["verdicts"]] == [True, False]
