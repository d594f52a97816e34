"""A toy model's folder with random weights and a small vocabulary of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer

from attn_cli.models.toy.folder import Shape
from attn_cli.train.architectures import config
from attn_cli.train.saving import save_model
from attn_cli.train.vocabulary import train_tokenizer
from tests.models.toy.networks import random_weights

__all__ = ["small_tokenizer", "toy_folder"]

SENTENCES = ["The cat sat on the mat near the window.", "Le chat était assis sur le tapis près de la fenêtre."] * 3


@cache
def small_tokenizer() -> Tokenizer:
    """A vocabulary of a few dozen pieces besides the bytes."""
    return train_tokenizer(SENTENCES, 307)


def toy_folder(folder: Path, shape: Shape, words: tuple[str, ...] = ("the", "cat", "sat")) -> str:
    """Write a folder that `attn_cli.models.load` reads.

    Args:
        folder: where.
        shape: sizes, but for the vocabulary's.
        words: what it lists as known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = small_tokenizer()
    shape = replace(shape, vocabulary=tokenizer.get_vocab_size())
    weights = {name: torch.from_numpy(weight) for name, weight in random_weights(shape).items()}
    save_model(folder, weights, config(shape, ["reading", "subject"]), tokenizer, words)
    return str(folder)
