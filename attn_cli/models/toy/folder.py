"""A toy model's folder: its sizes, its weights, its tokenizer, and the words that it knows. NumPy and JSON only.

    config.json        sizes, and what is known of the model's heads; a Transformer's is a MarianMT checkpoint's
    model.safetensors  weights in float16
    tokenizer.json     the joint vocabulary of both languages
    known_words.txt    the English words that were frequent enough in training to be more than a guess
    README.md          the model card

The built-in models are such folders inside this package, and `attn train` writes others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_cli.errors import ModelError
from attn_cli.models.toy import recurrent, transformer
from attn_cli.models.toy.steps import Array
from attn_cli.shapes import Float

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "BUILT_IN",
    "RECURRENT",
    "ToyFolder",
    "build",
    "built_in",
    "find",
    "marian_config",
    "recurrent_config",
    "weight_shapes",
]

BUILT_IN = ("toy", "toy-rnn-attention", "toy-rnn")
"""Names of the models inside this package, the default first."""
RECURRENT = "attn-recurrent"
"""`model_type` of the recurrent models, which transformers does not know."""

CONFIG, WEIGHTS, TOKENIZER, WORDS = "config.json", "model.safetensors", "tokenizer.json", "known_words.txt"

Shape = transformer.Shape | recurrent.Shape


def built_in(name: str) -> Path:
    """The folder of a built-in model."""
    return Path(__file__).parent / "weights" / name


def find(name: str) -> ToyFolder | None:
    """The folder of a built-in model, or of a recurrent one that was trained; None for what transformers reads.

    Args:
        name: a built-in model, or a folder.
    """
    if name in BUILT_IN:
        return ToyFolder(name, built_in(name))
    try:
        path = Path(name).expanduser()
        known = RECURRENT.encode() in (path / CONFIG).read_bytes()
    except (OSError, RuntimeError, ValueError):  # a name on the hub, a folder without that file, or no name at all
        return None
    folder = ToyFolder(name, path)
    return folder if known and folder.config.get("model_type") == RECURRENT else None


def build(shape: Shape, weights: Mapping[str, Array]) -> transformer.Transformer | recurrent.Recurrent:
    """A model around NumPy weights."""
    if isinstance(shape, recurrent.Shape):
        return recurrent.Recurrent(shape, weights)
    return transformer.Transformer(shape, weights, transformer.positions(shape.positions, shape.dim))


def weight_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight."""
    if isinstance(shape, recurrent.Shape):
        return recurrent.weight_shapes(shape)
    return transformer.weight_shapes(shape)


def marian_config(shape: transformer.Shape, known: Mapping[str, Any]) -> dict[str, Any]:
    """`config.json` of a Transformer, as transformers' MarianMT reads it, with a part of our own.

    Args:
        shape: its sizes.
        known: what is known of the model, under the key `attn`, which transformers lets be.
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


def recurrent_config(shape: recurrent.Shape, known: Mapping[str, Any]) -> dict[str, Any]:
    """`config.json` of a recurrent model."""
    return {"model_type": RECURRENT, "shape": asdict(shape), "attn": dict(known)}


@dataclass(frozen=True)
class ToyFolder:
    """A folder with a toy model in it.

    Args:
        name: as the user named it.
        path: where it is.
    """

    name: str
    path: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """`config.json`.

        Raises:
            ModelError: it cannot be read.
        """
        try:
            config = json.loads((self.path / CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValueError) as fault:
            raise self._broken(CONFIG) from fault
        if not isinstance(config, dict):
            raise self._broken(CONFIG)
        return config

    @cached_property
    def shape(self) -> Shape:
        """The model's sizes.

        Raises:
            ModelError: `config.json` does not say.
        """
        config = self.config
        try:
            if config["model_type"] == RECURRENT:
                return recurrent.Shape(**config["shape"])
            return transformer.Shape(
                vocabulary=config["vocab_size"],
                dim=config["d_model"],
                heads=config["encoder_attention_heads"],
                feed_forward=config["encoder_ffn_dim"],
                encoder_layers=config["encoder_layers"],
                decoder_layers=config["decoder_layers"],
                positions=config["max_position_embeddings"],
            )
        except (KeyError, TypeError) as fault:
            raise self._broken(CONFIG) from fault

    def weights(self) -> dict[str, Float[np.ndarray, "..."]]:
        """The weights, in float32.

        Raises:
            ModelError: they cannot be read, or are not those of this shape.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            saved = load_file(self.path / WEIGHTS)
        except (OSError, SafetensorError) as fault:
            raise self._broken(WEIGHTS) from fault
        if {name: weight.shape for name, weight in saved.items()} != weight_shapes(self.shape):
            raise ModelError(
                f"The weights of {self.name} do not fit its {CONFIG}", f"Copy the {CONFIG} that belongs to the weights"
            )
        return {name: weight.astype(np.float32) for name, weight in saved.items()}

    def tokenizer(self) -> Tokenizer:
        """The joint vocabulary of both languages.

        Raises:
            ModelError: it cannot be read.
        """
        from tokenizers import Tokenizer

        path = self.path / TOKENIZER
        if not path.is_file():
            raise self._broken(TOKENIZER)
        try:
            return Tokenizer.from_file(str(path))
        except Exception as fault:  # the library raises nothing more particular
            raise self._broken(TOKENIZER) from fault

    def known_words(self) -> frozenset[str]:
        """English words, in small letters, that were frequent in training; empty where none are listed."""
        path = self.path / WORDS
        return frozenset(path.read_text(encoding="utf-8").split()) if path.is_file() else frozenset()

    def _broken(self, part: str) -> ModelError:
        there = (self.path / part).is_file()
        return ModelError(
            f"{self.name} {'has a damaged' if there else 'lacks its'} {part}",
            "Copy the folder again, or train it to the end with attn train --resume",
        )
