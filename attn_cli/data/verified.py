"""The check of the model's output that `--verify` makes, beside that of the layers' own sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["OutputCheck", "largest"]


@dataclass(frozen=True)
class OutputCheck:
    """The difference of a model's output with its attention captured from its output in a plain run, without attn."""

    difference: float
    """Largest absolute difference."""
    compared: tuple[str, ...]
    """The parts of the output that were compared: `last hidden state`, ..."""
    attention: str
    """transformers' implementation of attention in the plain run: `sdpa` or `eager`."""


def largest(checks: Iterable[OutputCheck | None]) -> OutputCheck | None:
    """Return the check with the largest difference among several texts; None if there is none."""
    return max(filter(None, checks), key=lambda check: check.difference, default=None)
