"""A layer of a long text, any part of whose maps can be computed on its own from queries, keys and normalizers.

Flash attention (Dao et al. 2022) returns each row's normalizer L_i, the logarithm of the sum of its exponentials, so
any weight is exp(s_ij - L_i). -L_i is one more column of the queries, whose partner in the keys is 1, so that one
matrix product gives the logarithms of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.stream import Block
from attn_cli.models.capture.slices import is_seen, to_host

__all__ = ["LayerTiles"]

AT_ONCE = 2**24
"""Most scores that normalizers are computed from at once: 64 megabytes."""


@dataclass(frozen=True, eq=False)
class LayerTiles:
    """The queries, keys and normalizers of one layer."""

    query: Float[torch.Tensor, "head query dim"]
    """Queries times the layer's scaling, float32."""
    key: Float[torch.Tensor, "kv_head key dim"]
    """Keys, float32; heads share them in groups of consecutive heads."""
    normalizer: Float[torch.Tensor, "head query"]
    """Logarithm of the sum of each row's exponentials."""
    mask: torch.Tensor | None
    """True (or a number near 0) at visible keys, `[1 or head, 1 or query, key]`; None if all are, or by `causal`."""
    causal: bool
    """True if, without a mask, a query sees only the keys up to its own position."""
    visible: Int[np.ndarray, "query 2"]
    """First key that each query sees in any head, and one past the last."""

    def normalize(self) -> None:
        """Compute the normalizers from the scores, a run of rows at a time."""
        keys = self.key.shape[1]
        step = max(1, AT_ONCE // keys)
        for head, own in enumerate(self.normalizer):
            columns = self.key[head * len(self.key) // len(self.query)].T
            for start in range(0, len(own), step):
                rows = slice(start, min(start + step, len(own)))
                scores = self.query[head, rows] @ columns
                seen = self.seen(head, rows, slice(0, keys))
                if seen is not None:
                    scores.masked_fill_(~seen, -torch.inf)
                own[rows] = scores.logsumexp(dim=1)

    def seen(self, head: int, rows: slice, columns: slice) -> Bool[torch.Tensor, "query key"] | None:
        """Return which keys these queries see; None if they see all of them."""
        if self.mask is not None:
            mask = self.mask[head if len(self.mask) > 1 else 0, :, columns]
            return is_seen(mask[rows] if len(mask) > 1 else mask)
        if not self.causal or columns.stop <= rows.start + 1:
            return None
        keys = torch.arange(columns.start, columns.stop, device=self.query.device)
        return torch.arange(rows.start, rows.stop, device=self.query.device)[:, None] >= keys

    def lengthened(self, head: int) -> tuple[Float[torch.Tensor, "query wide"], Float[torch.Tensor, "key wide"]]:
        """Return one head's queries and keys, whose products are the logarithms of its weights.

        The last column but one is that of the normalizer; the last is 0 in the keys, and 1 in the queries: what is put
        there is added to the logarithms of a key.
        """
        query, key = self.query[head], self.key[head * len(self.key) // len(self.query)]
        width = query.shape[1] + 2
        queries, keys = query.new_zeros((len(query), width)), key.new_zeros((len(key), width))
        queries[:, : query.shape[1]], keys[:, : key.shape[1]] = query, key
        queries[:, -2], keys[:, -2] = -self.normalizer[head], 1.0
        queries[:, -1] = 1.0
        return queries, keys

    def blocks(self, kind: Kind, layer: int, head: int, most: int) -> Callable[[], Iterator[Block]]:
        """Return a function that computes one head's weights, in blocks of at most about `most` weights."""
        own = LayerTiles(
            self.query[head : head + 1].clone(),
            self.key[(group := head * len(self.key) // len(self.query)) : group + 1].clone(),
            self.normalizer[head : head + 1].clone(),
            self.mask if self.mask is None or len(self.mask) == 1 else self.mask[head : head + 1],
            self.causal,
            self.visible,
        )
        return partial(own._blocks, kind, layer, head, most)

    def _blocks(self, kind: Kind, layer: int, head: int, most: int) -> Iterator[Block]:
        queries, keys = self.lengthened(0)
        step = max(1, most // len(keys))
        for start in range(0, len(queries), step):
            rows = slice(start, min(start + step, len(queries)))
            visible = self.visible[rows]
            columns = slice(0, int(visible[:, 1].max(initial=0)))
            weights = torch.exp_(queries[rows] @ keys[columns].T)
            seen = self.seen(0, rows, columns)
            if seen is not None:
                weights.masked_fill_(~seen, 0.0)
            yield Block(kind, layer, (head,), start, to_host(weights[None]), visible)
