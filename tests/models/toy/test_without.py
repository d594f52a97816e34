"""The built-in models without some of their heads, held against MarianMT in plain transformers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from attn_cli.data.cuts import COMPARED_UNCUT, EvenHeads, Variation, ZeroedHeads
from attn_cli.data.model import Heads
from attn_cli.data.selection import KINDS
from attn_cli.data.stream import Block, Request
from attn_cli.errors import SelectionError
from attn_cli.models import Input, Model, load
from tests.models import marian
from tests.models.contexts import contexts_of
from tests.models.toy.test_cuts import TROPHY, in_torch, toy

WITHOUT: list[Heads] = [
    {"encoder": {2: (0,)}},
    {"encoder": {0: (1, 3)}, "decoder": {1: (2,)}, "cross": {0: (7,), 1: tuple(range(8))}},
]


@pytest.mark.parametrize("heads", WITHOUT, ids=["one", "several"])
def test_maps_without_heads_are_those_of_marian_without_their_slices(heads: Heads) -> None:
    """The reference is plain transformers: MarianMT's eager attention, hooks on its output projections."""
    cut = toy().without(heads)
    (translation,) = cut.translate([TROPHY])
    source = cut.prepare(Input(TROPHY, target=translation))
    request = Request({kind: dict.fromkeys(range(3), tuple(range(8))) for kind in KINDS}, scores=True, verify=True)
    blocks: list[Block] = []
    report = source.stream(request, blocks.append)
    assert report.verified is not None
    assert report.verified < 1e-5
    assert report.output is not None
    assert COMPARED_UNCUT in report.notes
    ids = torch.tensor([[token.id for token in source.source.tokens]])
    assert source.target is not None
    written = torch.tensor([[token.id for token in source.target.tokens[:-1]]])
    with torch.no_grad(), marian.slices_zeroed(heads):
        theirs = marian.plain()(input_ids=ids, decoder_input_ids=written, output_attentions=True)
        assert marian.written(TROPHY) == translation.text
    maps = {"encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}
    assert len(blocks) == 9
    for block in blocks:
        expected = theirs[maps[block.kind]][block.layer][0].numpy()
        np.testing.assert_allclose(block.weights, expected, atol=1e-5)
    assert toy().info.without == {}
    assert toy().translate([TROPHY])[0].text == marian.written(TROPHY)


@pytest.mark.parametrize("model", [toy, in_torch], ids=["numpy", "torch"])
def test_every_run_of_a_model_without_heads_is_cut(model: Callable[[], Model]) -> None:
    """Its translations, outputs and context vectors are those under the same cut given as a variation."""
    heads = WITHOUT[0]
    variation: Variation = (ZeroedHeads("encoder", 2, (0,)),)
    cut = model().without(heads)
    assert cut.info.without == heads
    (translation,) = cut.translate([TROPHY])
    assert translation.ids == model().translate([TROPHY], variations=[variation])[0].ids
    more: Variation = (EvenHeads("cross", 0),)
    both = cut.translate([TROPHY], variations=[more])[0]
    assert both.ids == model().translate([TROPHY], variations=[(*variation, *more)])[0].ids
    given = Input(TROPHY, target=translation)
    source = cut.prepare(given)
    ((_, found),) = cut.run(source, [()])
    ((_, expected),) = model().run(model().prepare(given), [variation])
    assert found.tokens is not None
    assert expected.tokens is not None
    np.testing.assert_allclose(found.tokens, expected.tokens, atol=1e-6)
    sums = contexts_of(cut.contexts, source)
    assert not sums["encoder", 2][0].any()
    assert sums["encoder", 2][1].any()
    with pytest.raises(SelectionError, match=r"no head 2\.8 to cut"):
        model().without({"encoder": {2: (8,)}})


def test_the_steps_of_a_head_that_is_cut_are_what_it_computes() -> None:
    for name in ("toy", "toy-rnn-attention"):
        model = load(name).without({"cross": {0: (0,)}})
        source = model.prepare(Input(TROPHY, target="Le chat"))
        blocks: list[Block] = []
        source.stream(Request({"cross": {0: (0,)}}, steps=True), blocks.append)
        (steps,) = (block.steps for block in blocks)
        assert steps is not None
        assert steps.values is not None
        assert steps.contexts is not None
        np.testing.assert_allclose(blocks[0].weights @ steps.values, steps.contexts, atol=1e-5)
        assert np.abs(steps.contexts).max() > 0.1


def test_recurrent_states_go_on_without_the_only_head() -> None:
    model = load("toy-rnn-attention")
    cut = model.without({"cross": {0: (0,)}})
    maps: list[list[Block]] = [[], []]
    for one, blocks in zip((model, cut), maps, strict=True):
        one.prepare(Input(TROPHY, target="Le chat")).stream(Request({"cross": {0: (0,)}}), blocks.append)
    plain, changed = (blocks[0].weights for blocks in maps)
    np.testing.assert_array_equal(changed[:, 0], plain[:, 0])  # the first step has nothing before it
    assert np.abs(changed[:, 1:] - plain[:, 1:]).max() > 1e-3
