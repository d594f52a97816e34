"""Tests of the command to try next, as it is typed."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.image import PatchGrid
from attn_cli.data.naming import choose_units
from attn_cli.data.patches import patch_tokens
from attn_cli.data.selection import Selection
from attn_cli.data.suggestion import Suggestion, suggest, typed_name
from attn_cli.data.text import make_tokens
from attn_cli.data.units import Units
from attn_cli.draw.captions import suggestion_line
from attn_cli.draw.screen import Screen
from tests.drawings import longest, shown
from tests.samples import encoder_record


@pytest.mark.parametrize(
    ("suggestion", "typed"),
    [
        (Suggestion("inspect", "The cat sat", model="toy"), 'attn inspect "The cat sat"'),
        (Suggestion("inspect", "It", model="a b/c"), 'attn inspect It --model "a b/c"'),
        (Suggestion("ablate", "It's", ("--edge", "it#2:dog")), 'attn ablate "It\'s" --edge it#2:dog'),
        (Suggestion("explain", 'a "b"', ("--query", "#11")), 'attn explain \'a "b"\' --query "#11"'),
        (Suggestion("why", options=("causality",)), "attn why causality"),
        (Suggestion("diff", "The cat", ("--head", "2.0"), beside="A dog"), 'attn diff "The cat" "A dog" --head 2.0'),
        (
            Suggestion("inspect", "-5 degrees", ("--head", "2.0"), "m"),
            'attn inspect --head 2.0 --model m -- "-5 degrees"',
        ),
        (Suggestion("diff", "cold", ("--head", "2.0"), beside="-5"), "attn diff --head 2.0 -- cold -5"),
        (Suggestion("inspect", "-", ("--tokens",)), "attn inspect - --tokens"),
    ],
)
def test_typed(suggestion: Suggestion, typed: str) -> None:
    assert suggestion.typed("toy") == typed


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_shell_reads_the_same_text(text: str) -> None:
    words = shlex.split(Suggestion("inspect", text, (), "m").typed("toy"))
    model = ["--model", "m"]
    assert words == ["attn", "inspect", *([*model, "--", text] if text[0] == "-" != text else [text, *model])]


def test_text_that_has_no_room() -> None:
    assert Suggestion("inspect", "The cat", model="toy").typed("other", placeholder="TEXT") == (
        "attn inspect TEXT --model toy"
    )


def test_a_long_name_of_a_model_is_whole() -> None:
    """A name too long for the line continues on the next, so that the command can be copied."""
    model = "/".join(["a_long_folder"] * 9)
    screen = Screen(width=60, color=False)
    lines = shown(suggestion_line(Suggestion("inspect", "The cat", model=model), "toy", screen), screen)
    assert longest(lines) <= 60
    assert "".join(lines).endswith(model)


def test_a_name_finds_its_unit() -> None:
    words = ["it", "said", "it", "11", "a,b", "l'eau", "#"]
    text = " ".join(words)
    starts = [sum(len(word) + 1 for word in words[:index]) for index in range(len(words))]
    offsets = [(start, start + len(word)) for start, word in zip(starts, words, strict=True)]
    units = Units.of(make_tokens(text, words, offsets, [False] * len(words)))
    names = [typed_name(units, index) for index in range(len(units))]
    assert names[:4] == ["it#1", "said", "it#2", "#3"]
    assert [choose_units(units, name) for name in names] == [(range(i, i + 1),) for i in range(len(units))]


def test_a_patch_has_its_name() -> None:
    units = Units.of(patch_tokens(PatchGrid(3, 12), ["[CLS]"]))
    names = [typed_name(units, index) for index in range(len(units))]
    assert names[:3] == ["#0", "r0c0", "r0c1"]
    assert [choose_units(units, name) for name in names] == [(range(i, i + 1),) for i in range(len(units))]


def test_only_the_same_text_and_model_are_suggested() -> None:
    record = encoder_record()
    assert suggest(record, "inspect") == Suggestion("inspect", record.source.text, (), "sample")
    assert suggest(encoder_record(Selection(unit="token")), "inspect") is None
    assert suggest(encoder_record(Selection(layer="1")), "inspect") is None
    cut = replace(record, model=replace(record.model, without={"encoder": {0: (1,)}}))
    assert suggest(cut, "inspect") is None
