"""CANINE, which reads letters, some of its layers in chunks of the text and some in groups of letters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from attn_cli.cli.app import main
from attn_cli.models import Input
from tests.models import folders

TEXT = "The naïve cat"
STRIDE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {name: value for name, value in folders.BERT.items() if name != "vocab_size"}
    sizes |= {"num_hash_buckets": 997, "local_transformer_stride": STRIDE, "initializer_range": 0.3}
    model = folders.made("Canine", **sizes)
    return folders.save(tmp_path_factory.mktemp("models") / "canine", model, folders.canine())


def test_the_default_view_shows_words_and_says_what_is_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", TEXT, "--model", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "3 words, 15 tokens" in shown
    assert "Not shown: attention between groups of tokens in layers 1-2." in shown
    assert "naïve" in shown


def test_a_layer_that_attends_in_chunks_is_one_map(folder: Path) -> None:
    """The model gives out the first chunk only, so each is taken from the module that computes it."""
    prepared = folders.opened(folder).prepare(Input(TEXT))
    model: Any = AutoModel.from_pretrained(folder, attn_implementation="eager")
    chunks: list[np.ndarray] = []
    attention = model.initial_char_encoder.layer[0].attention.self
    attention.register_forward_hook(lambda _, __, result: chunks.append(result[1][0].numpy()))
    with torch.no_grad():
        result = model(**folders.canine()(TEXT, return_tensors="pt"), output_attentions=True)
    assert [chunk.shape[1] for chunk in chunks] == [8, 7]
    expected = np.zeros((3, 15, 15), np.float32)
    expected[:, :8, :8], expected[:, 8:, 8:] = chunks
    found = folders.everything(prepared)
    whole = np.concatenate(
        [np.pad(block.weights, ((0, 0), (0, 0), (0, 15 - block.weights.shape[2]))) for block in found["encoder", 0]],
        axis=1,
    )
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    assert [row for block in found["encoder", 0] for row in block.visible.tolist()] == [[0, 8]] * 8 + [[8, 15]] * 7
    (last,) = found["encoder", 3]
    np.testing.assert_allclose(last.weights, result.attentions[3][0].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", TEXT, "--scores"],
        ["inspect", TEXT, "--verify"],
        ["inspect", TEXT, "--query", "cat"],
        ["inspect", TEXT, "--head", "0.1"],
        ["explain", TEXT, "--query", "cat", "--head", "0.1"],
    ],
)
def test_such_a_layer_in_other_views(folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--model", str(folder)]) == 0, capsys.readouterr().err
