"""Whole screens of made-up records, on terminals of many sizes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.record import Record
from attn_cli.data.selection import Rows, Selection, SortKey
from attn_cli.data.stream import Kind
from attn_cli.data.text import make_tokens
from attn_cli.draw.screen import Screen
from attn_cli.questions.inspect.measure import look
from tests.drawings import NASTY, longest, shown
from tests.samples import encoder_record, random_map, translation_record


@cache
def record(layers: int, heads: int, count: int, *, causal: bool = False) -> Record:
    """A text of `count` words without special tokens."""
    words = [f"word{i}" if i % 3 else "it" for i in range(count)]
    ends = np.cumsum([len(word) + 1 for word in words]).tolist()
    offsets = [(end - len(word) - 1, end - 1) for word, end in zip(words, ends, strict=True)]
    kind: Kind = "decoder" if causal else "encoder"
    return Record(
        model=ModelInfo("org/made-up", "made", {kind: Stack(layers, dict.fromkeys(range(layers), heads), 1)}, "hooks"),
        source=make_tokens(" ".join(words), words, offsets, [False] * count),
        target=None,
        maps=tuple(random_map(kind, layer, count, count, heads=heads, causal=causal) for layer in range(layers)),
    )


def lines_of(record: Record, selection: Selection, screen: Screen) -> list[str]:
    lines = shown(look(record, selection, keep=False).draw(screen), screen)
    assert longest(lines) <= screen.width
    return lines


WORDS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs", "Z"]), min_size=1, max_size=9),
        st.text("aก็हि한漢ﷺ→…①ℵ🇫🇷🏽👩👍\u200d\u0301\ufe0f", min_size=1, max_size=40),
        st.sampled_from([word for word in NASTY if word.strip() and word.isprintable()]),
    ),
    min_size=1,
    max_size=9,
)
VIEWS = [
    Selection(),
    Selection(head="1.0"),
    Selection(view="query", query="0"),
    Selection(view="grid"),
    Selection(unit="token", sort="focus"),
]


@pytest.mark.unchecked
@given(WORDS, st.integers(40, 200), st.sampled_from(VIEWS), st.booleans(), st.booleans())
@settings(deadline=None)
def test_no_line_is_wider_than_the_screen_whatever_the_words(
    words: list[str], width: int, selection: Selection, color: bool, unicode: bool
) -> None:
    ends = np.cumsum([len(word) + 1 for word in words]).tolist()
    offsets = [(end - len(word) - 1, end - 1) for word, end in zip(words, ends, strict=True)]
    drawn = replace(record(2, 3, len(words)), source=make_tokens(" ".join(words), words, offsets, [False] * len(words)))
    lines_of(drawn, selection, Screen(width=width, height=None, color=color, unicode=unicode))


def heads_in(lines: list[str]) -> list[str]:
    """Names of the heads in the table."""
    names = [line.split()[0] for line in lines if line.strip()]
    return [name for name in names if name.count(".") == 1 and name.replace(".", "").isdecimal() and name[0] != "."]


@pytest.mark.unchecked
@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize(("width", "height"), [(60, 40), (80, 40), (80, 50), (160, 40)])
@pytest.mark.parametrize("count", [3, 12, 16, 40, 70])
@pytest.mark.parametrize(("layers", "heads"), [(6, 8), (12, 12)])
def test_the_first_screen_fits_the_terminal(
    layers: int, heads: int, count: int, width: int, height: int, color: bool
) -> None:
    screen = Screen(width=width, height=height, color=color)
    for causal in (False, True):
        lines = lines_of(record(layers, heads, count, causal=causal), Selection(), screen)
        # One line is left for the prompt, and not much more.
        assert height - 4 <= len(lines) < height
        shown_heads = heads_in(lines)
        assert len(shown_heads) >= 4
        note = next(line for line in lines if f" of {layers * heads} heads" in line)
        assert int(note.split()[0]) == len(shown_heads)


@pytest.mark.parametrize("width", [40, 80])
def test_a_low_terminal_shows_the_words_of_one_head(width: int) -> None:
    lines = lines_of(record(3, 8, 12), Selection(), Screen(width=width, height=24))
    assert not heads_in(lines)
    assert not any(line.startswith("focus ") for line in lines)
    assert len(lines) < 24 or width < 80
    assert any(line.startswith(" 1 word1 ") for line in lines)


def test_all_shows_every_head_layer_by_layer() -> None:
    lines = lines_of(record(6, 8, 12), Selection(all=True), Screen(height=40))
    table = lines[lines.index(next(line for line in lines if line.startswith("head "))) :]
    assert heads_in(lines) == [f"{layer}.{head}" for layer in range(6) for head in range(8)]
    assert [place for place, line in enumerate(table) if not line][:3] == [9, 18, 27]


@pytest.mark.parametrize(
    ("sort", "why"),
    [
        ("layer", "those with the strongest links"),
        ("entropy", "lowest entropy first"),
        ("distance", "highest distance first"),
        ("link", "strongest link first"),
    ],
)
def test_which_heads_are_shown_is_said(sort: SortKey, why: str) -> None:
    lines = lines_of(record(12, 12, 12), Selection(sort=sort), Screen(height=40))
    assert any(f" of 144 heads, {why}; --all shows every head." in line for line in lines)


def test_without_links_the_first_heads_are_shown() -> None:
    lines = lines_of(record(12, 12, 1), Selection(), Screen(height=30))
    assert "link" not in "\n".join(lines).replace("heads, the first;", "")
    assert any("of 144 heads, the first; --all" in line for line in lines)
    assert heads_in(lines)[:2] == ["0.0", "0.1"]


@pytest.mark.parametrize("top_k", [1, 3, 8])
@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_query_fits_the_terminal(width: int, top_k: int) -> None:
    screen = Screen(width=width, height=40)
    lines = lines_of(record(12, 12, 12), Selection(view="query", query="word1", top_k=top_k), screen)
    assert 36 <= len(lines) < 40
    assert "query 1: its strongest keys by weight" in "\n".join(lines)
    assert "of 144 heads, those that look most at one other word" in "\n".join(lines)
    every = lines_of(record(12, 12, 12), Selection(view="query", query="word1", top_k=top_k, all=True), screen)
    assert len(heads_in(every)) == 144


def test_a_table_in_several_panels_is_followed_by_its_picture() -> None:
    wide, narrow = Screen(width=120, height=40), Screen(width=60, height=40)
    chosen = Selection(layer="1", head="2")
    assert "at a glance" not in "\n".join(lines_of(record(6, 8, 13), chosen, wide))
    lines = lines_of(record(6, 8, 13), chosen, narrow)
    assert lines.index("Weights of head 1.2") < lines.index("Head 1.2 at a glance")
    lines = lines_of(record(6, 8, 60), chosen, wide)
    assert "Weights of head 1.2" not in lines
    assert lines[-1] == "--all prints every weight."
    assert len(lines) < 40
    lines = lines_of(record(6, 8, 60), Selection(layer="1", head="2", all=True), wide)
    assert "Weights of head 1.2" in lines
    assert "--all" not in lines[-1]


def test_a_grid_of_scores_shows_scores() -> None:
    screen = Screen(width=100)
    text = "\n".join(lines_of(encoder_record(), Selection(view="grid", measure="scores", unit="token"), screen))
    assert "score " in text
    assert "weight" not in text


@pytest.mark.parametrize(("rows", "when"), [(None, "when read"), ("input", "when read"), ("output", "when written")])
def test_every_view_of_cross_attention_says_which_row_of_a_word_it_shows(rows: Rows | None, when: str) -> None:
    screen = Screen(width=120)
    for selection in (
        Selection(kind="cross", rows=rows),
        Selection(kind="cross", rows=rows, view="grid"),
        Selection(kind="cross", rows=rows, layer="0", head="1"),
        Selection(kind="cross", rows=rows, view="query", query="0"),
    ):
        assert when in "\n".join(lines_of(translation_record(), selection, screen))
