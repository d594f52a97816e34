"""Tests of the line on what was cut."""

from __future__ import annotations

import pytest

from attn_cli.data.selection import Selection
from attn_cli.draw.screen import Screen
from attn_cli.models import Input, load
from attn_cli.questions.ablate.choices import CutChoice
from attn_cli.questions.ablate.draw_heading import Heading
from attn_cli.questions.ablate.measure import ablate
from tests.drawings import shown


@pytest.mark.parametrize(
    ("selection", "mean", "where"),
    [
        (Selection(), ", the mean over 24 heads", "all encoder heads"),
        (Selection(layer="2"), ", the mean over 8 heads", "encoder layer 2"),
        (Selection(head="2.0"), "", "encoder head 2.0"),
    ],
)
def test_the_weight_of_an_edge_in_several_heads_is_their_mean(selection: Selection, mean: str, where: str) -> None:
    text = Input("The trophy didn't fit because it was big")
    found = ablate(load("toy"), text, selection, cut=CutChoice(edges=("it:trophy",)))
    screen = Screen(120)
    first, *_ = shown(Heading(found, screen).draw(), screen)
    assert first == f"it → trophy (weight {found.trials[0].weight:.2f}{mean}) cut in {where}"
