"""The Transformer in NumPy against transformers' MarianMT with the same weights."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from transformers import MarianConfig, MarianMTModel

from attn_cli.data.shapes import Float
from attn_cli.models.toy.folder import marian_config
from attn_cli.models.toy.search import END, PAD, search
from attn_cli.models.toy.transformer import Transformer, positions
from tests.models.toy.networks import TRANSFORMER, network, random_weights

SOURCE = np.asarray([[5, 9, 2, 17, 30, 4, 1], [8, 3, 11, 1, 0, 0, 0]])
READ = np.asarray([[0, 7, 12, 29, 3], [0, 22, 6, 5, 1]])


@pytest.fixture(scope="module")
def marian() -> Any:
    """transformers' own, with the weights that `network(TRANSFORMER)` has."""
    config = MarianConfig(**{**marian_config(TRANSFORMER, {}), "dtype": "float32"})
    model: Any = MarianMTModel(config)
    state = {name: torch.from_numpy(weight) for name, weight in random_weights(TRANSFORMER).items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all("embed" in name or "lm_head" in name for name in missing)  # tied to what is there, or computed
    model.tie_weights()
    model.set_attn_implementation("eager")
    return model.eval()


def test_it_equals_marian(marian: Any) -> None:
    seen: dict[tuple[str, int], Float[np.ndarray, "batch head query key"]] = {}
    toy = network(TRANSFORMER)
    assert isinstance(toy, Transformer)
    states = toy.states(SOURCE, READ, lambda kind, layer, _scores, weights, *_: seen.update({(kind, layer): weights}))
    with torch.no_grad():
        expected = marian(
            input_ids=torch.from_numpy(SOURCE),
            attention_mask=torch.from_numpy((SOURCE != PAD).astype(np.int64)),
            decoder_input_ids=torch.from_numpy(READ),
            output_attentions=True,
        )
    assert np.allclose(toy.logits(states), expected.logits, atol=1e-4)
    for kind, maps in (
        ("encoder", expected.encoder_attentions),
        ("decoder", expected.decoder_attentions),
        ("cross", expected.cross_attentions),
    ):
        assert len(maps) == sum(name == kind for name, _ in seen)
        for layer, weights in enumerate(maps):
            ours = seen[kind, layer]
            assert ours.shape == weights.shape
            real = SOURCE != PAD if kind == "encoder" else np.ones(READ.shape, np.bool_)
            assert np.allclose(ours.swapaxes(1, 2)[real], weights.numpy().swapaxes(1, 2)[real], atol=1e-5)


@pytest.mark.parametrize("beam", [1, 2, 3, 5])
def test_it_writes_what_marian_writes(marian: Any, beam: int) -> None:
    toy = network(TRANSFORMER)
    ours = search(toy, SOURCE, np.asarray([13, 13]), beam)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = marian.generate(
            torch.from_numpy(SOURCE),
            attention_mask=torch.from_numpy((SOURCE != PAD).astype(np.int64)),
            num_beams=beam,
            max_new_tokens=13,
            bad_words_ids=[[PAD]],
            do_sample=False,
        )
    for mine, row in zip(ours, theirs.tolist(), strict=True):
        expected = row[1:]
        expected = expected[: expected.index(END)] if END in expected else expected
        assert mine == [token for token in expected if token != PAD]


def test_reading_token_by_token_is_reading_at_once() -> None:
    toy = network(TRANSFORMER)
    assert isinstance(toy, Transformer)
    whole = toy.logits(toy.states(SOURCE, READ))
    state = toy.begin(SOURCE, SOURCE != PAD)
    for place in range(READ.shape[1]):
        logits, state = toy.advance(READ[:, place], state)
        assert np.allclose(logits, whole[:, place], atol=1e-4)
        # The state of a batch in another order is the state of those rows.
        swapped, _ = toy.advance(READ[[1, 0], min(place + 1, 4)], toy.pick(state, np.asarray([1, 0])))
        straight, _ = toy.advance(READ[:, min(place + 1, 4)], state)
        assert np.allclose(swapped[[1, 0]], straight, atol=1e-5)


def test_padding_changes_nothing() -> None:
    toy = network(TRANSFORMER)
    assert isinstance(toy, Transformer)
    together = toy.states(SOURCE, READ)
    alone = toy.states(SOURCE[1:, :4], READ[1:])
    assert np.allclose(together[1:], alone, atol=1e-5)


def test_positions_are_sines_and_cosines() -> None:
    table = positions(3, 4)
    expected = [[np.sin(place), np.sin(place / 100), np.cos(place), np.cos(place / 100)] for place in range(3)]
    assert np.allclose(table, expected, atol=1e-6)
