"""Later use of each layer's weighted sums: the output projection that multiplies them, and changes before it.

The names of output projections differ from family to family, so they are found by their input: the output projection is
the first linear layer whose input is the output of the layer's attention function, at the same place in memory. Most
models pass that output on unchanged. A module around that layer which is given nothing else, as an adapter of PEFT is,
belongs to it. (The module around BERT's is given the residual stream too.)
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
"""The number of tokens that is enough to find the output projections, and to tell whether one is linear."""
ROUNDING = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Largest difference of a linear projection from a product with its matrix, beside its largest output."""
COARSE = 5e-2
"""The same in half precision, in which quantized weights are multiplied too."""


class Projections:
    """The output projections of one model, found while it runs."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, int], nn.Module] = {}
        """(kind, layer) -> the linear layer, or the module around it."""
        self._waiting: tuple[Place, torch.Tensor] | None = None
        self._around: list[nn.Module] = []
        """The modules that were given that output alone, the outermost first."""

    def saw(self, place: Place, output: torch.Tensor) -> None:
        """Remember the output of an attention function."""
        self._waiting, self._around = (place, output), []

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Watch the inputs of the model's modules, until the context is left."""
        with ExitStack() as stack:
            for module in model.modules():
                stack.callback(module.register_forward_pre_hook(self._before, with_kwargs=True).remove)
            yield

    def _before(self, module: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        if self._waiting is None or not given:
            return
        place, output = self._waiting
        if not _is_same(given[0], output):
            return
        if len(given) == 1 and not named:
            self._around.append(module)
        if isinstance(module, nn.Linear | Conv1D):
            self.found[place.kind, place.layer] = next((one for one in self._around if module in one.modules()), module)
            self._waiting, self._around = None, []


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
        ModelError: no projection takes the context vectors unchanged, or it is not linear.
    """
    module = found.get((place.kind, place.layer))
    if module is None:
        raise ModelError(
            f"In {place.kind} layer {place.layer} of the family {family} something stands between the weighted sum and "
            "the output projection, so norms cannot be measured",
            "Choose another --measure, or another model",
        )
    size, group = call.value.shape[3], call.query.shape[1] // call.value.shape[1]

    def of_heads(matrix: Float[torch.Tensor, "in out"]) -> Float[np.ndarray, "head key"]:
        rows = [
            (call.value[0, head // group] @ matrix[head * size : (head + 1) * size]).float().norm(dim=-1)
            for head in heads
        ]
        norms: Float[np.ndarray, "head key"] = to_host(torch.stack(rows))
        return norms

    if _is_bare(module):
        with loaded(module):
            weight: Any = module.weight
            return of_heads(weight if isinstance(module, Conv1D) else weight.T)
    few = call.value[0, :, :FEW].repeat_interleave(group, dim=0)
    matrix = _matrix_of(module, few.transpose(0, 1).flatten(1))
    if matrix is None:
        raise ModelError(
            f"In {place.kind} layer {place.layer} of the family {family} the output projection, a "
            f"{type(module).__name__}, is not linear, so norms cannot be measured",
            "Choose another --measure, or another model",
        )
    return of_heads(matrix)


def _is_bare(module: nn.Module) -> bool:
    """Return whether a projection is a linear layer that nothing is added to: its weights are then its matrix."""
    # accelerate gives a module a forward method of its own too, which only brings its weights.
    replaced = "forward" in vars(module) and not hasattr(module, "_hf_hook")
    own = type(module).forward in (nn.Linear.forward, Conv1D.forward)
    return own and not replaced and not module._forward_hooks  # noqa: SLF001 - there is no public name


def _matrix_of(module: nn.Module, few: Float[torch.Tensor, "token in"]) -> Float[torch.Tensor, "in out"] | None:
    """Return what a projection multiplies its input by; None if it does something else with it.

    What an adapter adds, or how quantized weights are unpacked, only the module knows. So it is applied to each unit
    vector, less what it makes of zeros, its bias.

    Args:
        module: the projection.
        few: some inputs, on which its output is compared with the product.
    """
    units = torch.eye(few.shape[1], dtype=few.dtype, device=few.device)
    bias = module(torch.zeros_like(units[None, :1]))[0]
    matrix: Float[torch.Tensor, "in out"] = module(units[None])[0] - bias
    output = module(few[None])[0]
    rounding = ROUNDING.get(few.dtype, COARSE) * output.abs().max()
    # (A comparison with what is not a number is false: such norms are refused where they are used.)
    return None if ((few @ matrix + bias - output).abs() > rounding).any() else matrix


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
