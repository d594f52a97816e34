"""Packed weights: a byte a weight and a scale for each row, read back within half a step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from attn_cli.errors import ModelError
from attn_cli.models.toy.folder import OWN_SHAPES, Shape, ToyFolder, own_config, weight_shapes
from attn_cli.train.saving import packed
from tests.train.small import SMALL


@pytest.fixture(params=["rnn-attention", "transformer"])
def shape(request: pytest.FixtureRequest) -> Shape:
    return SMALL[request.param](31)


@pytest.fixture
def weights(shape: Shape) -> dict[str, torch.Tensor]:
    torch.manual_seed(6)
    sizes = weight_shapes(shape).items()
    return {name: torch.randn(size) * (0 if "start" in name else 3) for name, size in sizes}


@pytest.fixture
def folder(shape: Shape, weights: dict[str, torch.Tensor], tmp_path: Path) -> ToyFolder:
    config = own_config(shape, {})
    assert isinstance(shape, OWN_SHAPES[config["model_type"]])
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(packed(weights), tmp_path / "model.safetensors")
    return ToyFolder("it", tmp_path)


def test_packed_weights_are_read_within_half_a_step(folder: ToyFolder, weights: dict[str, torch.Tensor]) -> None:
    read = folder.weights()
    assert read.keys() == weights.keys()
    for name, weight in weights.items():
        expected = weight.numpy()
        step = np.abs(expected).max(axis=1, keepdims=True) / 127 if expected.ndim == 2 else np.full(1, 0.01)
        assert read[name].dtype == np.float32
        assert (np.abs(read[name] - expected) <= step / 2 + 1e-6).all(), name
    saved = load_file(folder.path / "model.safetensors")
    assert all(saved[name].dtype == torch.int8 for name, weight in weights.items() if weight.ndim == 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [("lacks", "of it holds weights in I8"), ("is short", r"weights of it do not fit its config\.json")],
)
def test_a_scale_that_is_missing_or_short_is_refused(folder: ToyFolder, change: str, said: str) -> None:
    tensors = load_file(folder.path / "model.safetensors")
    name = next(name for name in tensors if name.endswith(".scale"))
    if change == "lacks":
        del tensors[name]
    else:
        tensors[name] = tensors[name][:-1].clone()
    save_file(tensors, folder.path / "model.safetensors")
    with pytest.raises(ModelError, match=said):
        folder.weights()
