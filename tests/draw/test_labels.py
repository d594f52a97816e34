from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from attn_cli.draw.labels import LEFT_TO_RIGHT, Labels, clean, fit, letters, width
from tests.drawings import NASTY

REORDERING = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

ANYTHING = st.one_of(st.text(), st.sampled_from(NASTY), st.text("ab \u0301\u200d\ufe0f👩🏽🚀漢ש\x1b", max_size=8))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("it", "it"),
        ("\x1b[31mred", "␛[31mred"),
        ("a\x00b\x7f", "a␀b␡"),
        ("a\nb\tc\rd", "a␊b␉c␍d"),
        ("\x9b31m", "�31m"),
        ("a\u202eb\u2069", "a�b�"),
        ("\u200b\u00ad\ufeff", "���"),
        ("\ud800", "�"),
        ("\u2028\u2029", "␤␤"),
        (" a b ", "␣a b␣"),
        ("  ", "␣␣"),
        ("\u00a0\u3000", "␣␣"),
        ("\u0301x", "◌\u0301x"),
        ("e\u0301", "e\u0301"),
        ("❤\ufe0f", "❤"),
        ("👩🏽\u200d🚀", "👩🏽\u200d🚀"),
        ("👩\u200d⚕\ufe0f", "👩\u200d⚕"),
        ("a\u200db\u200d", "ab"),
        ("🇫🇷", "🇫🇷"),
        ("🇫", "Ｆ"),
        ("🇫🇷🇩", "🇫🇷Ｄ"),
        ("x🇫y🇷", "xＦyＲ"),
        ("👍🏽☝🏽", "👍🏽☝🏽"),
        ("🏽", "�"),
        ("a🏽👍🏽🏽", "a�👍🏽�"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("[bold]x[/]", "[bold]x[/]"),
        ("", ""),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("café", "cafe"), ("漢a", "?a"), (" a", "_a"), ("\x1b", "?"), ("\u2028", "\\"), ("½", "1?2"), ("…", "...")],
)
def test_clean_for_ascii(text: str, expected: str) -> None:
    assert clean(text, unicode=False) == expected


@given(ANYTHING)
def test_clean_text_does_nothing_to_a_terminal(text: str) -> None:
    shown = clean(text)
    assert clean(shown) == shown
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown)
    assert not set(REORDERING) & set(shown)
    assert clean(text, unicode=False).isascii()
    # Nothing that takes no cell stands first or joins what comes after.
    assert cell_len(shown + "x") == cell_len("x" + shown) == cell_len(shown) + 1


@given(
    ANYTHING,
    st.integers(0, 20),
    st.sampled_from(["left", "right", "center"]),
    st.sampled_from(["start", "end"]),
    st.booleans(),
)
def test_fit_fills_its_cells(text: str, cells: int, align: str, keep: str, unicode: bool) -> None:
    fitted = fit(text, cells, align=align, keep=keep, unicode=unicode)
    assert width(fitted) == cells
    assert width(f"|{fitted}|") == cells + 2
    assert cell_len(fitted) == cells - sum(unicodedata.category(character) == "Mc" for character in fitted)
    # Rich neither drops nor reads anything in it.
    assert Text(fitted).plain == fitted


def test_fit() -> None:
    assert fit("suitcase", 5) == "suit…"
    assert fit("suitcase", 5, unicode=False) == "suit~"
    assert fit("it", 5, align="right") == "   it"
    assert fit("it", 5, align="center") == " it  "
    assert fit("漢字かな", 4) == "漢… "  # a wide letter is not halved
    assert fit("x", 0) == ""
    assert fit("/models/minilm", 7, keep="end") == "…minilm"
    assert fit("שלום", 6) == "שלום" + LEFT_TO_RIGHT + "  "


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("abc", 3),
        ("·…━→é", 5),  # what Unicode calls ambiguous
        ("漢字", 4),
        ("한국", 4),
        ("e\u0301", 1),
        ("👩🏽\u200d🚀", 2),
        ("🇫🇷", 2),
        ("हिन्दी", 5),  # three letters, a mark without room, and two that have a cell each
        ("கொ", 2),
        ("ก็", 1),
    ],
)
def test_widths(text: str, cells: int) -> None:
    """As glibc's wcwidth measures them, but for emoji of several parts."""
    assert width(clean(text)) == cells


def test_letters() -> None:
    assert letters("e\u0301漢a") == ["e\u0301", "漢", "a"]
    assert letters("") == []


def test_labels() -> None:
    labels = Labels(["it", "was", "it"], positions=[3, 5, 7])
    assert [labels.named(index) for index in range(3)] == ["it#1", "was", "it#2"]
    assert list(labels.special) == [False, False, False]
    assert list(Labels(["a", "b"]).positions) == [0, 1]
    with pytest.raises(ValueError, match="2 labels but 1 special"):
        Labels(["a", "b"], [True])
