"""A toy model's folder: sizes, weights, tokenizer and known words, read with NumPy and JSON only.

    config.json        sizes, and the roles of heads; a Transformer's file is that of a MarianMT checkpoint
    model.safetensors  weights in float16; in a form of our own, matrices in int8, with a scale for each row
    tokenizer.json     the joint vocabulary of both languages
    known_words.txt    English words that were frequent enough in training for the model not to guess
    README.md          the model card

The built-in models are such folders inside this package, and `attn train` writes others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_cli.data.shapes import Float
from attn_cli.errors import ModelError, quoted
from attn_cli.models.compiled import library_told
from attn_cli.models.contents import check_files, read_json
from attn_cli.models.hf.tokenizer_file import check_tokenizer_file
from attn_cli.models.toy import recurrent, transformer
from attn_cli.models.toy.ops import Array

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "BUILT_IN",
    "OWN_SHAPES",
    "ToyFolder",
    "build",
    "built_in",
    "find",
    "marian_config",
    "own_config",
    "weight_shapes",
]

Shape = transformer.TransformerShape | recurrent.RecurrentShape

BUILT_IN = ("toy", "toy-no-coreference", "toy-rnn-attention", "toy-rnn")
"""Names of the models inside this package, the default first."""
OWN_SHAPES: Mapping[str, type[Shape]] = {
    "attn-recurrent": recurrent.RecurrentShape,
    "attn-transformer": transformer.TransformerShape,
}
"""`model_type` of the models in a form of our own, which are packed in int8 and which transformers cannot read -> the
class of their sizes."""

CONFIG, WEIGHTS, TOKENIZER, WORDS = "config.json", "model.safetensors", "tokenizer.json", "known_words.txt"

LARGEST = 2**20
"""Largest size that a config.json may hold, and most bytes of it to search for the names in `OWN_SHAPES`."""
MOST_POSITIONS = 2**16
"""Most positions of a model; their table is made whatever the length of the text."""
DTYPES = ("F16", "F32", "F64")
PACKED, SCALE = "I8", ".scale"
"""Type of a matrix whose rows are multiples of a scale each, and the end of the name of its scales."""
MARIAN_SIZES = {
    "vocabulary": "vocab_size",
    "dim": "d_model",
    "heads": "encoder_attention_heads",
    "feed_forward": "encoder_ffn_dim",
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "positions": "max_position_embeddings",
}
"""Keys of a Transformer's sizes in a MarianMT checkpoint's config.json."""


def built_in(name: str) -> Path:
    """Return the folder of a built-in model."""
    return Path(__file__).parent / "weights" / name


def find(name: str) -> ToyFolder | None:
    """Return the folder of a built-in model, or of one in a form of our own; None for what transformers reads.

    Args:
        name: name of a built-in model, or path of a folder.
    """
    if name in BUILT_IN:
        return ToyFolder(name, built_in(name))
    try:
        path = Path(name).expanduser()
        if not (path / CONFIG).is_file():  # missing, or a pipe, which would block
            return None
        with (path / CONFIG).open("rb") as file:
            start = file.read(LARGEST)
    except (OSError, RuntimeError, ValueError):  # a name on the hub, a folder without that file, or no name at all
        return None
    if not any(own.encode() in start for own in OWN_SHAPES):
        return None
    folder = ToyFolder(name, path)
    return None if folder.own_shape is None else folder


def build(shape: Shape, weights: Mapping[str, Array]) -> transformer.Transformer | recurrent.Recurrent:
    """Build a model around NumPy weights."""
    if isinstance(shape, recurrent.RecurrentShape):
        return recurrent.Recurrent(shape, weights)
    return transformer.Transformer(shape, weights, transformer.positions(shape.positions, shape.dim))


def weight_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every weight."""
    if isinstance(shape, recurrent.RecurrentShape):
        return recurrent.weight_shapes(shape)
    return transformer.weight_shapes(shape)


def marian_config(shape: transformer.TransformerShape, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return `config.json` of a Transformer, as transformers' MarianMT reads it, with a section of our own.

    Args:
        shape: sizes of the model.
        known: roles of its heads, written under the key `attn`, which transformers ignores.
    """
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "vocab_size": shape.vocabulary,
        "decoder_vocab_size": shape.vocabulary,
        "d_model": shape.dim,
        "encoder_attention_heads": shape.heads,
        "decoder_attention_heads": shape.heads,
        "encoder_ffn_dim": shape.feed_forward,
        "decoder_ffn_dim": shape.feed_forward,
        "encoder_layers": shape.encoder_layers,
        "decoder_layers": shape.decoder_layers,
        "max_position_embeddings": shape.positions,
        "activation_function": "swish",
        "scale_embedding": True,
        "share_encoder_decoder_embeddings": True,
        "tie_word_embeddings": True,
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "forced_eos_token_id": None,
        "dtype": "float16",
        "attn": dict(known),
    }


def own_config(shape: Shape, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return `config.json` of a model in a form of our own: a recurrent one, or a packed Transformer.

    Args:
        shape: sizes of the model.
        known: roles of its heads, written under the key `attn`.
    """
    kind = next(kind for kind, sizes in OWN_SHAPES.items() if isinstance(shape, sizes))
    return {"model_type": kind, "shape": asdict(shape), "attn": dict(known)}


@dataclass(frozen=True)
class ToyFolder:
    """A folder that holds a toy model.

    Args:
        name: name of the model as the user wrote it.
        path: path of the folder.
    """

    name: str
    path: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The parsed `config.json`.

        Raises:
            ModelError: the file cannot be read.
        """
        check_files(self.name, self.path)
        if not (self.path / CONFIG).is_file():
            raise self._broken(CONFIG)
        return read_json(self.name, self.path / CONFIG)

    @cached_property
    def known(self) -> Mapping[str, Any]:
        """The section of `config.json` about the model's heads, with its caveat.

        Raises:
            ModelError: the file cannot be read, or the section is not an object.
        """
        known = self.config.get("attn", {})
        if not isinstance(known, Mapping):
            raise self._wrong("attn", known, "an object")
        return known

    @property
    def own_shape(self) -> type[Shape] | None:
        """The class of the sizes of a model in a form of our own; None for one that transformers reads.

        Raises:
            ModelError: `config.json` cannot be read.
        """
        kind = self.config.get("model_type")
        return OWN_SHAPES.get(kind) if isinstance(kind, str) else None

    @property
    def caveat(self) -> str:
        """A sentence to bear in mind when this model is compared with another; empty where `config.json` has none.

        Raises:
            ModelError: the file cannot be read, or holds something else in its place.
        """
        said = self.known.get("caveat", "")
        if not isinstance(said, str):
            raise self._wrong("attn.caveat", said, "a sentence")
        return said

    @cached_property
    def shape(self) -> Shape:
        """The model's sizes.

        Raises:
            ModelError: a size is missing from `config.json`, or is not possible.
        """
        if self.own_shape is None:
            return self._transformer(self.config, MARIAN_SIZES)
        sizes = self.config.get("shape")
        if not isinstance(sizes, Mapping):
            raise self._wrong("shape", sizes, "an object")
        if self.own_shape is transformer.TransformerShape:
            return self._transformer(sizes, {name: name for name in MARIAN_SIZES})
        return recurrent.RecurrentShape(
            vocabulary=self._size(sizes, "vocabulary"),
            dim=self._size(sizes, "dim"),
            hidden=self._size(sizes, "hidden"),
            attention=self._switch(sizes, "attention"),
            positions=self._size(sizes, "positions"),
        )

    def _transformer(self, sizes: Mapping[str, Any], keys: Mapping[str, str]) -> transformer.TransformerShape:
        """Return a Transformer's sizes from `config.json`, where each stands under a key."""
        shape = transformer.TransformerShape(**{name: self._size(sizes, key) for name, key in keys.items()})
        if shape.dim % 2 or shape.dim % shape.heads:
            raise self._wrong(keys["dim"], shape.dim, f"an even multiple of its {keys['heads']} ({shape.heads})")
        return shape

    def _size(self, sizes: Mapping[str, Any], key: str) -> int:
        """Return a size from `config.json`."""
        most = MOST_POSITIONS if key in {"positions", MARIAN_SIZES["positions"]} else LARGEST
        size = sizes.get(key)
        if type(size) is not int or not 1 <= size <= most:
            raise self._wrong(key, size, f"a whole number from 1 to {most:,}")
        return size

    def _switch(self, sizes: Mapping[str, Any], key: str) -> bool:
        value = sizes.get(key)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def weights(self) -> dict[str, Float[np.ndarray, "..."]]:
        """Load the weights as float32.

        Raises:
            ModelError: the weights cannot be read, or do not fit the model's sizes.
        """
        from safetensors import SafetensorError, safe_open
        from safetensors.numpy import load_file

        shape = self.shape
        try:
            with safe_open(self.path / WEIGHTS, framework="numpy") as file:
                parts = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
                packed = {key for key, part in parts.items() if part.get_dtype() == PACKED and key + SCALE in parts}
                scales = {key + SCALE for key in packed}
                there = {key: tuple(part.get_shape()) for key, part in parts.items() if key not in scales}
                dtypes = {part.get_dtype() for key, part in parts.items() if key not in packed}
                sizes = {key: tuple(parts[key + SCALE].get_shape()) for key in packed}
            if unknown := sorted(dtypes.difference(DTYPES)):
                raise ModelError(
                    f"{WEIGHTS} of {self.name} holds weights in {unknown[0]}, and {', '.join(DTYPES)} can be read",
                    self.remedy,
                )
            layers = (
                0 if isinstance(shape, recurrent.RecurrentShape) else max(shape.encoder_layers, shape.decoder_layers)
            )
            # Listing the shapes of a huge number of layers would take forever, so the number is checked first.
            fitting = layers <= len(there) and there == weight_shapes(shape)
            if not fitting or any(size != (*there[key][:1], 1) for key, size in sizes.items()):
                raise ModelError(
                    f"The weights of {self.name} do not fit its {CONFIG}",
                    f"Copy the {CONFIG} that belongs to the weights",
                )
            saved = load_file(self.path / WEIGHTS)
        except (OSError, SafetensorError) as fault:
            raise self._broken(WEIGHTS, fault) from fault
        weights = {name: saved[name].astype(np.float32) for name in there}
        for name in packed:
            weights[name] *= saved[name + SCALE].astype(np.float32)
        return weights

    def tokenizer(self) -> Tokenizer:
        """Load the tokenizer, whose vocabulary both languages share.

        Raises:
            ModelError: the tokenizer cannot be read.
        """
        from tokenizers import Tokenizer

        path = self.path / TOKENIZER
        if not path.is_file():
            raise self._broken(TOKENIZER)
        check_tokenizer_file(self.name, path, self.remedy)
        broken = self._broken(TOKENIZER)
        with library_told(broken.problem, broken.remedy):
            tokenizer = Tokenizer.from_file(str(path))
            # The file may ask for billions of cells of padding, or for silent truncation.
            tokenizer.no_padding()
            tokenizer.no_truncation()
            tokenizer.encode_special_tokens = True  # a text that holds `<pad>` or `</s>` holds letters, not the token
        return tokenizer

    def known_words(self) -> frozenset[str]:
        """Load the English words, in lower case, that were frequent in training; empty where none are listed.

        Raises:
            ModelError: the list cannot be read.
        """
        path = self.path / WORDS
        try:
            return frozenset(path.read_text(encoding="utf-8").split()) if path.is_file() else frozenset()
        except (OSError, UnicodeDecodeError) as fault:
            raise self._broken(WORDS, fault) from fault

    @property
    def remedy(self) -> str:
        """Advice for the user when a file of the folder is damaged."""
        if self.name in BUILT_IN:
            return "Install attn again: one of its own files has been changed"
        return "Copy the folder again, or train it to the end with attn train --resume"

    def _broken(self, part: str, fault: Exception | None = None) -> ModelError:
        if isinstance(fault, PermissionError):
            return ModelError(f"{part} of {self.name} cannot be read: {fault.strerror}", "Check its permissions")
        there = (self.path / part).is_file()
        return ModelError(f"{self.name} {'has a damaged' if there else 'lacks its'} {part}", self.remedy)

    def _wrong(self, key: str, value: object, expected: str) -> ModelError:
        """Return the error for an impossible value in `config.json`."""
        there = "and is missing" if value is None else f"not {quoted(str(value))}"
        return ModelError(f"{CONFIG} of {self.name}: {key} must be {expected}, {there}", self.remedy)
