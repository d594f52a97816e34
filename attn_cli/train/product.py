"""The precision of training, and its matrix product, with a gradient that compiles to quicker code."""

from __future__ import annotations

from typing import Any

import torch

from attn_cli.data.shapes import Float

__all__ = ["precision", "product"]

QUICK_HALF = ("amx_bf16", "avx512_bf16")
"""Capabilities of processors that multiply quickly in bfloat16, as torch calls them."""


def precision(device: str) -> torch.dtype:
    """Choose the number format of the products: bfloat16, or float32 on a processor that has no products in bfloat16.

    There they are emulated, and several times slower than those in float32.
    """
    if device != "cpu":
        return torch.bfloat16
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(able.get(name) for name in QUICK_HALF) else torch.float32


class _Product(torch.autograd.Function):
    """states @ weight.mT + bias in the precision of training.

    The gradient of the bias is a sum over all tokens. Fused with the copies around it, that sum is compiled to code
    that takes as long as the products; as a product with ones it costs next to nothing.
    """

    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        states, weight = states.to(dtype), weight.to(dtype)
        ctx.save_for_backward(states, weight)
        return states @ weight.mT + bias.to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        states, weight = ctx.saved_tensors
        gradient = gradients[0].to(states.dtype)
        ones = gradient.new_ones(8, len(gradient))  # rows enough to be multiplied by the quick code for matrices
        return (gradient @ weight).float(), (gradient.mT @ states).float(), (ones @ gradient)[0].float(), None


def product(
    states: Float[torch.Tensor, "*batch from_dim"],
    weight: Float[torch.Tensor, "to_dim from_dim"],
    bias: Float[torch.Tensor, "to_dim"],
    dtype: torch.dtype,
) -> Float[torch.Tensor, "*batch to_dim"]:
    """Multiply states by the transposed weight and add the bias, as `ops.linear` does, in the given precision."""
    flat: torch.Tensor = _Product.apply(states.reshape(-1, states.shape[-1]), weight, bias, dtype)  # type: ignore[no-untyped-call]
    return flat.reshape(*states.shape[:-1], weight.shape[0])
