"""Arrays on another device, with which NumPy's functions compute where they are.

Collectors are written for NumPy's arrays. A source may give them an `Elsewhere` in the place of one: it takes part in
indexing, arithmetic and NumPy's functions like an array (NEP 13, 18 and 35), the results stay on its device, and only
what a collector writes into an array of its own, or asks for with `np.asarray`, is copied. `np.zeros(..., like=block)`
makes an array where the block is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from attn_cli.data.shapes import Int

__all__ = ["Elsewhere", "largest"]


class Elsewhere(ABC):
    """An array on another device."""

    @abstractmethod
    def largest(self, count: int) -> Int[np.ndarray, "some"]:
        """Return the places of the largest values in the flattened array, at most `count`, the largest first."""


def largest(array: np.ndarray, count: int) -> Int[np.ndarray, "some"]:
    """Return the places of the largest values in a flattened array, at most `count`, the largest first."""
    if isinstance(array, Elsewhere):
        return array.largest(count)
    return np.argsort(-array.ravel(), kind="stable")[:count]
