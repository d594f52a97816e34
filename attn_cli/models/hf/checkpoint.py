"""A checkpoint: a model's folder whose files were checked, without importing torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from attn_cli.errors import ModelError
from attn_cli.models import LoadOptions
from attn_cli.models.contents import check_files, read_json
from attn_cli.models.hf.checkpoint_files import (
    ADAPTER,
    PICKLED_WEIGHTS,
    TOKENIZERS_WITHOUT_FILES,
    WEIGHTS,
    brings_tokenizer_code,
    holds_processor,
    holds_tokenizer,
    listing,
)
from attn_cli.models.hf.missing import (
    IncompleteError,
    needs_code,
    only_pickled,
    without_config,
    without_tokenizer,
    without_weights,
)
from attn_cli.models.hf.quantized import check_quantization
from attn_cli.models.hf.sizes import Saved, check_counts, count_pickled

__all__ = ["Adapter", "Checkpoint", "examine"]

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
DTYPE_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Adapter:
    """Weights that are put on those of another model (PEFT's LoRA and its kin)."""

    name: str
    """The adapter, as the user named it."""
    folder: Path
    weights: Path
    base: str
    """The model that it is put on, as its settings or the user name it."""


@dataclass(frozen=True)
class Checkpoint:
    """A model's folder that holds all its files, in a form that can be opened."""

    name: str
    """The model, as the user named it."""
    folder: Path
    config: Mapping[str, Any]
    """Contents of `config.json`."""
    pickled: bool
    """True if the weights are in `pytorch_model.bin` and not in safetensors."""
    saved_bytes: int
    """Size of the weights as saved."""
    saved_dtype: str | None
    """Number format of most of the weights; None where only unpickling could tell, or where they are quantized."""
    names: frozenset[str] | None
    """Names of the saved weights; None where only unpickling could tell."""
    adapter: Adapter | None = None
    """The adapter that is put on the weights; None for a whole model."""
    has_processor: bool = False
    """True if there are settings of an image processor."""
    images: bool = False
    """True if the model reads images alone: it has an image processor and no tokenizer."""

    @property
    def tokenizer_folder(self) -> Path:
        """The folder of the tokenizer: the adapter's, if one was saved with it."""
        if self.adapter is not None and holds_tokenizer(self.adapter.folder):
            return self.adapter.folder
        return self.folder

    @property
    def parameters(self) -> int | None:
        """The number of weights; None where only unpickling could tell, or where they are quantized."""
        return None if self.saved_dtype is None else self.saved_bytes // DTYPE_BYTES[self.saved_dtype]

    def bytes_in(self, dtype: str) -> int:
        """Return the bytes that the weights take in a number format; for quantized or pickled ones, as saved."""
        if self.saved_dtype is None:
            return self.saved_bytes
        return self.saved_bytes * DTYPE_BYTES[dtype] // DTYPE_BYTES[self.saved_dtype]


def examine(name: str, folder: Path, options: LoadOptions) -> Checkpoint:
    """Check the files in a model's folder.

    Args:
        name: the model, as the user named it.
        folder: the model's folder.
        options: whether code and pickled weights are allowed.

    Raises:
        ModelError: the files cannot be used.
    """
    check_files(name, folder)
    config = _config(name, folder, options)
    paths, pickled = _weights(name, folder, options)
    if (folder / ADAPTER).exists():
        # With PEFT installed, transformers would load the adapter's base model and put the adapter on it.
        raise ModelError(
            f"{name} holds a whole model and an adapter beside it, and it is not clear which is meant",
            "Move adapter_config.json out of the folder to inspect the model without its adapter",
        )
    for path in paths:
        if not path.is_file():
            raise IncompleteError(f"{name} lacks {path.name}, a part of its weights", "Copy or download it again")
    if pickled:
        saved, saved_bytes, saved_dtype = count_pickled(paths), sum(path.stat().st_size for path in paths), None
    else:
        saved, saved_bytes, saved_dtype = _measure(name, paths)
    check_counts(name, config, saved)
    check_quantization(name, config)
    has_processor = holds_processor(name, folder)
    has_tokenizer = _has_tokenizer(name, folder, options)
    if not (has_tokenizer or has_processor):
        raise without_tokenizer(name, folder)
    return Checkpoint(
        name,
        folder,
        config,
        pickled,
        saved_bytes,
        saved_dtype,
        saved.names,
        has_processor=has_processor,
        images=not has_tokenizer,
    )


def _config(name: str, folder: Path, options: LoadOptions) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.exists():
        raise without_config(name, listing(folder))
    config = read_json(name, path)
    if not isinstance(config.get("model_type"), str):
        if "auto_map" not in config:
            raise ModelError(
                f"config.json of {name} does not say what kind of model it is (it has no model_type)",
                'Add "model_type", for example "bert", or save the model again with transformers',
            )
        if not options.trust_remote_code:
            raise needs_code(name)
    return config


def _weights(name: str, folder: Path, options: LoadOptions) -> tuple[list[Path], bool]:
    """Return the files that hold the weights, and True if they are pickles."""
    for file, pickled in ((WEIGHTS, False), (PICKLED_WEIGHTS, True)):
        index = folder / f"{file}.index.json"
        if not (folder / file).exists() and not index.exists():
            continue
        if pickled and not options.allow_pickle:
            raise only_pickled(name)
        if (folder / file).exists():
            return [folder / file], pickled
        places = read_json(name, index).get("weight_map")
        if not isinstance(places, dict) or not places or not all(isinstance(place, str) for place in places.values()):
            raise ModelError(f"{index.name} of {name} does not say where the weights are", "Copy or download it again")
        return [folder / place for place in sorted(set(places.values()))], pickled
    raise without_weights(name, listing(folder))


def _measure(name: str, paths: Iterable[Path]) -> tuple[Saved, int, str | None]:
    """Measure the weights' tensors, their bytes and their most frequent number format, from the headers alone."""
    from safetensors import SafetensorError, safe_open

    sizes: Counter[str] = Counter()
    names: set[str] = set()
    tensors = largest = 0
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as file:
                for key in file.keys():  # noqa: SIM118 (not a dict)
                    names.add(key)
                    part = file.get_slice(key)
                    shape = part.get_shape()
                    sizes[part.get_dtype()] += prod(shape)
                    tensors, largest = tensors + 1, max(largest, *shape, 0)
        except (OSError, OverflowError, SafetensorError) as fault:
            raise ModelError(
                f"{path.name} of {name} is damaged or cut short ({fault})", "Copy or download it again"
            ) from fault
    saved = Saved(tensors, largest, frozenset(names))
    dtype = DTYPES.get(sizes.most_common(1)[0][0]) if sizes else None
    if dtype is None:
        return saved, sum(path.stat().st_size for path in paths), None
    # Tables of whole numbers (such as positions) are not weights.
    return saved, sum(sizes[kind] for kind in DTYPES) * DTYPE_BYTES[dtype], dtype


def _has_tokenizer(name: str, folder: Path, options: LoadOptions) -> bool:
    """Return whether a folder holds a tokenizer.

    Raises:
        ModelError: it does, and that needs Python code of its own.
    """
    if holds_tokenizer(folder):
        return True
    settings = folder / "tokenizer_config.json"
    if settings.exists() and read_json(name, settings).get("tokenizer_class") in TOKENIZERS_WITHOUT_FILES:
        return True
    if not brings_tokenizer_code(name, folder):
        return False
    if not options.trust_remote_code:
        raise needs_code(f"The tokenizer of {name}")
    return True
