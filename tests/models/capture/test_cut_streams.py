"""Streams of a model with heads cut, held against transformers' own eager attention with the head's slice zeroed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch

from attn_cli.data.cuts import ZeroedHeads
from attn_cli.data.stream import Request
from attn_cli.errors import SelectionError
from attn_cli.models.capture.batch import pad, run_together
from attn_cli.models.capture.delivery import lengths
from attn_cli.models.capture.edited import Edited, edited
from attn_cli.models.capture.stream import stacks
from attn_cli.models.capture.variations import contexts
from tests.models.capture.test_edited import EXACT, every_modern_family, plain, sites, slice_zeroed
from tests.models.contexts import contexts_of
from tests.models.families import (
    FAMILIES,
    PADDING,
    SOURCE,
    Family,
    Reference,
    build,
    everything,
    inputs_of,
    reference,
    run,
)

OLDER = [family for family in FAMILIES.values() if family.older]


def some_heads(model: Any) -> tuple[ZeroedHeads, ...]:
    """The last head of each kind's first layer, which all later layers and kinds depend on."""
    firsts = ((kind, min(stack.heads.items())) for kind, stack in stacks(model).items())
    return tuple(ZeroedHeads(kind, layer, (count - 1,)) for kind, (layer, count) in firsts)


def assert_streams(model: Any, inputs: Any, cuts: tuple[ZeroedHeads, ...], expected: Reference, **options: Any) -> None:
    """All maps, in slices and whole, and the output are those of the reference."""
    for rows in (5, None):
        found = run(model, inputs, everything(model, **options), rows, cuts)
        np.testing.assert_allclose(found.output, expected.output, atol=EXACT, rtol=EXACT)
        for kind, layers in expected.maps.items():
            for layer, maps in layers.items():
                for head, weights in enumerate(maps):
                    got = found.map(kind, layer, head, weights.shape[1])
                    np.testing.assert_allclose(np.stack(list(got.values())), weights, atol=EXACT, rtol=EXACT)


@every_modern_family
@pytest.mark.unchecked
def test_later_layers_see_what_a_zeroed_slice_leaves_them(family: Family) -> None:
    if family.name == "diffllama":
        pytest.skip("its heads are taken off each other before the output projection")
    model, inputs = build(family.name), inputs_of(build(family.name))
    before, uncut, sums = plain(model, inputs), reference(model, inputs), contexts_of(contexts, model, inputs)
    cuts = some_heads(model)
    with ExitStack() as stack:
        for cut in cuts:
            (head,), width = cut.heads_of(0), sums[cut.kind, cut.layer].shape[2]
            module, turn = sites(model)[cut.kind, cut.layer]
            stack.enter_context(slice_zeroed(module, turn, model, head * width, (head + 1) * width))
        expected = reference(model, inputs)
    assert not np.array_equal(expected.output, before)
    first = cuts[0]
    np.testing.assert_allclose(expected.maps[first.kind][first.layer], uncut.maps[first.kind][first.layer], atol=EXACT)
    assert_streams(model, inputs, cuts, expected)
    np.testing.assert_array_equal(plain(model, inputs), before)


@pytest.mark.parametrize("family", OLDER, ids=str)
@pytest.mark.unchecked
def test_older_code_is_cut_while_it_is_watched(family: Family) -> None:
    """The reference is what the model itself returns under the cut, of which `test_cut_softmax` tests the output."""
    model, inputs = build(family.name), inputs_of(build(family.name))
    before = plain(model, inputs)
    cuts, uncut = some_heads(model), reference(model, inputs)
    with edited(model, Edited(model, [cuts], lengths(inputs))):
        expected = reference(model, inputs)
    first = cuts[0]
    np.testing.assert_allclose(expected.maps[first.kind][first.layer], uncut.maps[first.kind][first.layer], atol=EXACT)
    assert np.abs(expected.output - before).max() > EXACT
    assert_streams(model, inputs, cuts, expected)
    np.testing.assert_array_equal(plain(model, inputs), before)


def test_what_cannot_be_cut_is_refused() -> None:
    model = build("deberta")
    with pytest.raises(SelectionError, match=r"no head 0\.9 to cut"):
        run(model, inputs_of(model), everything(model), cuts=(ZeroedHeads("encoder", 0, (9,)),))


@pytest.mark.parametrize("name", ["bert", "llama", "gpt2", "t5", "bart", "gemma2", "mixtral", "albert"])
def test_texts_of_one_batch_are_cut_alike(name: str) -> None:
    model, long = build(name), inputs_of(build(name))
    long["attention_mask"] = torch.ones_like(long["input_ids"])
    short = {key: tensor[:, : tensor.shape[1] - 4] for key, tensor in long.items()}
    cuts, request = some_heads(model), everything(model)
    ((batches),) = run_together(model, [pad([long, short], PADDING)], request, cuts=cuts)
    for index, inputs in enumerate((long, short)):
        alone = run(model, inputs, request, None, cuts)
        for batch in batches:
            block = batch.block(index)
            for row, head in enumerate(block.heads):
                keys = block.weights.shape[2]
                expected = np.stack(list(alone.map(batch.kind, batch.layer, head, keys).values()))
                np.testing.assert_allclose(block.weights[row], expected, atol=EXACT, rtol=EXACT)


@pytest.mark.parametrize("name", ["llama", "bart", "t5"])
def test_scores_steps_and_checks_are_of_the_uncut_product(name: str) -> None:
    model, inputs = build(name), inputs_of(build(name))
    cuts = some_heads(model)
    found = run(model, inputs, everything(model, scores=True, steps=True, verify=True), None, cuts)
    assert found.report.verified is not None
    assert found.report.verified < EXACT
    (block,) = [one for one in found.blocks if (one.kind, one.layer) == (cuts[0].kind, cuts[0].layer)]
    steps = block.steps
    assert steps is not None
    assert steps.values is not None
    assert steps.contexts is not None
    np.testing.assert_allclose(block.weights @ steps.values[:, : block.weights.shape[2]], steps.contexts, atol=EXACT)


def test_few_rows_of_a_long_text_are_cut_too() -> None:
    """The layer's output comes from SDPA where few rows are requested."""
    model, inputs = build("llama"), inputs_of(build("llama"))
    cuts = (ZeroedHeads("decoder", 0),)
    whole = run(model, inputs, everything(model), None, cuts)
    few = run(model, inputs, Request({"decoder": {2: (3,)}}, queries={"decoder": (SOURCE - 1,)}), None, cuts)
    np.testing.assert_allclose(few.output, whole.output, atol=EXACT, rtol=EXACT)
    got, expected = (one.map("decoder", 2, 3, SOURCE)[SOURCE - 1] for one in (few, whole))
    np.testing.assert_allclose(got, expected, atol=EXACT, rtol=EXACT)
