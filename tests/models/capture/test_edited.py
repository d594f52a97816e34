"""Cuts in every family, held against transformers' own eager attention: a mask of −∞ given to it, a slice zeroed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from attn_cli.data.cuts import CutEdges, EvenHeads, ReplacedHeads, Variation, ZeroedHeads, left_nothing
from attn_cli.data.selection import KINDS, Kind
from attn_cli.models.capture.stream import anatomy_of, stacks
from attn_cli.models.capture.variations import contexts, run_variations
from tests.models.contexts import contexts_of
from tests.models.families import FAMILIES, Family, build, inputs_of, make, spread

EXACT = 1e-5
MODERN = [family for family in FAMILIES.values() if not family.older]
every_modern_family = pytest.mark.parametrize("family", MODERN, ids=str)


def outputs(model: Any, inputs: Mapping[str, Any], *variations: Variation) -> list[np.ndarray]:
    """The last hidden states under each variation, in the order given."""

    def compute(given: Mapping[str, Any]) -> torch.Tensor:
        states: torch.Tensor = model(**given).last_hidden_state
        return states

    found = {index: states.numpy() for index, states, _ in run_variations(model, inputs, variations, compute, 1)}
    return [found[index][None] for index in range(len(variations))]


Change = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def eager_mask_changed(target: nn.Module, turn: int, change: Change) -> Iterator[None]:
    """Change the additive mask `[1, head, query, key]` that a module gives its eager function in one of its calls."""
    space = vars(sys.modules[type(target).__module__])
    names = [name for name in space if name.endswith("eager_attention_forward")]
    own = {name: space[name] for name in names}
    calls = -1

    def entered(*_: Any) -> None:
        nonlocal calls
        calls += 1

    def changed(name: str) -> Any:
        def call(
            module: nn.Module, query: Any, key: Any, value: Any, attention_mask: Any, *rest: Any, **options: Any
        ) -> Any:
            if module is target and calls == turn:
                whole = torch.zeros(1, query.shape[1], query.shape[2], key.shape[2])
                whole = whole if attention_mask is None else whole + attention_mask[..., : key.shape[2]]
                attention_mask = change(whole)
            return own[name](module, query, key, value, attention_mask, *rest, **options)

        return call

    handle = target.register_forward_pre_hook(entered)
    space.update({name: changed(name) for name in names})
    try:
        yield
    finally:
        space.update(own)
        handle.remove()


@contextmanager
def slice_zeroed(target: nn.Module, turn: int, model: nn.Module, start: int, stop: int) -> Iterator[None]:
    """Zero a slice of the input of the first linear layer after a module's eager function in one of its calls."""
    space = vars(sys.modules[type(target).__module__])
    names = [name for name in space if name.endswith("eager_attention_forward")]
    own = {name: space[name] for name in names}
    calls, waiting = -1, False

    def entered(*_: Any) -> None:
        nonlocal calls
        calls += 1

    def watched(name: str) -> Any:
        def call(module: nn.Module, *rest: Any, **options: Any) -> Any:
            nonlocal waiting
            found = own[name](module, *rest, **options)
            waiting = module is target and calls == turn
            return found

        return call

    def before(_: nn.Module, given: tuple[Any, ...]) -> Any:
        nonlocal waiting
        if not waiting or given[0].shape[-1] < stop:  # (a gate may be computed first, from the layer's input)
            return None
        waiting = False
        zeroed = given[0].clone()
        zeroed[..., start:stop] = 0
        return (zeroed, *given[1:])

    handles = [target.register_forward_pre_hook(entered)]
    handles += [
        module.register_forward_pre_hook(before) for module in model.modules() if isinstance(module, nn.Linear | Conv1D)
    ]
    space.update({name: watched(name) for name in names})
    try:
        yield
    finally:
        space.update(own)
        for handle in handles:
            handle.remove()


def sites(model: Any) -> dict[tuple[Kind, int], tuple[nn.Module, int]]:
    """(kind, layer) -> its module, and the number of the module's call that computes it."""
    return {
        (place.kind, place.layer): (module, turn)
        for module, site in anatomy_of(model).sites.items()
        for turn, place in enumerate(site.places)
    }


def plain(model: Any, inputs: Mapping[str, Any]) -> np.ndarray:
    with torch.no_grad():
        states: np.ndarray = model(**inputs, **FAMILIES[model.config.model_type].inputs).last_hidden_state.numpy()
    return states


@every_modern_family
@pytest.mark.unchecked
def test_a_cut_edge_is_minus_infinity_in_the_eager_mask(family: Family) -> None:
    model, inputs = build(family.name), inputs_of(build(family.name))
    before = plain(model, inputs)
    for kind, stack in stacks(model).items():
        layers = list(stack.heads)
        layer = layers[len(layers) // 2]
        module, turn = sites(model)[kind, layer]
        head, edge = stack.heads[layer] - 1, (9, 8)

        def change(mask: torch.Tensor, head: int = head, edge: tuple[int, int] = edge) -> torch.Tensor:
            mask[0, head, edge[0], edge[1]] = -torch.inf
            return mask

        with eager_mask_changed(module, turn, change):
            expected = plain(model, inputs)
        (found,) = outputs(model, inputs, (CutEdges(kind, layer, (head,), edges=(edge,)),))
        np.testing.assert_allclose(found, expected, atol=EXACT, rtol=EXACT)
    np.testing.assert_array_equal(plain(model, inputs), before)


@every_modern_family
@pytest.mark.unchecked
def test_a_zeroed_head_is_a_zeroed_slice_of_what_enters_the_output_projection(family: Family) -> None:
    if family.name == "diffllama":
        pytest.skip("its heads are taken off each other before the output projection")
    model, inputs = build(family.name), inputs_of(build(family.name))
    sums = contexts_of(contexts, model, inputs)
    for kind, stack in stacks(model).items():
        layer = max(stack.heads)
        module, turn = sites(model)[kind, layer]
        count, width = stack.heads[layer], sums[kind, layer].shape[2]
        with slice_zeroed(module, turn, model, (count - 1) * width, count * width):
            expected = plain(model, inputs)
        own = ReplacedHeads(kind, layer, vectors=sums[kind, layer])
        zeroed, same = outputs(model, inputs, (ZeroedHeads(kind, layer, (count - 1,)),), (own,))
        np.testing.assert_allclose(zeroed, expected, atol=EXACT, rtol=EXACT)
        if not getattr(module, "lambda_q1", None):
            np.testing.assert_allclose(same, plain(model, inputs), atol=EXACT, rtol=EXACT)


def some_variations(model: Any) -> list[Variation]:
    found: list[Variation] = [()]
    for kind, stack in stacks(model).items():
        first, *_, last = [*stack.heads, *stack.heads]
        found.append((EvenHeads(kind, last, (0,)), ZeroedHeads(kind, first, (2,))))
        found.append((CutEdges(kind, last, (0, 1), edges=((9, 8), (5, 3))), ZeroedHeads(kind, last, (2,))))
    return found


@pytest.mark.parametrize("family", FAMILIES.values(), ids=str)
@pytest.mark.unchecked
def test_a_batch_of_variations_equals_the_same_ones_one_by_one(family: Family) -> None:
    """Alone, all layers run; in a batch, those before a row's first cut do not."""
    model, inputs = build(family.name), inputs_of(build(family.name))
    variations = some_variations(model)
    together = outputs(model, inputs, *variations)
    np.testing.assert_allclose(together[0], plain(model, inputs), atol=EXACT, rtol=EXACT)
    for variation, found in zip(variations[1:], together[1:], strict=True):
        (alone,) = outputs(model, inputs, variation)
        np.testing.assert_allclose(found, alone, atol=EXACT, rtol=EXACT)
        assert np.abs(found - together[0]).max() > EXACT


@pytest.mark.parametrize("name", ["bert", "llama", "gpt2", "t5", "bart", "deberta", "mixtral", "gemma2", "gpt_oss"])
def test_layers_before_the_first_cut_are_not_run_again(name: str) -> None:
    model, inputs = build(name), inputs_of(build(name))
    kind = max(stacks(model), key=lambda kind: KINDS.index(kind))
    last = max(stacks(model)[kind].heads)
    runs = 0

    def count(*_: Any) -> None:
        nonlocal runs
        runs += 1

    first: Any = sites(model)[next(iter(stacks(model))), 0][0]
    handle = first.register_forward_hook(count)
    outputs(model, inputs, *((ZeroedHeads(kind, last, (head,)),) for head in range(3)))
    handle.remove()
    assert runs == 2  # once to see what the layers return, and once to hold against it what comes of leaving them out


def test_a_model_whose_layers_need_those_before_them_runs_whole() -> None:
    model = spread(make("llama", FAMILIES["llama"].options))
    inputs = inputs_of(model)
    noted: list[torch.Tensor] = []
    first, last = model.layers[0], model.layers[-1]

    class Noting(type(first)):  # type: ignore[misc]
        """A first layer that leaves something beside its output."""

        def forward(self, *given: Any, **named: Any) -> Any:
            noted[:] = [given[0]]
            return super().forward(*given, **named)

    class Reading(type(last)):  # type: ignore[misc]
        """A last layer that reads it."""

        def forward(self, *given: Any, **named: Any) -> Any:
            return super().forward(given[0] + noted.pop(), *given[1:], **named)

    first.__class__, last.__class__ = Noting, Reading
    variations: list[Variation] = [(ZeroedHeads("decoder", layer, (head,)),) for layer in range(3) for head in range(2)]
    together = outputs(model, inputs, *variations)
    for variation, found in zip(variations, together, strict=True):
        np.testing.assert_allclose(found, outputs(model, inputs, variation)[0], atol=EXACT, rtol=EXACT)


@pytest.mark.parametrize("name", ["bert", "llama", "gemma2", "gpt_oss", "t5", "deberta"])
def test_a_query_left_nothing_to_see_gets_a_context_of_zeros(name: str) -> None:
    """Here the reference is the sum of its values given back to every query but that one."""
    model, inputs = build(name), inputs_of(build(name))
    (kind, *_) = stacks(model)
    everything = CutEdges(kind, 1, (2,), edges=tuple((5, key) for key in range(13)))
    notes: dict[int, tuple[str, ...]] = {}

    def compute(given: Mapping[str, Any]) -> torch.Tensor:
        states: torch.Tensor = model(**given).last_hidden_state
        return states

    found: dict[int, Any] = {}
    for index, states, own in run_variations(model, inputs, [(everything,), (EvenHeads(kind, 0),)], compute, 1):
        found[index], notes[index] = states.numpy(), own
    assert notes[1] == ()
    assert notes[0] == left_nothing([(kind, 1)])
    assert np.isfinite(found[0]).all()
    vectors = contexts_of(contexts, model, inputs)[kind, 1][[2]].copy()
    vectors[0, 5] = 0
    (expected,) = outputs(model, inputs, (ReplacedHeads(kind, 1, (2,), vectors=vectors),))
    got = found[0][None]
    np.testing.assert_allclose(got, expected, atol=EXACT, rtol=EXACT)


@pytest.mark.parametrize("name", ["bert", "llama", "gpt_oss", "t5"])
def test_an_even_head_gives_each_visible_key_the_same_weight(name: str) -> None:
    model, inputs = build(name), inputs_of(build(name))
    (kind, *_) = stacks(model)
    module, turn = sites(model)[kind, 1]
    seen: list[torch.Tensor] = []
    space = vars(sys.modules[type(module).__module__])
    own = space["eager_attention_forward"]

    def watched(*given: Any, **named: Any) -> Any:
        output, weights = own(*given, **named)
        seen.append(weights)
        return output, weights

    space["eager_attention_forward"] = watched
    try:
        plain(model, inputs)
    finally:
        space["eager_attention_forward"] = own
    layer = seen[1][0, 2]
    even = (layer > 0).float()
    sinks = getattr(module, "sinks", None)
    extra = 0.0 if sinks is None else float(sinks[2].detach().exp())
    even = even / (even.sum(dim=-1, keepdim=True) + extra)
    values: list[torch.Tensor] = []

    def take(_: Any, __: Any, output: torch.Tensor) -> None:
        values.append(output)

    projection = next(one for path, one in module.named_modules() if path in ("v_proj", "value", "v", "self.value"))
    handle = projection.register_forward_hook(take)
    plain(model, inputs)
    handle.remove()
    groups = stacks(model)[kind].heads[1] // stacks(model)[kind].key_value_heads
    width = values[0].shape[2] // stacks(model)[kind].key_value_heads
    start = 2 // groups * width
    vectors = (even @ values[0][0, :, start : start + width]).numpy()[None]
    got, expected = outputs(
        model, inputs, (EvenHeads(kind, 1, (2,)),), (ReplacedHeads(kind, 1, (2,), vectors=vectors),)
    )
    np.testing.assert_allclose(got, expected, atol=EXACT, rtol=EXACT)
    assert turn == 0


def test_half_precision_does_not_depend_on_the_cuts() -> None:
    model = spread(make("llama", FAMILIES["llama"].options)).to(torch.bfloat16)
    inputs = inputs_of(model)

    def compute(given: Mapping[str, Any]) -> torch.Tensor:
        states: torch.Tensor = model(**given).last_hidden_state.float()
        return states

    cut = CutEdges("decoder", 0, (0,), edges=((0, 9),))  # is masked anyway
    found = {index: states for index, states, _ in run_variations(model, inputs, [(), (cut,)], compute, 1)}
    torch.testing.assert_close(found[0], found[1], atol=0.05, rtol=0.05)


def test_a_batch_is_smaller_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = build("llama"), inputs_of(build("llama"))
    variations: list[Variation] = [(ZeroedHeads("decoder", layer, (head,)),) for layer in range(3) for head in range(6)]
    expected = outputs(model, inputs, *variations)
    rows: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda _, __, named: rows.append(len(named["input_ids"])), with_kwargs=True
    )
    monkeypatch.setattr("attn_cli.models.capture.variations.free_on", lambda _: 2**20)
    found = outputs(model, inputs, *variations)
    handle.remove()
    assert sum(rows) >= len(variations)
    assert 1 < max(rows) < len(variations)
    np.testing.assert_allclose(found, expected, atol=EXACT, rtol=EXACT)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("name", ["bert", "llama", "gpt_oss", "t5", "bart", "deberta", "longformer", "big_bird"])
@pytest.mark.unchecked
def test_a_model_is_as_it_was_after_a_pass_that_breaks_off(name: str, fault: type[BaseException]) -> None:
    model, inputs = build(name), inputs_of(build(name))
    before = plain(model, inputs)
    kinds = list(stacks(model))
    modules, settings = list(model.modules()), model.config.to_dict()
    hooks = [(dict(one._forward_hooks), dict(one._forward_pre_hooks), vars(one).get("forward")) for one in modules]
    implementation = model.config._attn_implementation

    def broken(given: Mapping[str, Any]) -> torch.Tensor:
        if len(given["input_ids"]) > 1 or name in ("deberta", "longformer", "big_bird"):
            last = modules[-1]
            handle = last.register_forward_hook(lambda *_: _raise(fault))
            try:
                model(**given)
            finally:
                handle.remove()
            raise fault
        states: torch.Tensor = model(**given).last_hidden_state
        return states

    variations = [(ZeroedHeads(kinds[-1], layer, (0,)),) for layer in (0, 1)]
    with pytest.raises(fault):
        list(run_variations(model, inputs, variations, broken, 1))
    assert list(model.modules()) == modules
    assert [
        (dict(one._forward_hooks), dict(one._forward_pre_hooks), vars(one).get("forward")) for one in modules
    ] == hooks
    assert model.config.to_dict() == settings
    assert model.config._attn_implementation == implementation
    np.testing.assert_array_equal(plain(model, inputs), before)


def _raise(fault: type[BaseException]) -> None:
    raise fault
