"""The files of a checkpoint: their names, and which kinds of them a folder holds."""

from __future__ import annotations

from pathlib import Path

from attn_cli.models.contents import read_json

__all__ = [
    "ADAPTER",
    "ADAPTER_WEIGHTS",
    "PICKLED_WEIGHTS",
    "PROCESSORS",
    "TOKENIZERS_WITHOUT_FILES",
    "TOKENIZER_SUFFIXES",
    "TRANSFORMER",
    "WEIGHTS",
    "brings_tokenizer_code",
    "holds_processor",
    "holds_tokenizer",
    "listing",
]

WEIGHTS = "model.safetensors"
PICKLED_WEIGHTS = "pytorch_model.bin"
ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = (("adapter_model.safetensors", False), ("adapter_model.bin", True))
"""Names of an adapter's weights, each with True if it is a pickle."""
TRANSFORMER = "0_Transformer"
"""The folder in which sentence-transformers used to save the Transformer itself."""
TOKENIZER_SUFFIXES = (".model", ".spm", ".tiktoken", ".codes")
TOKENIZER_PREFIXES = ("tokenizer.json", "tekken.json", "vocab", "byte_maps.json", "prophetnet.tokenizer")
TOKENIZERS_WITHOUT_FILES = frozenset({"ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer"})
"""Tokenizers that read bytes or characters, so that there is no vocabulary to save."""
PROCESSORS = ("processor_config.json", "preprocessor_config.json")
IMAGE_SETTINGS = frozenset({"image_processor_type", "image_mean", "image_std"})
"""Settings that only image processors have."""


def listing(folder: Path) -> list[str]:
    """List the names of a folder's files, and of those one folder deeper, as the hub writes them."""
    return [path.relative_to(folder).as_posix() for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern))]


def holds_tokenizer(folder: Path) -> bool:
    """Return whether a folder holds a vocabulary, or the rules that pieces are made by."""
    names = [(path.name, path.suffix) for path in folder.iterdir()]
    return any(name.startswith(TOKENIZER_PREFIXES) or suffix in TOKENIZER_SUFFIXES for name, suffix in names)


def holds_processor(name: str, folder: Path) -> bool:
    """Return whether a folder holds the settings of an image processor, by itself or beside those of others."""
    for file in PROCESSORS:
        settings = read_json(name, folder / file) if (folder / file).exists() else {}
        own = settings.get("image_processor", settings)
        if isinstance(own, dict) and not IMAGE_SETTINGS.isdisjoint(own):
            return True
    return False


def brings_tokenizer_code(name: str, folder: Path) -> bool:
    """Return whether a folder's tokenizer needs Python code that comes with it."""
    settings = folder / "tokenizer_config.json"
    return settings.exists() and bool(read_json(name, settings).get("auto_map"))
