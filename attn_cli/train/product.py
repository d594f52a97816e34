"""The matrix product of training, with a gradient that compiles to quicker code."""

from __future__ import annotations

from typing import Any

import torch

from attn_cli.data.shapes import Float

__all__ = ["product"]


class _Product(torch.autograd.Function):
    """states @ weight.mT + bias in bfloat16.

    The gradient of the bias is a sum over all tokens. Fused with the copies around it, that sum is compiled to code
    that takes as long as the products; as a product with ones it costs next to nothing.
    """

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        states, weight = states.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(states, weight)
        return states @ weight.mT + bias.bfloat16()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        states, weight = ctx.saved_tensors
        gradient = gradients[0].bfloat16()
        ones = gradient.new_ones(8, len(gradient))  # rows enough to be multiplied by the quick code for matrices
        return (gradient @ weight).float(), (gradient.mT @ states).float(), (ones @ gradient)[0].float()


def product(
    states: Float[torch.Tensor, "*batch from_dim"],
    weight: Float[torch.Tensor, "to_dim from_dim"],
    bias: Float[torch.Tensor, "to_dim"],
) -> Float[torch.Tensor, "*batch to_dim"]:
    """Multiply states by the transposed weight and add the bias, as `ops.linear` does."""
    flat: torch.Tensor = _Product.apply(states.reshape(-1, states.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
    return flat.reshape(*states.shape[:-1], weight.shape[0])
