"""The recurrent models in NumPy against torch's own gated recurrent units, and attention by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attn_cli.models.toy.folder import Shape
from attn_cli.models.toy.ops import Array
from attn_cli.models.toy.recurrent import Recurrent, gated_unit
from attn_cli.models.toy.search import PAD
from tests.models.toy.networks import RNN, RNN_ATTENTION, network, random_weights

SOURCE = np.asarray([[5, 9, 2, 17, 30, 4, 1], [8, 3, 11, 1, 0, 0, 0]])
READ = np.asarray([[0, 7, 12, 29, 3], [0, 22, 6, 5, 1]])
BOTH = pytest.mark.parametrize("shape", [RNN_ATTENTION, RNN], ids=["attention", "plain"])


def test_a_gated_unit_equals_torch() -> None:
    random = np.random.default_rng(5)
    cell = torch.nn.GRUCell(3, 5)
    inputs, state = (random.normal(size=size).astype(np.float32) for size in ((2, 3), (2, 5)))
    with torch.no_grad():
        expected = cell(torch.from_numpy(inputs), torch.from_numpy(state))
        read = torch.nn.functional.linear(torch.from_numpy(inputs), cell.weight_ih, cell.bias_ih).numpy()
        kept = torch.nn.functional.linear(torch.from_numpy(state), cell.weight_hh, cell.bias_hh).numpy()
    assert np.allclose(gated_unit(read, kept, state), expected, atol=1e-6)


def test_the_encoder_equals_torchs_bidirectional_one() -> None:
    weights = random_weights(RNN_ATTENTION)
    toy = Recurrent(RNN_ATTENTION, weights)
    memory = toy.encode(SOURCE, SOURCE != PAD)
    reference = torch.nn.GRU(RNN_ATTENTION.dim, RNN_ATTENTION.hidden, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for direction, mark in (("forward", ""), ("backward", "_reverse")):
            for ours, theirs in (("input", "ih"), ("state", "hh")):
                for part in ("weight", "bias"):
                    target = getattr(reference, f"{part}_{theirs}_l0{mark}")
                    target.copy_(torch.from_numpy(weights[f"encoder.{direction}.{ours}.{part}"]))
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            torch.from_numpy(weights["embedding.weight"][SOURCE]), torch.tensor([7, 4]), batch_first=True
        )
        states, last = reference(packed)
        states, _ = torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
    real = SOURCE != PAD
    assert np.allclose(memory.states[real], states.numpy()[real], atol=1e-5)
    assert np.allclose(memory.last, torch.cat([last[0], last[1]], dim=1), atol=1e-5)


def test_attention_is_softmax_of_additive_scores() -> None:
    weights = random_weights(RNN_ATTENTION)
    toy = Recurrent(RNN_ATTENTION, weights)
    seen: list[tuple[Array, ...]] = []
    toy.states(SOURCE, READ, lambda *arrays: seen.append(arrays))
    ((kind, layer, scores, found, values, contexts, queries, keys_seen),) = seen
    assert (kind, layer) == ("cross", 0)
    assert found.shape == (2, 1, 5, 7)
    assert (found[1, 0, :, 4:] == 0).all()  # padding is not seen
    memory = toy.encode(SOURCE, SOURCE != PAD)
    query = toy.start(memory)[0] @ weights["attention.query.weight"].T + weights["attention.query.bias"]
    keys = memory.states[0] @ weights["attention.key.weight"].T + weights["attention.key.bias"]
    by_hand = np.tanh(query[None] + keys) @ weights["attention.vector"]
    assert np.allclose(scores[0, 0, 0], by_hand, atol=1e-5)
    assert np.allclose(queries[0, 0, 0], query, atol=1e-5)
    assert np.allclose(keys_seen[0, 0], keys, atol=1e-5)
    share = np.exp(by_hand) / np.exp(by_hand).sum()
    assert np.allclose(found[0, 0, 0], share, atol=1e-5)
    assert np.allclose(contexts[0, 0, 0], share @ memory.states[0], atol=1e-5)
    assert np.allclose(values[:, 0], memory.states)


def test_without_attention_nothing_is_seen() -> None:
    network(RNN).states(SOURCE, READ, lambda *_: pytest.fail("there is no attention"))


@BOTH
def test_reading_token_by_token_is_reading_at_once(shape: Shape) -> None:
    toy = network(shape)
    whole = toy.logits(toy.states(SOURCE, READ))
    state = toy.begin(SOURCE, SOURCE != PAD)
    for place in range(READ.shape[1]):
        state = toy.pick(toy.pick(state, np.asarray([1, 0])), np.asarray([1, 0]))  # type: ignore[arg-type]
        logits, state = toy.advance(READ[:, place], state)  # type: ignore[arg-type]
        assert np.allclose(logits, whole[:, place], atol=1e-4)


@BOTH
def test_padding_changes_nothing(shape: Shape) -> None:
    toy = network(shape)
    assert np.allclose(toy.states(SOURCE, READ)[1:], toy.states(SOURCE[1:, :4], READ[1:]), atol=1e-5)


@BOTH
def test_numpy_and_torch_run_the_same_lines(shape: Shape) -> None:
    weights = random_weights(shape)
    tensors = {name: torch.from_numpy(weight) for name, weight in weights.items()}
    in_torch = Recurrent(RNN if shape == RNN else RNN_ATTENTION, tensors)
    expected = network(shape).states(SOURCE, READ)
    assert np.allclose(in_torch.states(torch.from_numpy(SOURCE), torch.from_numpy(READ)), expected, atol=1e-5)
