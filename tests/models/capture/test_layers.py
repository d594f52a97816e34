"""Values, context vectors and norms against the layers of a plain run: what its linear layers are given and give.

Nothing here knows how attn finds them: values are looked for in what any linear layer gave, and the output projection
is the linear layer that was given the context vectors, all heads side by side.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from attn_cli.data.stream import Block
from attn_cli.errors import ModelError
from attn_cli.models.capture.stream import stream
from tests.models.families import FAMILIES, Family, build, everything, inputs_of, reference

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
WITHOUT_VALUES = {"longformer", "funnel", "xlnet", "falcon", "led", "prophetnet"}
"""Older families in some of whose layers the product with the values has a form of its own."""
MADE_OF_VALUES = {"deberta", "ibert", "mimo_v2_flash", "prophetnet"}
"""The values weighed are not those that a linear layer gave: a bias, a scale or a quantization comes after it."""
SINK_AFTERWARDS = {"granite_swa"}
"""A learned sink scales each head's output."""
OTHERWISE_PROJECTED = {"axk2", "convbert", "diffllama", "dots3_note_text", "hrm_text", "hy_v4", "ibert", "qwen3_next"}
"""The context vectors are gated, mixed or joined with something before the output projection, or it is not linear."""


class Call(NamedTuple):
    """One linear layer at work, in a plain run with eager attention."""

    weight: np.ndarray
    """`[out, in]`."""
    given: np.ndarray
    """`[token, in]`."""
    gave: np.ndarray
    """`[token, out]`."""


def calls_of(model: Any, inputs: dict[str, Any]) -> list[Call]:
    """Every linear layer's call, in a run that attn has no part in."""
    calls: list[Call] = []

    def after(module: Any, given: tuple[Any, ...], gave: torch.Tensor) -> None:
        weight = module.weight.T if isinstance(module, Conv1D) else module.weight
        arrays = (weight, given[0], gave)
        if isinstance(module, nn.Conv1d):
            arrays = (weight[:, :, 0], given[0].swapaxes(1, 2), gave.swapaxes(1, 2))
        if isinstance(gave, torch.Tensor):  # some count experts beside it
            calls.append(Call(*(array.detach().reshape(-1, array.shape[-1]).numpy() for array in arrays)))

    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, nn.Linear | Conv1D) or (isinstance(module, nn.Conv1d) and module.kernel_size == (1,)):
                stack.callback(module.register_forward_hook(after).remove)
        reference(model, inputs)
    return calls


def stands_in(values: np.ndarray, wide: np.ndarray) -> bool:
    """Return whether some neighbouring columns of `wide` are these values, `[token, dim]`."""
    tokens, size = values.shape
    if len(wide) != tokens or wide.shape[1] < size:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(wide, size, axis=1)
    return any(np.allclose(windows[:, place], values, **CLOSE) for place in _near(windows[0], values[0]))


def _near(windows: np.ndarray, row: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.isclose(windows, row, **CLOSE).all(axis=1))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=str)
def test_values_contexts_and_norms_are_the_layers_own(family: Family) -> None:
    model = build(family.name)
    inputs = inputs_of(model)
    maps = reference(model, inputs).maps
    calls = calls_of(model, inputs)
    has_norms = not family.older and family.name not in OTHERWISE_PROJECTED
    blocks: list[Block] = []
    stream(model, inputs, everything(model, steps=True, norms=has_norms), blocks.append)
    for block in blocks:
        steps = block.steps
        assert steps is not None
        if steps.values is None or steps.contexts is None:
            assert family.name in WITHOUT_VALUES
            continue
        if family.name not in MADE_OF_VALUES:
            assert all(any(stands_in(values, call.gave) for call in calls) for values in steps.values)
        if family.name not in SINK_AFTERWARDS:
            np.testing.assert_allclose(steps.contexts, maps[block.kind][block.layer] @ steps.values, **CLOSE)
        contexts = np.concatenate(list(steps.contexts), axis=1)
        projections = [
            call for call in calls if call.given.shape == contexts.shape and np.allclose(call.given, contexts, **CLOSE)
        ]
        assert len(projections) == (family.name not in OTHERWISE_PROJECTED)
        if not has_norms:
            continue
        assert block.norms is not None
        size = steps.values.shape[2]
        for head, values in enumerate(steps.values):
            arrived = values @ projections[0].weight[:, head * size : (head + 1) * size].T
            np.testing.assert_allclose(block.norms[head], np.linalg.norm(arrived, axis=1), **CLOSE)


@pytest.mark.parametrize(
    "family", [family for family in FAMILIES.values() if family.older or family.name in OTHERWISE_PROJECTED], ids=str
)
def test_norms_are_refused_where_they_cannot_be_had(family: Family) -> None:
    model = build(family.name)
    with pytest.raises(ModelError, match="so norms cannot be measured"):
        stream(model, inputs_of(model), everything(model, norms=True), lambda _: None)
