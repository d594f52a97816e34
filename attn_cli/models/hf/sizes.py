"""A check of the sizes in `config.json` against the weights' own shapes, before anything is built from it.

One line can ask for a model of a billion layers, which takes hours to build, or for a table of a billion labels, which
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
"""Config keys for numbers of parts that each have weights of their own."""
COUNTS = re.compile(
    r"(labels|classes|experts|heads|groups|levels|hash|hashes|functions|codebooks|quantizers|queries|latents|embeddings"
    r"|bins|buckets|registers|repeats|loops|cycles|size|sizes|dim|dims|d_model|d_ff|d_kv|rank|width|channels|inner|embd"
    r"|expand|ratio)$|(^|_)n(um)?_.*(expert|head)"
)
"""Config keys for numbers that cannot exceed the longest side of a weight."""
FREE = re.compile(r"max_|window|chunk|_id$|_index$|_per_")
"""Config keys for the reach of a text or the index of an item: nothing is allocated for each unit of these."""
LEGACY = 4096
"""Number of arrays to assume in a pickle that does not list them."""
FEW, MANY = 512, 2**19
"""Numbers of layers, and of anything else, that are built in no time and always allowed. (PaliGemma's config has a
vocabulary of 257,152 words beside its text part's own, and no weights for it.)"""


@dataclass(frozen=True)
class Saved:
    """Counts of the saved weights, from the headers of their files."""

    tensors: int
    """Number of arrays."""
    largest: int
    """Longest side of any array; for pickles, the bytes of their files as an upper bound."""
    names: frozenset[str] | None = None
    """Names of the arrays; None for pickles."""


def count_pickled(paths: Sequence[Path]) -> Saved:
    """Count the arrays in pickles without unpickling them: each is a file of its own in the archive.

    Args:
        paths: paths of the pickles.
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
        ):  # not an archive (PyTorch before 1.6), or a damaged one
            tensors += LEGACY
    return Saved(tensors, sum(path.stat().st_size for path in paths))


def check_counts(name: str, config: Mapping[str, Any], saved: Saved) -> None:
    """Make sure that the numbers in a config are no larger than its weights allow.

    Args:
        name: the model, as the user named it.
        config: contents of `config.json`.
        saved: counts of the saved weights.

    Raises:
        ModelError: the config asks for more layers than there are arrays, or for more of something than the longest
            side of any weight.
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
    """Yield each number in a config with the nearest name above it."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            # Keys that are numbers list labels and the like.
            yield from _numbers(value, key if str(name).isdigit() else str(name))
    elif isinstance(part, list):
        for value in part:
            yield from _numbers(value, key)
    elif isinstance(part, int | float) and not isinstance(part, bool):
        yield key, part
