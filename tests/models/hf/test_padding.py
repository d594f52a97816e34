"""A text that feels its padding is run alone; others are run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from attn_cli import load
from attn_cli.data.stream import Request, Together
from attn_cli.models import Input
from attn_cli.models.hf import prepared
from attn_cli.models.hf.padding import same_together
from attn_cli.models.hf.prepared import PretrainedSource
from attn_cli.models.hf.trial import TESTED
from tests.models import folders

TEXTS = ("the trophy was too big because it did suit", "it was")
SIZES: dict[str, Any] = folders.BERT | {"vocab_size": 85, "initializer_range": 0.5}
MOBILE = SIZES | {
    "embedding_size": 16,
    "intra_bottleneck_size": 24,
    "true_hidden_size": 24,
    "num_feedforward_networks": 2,
    "hidden_act": "relu",
}
DYNAMIC = SIZES | {
    "max_position_embeddings": 6,
    "num_key_value_heads": 3,
    "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0},
}


def mobilebert() -> Any:
    """A MobileBERT whose `[PAD]` has an embedding, as in a trained one."""
    model = folders.made("MobileBert", **MOBILE)
    torch.nn.init.normal_(model.embeddings.word_embeddings.weight)
    return model


def side_by_side(folder: Path, texts: Sequence[str] = TEXTS) -> tuple[Together | None, list[PretrainedSource]]:
    """Run texts in one group; return its batches, None where they are left to be run alone, and their sources."""
    model = folders.opened(folder)
    sources: list[Any] = [model.prepare(Input(text)) for text in texts]
    heads = {kind: dict.fromkeys(stack.heads, (0, 1, 2)) for kind, stack in model.info.stacks.items()}
    (together,) = sources[0].run_groups([sources], Request(heads))
    return together, sources


def test_a_family_whose_texts_feel_their_padding_is_run_alone(tmp_path: Path) -> None:
    assert "mobilebert" not in TESTED
    folders.save(tmp_path, mobilebert(), folders.wordpiece())
    together, _ = side_by_side(tmp_path)
    assert together is None


def test_several_texts_of_such_a_family_have_the_figures_that_transformers_gives_each(tmp_path: Path) -> None:
    folders.save(tmp_path, mobilebert(), folders.wordpiece())
    model = AutoModel.from_pretrained(tmp_path, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    rows = []
    for text in TEXTS:
        with torch.no_grad():
            maps = model(**tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
        rows.append(np.stack([layer[0, :, :, 0].numpy() for layer in maps]))  # each row's weight on the first token
    expected = np.concatenate(rows, axis=2).mean(axis=2)
    found = load(str(tmp_path)).heads(list(TEXTS)).heads
    assert len(found) == expected.size
    for one in found:
        assert one.summary.first == pytest.approx(float(expected[one.layer, one.head]), abs=1e-5)


def test_a_family_that_does_not_feel_it_is_run_side_by_side_and_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def try_it(*given: Any) -> bool:
        tried.append(given)
        return same_together(*given)

    monkeypatch.setattr(prepared, "same_together", try_it)
    folders.save(tmp_path, folders.made("XLMRobertaXL", **SIZES), folders.wordpiece())
    assert "xlm-roberta-xl" not in TESTED
    together, sources = side_by_side(tmp_path)
    assert together is not None
    list(sources[0].run_groups([sources], Request({"encoder": {0: (0,)}})))
    assert len(tried) == 1
    model = AutoModel.from_pretrained(tmp_path, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for index, text in enumerate(TEXTS):
        with torch.no_grad():
            maps = model(**tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
        for batch in together[0]:
            np.testing.assert_allclose(batch.block(index).weights, maps[batch.layer][0].numpy(), atol=1e-5)


def test_a_family_that_the_tests_cover_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "same_together", None)
    together, _ = side_by_side(folders.bert(tmp_path))
    assert together is not None


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_positions_that_stretch_with_the_longest_text(tmp_path: Path, kind: str) -> None:
    if kind == "dynamic":
        model = folders.made("Llama", **DYNAMIC)
    else:
        rope = {"rope_type": kind, "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [3.0] * 4}
        special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
        settings = SIZES | special | {"num_key_value_heads": 3, "rope_parameters": rope}
        model = folders.made("Phi3", **settings, original_max_position_embeddings=6)
    folders.save(tmp_path, model, folders.wordpiece())
    together, sources = side_by_side(tmp_path)
    assert together is None
    short = AutoTokenizer.from_pretrained(tmp_path)(TEXTS[1], return_tensors="pt", return_token_type_ids=False)
    fresh = AutoModel.from_pretrained(tmp_path, attn_implementation="eager")
    with torch.no_grad():
        maps = fresh(**short, output_attentions=True).attentions
    folders.everything(sources[0])  # a longer text has been there before
    for (_, layer), blocks in folders.everything(sources[1]).items():
        np.testing.assert_allclose(blocks[0].weights, maps[layer][0].numpy(), atol=1e-5)


def test_a_text_does_not_keep_what_a_longer_one_stretched(tmp_path: Path) -> None:
    folders.save(tmp_path, folders.made("Llama", **DYNAMIC), folders.wordpiece())
    middle = "the trophy was big because"
    model = folders.opened(tmp_path)
    longer, source = model.prepare(Input(TEXTS[0] * 3)), model.prepare(Input(middle))
    folders.everything(longer)
    fresh = AutoModel.from_pretrained(tmp_path, attn_implementation="eager")
    given = AutoTokenizer.from_pretrained(tmp_path)(middle, return_tensors="pt", return_token_type_ids=False)
    assert given["input_ids"].shape[1] > 6
    with torch.no_grad():
        maps = fresh(**given, output_attentions=True).attentions
    for (_, layer), blocks in folders.everything(source).items():
        np.testing.assert_allclose(blocks[0].weights, maps[layer][0].numpy(), atol=1e-5)
