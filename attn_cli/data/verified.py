"""What `--verify` found out beside the layers' own sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["OutputCheck", "largest"]


@dataclass(frozen=True)
class OutputCheck:
    """How far a model's output with its attention captured was from its output in a plain run, without attn."""

    difference: float
    """Largest absolute difference."""
    compared: tuple[str, ...]
    """What of the output: `last hidden state`, ..."""
    attention: str
    """transformers' implementation of attention in the plain run: `sdpa` or `eager`."""


def largest(checks: Iterable[OutputCheck | None]) -> OutputCheck | None:
    """The one of several texts that differs most; None where there is none."""
    return max(filter(None, checks), key=lambda check: check.difference, default=None)
