"""Rows on the grid of an image's patches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attn_cli.draw.patches import PatchRow, patch_picture, patch_scale, thumbnail_lines
from attn_cli.draw.screen import Screen, to_text
from tests.golden_files import assert_golden
from tests.models.vision import pixels


def row(rows: int, columns: int, mark: tuple[int, int] | None = None) -> PatchRow:
    down, across = np.mgrid[0:rows, 0:columns]
    near = np.exp(-((down - rows * 0.4) ** 2 + (across - columns * 0.7) ** 2) / max(rows, 4))
    return PatchRow(0.8 * near / near.sum(), mark, [("[CLS]", 0.15), ("[REG0]", 0.05)], pixels(rows * 2, columns * 2))


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (7, 11), (37, 37)])
@pytest.mark.parametrize("color", [True, False])
def test_golden(rows: int, columns: int, width: int, color: bool) -> None:
    drawn = patch_picture(
        row(rows, columns, (1, 2)),
        Screen(width=width, color=color),
        title="Where r1c2 looks in encoder 2.1",
        caption="Of 24 heads, it looks most at one patch in this.",
    )
    assert_golden(
        f"patches-{rows}x{columns}-{width}-{'color' if color else 'plain'}", to_text(drawn, Screen(color=color))
    )


@pytest.mark.parametrize("screen", [Screen(40, 12), Screen(45, unicode=False), Screen(250, 70, color=False)])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 90), (90, 2), (64, 64), (101, 103)])
def test_it_fits(rows: int, columns: int, screen: Screen) -> None:
    for one in (row(rows, columns, (0, columns - 1)), replace(row(rows, columns), thumbnail=None)):
        text = to_text(patch_picture(one, screen, title="Where", room=screen.height), replace(screen, color=False))
        assert max(map(len, text.splitlines())) <= screen.width


def test_the_numbers_are_in_their_places() -> None:
    values = np.zeros((3, 5))
    values[2, 4], values[0, 1] = 0.61, 0.25
    text = to_text(patch_picture(PatchRow(values), Screen(color=False)), Screen(color=False))
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == list("01234")
    assert lines[1] == ["0", "·", ".25", "·", "·", "·"]
    assert lines[5] == ["2", "·", "·", "·", "·", ".61"]
    assert "most r2c4 0.61, r0c1 0.25\n" in text


def test_a_thumbnail_has_the_colours_of_its_pixels() -> None:
    two = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [1, 2, 3]]], np.uint8)
    ((left, right),) = thumbnail_lines(two, 2, 1, Screen())
    assert (left[0], str(left[1])) == ("▀", "#ff0000 on #0000ff")
    assert (right[0], str(right[1])) == ("▀", "#00ff00 on #010203")
    halved = thumbnail_lines(np.repeat(np.repeat(two, 2, 0), 3, 1), 2, 1, Screen())
    assert [str(style) for _, style in halved[0]] == ["#ff0000 on #0000ff", "#00ff00 on #010203"]


def test_special_tokens_stay_beside_their_values_where_they_do_not_fit_on_a_line() -> None:
    registers = [("[CLS]", 0.04), *((f"[REG{number}]", 0.01) for number in range(4))]
    text = to_text(patch_picture(replace(row(3, 5), beside=registers), Screen(width=60)), Screen(color=False))
    said = text[text.index("beside") :].splitlines()
    assert said == [
        "beside the patches [CLS] 0.04, [REG0] 0.01, [REG1] 0.01,",
        " [REG2] 0.01, [REG3] 0.01",
    ]


def test_a_weight_far_below_the_strongest_does_not_look_like_it() -> None:
    values = np.full((7, 11), 1e-4)
    values[2, 3], values[4, 5] = 0.94, 0.01
    scale = patch_scale(values)
    assert scale.high == 0.5
    strongest, weak = scale.shades(values[[2, 4], [3, 5]])
    assert (strongest, weak) == (4, 0)


@pytest.mark.parametrize(
    ("rows", "named"), [(14, "0 4 8 12"), (15, "0 4 8 12"), (16, "0 4 8 12"), (24, "0 10 20"), (37, "0 10 20 30 36")]
)
def test_every_so_many_lines_of_two_rows_have_a_number(rows: int, named: str) -> None:
    drawn = patch_picture(row(rows, rows), Screen(width=2 * rows + 20), title="Where")
    lines = to_text(drawn, Screen(color=False)).splitlines()[2:]
    assert " ".join(line.split("▀")[0].strip() for line in lines if "▀" in line).split() == named.split()
