"""Starting from a model that was trained before: what it computed it computes still, with more units as well."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from attn_cli.errors import InputError, ModelError, UsageError
from attn_cli.models.toy.folder import CONFIG, WEIGHTS, ToyFolder, build, built_in, weight_shapes
from attn_cli.models.toy.transformer import Transformer, TransformerShape
from attn_cli.train.starting import read_start, widened
from tests.train.small import SMALL


@pytest.mark.unchecked
def test_a_wider_model_computes_the_same() -> None:
    shape = SMALL["transformer"](31)
    assert isinstance(shape, TransformerShape)
    random = np.random.default_rng(4)
    weights = {
        name: torch.from_numpy(random.normal(size=size).astype(np.float32))
        for name, size in weight_shapes(shape).items()
    }
    wider = replace(shape, feed_forward=29)
    grown = widened(weights, shape, 29, seed=1)
    assert {name: tuple(weight.shape) for name, weight in grown.items()} == weight_shapes(wider)
    source, read = random.integers(2, 31, (3, 7)), random.integers(2, 31, (3, 5))
    states = []
    for sizes, table in ((shape, weights), (wider, grown)):
        network = build(sizes, {name: weight.numpy() for name, weight in table.items()})
        assert isinstance(network, Transformer)
        states.append(network.states(source, read))
    assert np.allclose(states[0], states[1], atol=1e-5)
    assert grown["model.encoder.layers.0.fc1.weight"][shape.feed_forward :].std() > 0.1  # the new units can learn
    assert widened(weights, shape, shape.feed_forward, seed=1) == weights


def test_a_built_in_model_brings_its_vocabulary_and_words() -> None:
    start = read_start("toy-rnn", "rnn", 1)
    folder = ToyFolder("toy-rnn", built_in("toy-rnn"))
    assert start.tokenizer.to_str() == folder.tokenizer().to_str()
    assert start.words == folder.known_words()
    for name, weight in folder.weights().items():
        assert np.array_equal(start.weights[name].numpy(), weight)


def test_what_cannot_be_started_from_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a model to start from. Name toy, .* or a folder"):
        read_start(str(tmp_path), "transformer", 1)
    with pytest.raises(
        UsageError, match=r"toy-rnn is of the kind rnn, and rnn-attention is to be trained. Add --arch rnn"
    ):
        read_start("toy-rnn", "rnn-attention", 1)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the smallest built-in model, to change."""
    return Path(shutil.copytree(built_in("toy-rnn"), tmp_path / "copied"))


def test_weights_that_are_no_numbers_are_not_trained_on(copied: Path) -> None:
    weights = load_file(copied / WEIGHTS)
    name = next(key for key in weights if key.endswith(".bias"))
    weights[name].flat[7] = np.nan
    save_file(weights, copied / WEIGHTS)
    message = f"{name} in model.safetensors of .* holds values that are not finite numbers. Copy the folder again"
    with pytest.raises(ModelError, match=message):
        read_start(str(copied), "rnn", 1)


def test_a_model_of_few_positions_is_given_more(copied: Path) -> None:
    config = json.loads((copied / CONFIG).read_text())
    config["shape"]["positions"] = 4
    (copied / CONFIG).write_text(json.dumps(config))
    assert read_start(str(copied), "rnn", 1).shape.positions == 512
