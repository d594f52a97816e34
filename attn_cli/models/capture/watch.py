"""Observation of the softmax inside a model's own code: its input, its output, and the products that use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["Rewrite", "Softmax", "Watch", "softmax_exactly"]

PRODUCTS = frozenset({"matmul", "__matmul__", "bmm", "einsum"})
PB_RELAX = 32
"""The factor by which LayoutLMv3 divides its scores before it subtracts their maximum, and multiplies them afterwards
(Ding et al. 2021, 2.4)."""


class Softmax:
    """The input and output of one softmax over the last axis."""

    def __init__(self, scores: torch.Tensor, weights: torch.Tensor) -> None:
        self.scores = scores
        """The input, before the model subtracted the maximum of each row, if it did so itself."""
        self.weights = weights
        """The output."""


class Watch(TorchFunctionMode):
    """A context that reports each softmax and each matrix product computed inside it.

    Args:
        on_softmax: called after each softmax over the last axis.
        on_product: called after each matrix product with its function, its operands, so that it can be computed again,
            and its result.
    """

    def __init__(
        self,
        on_softmax: Callable[[Softmax], None],
        on_product: Callable[[Callable[..., Any], Sequence[Any], torch.Tensor], None] | None = None,
    ) -> None:
        super().__init__()
        self._on_softmax = on_softmax
        self._on_product = on_product
        self._maximum: tuple[torch.Tensor, torch.Tensor] | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name == "softmax":
            if _over_last(args, kwargs):
                self._on_softmax(Softmax(self._before_maximum(args[0]), result))
                self._maximum = None
        elif name in ("max", "amax") and _over_last(args, kwargs):
            # gpt-oss subtracts the row's maximum before its softmax; the scores are the numbers before that.
            maximum = result if name == "amax" else result.values
            self._maximum = args[0], maximum if maximum.ndim == args[0].ndim else maximum[..., None]
        elif name in PRODUCTS and self._on_product is not None and not kwargs:
            self._on_product(func, args, result)
        return result

    def _before_maximum(self, scores: torch.Tensor) -> torch.Tensor:
        if self._maximum is not None:
            before, maximum = self._maximum
            if before.shape == scores.shape:
                for factor in (1, PB_RELAX):
                    if torch.equal((before - maximum) * factor, scores):
                        return before * factor
        return scores


class Rewrite(TorchFunctionMode):
    """A context that changes the input of each softmax over the last axis, and the results of matrix products.

    Args:
        on_softmax: called with the scores before each softmax; returns other scores, or None to leave them as they are.
        on_product: called after each matrix product with its function, its operands and its result, which it may
            change in place.
    """

    def __init__(
        self,
        on_softmax: Callable[[torch.Tensor], torch.Tensor | None],
        on_product: Callable[[Callable[..., Any], Sequence[Any], torch.Tensor], None],
    ) -> None:
        super().__init__()
        self._on_softmax, self._on_product = on_softmax, on_product

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "softmax" and _over_last(args, kwargs):
            scores = self._on_softmax(args[0])
            return func(args[0] if scores is None else scores, *args[1:], **kwargs)
        result = func(*args, **kwargs)
        if name in PRODUCTS and not kwargs:
            self._on_product(func, args, result)
        return result


def _over_last(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a function of a tensor was applied to its last axis."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return bool(args) and isinstance(args[0], torch.Tensor) and isinstance(dim, int) and dim in (-1, args[0].ndim - 1)


def softmax_exactly(scores: torch.Tensor) -> torch.Tensor:
    """Compute the softmax over the last axis in double precision (single precision on a device without double)."""
    return scores.to(torch.float32 if scores.device.type == "mps" else torch.float64).softmax(dim=-1)
