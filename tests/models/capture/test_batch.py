"""Texts that are given to a model side by side have the weights that they have alone."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attn_cli.data.stream import Block, Request
from attn_cli.models.capture.batch import NotTogetherError, Padded, pad, run_together
from attn_cli.models.capture.stream import LOAD_WITH, stream
from tests.models.families import FAMILIES, PADDING, Family, build, everything, inputs_of

LENGTHS = ((13, 11), (2, 3), (7, 5))
ALONE = {"gpt_oss", "mimo_v2_flash", "granite_swa", "diffllama"}
"""Learned sinks, and two softmaxes in a layer: these go one at a time, as do those with an indexer."""
INDEXED = [family for family in FAMILIES.values() if any(name.startswith("index_") for name in family.options)]
TOGETHER = [
    family for family in FAMILIES.values() if not family.older and family.name not in ALONE and family not in INDEXED
]


def texts_of(model: Any) -> list[dict[str, torch.Tensor]]:
    """Three texts of different lengths, without the token that fills up."""
    whole = inputs_of(model)
    texts = []
    for source, target in LENGTHS:
        cut = {name: ids[:, : target if name.startswith("decoder") else source] for name, ids in whole.items()}
        texts.append(cut | {"attention_mask": torch.ones_like(cut["input_ids"])})
    return texts


def maps(blocks: list[Block]) -> dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]:
    """Whole maps, from blocks whose keys may be cut off."""
    found: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
    for block in blocks:
        keys = block.weights.shape[2]
        weights, visible = found.get((block.kind, block.layer), (None, None))
        wide = np.pad(block.weights, ((0, 0), (0, 0), (0, 13 - keys)))
        found[block.kind, block.layer] = (
            wide if weights is None else np.concatenate([weights, wide], axis=1),
            block.visible if visible is None else np.concatenate([visible, block.visible]),
        )
    return found


@pytest.mark.parametrize("family", TOGETHER, ids=str)
def test_texts_have_the_weights_that_they_have_alone(family: Family) -> None:
    model = build(family.name)
    texts, request = texts_of(model), everything(model)
    (batches,) = run_together(model, [pad(texts, PADDING)], request)
    for index, text in enumerate(texts):
        blocks = [batch.block(index) for batch in batches]
        alone: list[Block] = []
        stream(model, text, request, alone.append, rows=5)
        expected, found = maps(alone), maps(blocks)
        assert found.keys() == expected.keys()
        for place, (weights, visible) in found.items():
            np.testing.assert_allclose(weights, expected[place][0], rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(visible, expected[place][1])


def padded_groups(model: Any, count: int) -> list[Padded]:
    """As many groups, each of other tokens."""
    made = []
    for shift in range(count):
        texts = [text | {"input_ids": text["input_ids"].roll(shift, 1)} for text in texts_of(model)]
        made.append(pad(texts[shift % 2 :], PADDING))
    return made


@pytest.mark.parametrize("name", ["bert", "albert"])
def test_groups_run_in_threads_give_the_same_in_the_same_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(name)
    groups, request = padded_groups(model, 11), everything(model)
    one_thread = list(run_together(model, groups, request))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for found, expected in zip(run_together(model, groups, request), one_thread, strict=True):
        for batch, same in zip(found, expected, strict=True):
            assert (batch.layer, batch.heads, batch.sizes) == (same.layer, same.heads, same.sizes)
            np.testing.assert_allclose(batch.weights, same.weights, atol=1e-6)


@pytest.mark.parametrize(("name", "one"), [("bert", False), ("recurrent_gemma", True), ("nllb-moe", True)])
def test_families_that_keep_a_state_run_in_one_thread(name: str, one: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    model, seen = build(name), set[int]()
    handle = model.register_forward_pre_hook(lambda *_: seen.add(threading.get_ident()))
    list(run_together(model, padded_groups(model, 3), everything(model)))
    handle.remove()
    assert (seen == {threading.get_ident()}) is one


def test_experts_whose_room_the_batch_shares_read_one_text_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("nllb-moe")
    monkeypatch.setattr(model.config, "moe_eval_capacity_token_fraction", 0.5)
    with pytest.raises(NotTogetherError):
        list(run_together(model, padded_groups(model, 1), everything(model)))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_model_left_early_is_as_it_was(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    model = build("bert")
    hooks = [dict(module._forward_hooks) for module in model.modules()]  # transformers has some of its own
    before = model.config._attn_implementation
    found = run_together(model, padded_groups(model, 7), everything(model))
    next(found)
    found.close()
    assert model.config._attn_implementation == before
    assert [dict(module._forward_hooks) for module in model.modules()] == hooks


def test_a_fault_in_a_thread_is_raised_where_its_group_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    model = build("bert")
    groups = padded_groups(model, 5)
    outside = {"input_ids": torch.full_like(groups[2].inputs["input_ids"], 10**6)}
    groups[2] = replace(groups[2], inputs={**groups[2].inputs, **outside})
    found = run_together(model, groups, everything(model))
    next(found), next(found)
    with pytest.raises(IndexError):
        next(found)
    assert model.config._attn_implementation == LOAD_WITH


def test_some_heads_of_some_layers() -> None:
    model = build("bert")
    texts = texts_of(model)
    request = Request(heads={"encoder": {1: (2, 0)}})
    (every,) = run_together(model, [pad(texts, PADDING)], everything(model))
    ((batch,),) = run_together(model, [pad(texts, PADDING)], request)
    assert (batch.layer, batch.heads) == (1, (2, 0))
    np.testing.assert_allclose(batch.weights, every[1].weights[:, [2, 0]], atol=1e-6)


@pytest.mark.parametrize("name", ["gpt_oss", "diffllama", "deberta", "bloom", *map(str, INDEXED)])
def test_models_that_go_one_text_at_a_time(name: str) -> None:
    model = build(name)
    with pytest.raises(NotTogetherError):
        list(run_together(model, [pad(texts_of(model), PADDING)], everything(model)))
    stream(model, texts_of(model)[0], everything(model), lambda _: None)  # and it is as it was before


def test_what_cannot_be_padded() -> None:
    model = build("bert")
    texts = texts_of(model)
    with pytest.raises(NotTogetherError):
        pad([{name: ids for name, ids in text.items() if name != "attention_mask"} for text in texts], PADDING)
    with pytest.raises(NotTogetherError):  # nobody says what fills it up
        pad([text | {"bbox": text["input_ids"]} for text in texts], PADDING)
    with pytest.raises(NotTogetherError):  # it is not of the tokens
        pad([text | {"entity_ids": torch.ones(1, 1)} for text in texts], PADDING | {"entity_ids": 0})
    with pytest.raises(NotTogetherError):
        list(run_together(model, [pad(texts, PADDING)], everything(model, scores=True)))
