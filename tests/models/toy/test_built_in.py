"""The built-in models as they come with the package: truly trained, and the same in NumPy as in transformers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attn_cli
from attn_cli import load
from attn_cli.data.record import AttentionMap, Record
from attn_cli.models import Decoding, Input
from attn_cli.models import load as load_model
from attn_cli.models.toy.folder import BUILT_IN, ToyFolder, built_in
from attn_cli.models.toy.model import Toy
from attn_cli.models.toy.reader import ToyReader
from attn_cli.models.toy.typed import Side, in_plain_characters

SENTENCES = [
    "The cat sat on the mat.",
    "The trophy didn't fit in the suitcase because it was too big.",
    "Where is the nearest station?",
    "I don't know what you're talking about. 😀",
]


def row(record: Record, layer: int, query: str, *, target: bool = False) -> tuple[Any, list[str]]:
    """The map of a layer, and at which row of it a word's only token stands; pieces of the columns."""
    (found,) = (one for one in record.maps if one.layer == layer)
    side = record.target if target else record.source
    assert side is not None
    at = next(i for i, token in enumerate(side.tokens) if token.piece == f"▁{query}")
    return (found, at), [token.piece for token in record.source.tokens]


def strongest(found: AttentionMap, head: int, at: int, pieces: list[str]) -> str:
    return pieces[int(found.weights[found.heads.index(head), at].argmax())]


def test_the_default_is_here_and_small() -> None:
    assert BUILT_IN[0] == "toy"
    total = sum(path.stat().st_size for name in BUILT_IN for path in built_in(name).rglob("*"))
    assert total < 42e6


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_has_a_card(name: str) -> None:
    card = (built_in(name) / "README.md").read_text()
    for word in ("tatoeba.org", "manythings.org/anki", "CC BY 2.0 FR", "seed", "BLEU", "cannot"):
        assert word in card, word


def test_chat_looks_at_cat() -> None:
    record = load().translate("The cat sat on the mat.")
    assert record.target is not None
    assert record.target.text == "Le chat était assis sur le tapis."
    alignment = record.model.alignment
    assert alignment is not None
    (found, at), pieces = row(record, alignment.layer, "chat", target=True)
    assert alignment.rows == "input"
    assert strongest(found, alignment.heads[0], at, pieces) == "▁cat"


@pytest.mark.parametrize(
    ("adjective", "noun", "translation"),
    [
        ("big", "▁trophy", "Le trophée ne rentrait pas dans la valise parce qu'il était trop grand."),
        ("small", "▁suitcase", "Le trophée ne rentrait pas dans la valise parce qu'elle était trop petite."),
    ],
)
def test_it_finds_what_it_stands_for(adjective: str, noun: str, translation: str) -> None:
    model = load()
    text = f"The trophy didn't fit in the suitcase because it was too {adjective}."
    assert model.translate(text).target is not None
    target = model.translate(text).target
    assert target is not None
    assert target.text == translation
    record = model.inspect(text, kind="encoder", head="2.0")
    (found, at), pieces = row(record, 2, "it")
    assert strongest(found, 0, at, pieces) == noun


@pytest.mark.parametrize("beam", [1, 4])
def test_transformers_writes_the_same(beam: int) -> None:
    ours, theirs = (load_model(name) for name in ("toy", str(built_in("toy"))))
    assert theirs.info.captured == "interface"
    decoding = Decoding(beam=beam)
    for one, other in zip(*(model.translate(SENTENCES, decoding=decoding) for model in (ours, theirs)), strict=True):
        assert one.ids == other.ids
        assert one.text == other.text


def test_transformers_sees_the_same() -> None:
    ours, theirs = load("toy"), load(str(built_in("toy")))
    target = "Le chat était assis sur le tapis."
    for kind in ("encoder", "decoder", "cross"):
        one, other = (model.inspect(SENTENCES[0], target=target, kind=kind) for model in (ours, theirs))
        assert len(one.maps) == len(other.maps) == 3
        for mine, yours in zip(one.maps, other.maps, strict=True):
            assert np.allclose(mine.weights, yours.weights, atol=1e-4)


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "The cat sat on the mat"],
        ["translate", "The cat sat on the mat"],
        ["translate", "The cat sat on the mat", "--model", "toy-rnn-attention"],
        ["find", "The cat sat on the mat", "cat", "mat"],
        ["diff", "The cat sat on the mat", "The dog sat on the mat"],
        ["why", "interpretability"],
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from attn_cli.cli.app import main\n"
        f"code = main({arguments!r})\n"
        "heavy = [name for name in ('torch', 'transformers', 'huggingface_hub', 'msgspec') if name in sys.modules]\n"
        "sys.exit(code or (f'imported {heavy}' if heavy else 0))"
    )
    environment = {name: value for name, value in os.environ.items() if name not in {"ATTN_CHECK_SHAPES", "ATTN_MODEL"}}
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_text_in_capitals_is_read_in_small_letters(name: str) -> None:
    model = Toy(ToyFolder(name, built_in(name)))
    shouted, said = ("I THINK THE CAT SAT HERE. HE AND I DO!", "I think the cat sat here. He and I do!")
    source, quiet = (model.prepare(Input(text)) for text in (shouted, said))
    assert [token.id for token in source.source.tokens] == [token.id for token in quiet.source.tokens]
    assert [word.text for word in source.source.words][:3] == ["I", "THINK", "THE"]  # the text stays the user's
    assert source.notes == (f"The text is in capitals, which {name} cannot read: {name} reads “{said}”",)
    assert [one.text for one in model.translate([shouted])] == [one.text for one in model.translate([said])]


@pytest.mark.parametrize("text", ["I", "OK.", "I am OK on TV", "ẞİ"])
def test_capitals_that_it_knows_or_cannot_shrink_stay(text: str) -> None:
    notes = Toy(ToyFolder("toy", built_in("toy"))).prepare(Input(text)).notes
    assert not any("capitals" in note or "OK" in note or "TV" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "said", "shouted"),
    [
        ("I WANT the BIG cat", "I want the big cat", "WANT, BIG are"),
        ("She said: “GO AWAY!” WHAT A DAY! I'M HERE.", 'She said: "Go away!" What a day! I\'m here.', "GO, AWAY, WHAT"),
        ("We are HERE at NASA in the USA.", "We are here at NASA in the USA.", "HERE is"),
        ("HELLO, my friend!", "Hello, my friend!", "HELLO is"),
        ("MY NAME IS KOFI, said the boy.", "My name is Kofi, said the boy.", "MY, NAME, IS, KOFI are"),
    ],
)
def test_words_that_are_shouted_are_read_in_small_letters(text: str, said: str, shouted: str) -> None:
    model = Toy(ToyFolder("toy", built_in("toy")))
    loud, quiet = model.prepare(Input(text)), model.prepare(Input(said))
    assert [token.id for token in loud.source.tokens] == [token.id for token in quiet.source.tokens]
    assert "".join(word.text for word in loud.source.words).replace(" ", "") == text.replace(" ", "")
    assert loud.notes[0].startswith(shouted)
    assert loud.notes[0].endswith(f"in capitals, which toy cannot read: toy reads “{said}”")


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("“Hello,” he said.", '"Hello," he said.'),
        ("She said: ‘It’s mine…’", "She said: 'It's mine...'"),
        ("I am hungry.\nI want\t food.\u00a0", "I am hungry. I want food."),
        ("The cat — my cat—is black", "The cat, my cat, is black"),
        ("I know him - he is here", "I know him, he is here"),
        ("—Hello", "- Hello"),
        ("—— Hello -- my friend", "- Hello, my friend"),
        ("—", "-"),
        ("Yes —— no –", "Yes, no -"),
        ("Thank\u200b you ❤\ufe0f", "Thank you ❤"),
        ("Tom & Mary found the \ufb02ower", "Tom and Mary found the flower"),
        ("3 - 2 is 1, 1990\u20132000 and a well\u2011known R&B", "3 - 2 is 1, 1990-2000 and a well-known R&B"),
    ],
)
def test_characters_of_phones_and_word_processors_are_read_as_plain_ones(typed: str, plain: str) -> None:
    model = Toy(ToyFolder("toy", built_in("toy")))
    one, other = (model.prepare(Input(text)) for text in (typed, plain))
    assert [token.id for token in one.source.tokens] == [token.id for token in other.source.tokens]
    assert one.notes == other.notes
    assert one.source.text == typed
    for word in one.source.words:  # which is in the text as it was typed
        assert typed[word.start : word.end] == word.text
        assert word.text == word.text.strip()


@given(st.text("—–- \n\u00a0“…&xY’\u200b.", max_size=31))
def test_each_plain_character_has_its_place_in_the_text_as_it_was_typed(text: str) -> None:
    for side in get_args(Side):
        plain = in_plain_characters(text, side)
        places = [plain.typed(place, place + 1) for place in range(len(plain.text))]
        assert all(0 <= start <= stop <= len(text) for start, stop in places)
        assert places == sorted(places)
        kept = [text[start:stop] for one, (start, stop) in zip(plain.text, places, strict=True) if one in "xY."]
        assert kept == ["…" if one == "~" else one for one in text.replace("…", "~~~") if one in "xY.~"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("The Cat Sat On A Mat", "The cat sat on a mat"),
        ("I Love You", "I love you"),
        ("Tom And Mary Are In Paris", "Tom and Mary are in Paris"),
        ("Mr And Mrs Smith", "Mr and Mrs Smith"),
    ],
)
def test_titles_are_read_as_sentences(typed: str, said: str) -> None:
    model = Toy(ToyFolder("toy", built_in("toy")))
    title, plain = (model.prepare(Input(text)) for text in (typed, said))
    assert [token.id for token in title.source.tokens] == [token.id for token in plain.source.tokens]
    assert title.notes[0] == f"All words begin with capitals, as in a title: toy reads “{said}”"
    for other in ("Tom Smith", "The Hague", "Is Tom here?", "I"):
        assert not any("title" in note for note in model.prepare(Input(other)).notes)


def test_the_names_of_special_tokens_in_a_text_are_letters() -> None:
    model = Toy(ToyFolder("toy", built_in("toy")))
    source = model.prepare(Input("The <pad> sat.</s> It did")).source
    assert [token.special for token in source.tokens] == [False] * (len(source.tokens) - 1) + [True]
    assert 0 not in [token.id for token in source.tokens]
    assert "".join(word.text for word in source.words) == "The<pad>sat.</s>Itdid"
    attn_cli.inspect("The <pad> sat", verify=True)  # which is checked against what the model computes


def test_bytes_that_make_no_letter_are_not_written() -> None:
    reader = ToyReader(ToyFolder("toy", built_in("toy")))
    cat, half = (reader.encode(text).ids[:-1] for text in ("cat", "é😀"))
    byte = next(id_ for id_ in half if reader.name_of(id_).startswith("<0xF0"))
    assert reader.spell([*cat, byte]) == reader.spell([byte, *cat]) == "cat"
    assert reader.spell([*cat, byte, byte, *cat]) == "cat cat"


def test_a_text_of_another_language_is_told_from_one_with_rare_words() -> None:
    model = Toy(ToyFolder("toy", built_in("toy")))
    (note,) = model.prepare(Input("Je suis étudiant et je lis beaucoup")).notes
    assert note.startswith("toy reads English, and has hardly seen Je, suis, étudiant")
    (note,) = model.prepare(Input("The wombat sat on the quokka")).notes
    assert note == (
        "toy has hardly seen wombat, quokka in training, and may be wrong there; try a larger model with --model"
    )
