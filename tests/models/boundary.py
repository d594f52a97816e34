"""A device that is not there: tests see what would be copied from it."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

__all__ = ["Boundary"]


class Boundary(TorchFunctionMode):
    """A device of its own within the processor: what is computed on it stays there until it is copied to the host.

    A tensor is on it if it was made or put there by naming the model's device, or computed from one that is. Numbers on
    it cannot be read or meet others, as on a GPU.
    """

    def __init__(self, *there: torch.Tensor) -> None:
        super().__init__()
        self._there = {id(one): one for one in there}  # kept, so that no other gets its number
        self.copied: list[int] = []
        """Bytes of each copy to the host."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        there = [id(one) in self._there for one in given]
        result = func(*args, **kwargs)
        if name == "cpu":
            self.copied.append(given[0].nbytes)
            return result.clone()  # on the host
        if name in ("item", "__float__", "__bool__", "__int__", "tolist") and any(there):
            self.copied.append(given[0].nbytes)
        assert name not in ("numpy", "__array__") or not any(there)
        put = name == "to" and ("device" in kwargs or any(isinstance(one, torch.device) for one in args))
        assert put or len({on for one, on in zip(given, there, strict=True) if one.ndim}) < 2, name
        if put or any(there) or "device" in kwargs:
            for one in tree_leaves(result):
                if isinstance(one, torch.Tensor):
                    self._there[id(one)] = one
        return result
