"""Tokens to words."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.text import make_tokens, written_offsets
from tests.samples import source_tokens


def words_of(text: str, pieces: list[tuple[str, int, int]]) -> list[str]:
    tokens = make_tokens(text, [p[0] for p in pieces], [(p[1], p[2]) for p in pieces], [False] * len(pieces))
    assert all(token.word is not None for token in tokens.tokens)
    return [word.text for word in tokens.words]


def test_pieces_of_a_word_are_one_word_and_special_tokens_belong_to_none() -> None:
    tokens = source_tokens()
    assert [word.text for word in tokens.words] == ["The", "trophy", "didn't", "fit", "."]
    assert [token.word for token in tokens.tokens] == [None, 0, 1, 1, 2, 2, 2, 3, 4, None, None]
    assert [(word.start, word.end) for word in tokens.words] == [(0, 3), (4, 10), (11, 17), (18, 21), (21, 22)]


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("well-known", [("well", 0, 4), ("-", 4, 5), ("known", 5, 10)], ["well", "-", "known"]),
        ("日本 語", [("日本", 0, 2), ("語", 2, 4)], ["日本", "語"]),  # one piece over two words joins them
        ("日本", [("日", 0, 1), ("本", 1, 2)], ["日", "本"]),
        ("a 👨‍👩‍👧", [("a", 0, 1), ("Ġ", 1, 2), ("x", 2, 3), ("y", 2, 5), ("z", 5, 7)], ["a", "👨‍👩‍👧"]),
        (" it was", [("Ġit", 0, 3), ("Ġwas", 3, 7)], ["it", "was"]),
        ("x  y", [("▁", 0, 0), ("x", 0, 1), ("▁", 1, 3), ("y", 3, 4)], ["x", "y"]),
        ("a\nb", [("a", 0, 1), ("Ċ", 1, 2), ("b", 2, 3)], ["a", "\n", "b"]),
        ("end ", [("end", 0, 3), ("Ġ", 3, 4)], ["end", " "]),  # a piece of space with nothing to belong to
        ("end", [("end", 0, 3), ("▁", 3, 3), ("<x>", 3, 3)], ["end", " ", "<x>"]),
        ("don’t", [("don", 0, 3), ("’", 3, 4), ("t", 4, 5)], ["don’t"]),
        ("שלום עולם", [("של", 0, 2), ("ום", 2, 4), ("עולם", 5, 9)], ["שלום", "עולם"]),
    ],
)
def test_words_follow_unicode_boundaries(text: str, pieces: list[tuple[str, int, int]], expected: list[str]) -> None:
    assert words_of(text, pieces) == expected


def test_spaces_at_the_end_of_a_prompt_are_no_part_of_what_is_written() -> None:
    offsets = [(0, 2), (2, 3), (3, 4), (4, 5), (5, 8)]
    tokens = make_tokens("is  2 big", ["is", "Ġ", "Ġ", "2", "Ġbig"], offsets, [False] * 5, written=3)
    assert [word.text for word in tokens.words] == ["is", " ", " ", "2", "big"]
    assert [token.word for token in tokens.tokens] == [0, 1, 2, 3, 4]
    read = make_tokens("is  2 big", ["is", "Ġ", "Ġ", "2", "Ġbig"], offsets, [False] * 5)
    assert [word.text for word in read.words] == ["is", "2", "big"]


def test_words_do_not_run_from_one_segment_into_the_other() -> None:
    tokens = make_tokens(
        "so", ["[CLS]", "so", "[SEP]", "so", "[SEP]"], [(0, 0), (0, 2), (0, 0), (0, 2), (0, 0)],
        [True, False, True, False, True], pair="so", segments=[0, 0, 0, 1, 1],
    )  # fmt: skip
    assert [(word.text, word.segment) for word in tokens.words] == [("so", 0), ("so", 1)]


@given(st.text(max_size=30), st.data())
def test_every_cut_of_every_text_gives_words_in_order_that_cover_their_tokens(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)) | {0, len(text)})
    spans = list(pairwise(cuts))
    tokens = make_tokens(text, [text[a:b] for a, b in spans], spans, [False] * len(spans))
    indices = [token.word for token in tokens.tokens]
    assert indices == sorted(index for index in indices if index is not None)
    assert set(indices) == set(range(len(tokens.words)))
    for token in tokens.tokens:
        assert token.word is not None
        word = tokens.words[token.word]
        if token.piece.strip(" "):
            stripped = token.start + len(token.piece) - len(token.piece.lstrip(" "))
            assert word.start <= stripped < word.end


@given(st.lists(st.text("aé ▁漢😀", max_size=4), max_size=7))
def test_pieces_written_one_after_another_tile_the_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    growing = ["".join(pieces[: count + 1]) for count in range(len(pieces))]
    offsets = written_offsets(text, growing)
    assert [text[start:end] for start, end in offsets] == pieces


@pytest.mark.parametrize(
    ("text", "growing", "expected"),
    [
        # The second byte of a letter: until it comes there is no letter.
        ("é!", ["\ufffd", "é", "é!"], ["", "é", "!"]),
        # A tokenizer that tidies up what it has written: the apostrophe moves back to its word.
        ("don't go", ["do", "do n", "don't", "don't go"], ["do", "", "n't", " go"]),
        # A piece that stands for nothing.
        ("a b", ["a", "a", "a b"], ["a", "", " b"]),
        ("", ["", ""], ["", ""]),
    ],
)
def test_pieces_that_change_what_came_before(text: str, growing: list[str], expected: list[str]) -> None:
    assert [text[start:end] for start, end in written_offsets(text, growing)] == expected
