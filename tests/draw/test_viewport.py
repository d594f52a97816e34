"""Parts of maps, atlases and texts around a cursor: what is in sight, what is marked, and what a mouse points at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.draw.colors import CHANGES, SHARES, WEIGHTS
from attn_cli.draw.labels import Labels, width
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen
from attn_cli.draw.viewport import NOWHERE, Drawn, Window, board, board_width, map_window, overview, shaded_text, slid
from tests.drawings import LABELS, NASTY, weights

PLAIN = Screen(width=46, height=14, color=False, part=True)
ASCII = Screen(width=46, height=14, color=False, unicode=False, part=True)
COLOR = Screen(width=46, height=14, part=True)
LONG = Labels([f"word{index}" for index in range(200)])


def long_map(**more: object) -> MapView:
    return MapView(weights(0, 3, 200, 200), LONG, LONG, **more)  # type: ignore[arg-type]


def texts(drawn: Drawn) -> list[str]:
    return [one.plain for one in drawn.lines]


def bracket(drawn: Drawn) -> tuple[int, int]:
    """Column and line of the cell in brackets."""
    ((y, line),) = [(y, line) for y, line in enumerate(texts(drawn)) if "[" in line]
    return line.index("["), y


@given(st.integers(0, 30), st.integers(-3, 30), st.integers(1, 30), st.data())
def test_a_window_holds_the_cursor_and_slides_no_further_than_it_must(
    before: int, room: int, count: int, data: st.DataObject
) -> None:
    cursor = data.draw(st.integers(0, count - 1))
    seen = slid(before, room, count, cursor)
    assert len(seen) == max(min(room, count), 1)
    assert cursor in seen
    assert 0 <= seen.start <= seen.stop <= count
    again = slid(seen.start, room, count, cursor)
    assert again == seen


@pytest.mark.parametrize("screen", [PLAIN, ASCII, COLOR], ids=["shades", "ascii", "color"])
@pytest.mark.parametrize("cursor", [(0, 0), (199, 199), (100, 7), (3, 150)])
def test_a_part_of_a_long_map_fits_and_marks_the_cursor(screen: Screen, cursor: tuple[int, int]) -> None:
    drawn = map_window(long_map(), WEIGHTS, screen, cursor=cursor, title="a map")
    assert len(drawn.lines) == 14
    assert max(width(line) for line in texts(drawn)) <= 46
    assert cursor[0] in drawn.window.rows
    assert cursor[1] in drawn.window.columns
    assert drawn.at(*bracket(drawn)) == cursor
    assert f"{cursor[0]} word{cursor[0]}" in texts(drawn)[bracket(drawn)[1]]
    first = drawn.window.rows.start, drawn.window.columns.start
    top = next(y for y, line in enumerate(texts(drawn)) if line.strip().startswith(f"{first[0]} word"))
    gutter = bracket(drawn)[0] - 2 * (cursor[1] - first[1])
    assert drawn.at(gutter, top) == first
    assert drawn.at(gutter, 0) is None


def test_the_window_stays_where_it_was_while_the_cursor_is_within() -> None:
    one = map_window(long_map(), WEIGHTS, PLAIN, cursor=(50, 50))
    other = map_window(long_map(), WEIGHTS, PLAIN, cursor=(49, 49), before=one.window)
    assert other.window.columns == one.window.columns
    assert not one.window.holds(200, 200)


@pytest.mark.parametrize("screen", [PLAIN, COLOR], ids=["shades", "color"])
def test_a_small_map_has_numbers_and_the_one_under_the_cursor_in_brackets(screen: Screen) -> None:
    part = Labels(LABELS.texts[1:6])
    view = MapView(weights(0, 3, 5, 5), part, part)
    drawn = map_window(view, WEIGHTS, screen, cursor=(2, 3))
    value = f"{weights(0, 3, 5, 5)[2, 3]:.2f}"[1:]
    x, y = bracket(drawn)
    assert f"{value}]" in texts(drawn)[y]
    assert drawn.at(x, y) == (2, 3)
    assert drawn.window.holds(5, 5)


def test_marks_between_segments_do_not_shift_what_is_pointed_at() -> None:
    labels = Labels(LONG.texts[:12], second_segment=5)
    drawn = map_window(MapView(weights(0, 3, 12, 12), labels, labels), WEIGHTS, PLAIN, cursor=(8, 9))
    assert drawn.at(*bracket(drawn)) == (8, 9)
    earlier = map_window(MapView(weights(0, 3, 12, 12), labels, labels), WEIGHTS, PLAIN, cursor=(2, 3))
    assert earlier.at(*bracket(earlier)) == (2, 3)


def test_rulers_beside_the_whole_map_say_what_is_in_sight() -> None:
    window = Window(range(100, 120), range(20))
    drawn = overview(long_map(), window, Screen(width=41, height=12, color=False, part=True), title="all")
    title, ruler, *rows = texts(drawn)
    assert title == "all"
    # 200 columns in 40 cells, and 200 rows in 10 lines of two cells: a cell is 10 units.
    assert ruler == " ━━"
    assert [line.startswith("┃") for line in rows] == [False] * 5 + [True] + [False] * 4
    assert drawn.at(1, 2) == (10, 5)
    assert drawn.at(1, 0) is None


def test_an_atlas_has_numbers_where_there_is_room() -> None:
    values = {(layer, head): (layer * 5 + head) / 15 for layer in range(3) for head in range(5)}
    assert board_width(5, 40) == 28
    assert board_width(5, 20) == 13
    drawn = board(values, SHARES, Screen(width=28, height=10, part=True), cursor=(1, 2), title="focus")
    assert texts(drawn)[1].split() == ["0", "1", "2", "3", "4"]
    assert "[.47]" in texts(drawn)[3]
    assert drawn.at(*bracket(drawn)) == (1, 2)
    assert drawn.at(0, 3) is None


@pytest.mark.parametrize(("size", "screen"), [(12, 36), (32, 36), (64, 30)])
def test_an_atlas_of_many_heads_pans_to_the_cursor(size: int, screen: int) -> None:
    values = {(layer, head): ((layer * 7 + head) % 9) / 9 - 0.5 for layer in range(size) for head in range(size)}
    for cursor in [(0, 0), (size - 1, size - 1), (size // 2, 3)]:
        for color in (True, False):
            part = Screen(width=screen, height=10, color=color, part=True)
            drawn = board(values, CHANGES, part, cursor=cursor)
            mark = "[" if size == 12 else "◆"
            ((y, line),) = [(y, line) for y, line in enumerate(texts(drawn)) if mark in line]
            assert drawn.at(line.index(mark), y) == cursor
            assert len(drawn.lines) == 10
            assert max(map(width, texts(drawn))) <= screen


def test_words_stand_above_the_shades_of_their_weights() -> None:
    labels = Labels(["The", "cat", "sat"])
    drawn = shaded_text(labels, np.array([0.02, 0.9, np.nan], np.float32), WEIGHTS, PLAIN, marked=2)
    assert texts(drawn) == ["The cat sat", "··· ███"]
    assert drawn.at(5, 0) == (1, 1)
    assert drawn.at(3, 0) is None


def test_a_long_text_is_shown_around_the_word_that_is_marked() -> None:
    screen = Screen(width=30, height=4, color=False, part=True)
    drawn = shaded_text(LONG, np.zeros(200, np.float32), WEIGHTS, screen, marked=120)
    assert len(drawn.lines) == 4
    assert "word120" in "".join(texts(drawn))
    assert shaded_text(LONG, None, WEIGHTS, screen, pointed=3).lines[0].plain.startswith("word0 ")


@pytest.mark.parametrize("screen", [PLAIN, ASCII, COLOR], ids=["shades", "ascii", "color"])
def test_nothing_of_a_text_reaches_the_terminal_as_it_is(screen: Screen) -> None:
    labels = Labels(NASTY)
    view = MapView(weights(0, 3, len(NASTY), len(NASTY)), labels, labels)
    for row in range(0, len(NASTY), 5):
        drawn = [
            *texts(map_window(view, WEIGHTS, screen, cursor=(row, row))),
            *texts(shaded_text(labels, view.shown[row], WEIGHTS, screen, marked=row)),
        ]
        assert not any(character < " " or "\x7f" <= character < "\xa0" for line in drawn for character in line)
        assert max(map(width, drawn)) <= screen.width


def test_nothing_is_in_sight_of_what_was_not_drawn() -> None:
    assert not NOWHERE.holds(1, 1)
    assert Drawn([]).at(0, 0) is None
