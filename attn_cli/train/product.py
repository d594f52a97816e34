"""The precision of training, and its matrix product, with a gradient that compiles to quicker code."""

from __future__ import annotations

from typing import Any

import torch

from attn_cli.data.shapes import Float

__all__ = ["precision", "product"]


def precision(device: str) -> torch.dtype:
    """Choose the number format of the products: bfloat16, or float32 on a processor without instructions for bfloat16.

    There products in bfloat16 are emulated, several times slower than those in float32. On an x86 processor the
    instructions are AMX or AVX-512 BF16; any other trains in float32.
    """
    # The oldest torch that is supported has no public names for these.
    quick = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001
    return torch.bfloat16 if device != "cpu" or quick else torch.float32


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
