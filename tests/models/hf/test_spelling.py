"""Tests of the places of pieces, read from their spelling, against answers worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.models.hf.spelling import spelled_offsets


@pytest.mark.parametrize(
    ("text", "pieces", "parts"),
    [
        ("The  cat", ["t@@", "he", "cat"], ["T", "he", "cat"]),  # CTRL, FSMT
        ("The cat", ["t", "he</w>", "cat</w>"], ["T", "he", "cat"]),  # XLM
        ("Éclairs!", ["e", "##clair", "##s", "!"], ["É", "clair", "s", "!"]),  # BERT
        ("e\u0301t", ["é", "##t"], ["e", "t"]),
        ("ﬁne ½", ["fi", "##ne", "1⁄2"], ["ﬁ", "ne", "½"]),
        ("the cat", ["▁the", "▁", "cat"], ["the", "", "cat"]),  # SentencePiece
        ("我喜欢", ["我", "喜", "欢"], ["我", "喜", "欢"]),
        ("a xyz.", ["a", "?", "?"], ["a", "xyz", "."]),
        ("axyzb c", ["a", "?", "b", "c"], ["a", "xyz", "b", "c"]),
        ("我们", ["?", "?"], ["我", "们"]),
        ("##a a@@", ["##a", "a@@"], ["##a", "a@@"]),  # spelled so by the text itself
    ],
)
def test_pieces_that_spell_the_text(text: str, pieces: list[str], parts: list[str]) -> None:
    found = spelled_offsets(text, pieces, unknown="?")
    assert found is not None
    assert [text[start:end] for start, end in found] == parts


@pytest.mark.parametrize(
    ("text", "pieces"), [("the cat", ["the"]), ("the", ["the", "cat"]), ("the", ["eht"]), ("a b", ["a", "c", "b"])]
)
def test_pieces_that_do_not(text: str, pieces: list[str]) -> None:
    assert spelled_offsets(text, pieces, unknown="?") is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_bytes_and_letters_of_any_text(text: str) -> None:
    by_letter = spelled_offsets(text, list(text))
    assert by_letter == [(place, place + 1) for place in range(len(text))]
    by_byte = spelled_offsets(text, [chr(byte) for byte in text.encode()])
    assert by_byte == [(place, place + 1) for place, letter in enumerate(text) for _ in letter.encode()]
