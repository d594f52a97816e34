"""Starting to train from the weights and the vocabulary of another model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from attn_cli.data.model import GuidedRole
from attn_cli.errors import InputError, ModelError, UsageError
from attn_cli.models.toy import recurrent, transformer
from attn_cli.models.toy.folder import BUILT_IN, CONFIG, WEIGHTS, Shape, ToyFolder, find
from attn_cli.train.architectures import ARCHITECTURES, GUIDED, ArchitectureName

__all__ = ["Start", "read_start"]


@dataclass(frozen=True, eq=False)
class Start:
    """The model that training continues from."""

    tokenizer: Tokenizer
    shape: Shape
    weights: Mapping[str, torch.Tensor]
    words: frozenset[str]
    """English words, in lower case, that the model knows."""
    guided: frozenset[GuidedRole] = frozenset()
    """Roles that its heads were trained for; they keep what they learned, whatever is guided from now on."""


def read_start(name: str, arch: ArchitectureName, seed: int) -> Start:
    """Read the model to start from; one with fewer positions or a narrower feed-forward layer than today's is widened.

    Args:
        name: name of a built-in model, or path of a folder that `attn train` wrote.
        arch: kind of model that is to be trained.
        seed: seed of the new units' first weights.

    Raises:
        InputError: there is no such folder.
        ModelError: a file of the folder is damaged, or a weight is not a finite number.
        UsageError: the model is of another kind than `arch`.
    """
    folder = find(name) or ToyFolder(name, Path(name).expanduser())
    if name not in BUILT_IN and not (folder.path / CONFIG).is_file():
        raise InputError(
            f"{name} is not a model to start from", f"Name {', '.join(BUILT_IN)} or a folder that attn train wrote"
        )
    kind = _kind(folder)
    if kind != arch:
        raise UsageError(f"{name} is of the kind {kind}, and {arch} is to be trained", f"Add --arch {kind}")
    tokenizer, shape = folder.tokenizer(), folder.shape
    saved = folder.weights()
    if broken := next((key for key, weight in saved.items() if not np.isfinite(weight).all()), None):
        raise ModelError(f"{broken} in {WEIGHTS} of {name} holds values that are not finite numbers", folder.remedy)
    weights = {key: torch.from_numpy(weight) for key, weight in saved.items()}
    today = ARCHITECTURES[arch].shape(tokenizer.get_vocab_size())
    # Positions have no weights, so that there can be more of them at once.
    shape = replace(shape, positions=max(shape.positions, today.positions))
    if isinstance(shape, transformer.TransformerShape) and isinstance(today, transformer.TransformerShape):
        weights = widened(weights, shape, today.feed_forward, seed)
        shape = replace(shape, feed_forward=max(shape.feed_forward, today.feed_forward))
    return Start(tokenizer, shape, weights, folder.known_words(), _guided(folder))


def _guided(folder: ToyFolder) -> frozenset[GuidedRole]:
    heads = folder.known.get("guided")
    named = {head.get("role") for head in heads if isinstance(head, Mapping)} if isinstance(heads, list) else set()
    return frozenset(role for role in GUIDED if role in named)


def _kind(folder: ToyFolder) -> ArchitectureName:
    shape = folder.shape
    if isinstance(shape, recurrent.RecurrentShape):
        return "rnn-attention" if shape.attention else "rnn"
    return "transformer"


def widened(
    weights: Mapping[str, torch.Tensor], shape: transformer.TransformerShape, feed_forward: int, seed: int
) -> dict[str, torch.Tensor]:
    """Add units to the feed-forward layers; their output weights are 0, so that the model computes what it did.

    Args:
        weights: weights of the model.
        shape: sizes of the model.
        feed_forward: number of units wanted; a model that has as many stays as it is.
        seed: seed of the new units' input weights.
    """
    more = feed_forward - shape.feed_forward
    if more <= 0:
        return dict(weights)
    draw = torch.Generator().manual_seed(seed)
    bound = math.sqrt(6 / (shape.dim + feed_forward))  # Glorot and Bengio 2010
    grown = dict(weights)
    for name, weight in weights.items():
        if name.endswith("fc1.weight"):
            new = (2 * torch.rand(more, shape.dim, generator=draw) - 1) * bound
            grown[name] = torch.cat([weight, new])
        elif name.endswith("fc1.bias"):
            grown[name] = torch.cat([weight, torch.zeros(more)])
        elif name.endswith("fc2.weight"):
            grown[name] = torch.cat([weight, torch.zeros(shape.dim, more)], dim=1)
    return grown
