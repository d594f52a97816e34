"""Weights that are not in memory: those that accelerate brings there while their module runs, and those nothing brings.

A weight that is not in memory is on torch's `meta` device, which holds its shape but no numbers: with it, torch would
compute arbitrary ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel

from attn_cli.errors import ModelError
from attn_cli.system.memory import available

__all__ = [
    "MissingWeights",
    "check_weights_present",
    "count_parameters",
    "device_of",
    "free_on",
    "is_offloaded",
    "loaded",
    "weights_of",
]

REMEDY = "Load the whole model into memory, with --dtype bfloat16 where it would not fit otherwise"


def check_weights_present(model: PreTrainedModel) -> None:
    """Check that all weights of a model are in memory, or will be loaded when they are needed.

    Raises:
        ModelError: a weight is on torch's `meta` device, and nothing loads it.
    """
    brought: list[str] = []  # path prefixes of modules that accelerate loads when they are called
    for path, module in model.named_modules():
        hook = getattr(module, "_hf_hook", None)
        if hook is not None and getattr(hook, "offload", True):
            brought.append(f"{path}." if path else "")
        if any(f"{path}.".startswith(one) for one in brought):
            continue
        own = chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
        for name, tensor in own:
            if tensor.is_meta:
                raise _not_there(f"{path}.{name}" if path else name)


def is_offloaded(model: nn.Module) -> bool:
    """Return whether some of a model's weights are in memory only while their module runs."""
    return any(parameter.is_meta for parameter in model.parameters())


def device_of(model: nn.Module) -> torch.device:
    """Return the device that a model's inputs belong on: where its first module with weights computes.

    Raises:
        ModelError: its weights are not in memory, and nothing loads them.
    """
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.is_meta:
                place: torch.device = parameter.device
                return place
            device: Any = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
            if device is None:
                raise _not_there(f"{path}.{name}" if path else name)
            return torch.device(device)
    return torch.device("cpu")


def free_on(device: torch.device) -> int:
    """Return the bytes that can still be allocated on a device."""
    if device.type != "cuda":  # the memory of Apple's GPU is the machine's
        return available()
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


class MissingWeights(TorchFunctionMode):
    """A context in which weights that are not in memory are computed with by nothing.

    A module may use the weights of another, which nothing loads then. torch would compute arbitrary numbers.

    Raises:
        ModelError: one does.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        if len({one.is_meta for one in given if one.ndim}) > 1:
            raise _used_by_another()
        try:
            return func(*args, **kwargs)
        except NotImplementedError as fault:  # a weight that is passed on to a module
            if any(one.is_meta for one in given):
                raise _used_by_another() from fault
            raise


@contextmanager
def loaded(module: nn.Module) -> Iterator[None]:
    """Have a module's own weights in memory within the context, as accelerate has them there while the module runs."""
    hook: Any = getattr(module, "_hf_hook", None)
    if hook is None or not any(weight.is_meta for weight in module.parameters(recurse=False)):
        yield
        return
    hook.pre_forward(module)
    try:
        yield
    finally:
        hook.post_forward(module, None)


def weights_of(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each weight of a model once, with its name; one that is offloaded is in memory until the next is asked for.

    While they are offloaded, weights that modules share are tensors of their own, so the model says which they are.
    """
    shared = getattr(model, "all_tied_weights_keys", None) or {}
    seen: set[int] = set()
    for path, module in model.named_modules():
        kept = {id(weight) for weight in module.parameters(recurse=False) if not weight.is_meta}
        with loaded(module):
            for name, weight in module.named_parameters(recurse=False):
                name = f"{path}.{name}" if path else name
                if name not in shared and id(weight) not in seen:
                    yield name, weight
        seen |= kept


def count_parameters(model: PreTrainedModel) -> int:
    """Return how many numbers a model's weights are, those that modules share counted once."""
    there = dict(model.named_parameters())
    shared = getattr(model, "all_tied_weights_keys", None) or {}
    twice = sum(there[name].numel() for name, other in shared.items() if name in there and other in there)
    return model.num_parameters() - twice


def _used_by_another() -> ModelError:
    return ModelError(
        "In this model a layer computes with the weights of another, which are not in memory then, so they cannot be "
        "offloaded",
        "Leave --device balanced out, with --dtype bfloat16 where the model would not fit otherwise",
    )


def _not_there(name: str) -> ModelError:
    return ModelError(
        f"The weight {name} is not in memory but on torch's meta device, so what the model computes would be arbitrary",
        REMEDY,
    )
