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


def test_nothing_is_suggested_in_a_pipe(attn: Run) -> None:
    assert LEAD not in attn("translate", SISTER)
