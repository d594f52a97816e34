"""The units of one axis: words or tokens, shown or hidden."""

from __future__ import annotations

from attn_cli.data.units import Units
from tests.samples import source_tokens


def test_units_know_their_tokens() -> None:
    units = Units.of(source_tokens(), special=False)
    assert units.labels == ("The", "trophy", "didn't", "fit", ".")
    assert [list(units.token_positions(i)) for i in range(5)] == [[1], [2, 3], [4, 5, 6], [7], [8]]
    assert not units.shows_first
    assert units.hides
    assert not units.plain
    tokens = Units.of(source_tokens(), "token")
    assert tokens.plain
    assert tokens.labels[3] == "##phy"
    assert tokens.special == (True, *[False] * 8, True, True)
