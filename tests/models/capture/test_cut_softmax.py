"""Cuts in families of older code, held against masks, weights and projections changed in transformers itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers.pytorch_utils import Conv1D

from attn_cli.data.cuts import CutEdges, EvenHeads, ReplacedHeads, Variation, ZeroedHeads
from attn_cli.data.outcomes import Wanted
from attn_cli.data.selection import Kind
from attn_cli.errors import ModelError
from attn_cli.models import Decoding, Input
from attn_cli.models.capture.stream import anatomy_of, stacks
from attn_cli.models.capture.variations import contexts, run_variations
from attn_cli.models.hf.model import Pretrained
from tests.models import folders
from tests.models.contexts import contexts_of
from tests.models.families import FAMILIES, Family, build, inputs_of, make, reference, spread

EXACT = 1e-5
OLDER = [family for family in FAMILIES.values() if family.older]
TAKE_MASKS = (
    *("mpnet", "roformer", "rembert", "ibert", "megatron-bert", "tapas", "luke", "layoutlmv3", "big_bird", "convbert"),
    *("squeezebert", "xlnet", "gpt_neo", "gptj", "codegen", "gpt_neox_japanese", "xglm", "falcon", "mpt"),
)
"""Families to which transformers can give a mask for each query."""
PROJECTIONS = ("out_proj", "out_lin", "post_proj", "c_proj", "dense", "o", "output.dense", "post_attention.conv1d")
GAINS = {"squeezebert": 0.1, "convbert": 0.05, "fsmt": 0.3}
"""Smaller gains, with which no weight of these families is all of its row."""
every_older_family = pytest.mark.parametrize("family", OLDER, ids=str)


def states_of(model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
    """All states that a model returns last: ProphetNet chooses its words by those of the streams that predict."""
    with torch.no_grad():
        result = model(**inputs)
    predicted = getattr(result, "last_hidden_state_ngram", None)
    states: torch.Tensor = result.last_hidden_state
    return states if predicted is None else torch.cat((states, predicted), dim=1)


def plain(model: Any, inputs: Mapping[str, Any]) -> np.ndarray:
    states: np.ndarray = states_of(model, {**inputs, **FAMILIES[model.config.model_type].inputs}).numpy()
    return states


def cut(model: Any, inputs: Mapping[str, Any], *cuts: Any) -> np.ndarray:
    """The states with cuts made."""
    ((_, states, _),) = run_variations(model, inputs, [cuts], lambda given: states_of(model, given), 1)
    return states.numpy()[None]


def heads(model: Any) -> Iterator[tuple[Kind, int, int, str]]:
    """The last head of each kind's first layer, and where its module is."""
    paths = {module: path for path, module in anatomy_of(model).paths.items()}
    for module, site in anatomy_of(model).sites.items():
        for place in site.places:
            if place.layer == 0:
                yield place.kind, place.layer, place.heads - 1, paths[module]


class Renormalized(TorchFunctionMode):
    """Sets one weight of a softmax to 0 and divides the rest of its row by their sum, while `here`."""

    def __init__(self, change: Callable[[torch.Tensor], None]) -> None:
        super().__init__()
        self.here, self._change = False, change

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.here or func.__name__ != "softmax":
            return result
        before = result.clone()
        self._change(result)
        return before if bool((before == result).all()) else result / result.sum(dim=-1, keepdim=True)


@contextmanager
def renormalized(module: nn.Module, change: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Change the weights of one module so."""
    mode = Renormalized(change)

    def mark(here: bool) -> Callable[..., None]:
        return lambda *_: setattr(mode, "here", here)

    handles = [module.register_forward_pre_hook(mark(True)), module.register_forward_hook(mark(False))]
    try:
        with mode:
            yield
    finally:
        for handle in handles:
            handle.remove()


def weight_gone(family: str, kind: Kind, head: int, query: int, key: int, queries: int) -> Callable[..., None]:
    """A function that sets a weight to 0, as each family lays its weights out."""

    def change(weights: torch.Tensor) -> None:
        if family == "longformer" or (family == "led" and kind == "encoder"):
            weights[0, query, head, key - query + 2] = 0
        elif family == "prophetnet" and kind != "encoder":
            for row in range(query, weights.shape[-2], queries):
                weights[..., head, row, key] = 0
        elif weights.shape[-2] == queries:
            weights[..., head, query, key] = 0

    return change


@every_older_family
@pytest.mark.unchecked
def test_the_weights_beside_a_cut_edge_grow_in_proportion(family: Family) -> None:
    model = spread(make(family.name, family.options), GAINS.get(family.name, family.gain))
    inputs = inputs_of(model)
    before, maps = plain(model, inputs), reference(model, inputs).maps
    for kind, layer, head, path in heads(model):
        queries = inputs["input_ids" if kind == "encoder" else list(inputs)[-1]].shape[1]
        key = int(np.argsort(maps[kind][layer][head, 9])[-2])
        gone = weight_gone(family.name, kind, head, 9, key, queries)
        with renormalized(model.get_submodule(path), gone):
            expected = plain(model, inputs)
        found = cut(model, inputs, CutEdges(kind, layer, (head,), edges=((9, key),)))
        np.testing.assert_allclose(found, expected, atol=EXACT, rtol=EXACT)
        assert np.abs(found - before).max() > EXACT
    np.testing.assert_array_equal(plain(model, inputs), before)


@pytest.mark.parametrize("name", TAKE_MASKS)
@pytest.mark.unchecked
def test_an_edge_cut_in_every_head_is_a_mask_given_to_the_model(name: str) -> None:
    model, inputs = build(name), inputs_of(build(name))
    ((kind, stack),) = stacks(model).items()
    mask = torch.ones(1, 1, 13, 13)
    mask = mask.tril() if kind == "decoder" else mask
    mask[0, 0, 9, [4, 7]] = 0
    additive = {"attention_mask": (1 - mask) * torch.finfo(torch.float32).min}
    expected = plain(model, {**inputs, **({"perm_mask": 1 - mask[0]} if name == "xlnet" else additive)})
    edges = ((9, 4), (9, 7))
    found = cut(model, inputs, *(CutEdges(kind, layer, edges=edges) for layer in stack.heads))
    np.testing.assert_allclose(found, expected, atol=EXACT, rtol=EXACT)


def silenced(model: Any, path: str, head: int, width: int) -> Any:
    """A copy of a model whose output projection takes nothing from a head."""
    copy = deepcopy(model)
    parent = path.rpartition(".")[0]
    places = [*(f"{path}.{name}" for name in PROJECTIONS), *(f"{parent}.{name}" for name in (*PROJECTIONS, "output"))]
    found = dict(copy.named_modules(remove_duplicate=False)) | dict(copy.named_parameters(remove_duplicate=False))
    projection = next(found[place] for place in places if place in found)
    with torch.no_grad():
        if isinstance(projection, nn.Parameter):  # XLNet
            projection[:, head] = 0
        elif isinstance(projection, Conv1D):
            projection.weight[head * width : (head + 1) * width] = 0
        else:
            projection.weight[:, head * width : (head + 1) * width] = 0
    return copy


@every_older_family
@pytest.mark.unchecked
def test_a_zeroed_head_is_one_that_the_output_projection_takes_nothing_from(family: Family) -> None:
    model, inputs = build(family.name), inputs_of(build(family.name))
    sums, before = contexts_of(contexts, model, inputs), plain(model, inputs)
    assert sums.keys() == {(kind, layer) for kind, stack in stacks(model).items() for layer in stack.heads}
    for kind, layer, head, path in heads(model):
        own = sums[kind, layer]
        expected = plain(silenced(model, path, head, own.shape[2]), inputs)
        found = cut(model, inputs, ZeroedHeads(kind, layer, (head,)))
        np.testing.assert_allclose(found, expected, atol=EXACT, rtol=EXACT)
        assert np.abs(found - before).max() > EXACT
        same = cut(model, inputs, ReplacedHeads(kind, layer, vectors=own))
        np.testing.assert_allclose(same, before, atol=EXACT, rtol=EXACT)


@pytest.mark.parametrize("name", ["deberta", "longformer", "prophetnet", "falcon"])
def test_a_head_is_replaced_by_its_mean(name: str) -> None:
    """Twice the mean in one head's place is as far from the mean as the mean is from nothing, just before a sum."""
    model, inputs = build(name), inputs_of(build(name))
    kind = "decoder" if name == "prophetnet" else next(iter(stacks(model)))
    layer = max(stacks(model)[kind].heads)
    mean = contexts_of(contexts, model, inputs)[kind, layer].mean(axis=1, keepdims=True)
    seen: list[torch.Tensor] = []
    paths = {
        site.places[0]: path
        for path, module in anatomy_of(model).paths.items()
        for site in [anatomy_of(model).sites[module]]
    }
    path = next(path for place, path in paths.items() if (place.kind, place.layer) == (kind, layer))
    module = model.get_submodule(path)
    handle = module.register_forward_hook(
        lambda _, __, output: seen.append(output[0] if isinstance(output, tuple) else output)
    )
    for factor in (0, 1, 2):
        cut(model, inputs, ReplacedHeads(kind, layer, (1,), vectors=factor * mean[[1]]))
    handle.remove()
    none, once, twice = seen
    torch.testing.assert_close(twice - once, once - none, atol=EXACT, rtol=EXACT)
    assert (once - none).abs().max() > 1e-3


def test_heads_that_are_mixed_after_the_softmax_are_zeroed_all_the_same() -> None:
    model = spread(make("deberta", {**FAMILIES["deberta"].options, "talking_head": True, "pos_att_type": ["c2p"]}))
    inputs = inputs_of(model)
    expected = plain(silenced(model, "encoder.layer.0.attention.self", 2, 10), inputs)
    np.testing.assert_allclose(cut(model, inputs, ZeroedHeads("encoder", 0, (2,))), expected, atol=EXACT, rtol=EXACT)


@cache
def canine() -> Any:
    return build("canine", local_transformer_stride=4)


def test_chunks_of_canine_are_cut_where_they_stand() -> None:
    model, inputs = canine(), inputs_of(canine())
    before = plain(model, inputs)
    sums = contexts_of(contexts, model, inputs)["encoder", 0]
    assert sums.shape == (3, 13, 10)
    same = cut(model, inputs, ReplacedHeads("encoder", 0, vectors=sums))
    np.testing.assert_allclose(same, before, atol=EXACT, rtol=EXACT)
    apart = cut(model, inputs, CutEdges("encoder", 0, edges=((9, 2), (3, 4))))
    np.testing.assert_array_equal(apart, before)
    calls = -1

    def gone(weights: torch.Tensor) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the tokens 8 to 11
            weights[0, 1, 1, 3] = 0

    with renormalized(model.get_submodule("initial_char_encoder.layer.0.attention"), gone):
        expected = plain(model, inputs)
    found = cut(model, inputs, CutEdges("encoder", 0, (1,), edges=((9, 11),)))
    np.testing.assert_allclose(found, expected, atol=EXACT, rtol=EXACT)
    assert np.abs(found - before).max() > EXACT


def test_blocks_of_a_long_text_cannot_be_cut() -> None:
    model = spread(
        make(
            "big_bird",
            {**FAMILIES["big_bird"].options, "attention_type": "block_sparse", "block_size": 1, "num_random_blocks": 1},
        )
    )
    with pytest.raises(
        ModelError, match=r"0 of the family big_bird attends among blocks.* at most 7 tokens, which it reads with full"
    ):
        cut(model, inputs_of(model), ZeroedHeads("encoder", 0, (0,)))


BART: dict[str, Any] = {
    "vocab_size": 337,
    "tie_word_embeddings": False,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "bos_token_id": 0,
    "decoder_start_token_id": 2,
}
WRITERS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "led": ("LED", BART),
    "mvp": ("Mvp", BART),
    "fsmt": ("FSMT", BART | {"src_vocab_size": 337, "tgt_vocab_size": 337}),
    "prophetnet": ("ProphetNet", BART),
}


@cache
def writer(name: str) -> Pretrained:
    family, options = WRITERS[name]
    sizes = {
        key: value for key, value in FAMILIES[name].options.items() if not key.endswith(("vocab_size", "token_id"))
    }
    options = {key: value for key, value in options.items() if family != "FSMT" or key != "vocab_size"}
    whole = folders.made(family, "ForConditionalGeneration", **sizes | options)
    return Pretrained("tiny", spread(whole, 0.7), folders.roberta())


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.unchecked
def test_cuts_hold_while_a_translation_is_written(name: str, beam: int) -> None:
    """Each token written is the likeliest after those before it, when these are read at once with the same cuts."""
    model, text = writer(name), "Attention is all you need"
    kinds: Sequence[Kind] = ("encoder", "decoder", "cross")
    variations: list[Variation] = [
        (),
        *((ZeroedHeads(kind, 0), EvenHeads(kind, 1)) for kind in kinds),
        (CutEdges("decoder", 0, edges=tuple((query, query - 1) for query in range(2, 40))),),
        (CutEdges("cross", 0, edges=tuple((query, query % 3) for query in range(2, 40, 2))),),
        (CutEdges("encoder", 0, edges=((2, 3), (4, 3))),),
    ]
    decoding = Decoding(beam=beam, max_length=8)
    together = model.translate([text] * len(variations), decoding=decoding, variations=variations)
    assert len({one.ids for one in together}) > 1
    assert together[0].ids == model.translate([text], decoding=decoding)[0].ids
    for variation, one in zip(variations, together, strict=True):
        assert one.ids == model.translate([text], decoding=decoding, variations=[variation])[0].ids
        # Of a longer text, ProphetNet computes other logits for the first tokens as well.
        for count in range(1, len(one.ids) if beam == 1 else 1):
            source = model.prepare(Input(text, target=replace(one, ids=one.ids[: count + 1])))
            ((_, outcome),) = model.run(source, [variation], Wanted("target", (count - 1,), tokens=False))
            assert outcome.logits is not None
            assert outcome.logits.argmax(axis=1).tolist() == [one.ids[count]]
