"""Packages that quantized weights need, checked before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attn_cli.errors import ModelError
from attn_cli.models.hf.packages import importable, told

__all__ = ["check_quantization"]

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "aqlm": ("accelerate", "aqlm"),
    "auto-round": ("auto-round",),
    "awq": ("accelerate", "gptqmodel"),
    "bitnet": ("accelerate",),
    "bitsandbytes": ("accelerate", "bitsandbytes"),
    "bitsandbytes_4bit": ("accelerate", "bitsandbytes"),
    "bitsandbytes_8bit": ("accelerate", "bitsandbytes"),
    "compressed-tensors": ("compressed-tensors",),
    "eetq": ("accelerate", "kernels"),
    "fp8": ("accelerate",),
    "gptq": ("optimum", "gptqmodel"),
    "hqq": ("hqq",),
    "mxfp4": ("accelerate",),
    "quanto": ("accelerate", "optimum-quanto"),
    "torchao": ("torchao",),
    "vptq": ("accelerate", "vptq"),
}
"""`quant_method` in config.json -> the packages that transformers reads such weights with."""
MODULES = {"auto-round": "auto_round", "compressed-tensors": "compressed_tensors", "optimum-quanto": "optimum.quanto"}
"""Names under which packages are imported, where that is another."""


def check_quantization(name: str, config: Mapping[str, Any]) -> None:
    """Make sure that the packages are installed that a model's quantized weights need.

    Args:
        name: the model, as the user named it.
        config: contents of its config.json.

    Raises:
        ModelError: a package is missing, or the settings name no method.
    """
    settings = config.get("quantization_config")
    if settings is None:
        return
    method = settings.get("quant_method") if isinstance(settings, Mapping) else None
    if method is None and isinstance(settings, Mapping):  # older bitsandbytes
        method = "bitsandbytes" if settings.get("load_in_4bit") or settings.get("load_in_8bit") else None
    if not isinstance(method, str):
        raise ModelError(
            f"config.json of {name} does not say how its weights are quantized (it has no quant_method)",
            "Copy it again, or give a checkpoint that is not quantized",
        )
    missing = [one for one in PACKAGES.get(method, ()) if not importable(MODULES.get(one, one))]
    if missing:
        need, remedy = told(tuple(missing))
        raise ModelError(f"The weights of {name} are quantized ({method}): {need}", remedy)
