from __future__ import annotations

import numpy as np
import pytest
from rich.console import RenderableType

from attn_cli.draw.atlas import Written, atlas
from attn_cli.draw.colors import PALETTES, SHARES, Scale
from attn_cli.draw.layout import overview, stacked_height
from attn_cli.draw.screen import Screen, to_text
from attn_cli.draw.strokes import caption_lines, drawing
from tests.drawings import longest, shown


def ramp(layers: int, heads: int) -> dict[tuple[int, int], float]:
    return {(layer, head): head % 32 / 31 for layer in range(layers) for head in range(heads)}


def test_numbers() -> None:
    screen = Screen(width=60, color=False)
    values = {(0, 0): 0.0, (0, 1): 0.5, (0, 2): 1.0, (11, 0): 0.25, (11, 2): 0.123}
    (drawn,) = atlas(values, screen, name="focus")
    assert shown(drawn, screen) == [
        "focus       0    1    2  head",
        "layer  0    ·  .50  1.0",
        "      11  .25       .12",
    ]
    (same,) = atlas({**values, (11, 1): np.nan}, screen, name="focus")
    assert shown(same, screen) == shown(drawn, screen)
    assert not atlas({place: value for place, value in values.items() if place[0] == 0}, screen)


def test_numbers_in_colour_have_a_legend() -> None:
    screen = Screen(width=80)
    (drawn,) = atlas(ramp(3, 8), screen)
    assert shown(drawn, screen)[-1].split() == ["focus", "0", ".20", ".40", ".60", ".80", "1"]


def test_shades() -> None:
    screen = Screen(width=80, color=False)
    (drawn,) = atlas(ramp(3, 32), screen)
    lines = shown(drawn, screen)
    assert lines[0].split() == ["0", "5", "10", "15", "20", "25", "30", "head"]
    assert lines[0].index("10") == len("layer 0 ") + 2 * 10
    assert lines[2] == "      1 " + "·" * 14 + "░" * 12 + "▒" * 12 + "▓" * 12 + "█" * 14
    assert lines[4].startswith("focus · <.20")


def test_two_layers_on_a_line_of_half_blocks() -> None:
    screen = Screen(width=80)
    values = {(layer, head): float(layer % 2) for layer in range(32) for head in range(32)}
    (drawn,) = atlas(values, screen)
    lines = shown(drawn, screen)
    assert [line.split()[-2 if not number else 0] for number, line in enumerate(lines[1:17])] == [
        str(layer) for layer in ("0", *range(2, 32, 2))
    ]
    assert all(line.endswith("▀" * 64) for line in lines[1:17])
    assert len(lines) == 18
    # An even layer's head is above, an odd one's below.
    colors = [PALETTES["dark", "truecolor"].cell(level) for level in SHARES.levels(np.array([0.0, 1.0])).tolist()]
    above, below = (";".join(str(int(color[place : place + 2], 16)) for place in (1, 3, 5)) for color in colors)
    assert f"38;2;{above};48;2;{below}m" in to_text(drawn, screen)


def test_the_last_of_an_odd_number_of_layers_has_nothing_below() -> None:
    screen = Screen(width=80)
    (drawn,) = atlas({**ramp(16, 32), (20, 0): 1.0}, screen)
    assert shown(drawn, screen)[9] == "      20 ▀▀"


def test_shades_of_many_layers_share_lines() -> None:
    screen = Screen(width=80, color=False)
    values = {(layer, head): float(layer == 3 and head == 1) for layer in range(32) for head in range(32)}
    (drawn,) = atlas(values, screen)
    lines = shown(drawn, screen)
    assert lines[2] == "       2 ··██" + "··" * 30
    assert len(lines) == 18
    assert lines[-1].endswith("cell = largest focus of 2 layers")


def test_what_pulls_most_is_kept_where_changes_share_a_cell() -> None:
    screen = Screen(width=80, color=False)
    values = {(layer, head): -1.0 if layer == 3 else 0.4 for layer in range(32) for head in range(32)}
    (drawn,) = atlas(values, screen, scale=Scale.around(np.array([-1.0, 0.4])))
    assert shown(drawn, screen)[2].endswith("▼" * 64)


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize(("layers", "heads", "width"), [(80, 64, 60), (2, 200, 80), (61, 128, 160), (32, 32, 40)])
def test_nothing_is_wider_or_taller_than_it_may_be(layers: int, heads: int, width: int, color: bool) -> None:
    screen = Screen(width=width, color=color)
    for room in (None, 18):
        (drawn,) = atlas(ramp(layers, heads), screen, room=room)
        lines = shown(drawn, screen)
        assert longest(lines) <= width
        assert len(lines) <= 23
    pooled = "cell = largest focus of" in " ".join(lines)
    assert pooled == (layers > 32 or (layers > 16 and not color) or heads > width - 9)


def test_numbers_give_way_to_half_blocks_on_a_low_screen() -> None:
    screen = Screen(width=80)
    (drawn,) = atlas(ramp(30, 9), screen, room=20)
    assert len(shown(drawn, screen)) == 1 + 15 + 1
    (drawn,) = atlas(ramp(30, 9), screen, room=32)
    assert len(shown(drawn, screen)) == 32


def test_an_atlas_keeps_the_name_of_its_columns() -> None:
    """Numbers move together before the name of what is numbered is left out."""
    values = {(layer, head): head / 12 for layer in range(6) for head in range(12)}
    for width in (72, 80, 81, 86):
        (drawn,) = atlas(values, Screen(width=width, color=False), places=3)
        lines = shown(drawn, Screen(width=width, color=False))
        assert longest(lines) <= width
        assert lines[0].rstrip().endswith(" head") or width < 73


def test_letters_up_to_sixteen_layers() -> None:
    screen = Screen(width=80)
    for layers, letters in ((16, True), (17, False)):
        values = ramp(layers, 32)
        (drawn,) = atlas(values, screen, written=dict.fromkeys(values, Written("prev", "p")))
        assert ("p p p" in shown(drawn, screen)[1]) == letters


def _lines(count: int) -> RenderableType:
    return drawing([line for _ in range(count) for line in caption_lines("x", Screen())])


@pytest.mark.parametrize(
    ("heads", "room", "missing"),
    [
        (24, 40, ""),
        (24, 23, ""),
        (1024, 50, ""),
        (1024, 30, "the most telling head, 2.1"),
        (1024, 24, "the table of heads, nor for the most telling head, 2.1"),
    ],
)
def test_what_there_is_no_room_for_is_said(heads: int, room: int, missing: str) -> None:
    screen = Screen(color=False)
    parts = overview(
        lambda _room: [_lines(18 if heads > 100 else 6)],
        lambda limit: _lines(1 + (heads if limit is None else limit)),
        heads,
        lambda _room: _lines(14),
        "the most telling head, 2.1",
        screen,
        room,
    )
    said = " ".join(to_text(parts[-1], screen).split())
    assert said.startswith(f"No room here for {missing}; --all shows everything." if missing else "x")
    assert stacked_height(parts, screen) <= room + 1
