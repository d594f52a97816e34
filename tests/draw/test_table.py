"""Tests of the table engine: columns fit the screen, and numbers and bars stay readable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import PLAIN
from attn_cli.draw.table import Column, Rest, bars, figures, form_of, names, numeral, table
from tests.drawings import shown

SCREEN = Screen(width=40, color=False)
HEADS = names("head", ["0.0", "1.0"], SCREEN, right=True)
FOCUS = bars("focus", [0.5, 1.0], SCREEN, size=4)
NUMBERS = replace(figures("a long name", [0.25, None]), rank=1, key="number")
SHORT = replace(NUMBERS, name="n.")


def test_columns_become_narrower_before_one_is_left_out() -> None:
    wide = [HEADS, replace(FOCUS, least=16), NUMBERS]
    assert shown(table(wide, SCREEN), SCREEN) == [
        "head  focus             a long name",
        " 0.0  ━━   0.50                0.25",
        " 1.0  ━━━━ 1.00                   –",
    ]
    wide = [HEADS, replace(FOCUS, least=26), NUMBERS]
    assert shown(table(wide, SCREEN, narrower=[[HEADS, FOCUS, SHORT]]), SCREEN)[0] == "head  focus        n."
    assert " ".join(shown(table(wide, SCREEN), SCREEN)).endswith(" Not shown for lack of width: a long name.")


def test_the_last_column_takes_what_is_left() -> None:
    def rest(room: int) -> Column:
        return Column("rest", [[("x" * room, PLAIN)]] * 2, right=False)

    lines = shown(table([HEADS, FOCUS], SCREEN, rest=Rest(10, rest)), SCREEN)
    assert [len(line) for line in lines[1:]] == [40, 40]
    lines = shown(table([HEADS, FOCUS, NUMBERS], SCREEN, rest=Rest(20, rest)), SCREEN)
    assert lines[0].split() == ["head", "focus", "rest"]


def test_columns_have_a_heading_together_and_rows_a_space_between() -> None:
    columns = [HEADS, replace(FOCUS, group="1 all of it"), replace(NUMBERS, group="2 the rest")]
    assert shown(table(columns, SCREEN, apart=[1]), SCREEN) == [
        "      1 all of~  2 the rest".replace("~", "…"),
        "head  focus      a long name",
        " 0.0  ━━   0.50         0.25",
        "",
        " 1.0  ━━━━ 1.00            –",
    ]


@pytest.mark.parametrize(
    ("values", "form", "written"),
    [
        ([0.0123, 2.8e-5], ".4f", ["0.0123", "0.0000"]),
        ([2.8e-5, 2.0e-11, 0.0], ".4f", ["2.8e-5", "2.0e-11", "0"]),
        ([-0.004, 0.00041, float("nan")], "+.2f", ["-4.0e-3", "+4.1e-4"]),
        ([-1e-6, 0.0], "+.2f", ["0.00", "0.00"]),
        ([], "+.2f", []),
    ],
)
def test_numbers_that_would_all_be_zero_are_told_apart(values: list[float], form: str, written: list[str]) -> None:
    chosen = form_of(values, form, noise=1e-5 if "+" in form else 0.0)
    assert [numeral(value, chosen) for value in values if value == value] == written


@pytest.mark.parametrize(
    ("value", "form", "written"),
    [
        (1040, ",.0f", "1,040"),
        (999, ",.0f", "999"),
        (-1234567.891, "+,.2f", "-1,234,567.89"),
        (-0.4, ",.0f", "0"),
        (0.0, "+,.2f", "0.00"),
    ],
)
def test_thousands_may_be_set_apart(value: float, form: str, written: str) -> None:
    assert form_of([value], form, noise=1.0) == form
    assert numeral(value, form) == written
    assert figures("tokens", [value], form=form).cells[0][0][0] == written


def test_bars_of_numbers_of_any_length_are_aligned() -> None:
    column = bars("share", [2.8e-5, 2.0e-11, float("nan")], SCREEN, high=2.8e-5, form=".1e", size=4)
    assert shown(table([column], SCREEN), SCREEN) == ["share", "━━━━  2.8e-5", "     2.0e-11", "           –"]
