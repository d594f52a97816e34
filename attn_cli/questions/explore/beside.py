"""A second text laid over the first: the changes of each head, at the places of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attn_cli.data.shapes import Float
from attn_cli.draw.colors import Scale
from attn_cli.draw.heatmap import scale_of
from attn_cli.draw.labels import Labels
from attn_cli.questions.diff.draw_heads import SAME, change_view, labels_of_places
from attn_cli.questions.diff.measure import Differences
from attn_cli.questions.explore.scene import Board, HeadMap

__all__ = ["Beside"]

DIVERGENCE = "divergence"


@dataclass(eq=False)
class Beside:
    """A second text laid over the first. Rows are the words that both have, columns those of either."""

    found: Differences
    text: str
    """The second text."""
    _last: HeadMap | None = None

    @cached_property
    def queries(self) -> Labels:
        """The labels of the rows."""
        return labels_of_places(self.found.queries, self.found.chosen, positions=True)

    @cached_property
    def keys(self) -> Labels:
        """The labels of the columns."""
        return labels_of_places(self.found.keys, range(len(self.found.keys)))

    @cached_property
    def board(self) -> Board:
        """The divergence of each head between the two texts, in bits."""
        values = {(one.layer, one.head): one.divergence for one in self.found.heads}
        return Board(DIVERGENCE, values, Scale.weights(max(self.found.most, SAME)))

    @property
    def order(self) -> list[tuple[int, int]]:
        """Layer and number of each head, the one that changes most first."""
        return [(one.layer, one.head) for one in self.found.heads]

    def of_head(self, layer: int, head: int) -> HeadMap:
        """Return the weights of a head in the second text less those in the first."""
        if self._last is None or (self._last.layer, self._last.head) != (layer, head):
            view = change_view(self.found, layer, head)
            self._last = HeadMap(layer, head, view, scale_of(view, view.shown, same=True))
        return self._last

    def marked(self, query: int) -> int | None:
        """Return the column of a row's own word; None in cross-attention, where it has none."""
        return None if self.found.plans[0].crosses else self.found.chosen[query]

    def sides(self, layer: int, head: int, row: int) -> tuple[Float[np.ndarray, "key"], Float[np.ndarray, "key"]]:
        """Return a row of a head in the first text and in the second; not-a-number where neither sees the key."""
        seen = self.found.layers[layer].seen[row]
        a, b = (np.where(seen, side[row], np.float32(np.nan)) for side in self.found.maps(layer, head))
        return a, b

    def nearest(self, query: int, key: int) -> tuple[int, int]:
        """Return the row and the column of words of the first text, or those next to them."""
        rows = [int(self.found.queries.a[place]) for place in self.found.chosen]
        row = min(range(len(rows)), key=lambda one: abs(rows[one] - query))
        column = int(np.abs(np.where(self.found.keys.a < 0, np.inf, self.found.keys.a) - key).argmin())
        return row, column
