"""Everything that a tokenizer has for its model reaches it, held against `model(**tokenizer(text))`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from attn_cli.data.stream import Kind, Request, Source
from attn_cli.models import Input
from attn_cli.models.hf.model import Pretrained
from attn_cli.models.hf.prepared import PretrainedSource
from attn_cli.models.hf.tokenizing import NO_PAGE, encode
from tests.models import folders

SIZES: dict[str, Any] = {
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
}
CHINESE = "我喜欢自然 the cats sat xyz."
ROCBERT = {
    "shape_vocab_size": 23,
    "pronunciation_vocab_size": 23,
    "shape_embed_dim": 8,
    "pronunciation_embed_dim": 8,
}
MARKUPLM = {
    "max_xpath_tag_unit_embeddings": 10,
    "max_xpath_subs_unit_embeddings": 1010,
    "xpath_unit_hidden_size": 8,
    "pad_token_id": 1,
}


LAYOUTLMV3 = {
    "max_2d_position_embeddings": 16,
    "coordinate_size": 4,
    "shape_size": 4,
    "visual_embed": False,
    "pad_token_id": 1,
}


def folder_of(name: str, base: Path) -> Path:
    """A small random model of the family, and its own kind of tokenizer."""
    if name == "RoCBert":
        tokenizer, settings = folders.rocbert(base / "tokenizer"), ROCBERT
    elif name == "MarkupLM":
        tokenizer, settings = folders.markuplm(), MARKUPLM
    else:
        tokenizer, settings = folders.layoutlmv3(), LAYOUTLMV3
    model = folders.made(name, vocab_size=len(tokenizer), **(SIZES | settings))
    return folders.save(base / name, model, tokenizer)


@pytest.fixture(scope="module", params=["RoCBert", "MarkupLM", "LayoutLMv3"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(request.param, tmp_path_factory.mktemp("models"))


def expected(folder: Path, *texts: str, **settings: Any) -> list[np.ndarray]:
    """Maps of each layer as transformers gives them for a text and its pair."""
    model = AutoModel.from_pretrained(folder, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if "LayoutLMv3" in folder.name:
        *question, page = texts
        words = page.split()
        batch = tokenizer(*question, words, boxes=[[0, 0, 0, 0]] * len(words), return_tensors="pt", **settings)
    else:
        batch = tokenizer(*texts, return_tensors="pt", **settings)
    with torch.no_grad():
        return [maps[0].numpy() for maps in model(**batch, output_attentions=True).attentions]


def weights(source: Source) -> list[np.ndarray]:
    """Maps of each encoder layer as attn gives them."""
    found = folders.everything(source)
    return [np.concatenate([block.weights for block in found["encoder", layer]], axis=1) for layer in range(len(found))]


@pytest.mark.parametrize("pair", [None, "the cat sat"])
def test_a_model_gets_all_that_its_tokenizer_has_for_it(folder: Path, pair: str | None) -> None:
    found = weights(folders.opened(folder).prepare(Input(CHINESE, pair=pair)))
    texts = [CHINESE] if pair is None else [CHINESE, pair]
    for mine, theirs in zip(found, expected(folder, *texts), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_a_text_that_is_cut_keeps_its_inputs(folder: Path) -> None:
    long = "the cat sat " * 40
    model = folders.opened(folder)
    assert model.info.positions is not None
    found = weights(model.prepare(Input(long, truncate=True)))
    theirs = expected(folder, long, truncation=True, max_length=model.info.positions)
    for mine, other in zip(found, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)


def test_texts_side_by_side_keep_their_inputs(folder: Path) -> None:
    model = folders.opened(folder)
    texts = [CHINESE, "the cat"]
    sources = [model.prepare(Input(text)) for text in texts]
    assert isinstance(sources[0], PretrainedSource)
    everything: dict[Kind, Any] = {"encoder": dict.fromkeys(range(2), (0, 1, 2))}
    (together,) = sources[0].run_groups([sources], Request(everything))
    assert (together is None) == (model.info.captured == "hooks")
    if together is None:
        return
    for index, text in enumerate(texts):
        for batch, theirs in zip(together[0], expected(folder, text), strict=True):
            np.testing.assert_allclose(batch.block(index).weights, theirs, atol=1e-5)
            assert batch.block(index).visible.tolist() == [[0, theirs.shape[2]]] * theirs.shape[1]


def test_tokens_that_are_made_up_have_their_own_shapes_and_sounds(tmp_path: Path) -> None:
    folder = folder_of("RoCBert", tmp_path)
    model = folders.opened(folder)
    ids = [6, 11, 16, 15]
    prepared = model.prepare_tokens(ids)
    assert isinstance(prepared, PretrainedSource)
    numbers = prepared.inputs
    for key, factor, unknown in (("input_shape_ids", 7, 10), ("input_pronunciation_ids", 5, 8)):
        # The tokenizer gives the special tokens around a text the numbers of an unknown piece.
        assert numbers[key].tolist() == [[unknown, *((factor * id_ + 3) % 23 for id_ in ids), unknown]]


@pytest.mark.parametrize("pair", [None, "which  cat"])
@pytest.mark.parametrize("make", [folders.markuplm, folders.layoutlmv3])
def test_a_page_has_the_words_of_its_text(make: Any, pair: str | None) -> None:
    tokenizer: PreTrainedTokenizerBase = make()
    pieces = encode(tokenizer, " the naïve  cat, sat", pair=pair)
    words = [(word.text, word.start) for word in pieces.tokens().words]
    assert words == [("the", 1), ("naïve", 5), ("cat", 12), (",", 15), ("sat", 17)] + (
        [] if pair is None else [("which", 0), ("cat", 7)]
    )
    assert pieces.notes == (NO_PAGE,)


def test_a_page_without_layout_has_all_boxes_in_one_place() -> None:
    pieces = encode(folders.layoutlmv3(), "the cat")
    assert pieces.inputs["bbox"] == ([0, 0, 0, 0],) * len(pieces.ids)


def test_a_model_without_other_inputs_is_given_none(minilm: str) -> None:
    model: Pretrained = folders.opened(minilm)
    prepared = model.prepare(Input("it was big"))
    assert isinstance(prepared, PretrainedSource)
    assert prepared.inputs.keys() == {"input_ids", "attention_mask", "token_type_ids"}
