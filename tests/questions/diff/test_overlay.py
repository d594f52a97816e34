"""Texts laid over each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.text import Token, Tokens
from attn_cli.data.units import Units
from attn_cli.questions.diff.overlay import overlay


def units(*words: str) -> Units:
    return Units.of(
        Tokens(" ".join(words), tuple(Token(word, 0, 0, None, word[0] == "[") for word in words), ()), "token"
    )


@pytest.mark.parametrize(
    ("a", "b", "labels"),
    [
        ("the cat sat", "the cat sat", "the cat sat"),
        ("the cat sat", "the dog sat", "the cat/dog sat"),
        ("the cat sat", "the big cat sat", "the +big cat sat"),
        ("the big old cat sat", "the cat sat", "the -big -old cat sat"),
        ("too big", "very very small", "-too -big +very +very +small"),
        ("it is so", "is it so", "+is it -is so"),
        ("[CLS] a [SEP]", "[CLS] b [SEP]", "[CLS] a/b [SEP]"),
        ("and/or", "and/or", "and/or"),
    ],
)
def test_overlay(a: str, b: str, labels: str) -> None:
    found = overlay(units(*a.split()), units(*b.split()))
    assert " ".join(found.labels) == labels
    assert found.same == tuple(not set("/+-") & set(label) or label == "and/or" for label in found.labels)
    assert found.special == tuple("[" in label for label in found.labels)


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=7), st.lists(st.sampled_from("abc"), min_size=1, max_size=7)
)
def test_an_overlay_holds_each_unit_once_and_in_order(a: list[str], b: list[str]) -> None:
    found = overlay(units(*a), units(*b))
    assert found.a[found.a >= 0].tolist() == list(range(len(a)))
    assert found.b[found.b >= 0].tolist() == list(range(len(b)))
    assert ((found.a >= 0) | (found.b >= 0)).all()
    for one, other, same in zip(found.a, found.b, found.same, strict=True):
        assert same == (one >= 0 and other >= 0 and a[one] == b[other])
