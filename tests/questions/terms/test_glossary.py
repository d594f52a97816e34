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


def test_a_role_is_given_as_it_is_computed() -> None:
    (term,) = find_terms("role").terms
    assert "reaches the role's threshold and is above its baseline, or if it was trained for it" in term.meaning


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
        ("pronoun right", "pronoun right"),
        ("steps that wait for one another", "steps that wait for one another"),
        ("arithmetic", "arithmetic"),
        ("hits most", "hits most"),
    ],
)
def test_the_words_of_the_lesson_are_known(word: str, name: str) -> None:
    assert [term.name for term in find_terms(word).terms] == [name]


def test_of_several_words_those_that_exist_are_explained(capsys: Capture) -> None:
    assert main(["terms", "entropy", "neuron", "focus", "entrophy", "neuron"]) == 0
    out, err = capsys.readouterr()
    assert re.findall(r"^\w+(?= = )", out, re.MULTILINE) == ["entropy", "focus"]
    assert err == (
        "attn: note: There are no terms 'neuron' and 'entrophy'. Did you mean entropy? List all terms with attn terms\n"
    )
    assert find_terms("entropy", "focus").notes == ()


def test_where_no_word_is_a_term_nothing_is_explained(capsys: Capture) -> None:
    assert main(["terms", "neuron", "zzzzzz"]) == 4
    out, err = capsys.readouterr()
    assert (out, err) == ("", "attn: There are no terms 'neuron' and 'zzzzzz'. List all terms with attn terms.\n")


def test_every_command_that_a_term_names_exists(capsys: Capture) -> None:
    commands = run(capsys, "--help")
    named = {
        part.split()[0] for term in TERMS for part in term.shown.split("; ") if re.match(r"[a-z]+( --|$| \()", part)
    }
    assert named > {"explain", "heads", "train"}
    assert all(re.search(rf"^ +{name} ", commands, re.MULTILINE) for name in named), named
