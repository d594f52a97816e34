"""The glossary: its index, its groups, and that every command it names exists."""

from __future__ import annotations

import re

import pytest

import attn_cli
from attn_cli.cli.app import main
from attn_cli.questions.heads.roles import EVERY_ROLE
from attn_cli.questions.terms.glossary import TERMS, find_terms

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_all_terms_open_with_an_index_that_names_each_once(capsys: Capture) -> None:
    index, _, terms = run(capsys, "terms", "--width", "60").partition("explains one.\n\n")
    flat = " ".join(index.split())
    for group, members in attn_cli.terms().groups():
        assert f"{group}: {', '.join(term.name for term in members)}" in flat
    assert all(re.search(rf"^{re.escape(term.name)}( =|$)", terms, re.MULTILINE) for term in TERMS)
    assert "explains one" not in run(capsys, "terms", "entropy")


def test_groups_stand_together_and_the_roles_come_last() -> None:
    groups = [group for group, _ in attn_cli.terms().groups()]
    assert len(groups) == len(set(groups))
    *_, (last, members) = attn_cli.terms().groups()
    assert last == "roles of heads"
    assert len(members) == len(EVERY_ROLE) + 3


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("multi-head", "multi-head attention"),
        ("bottleneck", "bottleneck"),
        ("heat map", "heatmap"),
        ("hidden states", "hidden state"),
        ("bleu", "BLEU"),
        ("chrF2", "chrF"),
        ("guided", "guided attention"),
    ],
)
def test_the_words_of_the_lesson_are_known(word: str, name: str) -> None:
    assert [term.name for term in find_terms(word).terms] == [name]


def test_every_command_that_a_term_names_exists(capsys: Capture) -> None:
    commands = run(capsys, "--help")
    named = {
        part.split()[0] for term in TERMS for part in term.shown.split("; ") if re.match(r"[a-z]+( --|$| \()", part)
    }
    assert named > {"explain", "heads", "train"}
    assert all(re.search(rf"^ +{name} ", commands, re.MULTILINE) for name in named), named
