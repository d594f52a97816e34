"""Masks of slices of the queries, and the keys that these can see."""

from __future__ import annotations

import numpy as np
import torch

from attn_cli.data.shapes import Bool, Float, Int

__all__ = ["HIDDEN", "Slicer", "additive", "has_gaps", "hull", "is_seen", "to_host"]

HIDDEN = -5000.0
"""Threshold below which a number added to a score hides the key: masks add -10,000 in older code, and otherwise about
the type's smallest number. No real score and no bias is near it."""


def is_seen(mask: torch.Tensor) -> Bool[torch.Tensor, "..."]:
    """Return where a mask lets a query see a key.

    Args:
        mask: a mask of booleans, true at visible keys, or of numbers added to the scores.
    """
    return mask if mask.dtype == torch.bool else mask > HIDDEN


def to_host(values: torch.Tensor, *, double: bool = False) -> np.ndarray:
    """Return the numbers of a tensor as an array: whole numbers as they are, others in float32.

    All that leaves the device where it was computed passes through here.

    Args:
        values: a tensor on any device.
        double: leave numbers in float64 as they are.
    """
    values = values.cpu()
    rounded = values.is_floating_point() and not (double and values.dtype == torch.float64)
    return (values.float() if rounded else values).contiguous().numpy()


def hull(shown: Bool[torch.Tensor, "*texts query key"]) -> Int[np.ndarray, "*texts query 2"]:
    """Return the first key that each query sees, and one past the last; 0 and 0 if it sees none."""
    keys = shown.shape[-1]
    small = shown.to(torch.uint8)
    first = small.argmax(dim=-1)
    last = keys - small.flip(-1).argmax(dim=-1)
    result = torch.stack((first, last), dim=-1) * shown.any(dim=-1, keepdim=True)
    array: Int[np.ndarray, "*texts query 2"] = to_host(result)
    return array


def has_gaps(seen: Bool[torch.Tensor, "head query key"], visible: Int[np.ndarray, "query 2"]) -> bool:
    """Return whether a query in any head does not see a key between the first and the last visible ones."""
    counts: Int[np.ndarray, "head query"] = to_host(seen.sum(dim=-1))
    return bool((counts != visible[:, 1] - visible[:, 0]).any())


def additive(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Convert a boolean mask, true at visible keys, to numbers added to the scores; return other masks unchanged.

    Args:
        mask: a mask of any shape.
        like: the queries, whose number type the result gets.
    """
    if mask.dtype != torch.bool:
        return mask
    return torch.where(mask, torch.zeros((), dtype=like.dtype, device=like.device), torch.finfo(like.dtype).min)


class Slicer:
    """A cutter of masks into additive masks for slices of queries, which hold only the keys that a slice can see.

    If a causal layer has no mask, every slice is a view of one strip made once, whose rows hold zeros followed by the
    triangle, so no mask of queries x keys ever exists.
    """

    def __init__(self) -> None:
        self._strip: Float[torch.Tensor, "query key"] | None = None
        self.gaps = False
        """True if the mask cut last hid keys between visible ones."""

    def cut(
        self,
        mask: torch.Tensor | None,
        start: int,
        stop: int,
        like: torch.Tensor,
        keys: int,
        *,
        causal: bool,
    ) -> tuple[torch.Tensor | None, int, Int[np.ndarray, "query 2"]]:
        """Cut out the mask of queries `start` to `stop`.

        Args:
            mask: mask `[1, 1 or head, 1 or query, key]`, either true at visible keys or added to the scores; or None.
            start: first query.
            stop: one past the last query.
            like: the queries, for their type and device.
            keys: number of keys.
            causal: whether, without a mask, a query sees only the keys up to its own position.

        Returns:
            the additive mask, cut to the first keys (None if all are visible without a mask); the number of these keys;
            and the first key that each query can see, with one past the last.
        """
        self.gaps = False
        if mask is None:
            last = np.minimum(np.arange(start, stop) + 1, keys) if causal else np.full(stop - start, keys)
            visible = np.stack((np.zeros_like(last), last), axis=1)
            if not causal:
                return None, keys, visible
            width = min(stop, keys)
            return self._triangle(start, stop, keys, like)[None, None, :, :width], width, visible
        part = mask[..., :keys] if mask.shape[2] == 1 else mask[:, :, start:stop, :keys]
        seen = is_seen(part).flatten(0, 1).expand(-1, stop - start, keys)
        visible = hull(seen.any(dim=0))
        self.gaps = has_gaps(seen, visible)
        # A query that sees no key (padding) gives all keys the same weight, so none may be cut off.
        width = keys if (visible[:, 1] == 0).any() else int(visible[:, 1].max())
        part = part[..., :width]
        return additive(part, like), width, visible

    def _triangle(self, start: int, stop: int, keys: int, like: torch.Tensor) -> Float[torch.Tensor, "query key"]:
        rows, room = stop - start, max(keys, stop)
        strip = self._strip
        if (
            strip is None
            or strip.shape[0] < rows
            or strip.shape[1] - strip.shape[0] < room
            or (strip.dtype, strip.device) != (like.dtype, like.device)
        ):
            strip = torch.full((rows, room + rows), torch.finfo(like.dtype).min, dtype=like.dtype, device=like.device)
            strip = self._strip = strip.triu(diagonal=room + 1)
        first = strip.shape[1] - strip.shape[0] - start
        return strip[:rows, first:]
