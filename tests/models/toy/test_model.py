"""Toy models as users meet them: loaded from a folder, given text, streaming, translating; alone and as MarianMT."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from attn_cli.data.stream import Block, Report, Request
from attn_cli.errors import InputError, ModelError, UsageError
from attn_cli.models import Decoding, Input, Languages, LoadOptions, Translation, load
from attn_cli.models.toy.folder import ToyFolder, find, own_config
from attn_cli.models.toy.model import Toy
from attn_cli.models.toy.model import load as load_toy
from attn_cli.models.toy.source import ToySource
from attn_cli.train.saving import packed
from tests.models.toy.folders import toy_folder
from tests.models.toy.networks import RNN, RNN_ATTENTION, TRANSFORMER

TEXT = "The cat sat on the mat"
TARGET = "Le chat était assis"


def toy(tmp_path: Path) -> Toy:
    """The Transformer in NumPy, from the folder that transformers could read as well."""
    folder = toy_folder(tmp_path / "toy", replace(TRANSFORMER, positions=61))
    return load_toy(ToyFolder("toy", Path(folder)), LoadOptions())


def streamed(source: object, request: Request) -> tuple[list[Block], Report]:
    blocks: list[Block] = []
    report = source.stream(request, blocks.append)  # type: ignore[attr-defined]
    return blocks, report


def everything(model: Toy, *, scores: bool = False) -> Request:
    heads = {
        kind: {layer: tuple(range(count)) for layer, count in stack.heads.items()}
        for kind, stack in model.info.stacks.items()
    }
    return Request(heads=heads, scores=scores)


def test_a_toy_streams_what_marian_streams(tmp_path: Path) -> None:
    model = toy(tmp_path)
    marian = load(str(tmp_path / "toy"))
    assert marian.info.captured == "interface"
    request = everything(model, scores=True)
    ours, _ = streamed(model.prepare(Input(TEXT, target=TARGET)), request)
    theirs, _ = streamed(marian.prepare(Input(TEXT, target=TARGET)), request)
    whole = {(block.kind, block.layer): block for block in ours}
    seen = 0
    for block in theirs:
        mine = whole[block.kind, block.layer]
        rows = slice(block.start, block.start + block.weights.shape[1])
        keys = block.weights.shape[2]
        assert np.allclose(mine.weights[:, rows, :keys], block.weights, atol=1e-4)
        assert (mine.visible[rows] == block.visible).all()
        assert mine.scores is not None
        assert block.scores is not None
        finite = np.isfinite(block.scores)
        assert np.allclose(mine.scores[:, rows, :keys][finite], block.scores[finite], atol=1e-3)
        seen += block.weights.shape[1]
    assert seen == sum(block.weights.shape[1] for block in ours)


@pytest.mark.parametrize("beam", [1, 3])
def test_a_toy_writes_what_marian_writes(tmp_path: Path, beam: int) -> None:
    model = toy(tmp_path)
    decoding = Decoding(beam=beam, max_length=11)
    texts = [TEXT, "the window near", "é 😀"]
    ours = model.translate(texts, decoding=decoding)
    theirs = load(str(tmp_path / "toy")).translate(texts, decoding=decoding)
    assert [one.ids for one in ours] == [one.ids for one in theirs]
    assert [one.text for one in ours] == [one.text.replace("�", "").strip() for one in theirs]


def test_both_read_the_same_tokens(tmp_path: Path) -> None:
    model = toy(tmp_path)
    marian = load(str(tmp_path / "toy"))
    translation = model.translate([TEXT], decoding=Decoding(max_length=7))[0]
    for target in (TARGET, translation):
        ours, theirs = model.prepare(Input(TEXT, target=target)), marian.prepare(Input(TEXT, target=target))
        assert ours.source == theirs.source
        assert ours.target == theirs.target


def test_it_streams_only_what_is_asked_for(tmp_path: Path) -> None:
    model = toy(tmp_path)
    request = Request(heads={"encoder": {1: (3, 7)}}, verify=True)
    blocks, report = streamed(model.prepare(Input(TEXT)), request)
    assert [(block.kind, block.layer, block.heads) for block in blocks] == [("encoder", 1, (3, 7))]
    assert blocks[0].scores is None
    assert report.verified == pytest.approx(0, abs=1e-6)
    assert report.output is not None
    assert 0 < report.output.difference < 1e-4
    whole, _ = streamed(model.prepare(Input(TEXT)), Request(heads={"encoder": {1: tuple(range(11))}}))
    assert np.array_equal(whole[0].weights[[3, 7]], blocks[0].weights)


def test_without_a_target_only_the_encoder_runs(tmp_path: Path) -> None:
    model = toy(tmp_path)
    source = model.prepare(Input(TEXT))
    assert source.target is None
    blocks, _ = streamed(source, everything(model))
    assert {block.kind for block in blocks} == {"encoder"}


def test_a_recurrent_model_has_one_head(tmp_path: Path) -> None:
    model = load(toy_folder(tmp_path / "rnn", RNN_ATTENTION))
    assert isinstance(model, Toy)
    assert {kind: dict(stack.heads) for kind, stack in model.info.stacks.items()} == {"cross": {0: 1}}
    assert model.info.alignment is not None
    assert model.info.alignment.rows == "output"
    source = model.prepare(Input(TEXT, target=TARGET))
    (block,), _ = streamed(source, everything(model))
    assert source.target is not None
    assert block.weights.shape == (1, len(source.target) - 1, len(source.source))
    assert np.allclose(block.weights.sum(axis=-1), 1, atol=1e-5)


def test_without_attention_there_is_a_bottleneck(tmp_path: Path) -> None:
    model = load(toy_folder(tmp_path / "rnn", RNN))
    assert isinstance(model, Toy)
    assert model.info.stacks == {}
    assert model.info.bottleneck == 2 * RNN.hidden
    assert model.translate([TEXT], decoding=Decoding(max_length=5))[0].text is not None
    blocks, _ = streamed(model.prepare(Input(TEXT, target=TARGET)), everything(model))
    assert blocks == []


def test_batches_translate_as_one_would(tmp_path: Path) -> None:
    model = toy(tmp_path)
    texts = [TEXT, "the", "the window near the cat on the mat", "Sat?"]
    decoding = Decoding(max_length=9)
    together = model.translate(texts, decoding=decoding)
    assert together == [model.translate([text], decoding=decoding)[0] for text in texts]


def test_a_search_cut_short_says_so(tmp_path: Path) -> None:
    model = toy(tmp_path)
    translation = model.translate([TEXT], decoding=Decoding(max_length=2))[0]
    assert len(translation.ids) == 3
    assert any("cut after 2 tokens; attn translate --max-length 4" in note for note in translation.notes)


def test_hardly_seen_words_are_named_once(tmp_path: Path) -> None:
    source = toy(tmp_path).prepare(Input("The cat sat, the Axolotl sat: axolotl and 12 MATS"))
    assert isinstance(source, ToySource)
    (note,) = source.notes
    assert note.startswith("toy has hardly seen Axolotl, axolotl, and, MATS in training, and may be wrong there; try a")
    assert toy(tmp_path).prepare(Input("The cat sat")).notes == ()
    assert "seen zz…zz in" in toy(tmp_path).prepare(Input("z" * 999, truncate=True)).notes[-1].replace("z" * 27, "")


def test_too_long_a_text_is_refused_or_cut(tmp_path: Path) -> None:
    model = toy(tmp_path)
    text = "the cat " * 100
    with pytest.raises(InputError, match=r"has \d+ tokens, \d+ more than the 61"):
        model.prepare(Input(text))
    source = model.prepare(Input(text, truncate=True))
    assert len(source.source) == 61
    assert source.source.tokens[-1].special
    assert any("cut to 61" in note for note in source.notes)


def test_what_it_cannot_do_is_said(tmp_path: Path) -> None:
    model = toy(tmp_path)
    with pytest.raises(InputError, match="one text, not two"):
        model.prepare(Input(TEXT, pair=TEXT))
    with pytest.raises(InputError, match="empty"):
        model.translate([" "])
    with pytest.raises(UsageError, match="from en to fr, not to de"):
        model.translate([TEXT], languages=Languages("en", "de"))
    with pytest.raises(UsageError, match="from en to fr, not from French"):
        model.translate([TEXT], languages=Languages("French", "en"))
    with pytest.raises(UsageError, match="float32"):
        load_toy(ToyFolder("toy", tmp_path / "toy"), LoadOptions(dtype="float16"))
    with pytest.raises(UsageError, match="runs on the processor"):
        load_toy(ToyFolder("toy", tmp_path / "toy"), LoadOptions(device="cuda"))
    with pytest.raises(UsageError, match="has no revisions"):
        load_toy(ToyFolder("toy", tmp_path / "toy"), LoadOptions(revision="main"))


@pytest.mark.parametrize("pair", [("en", "fr"), ("eng", "fra"), ("English", "French"), ("en-GB", "fr_FR")])
def test_its_languages_go_by_any_of_their_names(pair: tuple[str, str], tmp_path: Path) -> None:
    model = toy(tmp_path)
    assert model.translate([TEXT], languages=Languages(*pair)) == model.translate([TEXT])


def test_translations_and_texts_give_the_same_rows(tmp_path: Path) -> None:
    model = toy(tmp_path)
    target = model.prepare(Input(TEXT, target=TARGET)).target
    assert target is not None
    ids = tuple(token.id for token in target.tokens if token.id is not None)
    again = model.prepare(Input(TEXT, target=Translation(TARGET, ids))).target
    assert again is not None
    assert [word.text for word in again.words] == [word.text for word in target.words]


@pytest.mark.parametrize("part", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_damaged_folder_says_which_part(tmp_path: Path, part: str) -> None:
    folder = Path(toy_folder(tmp_path / "rnn", RNN))
    (folder / part).write_bytes(b'{"model_type": "attn-recurrent"' if part == "config.json" else b"{")
    said = f"^{part} of .* is not JSON" if part.endswith(".json") else f"damaged {part}"
    with pytest.raises(ModelError, match=said):
        load(str(folder))
    if part != "config.json":
        (folder / part).unlink()
        with pytest.raises(ModelError, match=f"lacks its {part}"):
            load(str(folder))


@pytest.mark.parametrize("beam", [1, 3])
def test_weights_that_are_no_numbers_write_nothing(tmp_path: Path, beam: int) -> None:
    toy(tmp_path)
    file = tmp_path / "toy" / "model.safetensors"
    weights = load_file(file)
    weights["model.decoder.layers.0.fc2.bias"][0] = float("nan")
    save_file(weights, file, {"format": "pt"})
    for model in (load_toy(ToyFolder("toy", tmp_path / "toy"), LoadOptions()), load(str(tmp_path / "toy"))):
        with pytest.raises(ModelError, match="The values that the model computes are not numbers"):
            model.translate([TEXT], decoding=Decoding(beam=beam, max_length=5))


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    folder = Path(toy_folder(tmp_path / "rnn", RNN))
    config = json.loads((folder / "config.json").read_text())
    config["shape"]["dim"] += 2
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"^The weights of .* do not fit its config\.json"):
        load(str(folder))


@pytest.fixture
def packed_folder(tmp_path: Path) -> Path:
    """The folder of a Transformer in our own form; its MarianMT copy beside it has the same rounded weights."""
    plain, folder = ToyFolder("plain", Path(toy_folder(tmp_path / "plain", TRANSFORMER))), tmp_path / "packed"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(own_config(plain.shape, plain.known)))
    tensors = {name: torch.from_numpy(weight) for name, weight in plain.weights().items()}
    save_file(packed(tensors), folder / "model.safetensors")
    for part in ("tokenizer.json", "known_words.txt"):
        shutil.copy(plain.path / part, folder)
    rounded = {name: torch.from_numpy(weight) for name, weight in ToyFolder("it", folder).weights().items()}
    save_file(rounded, plain.path / "model.safetensors", {"format": "pt"})
    return folder


def test_a_packed_transformer_is_the_model_that_was_packed(packed_folder: Path) -> None:
    ours, copy = load(str(packed_folder)), load(str(packed_folder.parent / "plain"))  # the second through transformers
    assert isinstance(ours, Toy)
    assert (ours.info.family, copy.info.family) == ("transformer", "marian")
    assert ours.info.guided == copy.info.guided
    assert ours.info.stacks == copy.info.stacks
    blocks, plain = (streamed(one.prepare(Input(TEXT, target=TARGET)), everything(ours))[0] for one in (ours, copy))
    theirs = {(block.kind, block.layer, block.start): block.weights for block in plain}
    assert len(blocks) == len(theirs) == sum(len(stack.heads) for stack in ours.info.stacks.values())
    for block in blocks:
        assert np.allclose(block.weights, theirs[block.kind, block.layer, block.start], atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (None, "shape must be an object, and is missing"),
        ([3], "shape must be an object, not"),
        ({"heads": 0}, "heads must be a whole number from 1"),
        ({"heads": None}, "heads must be a whole number from 1 to .*, and is missing"),
        ({"dim": 2.5}, "dim must be a whole number"),
        ({"dim": 17}, "dim must be an even multiple of its heads"),
        ({"positions": 2**17}, "positions must be a whole number from 1 to 65,536"),
        ({"decoder_layers": 1}, r"weights of .* do not fit its config\.json"),
        ({"feed_forward": 7}, r"weights of .* do not fit its config\.json"),
    ],
)
def test_a_packed_transformer_of_impossible_sizes_is_refused(packed_folder: Path, shape: Any, said: str) -> None:
    config = json.loads((packed_folder / "config.json").read_text())
    config["shape"] = config["shape"] | shape if isinstance(shape, dict) else shape
    (packed_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=said):
        load(str(packed_folder))


@pytest.mark.parametrize("kind", [["attn-transformer"], {"attn-transformer": 1}, "not attn-transformer"])
def test_a_model_type_that_only_mentions_ours_is_not_ours(packed_folder: Path, kind: Any) -> None:
    config = json.loads((packed_folder / "config.json").read_text())
    (packed_folder / "config.json").write_text(json.dumps(config | {"model_type": kind}))
    assert find(str(packed_folder)) is None


def test_a_caveat_is_a_sentence(packed_folder: Path) -> None:
    config = json.loads((packed_folder / "config.json").read_text())
    (packed_folder / "config.json").write_text(json.dumps(config | {"attn": {"caveat": "It is small."}}))
    model = load(str(packed_folder))
    assert isinstance(model, Toy)
    assert model.caveat == "It is small."
    (packed_folder / "config.json").write_text(json.dumps(config | {"attn": {"caveat": 3}}))
    with pytest.raises(ModelError, match=r"attn\.caveat must be a sentence, not '3'"):
        load(str(packed_folder))


def test_only_folders_in_our_own_form_are_ours(tmp_path: Path) -> None:
    assert find(toy_folder(tmp_path / "rnn", RNN)) is not None
    assert find(toy_folder(tmp_path / "toy", replace(TRANSFORMER, positions=61))) is None
    assert find("sentence-transformers/all-MiniLM-L6-v2") is None
    assert find(str(tmp_path)) is None
