"""Later use of each layer's weighted sums: the output projection that multiplies them, and changes before it.

The names of output projections differ from family to family, so they are found by their input: the output projection is
the first linear layer whose input is the output of the layer's attention function, at the same place in memory. Most
models pass that output on unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import local
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from attn_cli.data.shapes import Float
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import Place
from attn_cli.models.capture.call import AttentionCall
from attn_cli.models.capture.offloaded import loaded
from attn_cli.models.capture.slices import to_host

__all__ = ["FEW", "Afterwards", "Projections", "changed_output", "value_norms"]

FEW = 5
"""The number of tokens that is enough to find the output projections."""


class Projections:
    """The output projections of one model, found while it runs."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, int], nn.Module] = {}
        """(kind, layer) -> the linear layer."""
        self._waiting: tuple[Place, torch.Tensor] | None = None

    def saw(self, place: Place, output: torch.Tensor) -> None:
        """Remember the output of an attention function."""
        self._waiting = (place, output)

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Watch the inputs of the model's linear layers, until the context is left."""
        with ExitStack() as stack:
            for module in model.modules():
                if isinstance(module, nn.Linear | Conv1D):
                    stack.callback(module.register_forward_pre_hook(self._before).remove)
            yield

    def _before(self, module: nn.Module, given: tuple[Any, ...]) -> None:
        if self._waiting is None or not given:
            return
        place, output = self._waiting
        if _is_same(given[0], output):
            self.found[place.kind, place.layer] = module
            self._waiting = None


def value_norms(
    call: AttentionCall, place: Place, heads: tuple[int, ...], found: Mapping[tuple[str, int], nn.Module], family: str
) -> Float[np.ndarray, "head key"]:
    """Compute the length of each key's value after the output projection.

    Args:
        call: the call of the layer's attention function.
        place: the attention layer.
        heads: the heads requested.
        found: the model's output projections, by kind and layer.
        family: the model's family, for messages.

    Raises:
        ModelError: no projection takes the context vectors unchanged.
    """
    module = found.get((place.kind, place.layer))
    if module is None:
        raise ModelError(
            f"In {place.kind} layer {place.layer} of the family {family} something stands between the weighted sum and "
            "the output projection, so norms cannot be measured",
            "Choose another --measure, or another model",
        )
    size, group = call.value.shape[3], call.query.shape[1] // call.value.shape[1]
    with loaded(module):
        weight: Any = module.weight.T if isinstance(module, Conv1D) else module.weight
        rows = [
            (call.value[0, head // group] @ weight[:, head * size : (head + 1) * size].T).float().norm(dim=-1)
            for head in heads
        ]
    norms: Float[np.ndarray, "head key"] = to_host(torch.stack(rows))
    return norms


def changed_output(family: str) -> str:
    """Return the note for a model that changes each head's weighted sum before passing it on.

    Args:
        family: the model's family.
    """
    return (
        f"The family {family} changes each head's output after the weighted sum (by a gate, say, or by subtracting "
        "another head's); the weights are those before that"
    )


class _Waiting(local):
    """The output of an attention function in this thread that no inner module has received yet."""

    output: torch.Tensor | None = None


class Afterwards:
    """A detector of modules that change the output of their attention function before passing it on.

    Args:
        on_change: called after each module that changes it, by a gate (Qwen3-Next) or by subtracting heads from each
            other (DiffLlama), for example.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._waiting = _Waiting()

    def saw(self, output: torch.Tensor) -> None:
        """Remember the output of an attention function."""
        self._waiting.output = output

    @contextmanager
    def watch(self, modules: Iterable[nn.Module]) -> Iterator[None]:
        """Watch what attention modules do with that output, until the context is left.

        Args:
            modules: the modules that call an attention function.
        """
        with ExitStack() as stack:
            for module in modules:
                for inner in module.modules():
                    if inner is not module:
                        stack.callback(inner.register_forward_pre_hook(self._before, with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(self._after).remove)
            yield

    def _before(self, _: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        if self._is_among((*given, *named.values())):
            self._waiting.output = None

    def _after(self, _: nn.Module, __: tuple[Any, ...], result: Any) -> None:
        if self._waiting.output is not None and not self._is_among(result if isinstance(result, tuple) else (result,)):
            self._on_change()
        self._waiting.output = None

    def _is_among(self, values: Iterable[Any]) -> bool:
        waiting = self._waiting.output
        return waiting is not None and any(_is_same(value, waiting) for value in values)


def _is_same(value: Any, output: torch.Tensor) -> bool:
    """Return whether a value is this output, perhaps in another shape."""
    return isinstance(value, torch.Tensor) and value.data_ptr() == output.data_ptr() and value.numel() == output.numel()
