"""Quantized weights: the packages that they need, checked before torch is imported, and what is unpacked to run."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

from attn_cli.errors import ModelError, quoted
from attn_cli.models.hf.packages import importable, told

__all__ = ["bars_unheard", "check_method", "check_quantization", "unpack"]

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "aqlm": ("aqlm",),
    "auto-round": ("auto-round",),
    "awq": ("gptqmodel",),
    "bitnet": (),
    "bitsandbytes": ("bitsandbytes",),
    "bitsandbytes_4bit": ("bitsandbytes",),
    "bitsandbytes_8bit": ("bitsandbytes",),
    "compressed-tensors": ("compressed-tensors",),
    "eetq": ("kernels",),
    "fp8": (),
    "gptq": ("optimum", "gptqmodel"),
    "hqq": ("hqq",),
    "mxfp4": (),
    "quanto": ("optimum-quanto",),
    "quark": ("amd-quark",),
    "torchao": ("torchao",),
    "vptq": ("vptq",),
}
"""`quant_method` in config.json -> the packages that transformers reads such weights with, beside those of attn."""
MODULES = {
    "amd-quark": "quark",
    "auto-round": "auto_round",
    "compressed-tensors": "compressed_tensors",
    "optimum-quanto": "optimum.quanto",
}
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
    method = _method(settings)
    if method is None:
        raise ModelError(
            f"config.json of {name} does not say how its weights are quantized (it has no quant_method)",
            "Copy it again, or give a checkpoint that is not quantized",
        )
    missing = [one for one in PACKAGES.get(method, ()) if not importable(MODULES.get(one, one))]
    if missing:
        need, remedy = told(tuple(missing))
        raise ModelError(f"The weights of {name} are quantized ({method}): {need}", remedy)


def check_method(name: str, settings: object, known: Container[str]) -> None:
    """Check that transformers knows how weights are quantized: of others, it would take the packed numbers for weights.

    Args:
        name: the model, as the user named it.
        settings: how its weights are quantized, if they are.
        known: the methods that transformers knows.

    Raises:
        ModelError: it does not.
    """
    method = _method(settings)
    if method is not None and method not in known and method not in PACKAGES:
        raise ModelError(
            f"The weights of {name} are quantized ({quoted(method)}), in a way that transformers does not read",
            "Give a checkpoint that is not quantized, or a newer transformers",
        )


@contextmanager
def bars_unheard(settings: object) -> Iterator[None]:
    """Keep the progress bars of compressed-tensors off the terminal, which has no setting for them.

    Args:
        settings: how a model's weights are quantized, if they are.
    """
    if _method(settings) != "compressed-tensors":
        yield
        return
    with redirect_stderr(StringIO()):
        yield


def unpack(model: Any) -> None:
    """Unpack the weights that compressed-tensors leaves packed until the whole model first runs.

    attn runs what is within a model's head alone, where that package would not notice.

    Args:
        model: a model of transformers, whose packed weights are changed as its first run would change them, and get
            the model's own number format.
    """
    if not hasattr(model, "ct_decompress_hook"):
        return
    dtype = model.dtype
    with redirect_stderr(StringIO()):
        model.hf_quantizer.compressor.decompress_model(model)
    for parameter in model.parameters():
        if parameter.is_floating_point() and parameter.itemsize > 1:  # 8 bits are those of scales
            parameter.data = parameter.data.to(dtype)


def _method(settings: object) -> str | None:
    """Return the name of the method that weights are quantized with, if the settings say it."""
    if not isinstance(settings, Mapping):
        return None
    method = settings.get("quant_method")
    if method is None and (settings.get("load_in_4bit") or settings.get("load_in_8bit")):  # older bitsandbytes
        return "bitsandbytes"
    return method if isinstance(method, str) else None
