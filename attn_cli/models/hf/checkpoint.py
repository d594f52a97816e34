"""Finding a model's folder, on this machine or on the hub, and checking its files, without importing torch."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

from attn_cli.errors import ModelError, UsageError
from attn_cli.models import LoadOptions
from attn_cli.models.contents import check_files, read_json
from attn_cli.models.hf.quantized import check_quantization
from attn_cli.models.hf.sizes import Saved, check_counts, count_pickled

__all__ = ["Adapter", "Checkpoint", "brings_tokenizer_code", "examine", "find", "needs_code"]

WEIGHTS = "model.safetensors"
PICKLED_WEIGHTS = "pytorch_model.bin"
TOKENIZER_SUFFIXES = (".model", ".spm", ".tiktoken", ".codes")
TOKENIZER_PREFIXES = ("tokenizer.json", "tekken.json", "vocab", "byte_maps.json", "prophetnet.tokenizer")
TOKENIZERS_WITHOUT_FILES = frozenset({"ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer"})
"""Tokenizers that read bytes or characters, so that there is no vocabulary to save."""
PROCESSORS = ("processor_config.json", "preprocessor_config.json")
IMAGE_SETTINGS = frozenset({"image_processor_type", "image_mean", "image_std"})
"""Settings that only image processors have."""
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
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
DTYPE_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = (("adapter_model.safetensors", False), ("adapter_model.bin", True))
"""Names of an adapter's weights, and whether they are pickles."""
TRANSFORMER = "0_Transformer"
"""The folder in which sentence-transformers used to save the Transformer itself."""


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
    """What is put on the weights; None for a whole model."""
    has_processor: bool = False
    """True if there are settings of an image processor."""
    images: bool = False
    """True if the model reads images alone: it has an image processor and no tokenizer."""

    @property
    def tokenizer_folder(self) -> Path:
        """The folder of the tokenizer: the adapter's, if one was saved with it."""
        if self.adapter is not None and _holds_tokenizer(self.adapter.folder):
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


class _IncompleteError(ModelError):
    """A file is missing that the hub may have."""


def find(name: str, options: LoadOptions) -> Checkpoint:
    """Find a model's folder and check its files. Download only files that are needed and not in the cache yet.

    Args:
        name: a folder, or a name on the hub.
        options: the revision, and whether code and pickled weights are allowed.

    Raises:
        ModelError: there is no such model, or its files cannot be used.
    """
    if not name.strip():
        raise ModelError("No model is named", "Give a folder that holds a model, or a name on the hub")
    try:
        place = Path(name).expanduser()
        if place.is_dir():
            return _opened(name, place, options)
        if place.exists():
            raise ModelError(f"{name} is a file, not a folder", "Give the folder that holds the model's config.json")
    except (OSError, RuntimeError) as fault:  # no permission, a name that is too long, or `~` of an unknown user
        raise ModelError(
            f"{name} cannot be read: {getattr(fault, 'strerror', None) or fault}",
            "Give a folder that holds a model, or a name on the hub",
        ) from fault
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        files = ("config.json", ADAPTER, f"{TRANSFORMER}/config.json")
        there = {file: try_to_load_from_cache(name, file, revision=options.revision) for file in files}
    except HFValidationError as fault:
        raise ModelError(
            f"There is no folder {name}", "Give a folder that holds a model, or a name on the hub"
        ) from fault
    for file, cached in there.items():
        if not isinstance(cached, str):
            continue
        try:
            return _opened(name, Path(cached.removesuffix(file)), options)
        except _IncompleteError:
            pass  # the download may have been interrupted, or made by a tool that needs fewer files
    return _opened(name, _download(name, options), options)


def _opened(name: str, folder: Path, options: LoadOptions) -> Checkpoint:
    """Check the files in a folder that holds a model, an adapter, or a model in the folder `0_Transformer`.

    Raises:
        ModelError: the files cannot be used.
        UsageError: a base model is named for a whole model.
    """
    whole = any(
        (folder / f"{file}{end}").exists() for file in (WEIGHTS, PICKLED_WEIGHTS) for end in ("", ".index.json")
    )
    if (folder / ADAPTER).exists() and not whole:
        return _adapted(name, folder, options)
    if options.base is not None:
        raise UsageError(f"--base names the model of an adapter, and {name} is a whole model", "Leave it out")
    if not (folder / "config.json").exists() and (folder / TRANSFORMER / "config.json").exists():
        return examine(name, folder / TRANSFORMER, options)
    return examine(name, folder, options)


def _adapted(name: str, folder: Path, options: LoadOptions) -> Checkpoint:
    """Check the files of an adapter, and find its base model.

    Raises:
        ModelError: they cannot be used, or PEFT is not installed.
    """
    check_files(name, folder)
    settings = read_json(name, folder / ADAPTER)
    weights, pickled = next(
        ((folder / file, pickled) for file, pickled in ADAPTER_WEIGHTS if (folder / file).exists()), (None, False)
    )
    if weights is None:
        raise _IncompleteError(
            f"{name} holds the settings of an adapter and no weights (no {ADAPTER_WEIGHTS[0][0]})",
            "Give the folder that PEFT's save_pretrained wrote, or a name on the hub",
        )
    if pickled and not options.allow_pickle:
        raise _pickled(name, weights.name)
    base = settings.get("base_model_name_or_path") if options.base is None else options.base
    if not isinstance(base, str) or not base.strip():
        raise ModelError(
            f"{name} is an adapter, and does not name the model that it is to be put on", "Name it with --base"
        )
    if find_spec("peft") is None:
        raise ModelError(
            f"{name} is an adapter, which needs peft to be put on its base model {base}",
            "Run `pip install 'attn-cli[peft]'`, then try again",
        )
    revision = settings.get("revision") if options.base is None else None
    beside = folder / base
    place = str(beside) if not Path(base).is_dir() and beside.is_dir() else base
    try:
        whole = find(place, replace(options, base=None, revision=revision if isinstance(revision, str) else None))
    except ModelError as fault:
        raise ModelError(
            f"{name} is an adapter, and its base model cannot be used: {fault.problem}",
            f"Name it with --base, if it is elsewhere. {fault.remedy}",
        ) from fault
    if whole.adapter is not None:
        raise ModelError(
            f"{name} is an adapter of another adapter ({base})", "Merge that one into its own base model first"
        )
    return replace(whole, name=name, adapter=Adapter(name, folder, weights, base))


def _download(name: str, options: LoadOptions) -> Path:
    """Download the files that are needed into the hub's cache. The hub's library shows its progress on stderr."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    try:
        there = [file.rfilename for file in HfApi().model_info(name, revision=options.revision).siblings or ()]
        wanted = _wanted(name, there, options)
        return Path(snapshot_download(name, revision=options.revision, allow_patterns=wanted))
    except GatedRepoError as fault:
        raise ModelError(
            f"The hub gives {name} only to people who have accepted its terms",
            f"Accept them at https://huggingface.co/{name}, then run `hf auth login`",
        ) from fault
    except RepositoryNotFoundError as fault:
        raise ModelError(
            f"There is no folder {name} here and no model of that name on the hub",
            "Check the name; for a private model run `hf auth login` first",
        ) from fault
    except RevisionNotFoundError as fault:
        raise ModelError(f"{name} has no revision {options.revision} on the hub", "Check the revision") from fault
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, httpx.HTTPError) as fault:
        status = getattr(getattr(fault, "response", None), "status_code", None)
        reach = "cannot be reached" if status is None else f"answers with HTTP error {status}"
        raise ModelError(
            f"{name} is neither a folder here nor complete in the hub's cache, and the hub {reach}",
            "Give a folder that holds the model's config.json, tokenizer and safetensors files",
        ) from fault
    except json.JSONDecodeError as fault:
        raise ModelError(
            f"{name} was requested from the hub, but something else answered",
            "Check whether the network requires a login, and HF_ENDPOINT if it is set",
        ) from fault
    except OSError as fault:
        raise ModelError(
            f"{name} could not be saved in the hub's cache: {fault.strerror or fault}",
            "Make room there, or set HF_HOME to another folder",
        ) from fault


def _wanted(name: str, there: Sequence[str], options: LoadOptions) -> list[str]:
    """Choose the files on the hub that are needed."""
    top = [file for file in there if "/" not in file]
    if ADAPTER in top and "config.json" not in top:
        return [file for file in top if file.endswith((".json", ".txt", *TOKENIZER_SUFFIXES))] + [
            file for file, pickled in ADAPTER_WEIGHTS if file in top and (options.allow_pickle or not pickled)
        ]
    inner = [file.removeprefix(f"{TRANSFORMER}/") for file in there if file.startswith(f"{TRANSFORMER}/")]
    if "config.json" in inner and "config.json" not in top:
        return [f"{TRANSFORMER}/{file}" for file in _wanted(name, inner, options)]
    if "config.json" not in top:
        raise _without_config(name, there)
    safe = [file for file in top if re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors", file)]
    pickled = [file for file in top if re.fullmatch(r"pytorch_model(-\d+-of-\d+)?\.bin", file)]
    if not safe and pickled and not options.allow_pickle:
        raise _pickled(name)
    if not safe and not pickled:
        raise _without_weights(name, there)
    weights = safe or (pickled if options.allow_pickle else [])
    suffixes = (".json", ".txt", ".tokenizer", *TOKENIZER_SUFFIXES)
    code = [file for file in there if file.endswith(".py")] if options.trust_remote_code else []
    return [file for file in top if file.endswith(suffixes)] + weights + code


def _pickled(name: str, file: str = PICKLED_WEIGHTS) -> _IncompleteError:
    return _IncompleteError(
        f"The weights of {name} exist only as a pickle ({file}), which can run code when it is read",
        "If you trust where it comes from, add --allow-pickle",
    )


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
            raise _IncompleteError(f"{name} lacks {path.name}, a part of its weights", "Copy or download it again")
    if pickled:
        saved, saved_bytes, saved_dtype = count_pickled(paths), sum(path.stat().st_size for path in paths), None
    else:
        saved, saved_bytes, saved_dtype = _measure(name, paths)
    check_counts(name, config, saved)
    check_quantization(name, config)
    has_processor = _holds_processor(name, folder)
    has_tokenizer = _has_tokenizer(name, folder, options)
    if not (has_tokenizer or has_processor):
        raise _without_tokenizer(name, folder)
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
        raise _without_config(name, _listing(folder))
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


def needs_code(name: str) -> ModelError:
    """Make the error for a model that needs Python code of its own."""
    return ModelError(
        f"{name} needs Python code that comes with it, which is not run unasked",
        "Read that code, and if you trust it add --trust-remote-code",
    )


def _weights(name: str, folder: Path, options: LoadOptions) -> tuple[list[Path], bool]:
    """Return the files that hold the weights, and whether they are pickles."""
    for file, pickled in ((WEIGHTS, False), (PICKLED_WEIGHTS, True)):
        index = folder / f"{file}.index.json"
        if not (folder / file).exists() and not index.exists():
            continue
        if pickled and not options.allow_pickle:
            raise _pickled(name)
        if (folder / file).exists():
            return [folder / file], pickled
        places = read_json(name, index).get("weight_map")
        if not isinstance(places, dict) or not places or not all(isinstance(place, str) for place in places.values()):
            raise ModelError(f"{index.name} of {name} does not say where the weights are", "Copy or download it again")
        return [folder / place for place in sorted(set(places.values()))], pickled
    raise _without_weights(name, _listing(folder))


def brings_tokenizer_code(name: str, folder: Path) -> bool:
    """Return whether a folder's tokenizer needs Python code that comes with it."""
    settings = folder / "tokenizer_config.json"
    return settings.exists() and bool(read_json(name, settings).get("auto_map"))


def _listing(folder: Path) -> list[str]:
    """List the names of a folder's files, and of those one folder deeper, as the hub writes them."""
    return [path.relative_to(folder).as_posix() for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern))]


def _without_config(name: str, there: Sequence[str]) -> ModelError:
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
    return _IncompleteError(
        f"{name} has no config.json", "Give the folder that save_pretrained wrote, or a name on the hub"
    )


def _without_weights(name: str, there: Sequence[str]) -> ModelError:
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
    return _IncompleteError(
        f"{name} has no weights (no {WEIGHTS})", "Give the folder that save_pretrained wrote, or a name on the hub"
    )


def _other_format(there: Iterable[str]) -> str | None:
    """Name the unsupported format that the weights are in, with the file's name; None where there is none."""
    return next(
        (f"{what} ({file})" for pattern, what in OTHER_FORMATS for file in there if re.fullmatch(pattern, file)), None
    )


def _remedy(other_format: str) -> str:
    return IN_ONE_FILE if other_format.startswith(OTHER_FORMATS[0][1]) else NOT_CONVERTED


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


def _holds_tokenizer(folder: Path) -> bool:
    names = [(path.name, path.suffix) for path in folder.iterdir()]
    return any(name.startswith(TOKENIZER_PREFIXES) or suffix in TOKENIZER_SUFFIXES for name, suffix in names)


def _holds_processor(name: str, folder: Path) -> bool:
    """Return whether a folder holds the settings of an image processor, by itself or beside those of others."""
    for file in PROCESSORS:
        settings = read_json(name, folder / file) if (folder / file).exists() else {}
        own = settings.get("image_processor", settings)
        if isinstance(own, dict) and not IMAGE_SETTINGS.isdisjoint(own):
            return True
    return False


def _has_tokenizer(name: str, folder: Path, options: LoadOptions) -> bool:
    """Return whether a folder holds a tokenizer.

    Raises:
        ModelError: it does, and that needs Python code of its own.
    """
    if _holds_tokenizer(folder):
        return True
    settings = folder / "tokenizer_config.json"
    if settings.exists() and read_json(name, settings).get("tokenizer_class") in TOKENIZERS_WITHOUT_FILES:
        return True
    if not brings_tokenizer_code(name, folder):
        return False
    if not options.trust_remote_code:
        raise needs_code(f"The tokenizer of {name}")
    return True


def _without_tokenizer(name: str, folder: Path) -> ModelError:
    """Explain why a model has nothing to read with."""
    if any((folder / file).exists() for file in PROCESSORS):
        return ModelError(
            f"{name} does not read text or images (it has no tokenizer, and its preprocessor is not one of images)",
            "Give a model that reads text, or a vision encoder",
        )
    return _IncompleteError(
        f"{name} has no tokenizer (no tokenizer.json or vocabulary) and no image processor",
        "Copy the tokenizer's files into the folder, or save it there with save_pretrained",
    )
