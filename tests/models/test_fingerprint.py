"""A model's fingerprint: the same for the same weights, another for others."""

from __future__ import annotations

from pathlib import Path

import torch

from attn_cli.models import LoadOptions, load
from tests.models.folders import made, opened, roberta, save


def test_a_fingerprint_is_of_the_weights(tmp_path: Path) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    bert = made("Bert", vocab_size=337, max_position_embeddings=83, **sizes)
    folder = save(tmp_path, bert, roberta())
    first = opened(folder)
    assert len(first.fingerprint) == 32
    assert load(str(folder), LoadOptions()).fingerprint == first.fingerprint
    assert first.without({"encoder": {0: (1,)}}).fingerprint == first.fingerprint
    with torch.no_grad():
        first.model.get_parameter("encoder.layer.0.output.dense.bias")[-1] += 1
    assert opened(folder).fingerprint != first.fingerprint


def test_built_in_models_have_different_ones() -> None:
    assert load("toy").fingerprint != load("toy-rnn-attention").fingerprint
    assert load("toy").fingerprint == load("toy").fingerprint
