"""What a slice of the queries can see, and the mask that says so."""

from __future__ import annotations

import numpy as np
import torch

from attn_cli.data.shapes import Bool, Float, Int

__all__ = ["HIDDEN", "Slicer", "additive", "has_gaps", "hull", "is_seen"]

HIDDEN = -5000.0
"""What is added to the score of a hidden key is less than this: -10,000 in older code, else about the type's smallest
number. No real score and no bias is near."""


def is_seen(mask: torch.Tensor) -> Bool[torch.Tensor, "..."]:
    """Where a mask lets a query see a key.

    Args:
        mask: true where seen, or added to the scores.
    """
    return mask if mask.dtype == torch.bool else mask > HIDDEN


def hull(shown: Bool[torch.Tensor, "*texts query key"]) -> Int[np.ndarray, "*texts query 2"]:
    """First key that each query sees, and one past the last; 0 and 0 where it sees none."""
    keys = shown.shape[-1]
    small = shown.to(torch.uint8)
    first = small.argmax(dim=-1)
    last = keys - small.flip(-1).argmax(dim=-1)
    result = torch.stack((first, last), dim=-1) * shown.any(dim=-1, keepdim=True)
    array: Int[np.ndarray, "*texts query 2"] = result.cpu().numpy()
    return array


def has_gaps(seen: Bool[torch.Tensor, "head query key"], visible: Int[np.ndarray, "query 2"]) -> bool:
    """Whether any head's query fails to see a key between the first and the last that are seen."""
    counts: Int[np.ndarray, "head query"] = seen.sum(dim=-1).cpu().numpy()
    return bool((counts != visible[:, 1] - visible[:, 0]).any())


def additive(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A mask as what is added to scores, from one that is true where keys are seen or is added already.

    Args:
        mask: any shape.
        like: the queries, for their type.
    """
    if mask.dtype != torch.bool:
        return mask
    return torch.where(mask, torch.zeros((), dtype=like.dtype, device=like.device), torch.finfo(like.dtype).min)


class Slicer:
    """Cuts a mask into slices of queries, as additive masks that hold only the keys that a slice can see.

    Where a causal layer has no mask, every slice is a view of one strip made once: a row of zeros for each query, then
    the triangle. So no mask of queries x keys ever exists there.
    """

    def __init__(self) -> None:
        self._strip: Float[torch.Tensor, "query key"] | None = None
        self.gaps = False
        """Whether the last mask hid keys between those that are seen."""

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
        """The mask of queries `start` to `stop`.

        Args:
            mask: `[1, 1 or head, 1 or query, key]`: true where seen, or added to the scores; or None for no mask.
            start: first query.
            stop: one past the last.
            like: the queries, for their type and device.
            keys: how many keys there are.
            causal: whether, without a mask, a query sees only the keys up to its own position.

        Returns:
            the additive mask, cut to the first keys; how many keys these are; and what each query can see.
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
        # A query that can see nothing (padding) weighs all keys alike, so none may be cut off there.
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
