"""Holding what `config.json` says against the weights' own shapes, before anything is built from it.

A model of a billion layers takes one line to ask for and hours to build, and so does a table of a billion labels, which
transformers makes as soon as it reads the file.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attn_cli.errors import ModelError, counted, shortened

__all__ = ["Saved", "check_counts", "count_pickled"]

LAYERS = re.compile(r"(layers?|blocks?|depths?|stages?)$|(^|_)n(um)?_.*layer")
"""What the families call the number of parts that each have weights of their own."""
COUNTS = re.compile(
    r"(labels|classes|experts|heads|groups|levels|hash|hashes|functions|codebooks|quantizers|queries|latents|embeddings"
    r"|bins|buckets|registers|repeats|loops|cycles|size|sizes|dim|dims|d_model|d_ff|d_kv|rank|width|channels|inner|embd"
    r"|expand|ratio)$|(^|_)n(um)?_.*(expert|head)"
)
"""What they call numbers that a weight is as long as, or that there are fewer of."""
FREE = re.compile(r"max_|window|chunk|_id$|_index$|_per_")
"""How far a text may reach, or which one is meant: nothing is made for each of these."""
LEGACY = 4096
"""The most arrays that a pickle is taken to hold which does not say."""
FEW, MANY = 512, 2**19
"""So many layers, and so many of anything else, are made in no time, whatever the weights say. (The
configuration of PaliGemma has a vocabulary of 257,152 words beside its text part's own, and no weights for it.)"""


@dataclass(frozen=True)
class Saved:
    """What there is of weights, as the headers of their files tell."""

    tensors: int
    """How many arrays."""
    largest: int
    """The longest side of any of them; no more than that, where only unpickling could tell."""


def count_pickled(paths: Sequence[Path]) -> Saved:
    """Count the weights in pickles without unpickling them: each is a file of its own in the archive.

    Args:
        paths: the pickles.
    """
    tensors = 0
    for path in paths:
        try:
            with zipfile.ZipFile(path) as archive:
                tensors += sum("/data/" in name for name in archive.namelist())
        except (
            OSError,
            ValueError,
            NotImplementedError,
            zipfile.BadZipFile,
        ):  # PyTorch before 1.6 made none; or damaged
            tensors += LEGACY
    return Saved(tensors, sum(path.stat().st_size for path in paths))


def check_counts(name: str, config: Mapping[str, Any], saved: Saved) -> None:
    """Make sure that a configuration asks for no more parts than its weights can be of.

    Args:
        name: the model, as the user named it.
        config: what `config.json` says.
        saved: what there is of weights.

    Raises:
        ModelError: it asks for more layers than there are weights, or for more of something than any weight is long.
    """
    for key, value in _numbers(config):
        layers = LAYERS.search(key) is not None
        if FREE.search(key) or not (layers or COUNTS.search(key)):
            continue
        if abs(value) > max((saved.tensors, FEW) if layers else (saved.largest, MANY)):
            number = shortened(f"{value:,}")
            there = counted(saved.tensors, "tensor") if layers else f"no side longer than {saved.largest:,}"
            raise ModelError(
                f"config.json of {name} does not fit its weights: {key} is {number}, and they have {there}",
                "Copy the config.json that belongs to the weights",
            )


def _numbers(part: object, key: str = "") -> Iterator[tuple[str, float]]:
    """Each number in a configuration, with the nearest name that stands above it."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            # Labels and the like are listed by number.
            yield from _numbers(value, key if str(name).isdigit() else str(name))
    elif isinstance(part, list):
        for value in part:
            yield from _numbers(value, key)
    elif isinstance(part, int | float) and not isinstance(part, bool):
        yield key, part
