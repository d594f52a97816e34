from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_cli.draw.heatmap import heatmap, panels
from attn_cli.draw.labels import Labels
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen, to_text
from attn_cli.draw.strokes import title_lines
from tests.drawings import LABELS, NASTY, cells, longest, shown, weights

PLAIN = Screen(color=False)


def small() -> MapView:
    values = np.array([[0.0, 0.004, 0.996], [0.58, 0.05, 0.37]], np.float32)
    return MapView(
        values, Labels(["it", "was"], positions=[11, 12]), Labels(["the", "trophy", "[SEP]"], [False, False, True])
    )


def test_every_number_stands_under_its_column() -> None:
    assert shown(heatmap(small(), PLAIN, title="Head 3.1", caption="Note."), PLAIN) == [
        "Head 3.1",
        "          the trophy  [SEP]",
        "11 it       ·      ·   █1.0",
        "12 was   █.58   ░.05   ▓.37",
        "",
        "weight · <.05  ░ .05  ▒ .10  ▓ .25  █ .50–1",
        "rows (queries) attend to columns (keys)",
        "Note.",
    ]


def test_ascii() -> None:
    screen = Screen(color=False, unicode=False)
    lines = shown(heatmap(small(), screen, mark_strongest=True), screen)
    assert lines[1:3] == ["11 it       .      .  X#1.0", "12 was  X#.58   :.05   *.37"]
    assert "".join(lines).isascii()


def test_cross_attention_says_which_of_a_target_words_rows_it_shows() -> None:
    view = MapView(small().values, small().query, small().key, kind="cross")
    assert "rows (target, when read) attend to columns (source)" in shown(heatmap(view, PLAIN), PLAIN)[-1]


@pytest.mark.parametrize("marked", [True, False])
def test_the_strongest_of_each_row_is_bold_where_the_legend_says_so(marked: bool) -> None:
    screen = Screen(color=True)
    text = to_text(heatmap(small(), screen, mark_strongest=marked), screen)
    bold = re.findall(r"\x1b\[1;[0-9;]*m *([.0-9]+) *\x1b", text)
    assert bold == (["1.0", ".58"] if marked else [])
    assert ("bold: strongest of its row" in text) is marked


def test_masked_is_blank_and_zero_is_not() -> None:
    values = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    labels = Labels(["a", "b"])
    masked = MapView(values, labels, labels, "decoder", visible=np.array([[0, 1], [0, 2]]))
    lines = shown(heatmap(masked, PLAIN), PLAIN)
    assert lines[1:3] == ["0 a  █1.0", "1 b     · █1.0"]
    assert lines[-1].endswith("blank: masked")
    assert "blank" not in "".join(shown(heatmap(MapView(values, labels, labels), PLAIN), PLAIN))


def test_scores() -> None:
    values = np.array([[-12.345, 3.0], [-np.inf, 103.0]], np.float32)
    labels = Labels(["a", "b"])
    lines = shown(heatmap(MapView(values, labels, labels, measure="score"), PLAIN), PLAIN)
    assert lines[1:3] == ["0 a  -12.3    3.0", "1 b         103.0"]
    assert lines[4].startswith("score ▼ -50  - -10  · 0  + +10  ▲ +50")


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (160, ["[CLS]      The   trophy   didn't      fit       in      the suitcase"]),
        (100, ["[CLS]      trophy         fit         the     because", "The      didn't          in    suitcase"]),
        (80, ["[CLS]      didn't         the          it", "The         fit    suitcase"]),
    ],
)
def test_labels_spread_over_as_few_lines_as_keep_them_whole(width: int, header: list[str]) -> None:
    screen = Screen(width=width, color=True)
    lines = shown(heatmap(MapView(weights(0, 1), LABELS, LABELS), screen), screen)
    for line, expected in zip(lines, header, strict=False):
        assert line.strip().startswith(expected)


def test_letters_go_downwards_over_squares() -> None:
    screen = Screen(width=60, color=False)
    key = Labels(["the", "lighthouse", "漢字", "it"] * 6)
    lines = shown(heatmap(MapView(weights(0, 1, 5, 24), Labels(list("abcde")), key), screen), screen)
    assert [line[4:12] for line in lines[:8]] == [
        "  l     ",
        "  i     ",
        "  g     ",
        "  h     ",
        "  t     ",
        "t h     ",
        "h o 漢i h",  # nine cells, eight letters
        "e … 字t e",
    ]
    assert lines[9].startswith("1 b ██· ")


def test_strongest_squares() -> None:
    screen = Screen(width=60, color=False)
    view = MapView(weights(0, 3, 5, 23), Labels(list("abcde")), Labels([f"{i:02}" for i in range(23)]))
    lines = shown(heatmap(view, screen, mark_strongest=True), screen)
    for row in range(5):
        assert lines[2 + row].count("■") == 1
        # Head 0.3 likes column (5 query + 2) most; the mark follows its shade.
        assert lines[2 + row].index("■") == 5 + 2 * ((5 * row + 2) % 23)
        assert lines[2 + row][4 + 2 * ((5 * row + 2) % 23)] in "░▒▓█"
    assert "■ strongest of its row" in "\n".join(lines[-3:])


@pytest.mark.parametrize("width", [40, 60, 80, 160])
@pytest.mark.parametrize("color", [True, False])
def test_the_full_table_holds_every_number(width: int, color: bool) -> None:
    values = np.round(np.arange(7 * 31).reshape(7, 31) % 90 / 100 + 0.01, 2).astype(np.float32)
    screen = Screen(width=width, color=color)
    view = MapView(values, Labels([f"q{i}" for i in range(7)]), Labels([f"k{i}" for i in range(31)]))
    lines = shown(heatmap(view, screen, numbers=True), screen)
    assert longest(lines) <= width
    for row in range(7):
        panels = [line for line in lines if line.startswith(f"{row} q{row}")]
        found = [float(number) for line in panels for number in re.findall(r"\.\d\d", line)]
        np.testing.assert_allclose(found, values[row], atol=1e-6)


def test_later_panels_leave_out_rows_that_see_nothing_there() -> None:
    count = 40
    labels = Labels([f"w{i}" for i in range(count)])
    visible = np.stack([np.zeros(count, np.intp), np.arange(1, count + 1)], axis=1)
    view = MapView(np.tril(weights(0, 4, count, count)), labels, labels, "decoder", visible=visible)
    lines = shown(heatmap(view, PLAIN, numbers=True), PLAIN)
    rows = [int(line.split()[0]) for line in lines if re.match(r" ?\d+ w\d", line)]
    assert rows[:count] == list(range(count))
    assert rows.count(0) == 1
    assert rows.count(39) > 1


def test_a_long_text_becomes_a_mosaic_of_its_largest_weights() -> None:
    count = 300
    values = np.zeros((count, count), np.float32)
    values[250, 40] = 1.0
    labels = Labels([f"w{i}" for i in range(count)])
    screen = Screen(width=80, color=False)
    lines = shown(heatmap(MapView(values, labels, labels), screen), screen)
    # 71 columns and 60 lines: 5 words a column, 10 a line without colour.
    assert lines[0] == "         0         50        100       150       200       250"
    assert lines[1] == "         w0        w50       w100      w150      w200      w250"
    assert lines[2].startswith("  0 w0   ·")
    assert lines[2 + 250 // 10] == "250 w250 " + "·" * 8 + "█" + "·" * 51
    assert "cell = largest weight of 10 × 5 words" in lines[-2]
    assert lines[-1].startswith("most weight in columns 40 w40,")
    screen = Screen(width=80, color=True)
    lines = shown(heatmap(MapView(values, labels, labels), screen), screen)
    assert lines[2 + 250 // 10] == "250 w250 " + "▀" * 60
    assert "cell = largest weight of 5 × 5 words" in lines[-2]


@pytest.mark.parametrize("color", [True, False])
def test_a_mosaic_in_ascii(color: bool) -> None:
    labels = Labels([f"w{i}" for i in range(300)])
    screen = Screen(width=80, color=color, unicode=False)
    lines = shown(heatmap(MapView(weights(0, 1, 300, 300), labels, labels), screen), screen)
    assert "".join(lines).isascii()
    assert "cell = largest weight of 10 x 5 words" in lines[-2]
    assert len(lines) == 2 + 30 + 1 + 3 + (not color)
    assert "the scale ends at .2, not at 1" in " ".join(" ".join(lines).split())


def test_a_mosaic_names_rows_where_the_width_allows() -> None:
    labels = Labels([f"word{i}" for i in range(60)], [True] + [False] * 59)
    values = weights(0, 0, 60, 60)
    screen = Screen(width=80, height=50, color=True)
    lines = shown(heatmap(MapView(values, labels, labels), screen), screen)
    assert lines[0] == " " * 10 + "0         10        20        30        40        50"
    assert lines[1] == " " * 10 + "word0     word10    word20    word30    word40    word50"
    assert [line[:10] for line in lines[2:9]] == [" 1 word1  ", *[" " * 10] * 4, "10 word10 ", " " * 10]
    assert lines[-1] == "most weight in columns 0 word0, 1 word1, 2 word2, 3 word3, 4 word4"
    screen = Screen(width=69, height=50, color=True)
    lines = shown(heatmap(MapView(values, labels, labels), screen), screen)
    assert lines[0] == "   0         10        20        30        40        50"
    assert lines[7].startswith("10 ▀▀▀")


def test_a_mosaic_names_words_and_no_punctuation() -> None:
    texts = [("[CLS]", ",", "cat")[index % 3] for index in range(3000)]
    labels = Labels(texts, [text == "[CLS]" for text in texts])
    screen = Screen(width=80, height=24, color=False)
    lines = shown(heatmap(MapView(weights(0, 0, 3000, 3000), labels, labels), screen), screen)
    # 69 columns of 44 words, the whole width, and 15 lines of 2 x 100 words.
    assert lines[0] == " " * 11 + "2         440       881       1322      1760      2201      2642"
    assert lines[1] == " " * 11 + "cat       cat       cat       cat       cat       cat       cat"
    assert [line.split()[:2] for line in lines[2:14:5]] == [["2", "cat"], ["1001", "cat"], ["2000", "cat"]]
    assert longest(lines[2:16]) == 11 + -(-3000 // 44)


def test_the_width_is_used_however_low_the_screen() -> None:
    labels = Labels([f"w{i}" for i in range(2000)])
    for width in (80, 160):
        screen = Screen(width=width, height=20)
        lines = shown(heatmap(MapView(weights(0, 0, 2000, 2000), labels, labels), screen), screen)
        assert longest(lines) >= 0.93 * width


def test_a_mosaic_fits_the_height_too() -> None:
    count = 300
    labels = Labels([f"w{i}" for i in range(count)])
    for height in (24, 40, 60):
        screen = Screen(width=200, height=height)
        lines = shown(heatmap(MapView(weights(0, 0, count, count), labels, labels), screen, title="Head"), screen)
        assert height - 8 <= len(lines) < height


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("count", [5, 14, 19, 30, 46, 150, 800])
def test_a_map_keeps_to_its_room(count: int, width: int, color: bool) -> None:
    labels = Labels([f"lighthouse{i}" for i in range(count)])
    screen = Screen(width=width, color=color)
    view = MapView(weights(0, 1, count, count), labels, labels)
    for room in (20, 25, 29, 45):
        lines = shown(heatmap(view, screen, title="Head", room=room), screen)
        assert len(lines) <= room
        assert longest(lines) <= width


def test_the_narrowest_legend_is_whole() -> None:
    screen = Screen(width=40, color=True)
    labels = Labels([f"w{i}" for i in range(90)])
    values = np.full((90, 90), 0.3, np.float32)
    lines = shown(heatmap(MapView(values, labels, labels), screen), screen)
    (legend,) = [line for line in lines if line.startswith("weight")]
    assert legend.split() == ["weight", "0", ".025", ".05", ".125", ".25", ".5"]


def test_labels_written_downwards_are_cut_where_there_is_little_room() -> None:
    labels = Labels(["lighthouse", "it"] * 7)
    screen = Screen(width=50, color=True)
    view = MapView(weights(0, 1, 14, 14), labels, labels)

    def header(room: int | None) -> list[str]:
        lines = shown(heatmap(view, screen, room=room), screen)
        return [line[14:16] for line in lines[: next(i for i, line in enumerate(lines) if line.startswith(" 0"))]]

    assert header(None) == ["l ", "i ", "g ", "h ", "t ", "h ", "o ", "… "[:2]]
    # The blank line above the legend goes first.
    assert header(21) == ["l ", "i ", "g ", "h ", "… "]
    assert header(20) == ["l ", "i ", "g ", "… "]
    # No shorter: labels are worth more lines than there are.
    assert header(3) == header(20)


def test_panels_are_counted() -> None:
    def view(count: int) -> MapView:
        labels = Labels([f"w{i:02}" for i in range(count)])
        return MapView(weights(0, 1, count, count), labels, labels)

    screen = Screen(width=80)
    # 73 columns for cells of 4.
    assert [panels(view(count), screen) for count in (18, 19, 36, 37)] == [1, 2, 2, 3]


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"values have shape \(2, 3\), the labels say \(2, 2\)"):
        MapView(np.zeros((2, 3), np.float32), Labels(["a", "b"]), Labels(["a", "b"]))


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.one_of(st.text(max_size=12), st.sampled_from(NASTY)), min_size=1, max_size=40),
    width=st.integers(40, 170),
    numbers=st.booleans(),
    color=st.booleans(),
    unicode=st.booleans(),
    title=st.one_of(st.text(), st.sampled_from(NASTY)),
)
def test_columns_stay_aligned(
    texts: list[str], width: int, numbers: bool, color: bool, unicode: bool, title: str
) -> None:
    screen = Screen(width=width, color=color, unicode=unicode)
    labels = Labels(texts)
    count = len(texts)
    view = MapView(np.full((count, count), 0.25, np.float32), labels, labels)
    lines = shown(heatmap(view, screen, title=title, numbers=numbers), screen)
    assert longest(lines) <= width
    # All rows of a panel end in the same cell, whatever their labels are; the last panel may be narrower.
    digits = len(str(count - 1))
    above = len(title_lines(title, screen))
    rows = [line for line in lines[above:] if re.match(rf"{' ' * (digits - 1)}\d|\d{{{digits}}}", line)]
    assert 1 <= len({cells(line) for line in rows}) <= 2


def test_small_scores_have_the_decimals_that_tell_them_apart() -> None:
    values = np.array([[-0.0123, 0.0014], [0.0061, -0.00002]], np.float32)
    labels = Labels(["a", "b"])
    lines = shown(heatmap(MapView(values, labels, labels, measure="score"), PLAIN), PLAIN)
    assert lines[1:3] == ["0 a  -0.012   0.001", "1 b   0.006   0.000"]
    assert lines[4].startswith("score ▼ -.005  - -.001  · 0  + +.001  ▲ +.005")


def two_segments(count: int = 3, second: int = 2) -> MapView:
    values = np.full((count, count), 1 / count, np.float32)
    labels = Labels([f"w{i}" for i in range(count)], second_segment=second)
    return MapView(values, labels, labels)


def test_a_mark_stands_between_segments() -> None:
    assert shown(heatmap(two_segments(), PLAIN), PLAIN) == [
        "        w0   w1    w2",
        "0 w0  ▓.33 ▓.33│ ▓.33",
        "1 w1  ▓.33 ▓.33│ ▓.33",
        "─────────────────────",
        "2 w2  ▓.33 ▓.33│ ▓.33",
        "",
        "weight · <.05  ░ .05  ▒ .10  ▓ .25  █ .50–1",
        "rows (queries) attend to columns (keys)   │ ─ between segments 0 and 1",
    ]


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", [40, 41, 60, 80])
def test_marks_between_segments_keep_to_the_screen(color: bool, unicode: bool, width: int) -> None:
    screen = Screen(width=width, color=color, unicode=unicode)
    for count in (7, 17, 18, 19, 37, 41):
        for numbers in (True, False):
            lines = shown(heatmap(two_segments(count, 5), screen, numbers=numbers, mark_strongest=True), screen)
            assert longest(lines) <= width
            said = "segment 1 begins at row 5, column 5" in " ".join(" ".join(lines).split())
            assert said or any(("│" if unicode else "|") in row for row in lines[:-3])
    assert "segment 1 begins at row 90, column 90" in " ".join(shown(heatmap(two_segments(300, 90), screen), screen))
