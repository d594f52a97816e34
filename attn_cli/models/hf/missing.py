"""Errors of a model's folder that lacks what is needed, with what it holds instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from attn_cli.errors import ModelError
from attn_cli.models.hf.checkpoint_files import PICKLED_WEIGHTS, PROCESSORS, WEIGHTS

__all__ = ["IncompleteError", "needs_code", "only_pickled", "without_config", "without_tokenizer", "without_weights"]

OTHER_FORMATS = (
    (r".*\.gguf", "in GGUF, the format of llama.cpp"),
    (r"(tf_model.*\.h5|.*\.ckpt\.(index|data.*)|saved_model\.pb)", "for TensorFlow"),
    (r"flax_model.*\.msgpack", "for Flax"),
    (r".*\.onnx(_data)?", "in ONNX"),
    (r"consolidated.*\.(pth|pt|safetensors)", "as its makers first released them, not as transformers reads them"),
    (r"weights.*\.npz", "for MLX"),
    (r".*\.(pth|pt|ckpt)", "as a PyTorch file of another kind"),
)
"""Patterns of weight files in formats that are not read, with a phrase that names each format."""
NOT_CONVERTED = "Give a checkpoint with safetensors, such as the one that this was made from"
IN_ONE_FILE = "Give the GGUF file itself, or a checkpoint with safetensors, such as the one that it was made from"
VARIANT = re.compile(r"model\.([A-Za-z]\w*)(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.([A-Za-z]\w*)\.json")
"""Names of weight files saved with `save_pretrained(variant=...)`."""


class IncompleteError(ModelError):
    """A file is missing that the hub may have."""


def needs_code(name: str) -> ModelError:
    """Make the error for a model that needs Python code of its own."""
    return ModelError(
        f"{name} needs Python code that comes with it, which is not run unasked",
        "Read that code, and if you trust it add --trust-remote-code",
    )


def only_pickled(name: str, file: str = PICKLED_WEIGHTS) -> IncompleteError:
    """Make the error for weights that only a pickle holds, where none is to be read."""
    return IncompleteError(
        f"The weights of {name} exist only as a pickle ({file}), which can run code when it is read",
        "If you trust where it comes from, add --allow-pickle",
    )


def without_config(name: str, there: Sequence[str]) -> ModelError:
    """Explain why a model has no config.json, from the names of its files."""
    parts = sorted(file.removesuffix("/config.json") for file in there if re.fullmatch(r"[^/]+/config\.json", file))
    if parts:
        more = f", and others in {', '.join(parts[1:])}" if parts[1:] else ""
        return ModelError(
            f"{name} has no config.json of its own: one is in its folder {parts[0]}{more}",
            f"Give that folder (for a model on the hub, a copy of it): --model {name}/{parts[0]}",
        )
    others = _other_format(there)
    if others is not None:
        return ModelError(f"{name} holds weights {others}", _remedy(others))
    return IncompleteError(
        f"{name} has no config.json", "Give the folder that save_pretrained wrote, or a name on the hub"
    )


def without_weights(name: str, there: Sequence[str]) -> ModelError:
    """Explain why a model has no weights that can be read, from the names of its files."""
    variants = [match for match in map(VARIANT.fullmatch, there) if match]
    if variants:
        kind = next(filter(None, variants[0].groups()[::2]))
        parts = " and its parts" if "-of-" in variants[0][0] or len(variants) > 1 else ""
        return ModelError(
            f"The weights of {name} exist only as the variant {kind} ({variants[0][0]})",
            f"Copy {variants[0][0]}{parts} to the same name without .{kind}, or save the model again",
        )
    others = _other_format(there)
    if others is not None:
        return ModelError(f"The weights of {name} exist only {others}", _remedy(others))
    return IncompleteError(
        f"{name} has no weights (no {WEIGHTS})", "Give the folder that save_pretrained wrote, or a name on the hub"
    )


def without_tokenizer(name: str, folder: Path) -> ModelError:
    """Explain why a model has nothing to read with."""
    if any((folder / file).exists() for file in PROCESSORS):
        return ModelError(
            f"{name} does not read text or images (it has no tokenizer, and its preprocessor is not one of images)",
            "Give a model that reads text, or a vision encoder",
        )
    return IncompleteError(
        f"{name} has no tokenizer (no tokenizer.json or vocabulary) and no image processor",
        "Copy the tokenizer's files into the folder, or save it there with save_pretrained",
    )


def _other_format(there: Iterable[str]) -> str | None:
    """Name the unsupported format that the weights are in, with the file's name; None where there is none."""
    return next(
        (f"{what} ({file})" for pattern, what in OTHER_FORMATS for file in there if re.fullmatch(pattern, file)), None
    )


def _remedy(other_format: str) -> str:
    return IN_ONE_FILE if other_format.startswith(OTHER_FORMATS[0][1]) else NOT_CONVERTED
