"""The first screens on a terminal of 24 lines and 80 columns: they fit, and what they suggest works."""

from __future__ import annotations

import shlex

import pytest

from attn_cli.cli import outputs
from attn_cli.draw.screen import Screen
from tests.conftest import Run
from tests.golden_files import assert_golden

TROPHY = "The trophy didn't fit in the suitcase because it was too big"
SISTER = "My sister never wanted to go to the city"
LEAD = "Try next: "
HEIGHT = 24


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every drawing go to a terminal without colour."""
    monkeypatch.setattr(outputs, "probe", lambda *_, **__: Screen(width=80, height=HEIGHT, color=False))
    monkeypatch.delenv("ATTN_MODEL", raising=False)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("arguments", "suggested"),
    [
        (["translate", SISTER], f'attn inspect "{SISTER}"'),
        (["translate", "The cat sat", "--model", "toy-rnn"], 'attn translate "The cat sat" --model toy-rnn-attention'),
        (["inspect", TROPHY], "attn explain TEXT --query it --head 2.0"),
        (["explain", TROPHY, "--query", "it"], None),
        (["find", TROPHY, "it", "trophy"], "attn explain TEXT --query it --head 2.0"),
        (["heads", SISTER], None),
        (["ablate", "The cat sat"], None),
        (["diff", "The cat sat", "The dog sat"], None),
    ],
)
def test_what_is_suggested_works(arguments: list[str], suggested: str | None, attn: Run) -> None:
    lines = attn(*arguments).splitlines()
    assert sum(LEAD in line for line in lines) == 1
    assert lines[-1].startswith(LEAD)
    typed = lines[-1].removeprefix(LEAD)
    assert suggested is None or typed == suggested
    words = shlex.split(typed)
    assert words.pop(0) == "attn"
    assert attn(*[arguments[1] if word == "TEXT" else word for word in words])


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("inspect", ["inspect", TROPHY]),
        ("inspect-short", ["inspect", "The cat sat on the mat"]),
        ("translate", ["translate", SISTER]),
    ],
)
def test_the_first_screen_fits(name: str, arguments: list[str], attn: Run) -> None:
    shown = attn(*arguments)
    assert shown.count("\n") < HEIGHT  # one line is left for the prompt
    assert_golden(f"low-{name}", shown)


@pytest.mark.usefixtures("terminal")
def test_nothing_is_suggested_below_json_or_a_selection(attn: Run) -> None:
    assert LEAD not in attn("inspect", SISTER, "--json")
    assert LEAD not in attn("inspect", SISTER, "--head", "1.0")
    assert LEAD not in attn("inspect", SISTER, "--tokens")


def test_the_first_command_is_translate(attn: Run) -> None:
    commands = attn("--help").partition("Commands:\n")[2].split()
    assert commands[0] == "translate"


def test_the_start_of_a_translation_is_called_that_and_json_keeps_the_piece(attn: Run) -> None:
    shown = attn("translate", "The cat sat", "--rows", "input")
    assert "\n0 <start> " in shown
    assert "<pad>" not in shown
    assert '"piece":"<pad>"' in attn("translate", "The cat sat", "--json")
    explained = attn(
        "explain", "The cat sat", "--target", "Le chat", "--kind", "decoder", "--query", "1", "--head", "0.0"
    )
    assert "<start>" in explained


def test_no_title_is_cut(attn: Run) -> None:
    head = next(line for line in attn("inspect", "I am", "--head", "0.1").splitlines() if line.startswith("head "))
    assert head.endswith("  link")


def test_without_colour_the_strongest_cell_keeps_its_shade(attn: Run) -> None:
    shown = attn("inspect", TROPHY, "--head", "2.0", "--no-color")
    assert "·■█1.0" in shown
    assert "■ strongest of its row" in shown


def test_nothing_is_suggested_in_a_pipe(attn: Run) -> None:
    assert LEAD not in attn("translate", SISTER)
