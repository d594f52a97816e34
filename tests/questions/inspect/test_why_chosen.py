"""Tests of the sentence on why a head is shown."""

from __future__ import annotations

import pytest

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.plan import make_plan
from attn_cli.data.record import Record
from attn_cli.data.selection import Selection
from attn_cli.data.text import make_tokens
from attn_cli.draw.screen import Screen
from attn_cli.measure.summary import Link
from attn_cli.measure.telling import TellingHead
from attn_cli.questions.inspect.draw_maps import why_chosen


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (Link(2, 0, 0.39), "c → a 0.39, the link most above its key's mean, neighbours aside."),
        (Link(1, 0, 0.93), "b → a 0.93, the link most above its key's mean."),
    ],
)
def test_the_rule_by_which_a_link_is_named(link: Link, said: str) -> None:
    """A neighbour is named only where there is no other link, so no neighbour was then put aside."""
    tokens = make_tokens("a b c", ["a", "b", "c"], [(0, 1), (2, 3), (4, 5)], [False] * 3)
    model = ModelInfo("made-up", "made", {"encoder": Stack(1, {0: 2}, 2)}, "interface")
    plan = make_plan(Record(model, tokens, None, ()), Selection())
    caption = why_chosen(TellingHead(0, 1, 0.3, link, None), plan, Screen(80))
    assert caption == f"The most telling of 2 heads (attn terms telling): {said}"
