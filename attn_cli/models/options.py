"""Settings that a model is loaded with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from attn_cli.data.devices import check_device
from attn_cli.errors import UsageError

__all__ = ["DTYPES", "Dtype", "LoadChoices", "LoadOptions"]

Dtype = Literal["auto", "float32", "float16", "bfloat16"]
DTYPES: tuple[Dtype, ...] = ("auto", "float32", "float16", "bfloat16")


class LoadChoices(TypedDict, total=False):
    """Fields of `LoadOptions`, as a caller from Python may set them."""

    device: str
    dtype: Dtype
    trust_remote_code: bool
    allow_pickle: bool
    revision: str | None
    base: str | None


@dataclass(frozen=True)
class LoadOptions:
    """Settings for loading a model.

    Raises:
        UsageError: there is no such device or number format.
    """

    device: str = "auto"
    """Device to run on: `cpu`, `cuda` (`cuda:1` for the second GPU), `mps`; `auto`: a CUDA device where there is one,
    else Apple's MPS, else the CPU; or `balanced`: all GPUs, then memory, then disk, as far as the weights fit."""
    dtype: Dtype = "auto"
    """Number format of the weights. `auto`: on a GPU the format of the saved file; on a CPU float32, or where that does
    not fit in memory, the format of the saved file."""
    trust_remote_code: bool = False
    """True to run Python code that comes in the model's folder."""
    allow_pickle: bool = False
    """True to read `pytorch_model.bin` where there is no safetensors file."""
    revision: str | None = None
    """Branch, tag or commit of a model on the hub; the main branch by default."""
    base: str | None = None
    """The model that an adapter is put on: a folder or a name on the hub; None for the one that the adapter names."""

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.dtype not in DTYPES:
            raise UsageError(f"There is no number format {self.dtype}", f"Choose from {', '.join(DTYPES)}")
