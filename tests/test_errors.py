"""Words that errors and notes are made of."""

from __future__ import annotations

import pytest

from attn_cli.errors import enumerated


@pytest.mark.parametrize(
    ("things", "said"),
    [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), (iter("abcd"), "a, b, c and d")],
)
def test_things_are_listed_as_in_a_sentence(things: list[str], said: str) -> None:
    assert enumerated(things) == said
