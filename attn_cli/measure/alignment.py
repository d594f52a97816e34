"""Which heads of an encoder-decoder pair the words of its two sides, and the map of those that do it best."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from attn_cli.data.plan import Plan, listed, name_head
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block
from attn_cli.measure.maps import MeanMap

__all__ = ["AlignmentMap", "MutualWeight", "strongest"]


def strongest(weights: Float[np.ndarray, "target source"]) -> Int[np.ndarray, "target"]:
    """The source word with the most weight in each row; the first of equals."""
    found: Int[np.ndarray, "target"] = weights.argmax(axis=1)
    return found


class MutualWeight:
    """How far a map pairs words one to one, from 0 to 1, found while its rows come.

    The weight in the cells that are the strongest of their row and of their column, divided by the rows. It is 1 where
    each target word looks at one source word alone that no other looks at, and small where a head rests on one word,
    looks everywhere alike, or looks at special tokens (which are no words).

    Args:
        sources: how many columns there are.
    """

    def __init__(self, sources: int) -> None:
        self._keys: list[Int[np.ndarray, "some_targets"]] = []
        self._weights: list[Float[np.ndarray, "some_targets"]] = []
        self._targets = 0
        self._most: Float[np.ndarray, "source"] = np.full(sources, -1, np.float32)
        self._row: Int[np.ndarray, "source"] = np.zeros(sources, np.intp)
        """In which row each column has its strongest; the first of equals."""

    def add(self, weights: Float[np.ndarray, "some_targets source"]) -> None:
        """Take the next rows."""
        if not weights.size:
            return
        keys = strongest(weights)
        self._keys.append(keys)
        self._weights.append(weights[np.arange(len(keys)), keys])
        rows = weights.argmax(axis=0)
        most = weights[rows, np.arange(len(rows))]
        more = most > self._most
        self._most[more], self._row[more] = most[more], rows[more] + self._targets
        self._targets += len(keys)

    @property
    def result(self) -> float:
        """Of the rows that came; 0 where there are none."""
        if not self._targets:
            return 0.0
        keys = np.concatenate(self._keys)
        mutual = self._row[keys] == np.arange(self._targets)
        return float(np.concatenate(self._weights)[mutual].sum(dtype=np.float64) / self._targets)


class AlignmentMap:
    """A collector of one map: of the heads selected, or of those that align best.

    Those are the heads that the model declares (`ModelInfo.alignment`); where it declares none, the head with the
    largest `MutualWeight` on this text, special tokens aside.

    Args:
        plan: what to look at.
        empty: makes a collector of the mean map of some layers, in the plan's units.
    """

    def __init__(self, plan: Plan, empty: Callable[[Collection[int]], MeanMap]) -> None:
        self._plan, self._empty = plan, empty
        declared = plan.source.model.alignment
        selected = plan.selection.layer is not None or plan.selection.head is not None
        self._heads = plan.heads
        self._why = ""
        if not selected and declared is not None:
            self._heads = {declared.layer: declared.heads}
            # All heads of the layer are in it, also those that are not declared.
            self._why = "" if plan.selection.joint else declared.how
            if declared.rows != plan.rows:
                self._why += f" They align at {declared.rows} rows, and these are {plan.rows} rows."
        self._searches = not selected and declared is None
        self.map = empty(list(self._heads))
        """What was collected."""
        self._layer: dict[int, tuple[MeanMap, MutualWeight]] = {}
        """head -> what is shown of it, and how far it pairs words, while its layer passes."""
        self._words = (
            np.flatnonzero(~np.asarray(plan.queries.special, np.bool_)),
            np.flatnonzero(~np.asarray(plan.keys.special, np.bool_)),
        )
        self._found: tuple[float, int, int] | None = None
        """Mutual weight, layer and head of the best so far."""

    @property
    def bytes_needed(self) -> int:
        """Memory that it takes, in bytes."""
        if not self._searches:
            return self.map.bytes_needed
        one = self._empty([0])  # of one layer
        return one.bytes_needed + max(map(len, self._heads.values()), default=0) * one.bytes_kept

    def __call__(self, block: Block) -> None:
        if self._searches:
            self._search(block)
        elif block.layer in self._heads:
            self.map(block.take(self._heads[block.layer]))

    def _search(self, block: Block) -> None:
        """Look at one head after another, and keep the map of the best."""
        if block.start == 0:
            self._layer = {
                head: (self._empty([block.layer]), MutualWeight(len(self._words[1]))) for head in block.heads
            }
        stop = block.start + block.visible.shape[0]
        first, last = np.searchsorted(self._words[0], [block.start, stop])
        rows = self._words[0][first:last] - block.start
        keys = self._words[1][self._words[1] < block.weights.shape[2]]
        for index, (head, (shown, mutual)) in enumerate(self._layer.items()):
            shown(block.take((head,)))
            weights = np.zeros((len(rows), len(self._words[1])), np.float32)
            weights[:, : len(keys)] = block.weights[index][np.ix_(rows, keys)]
            mutual.add(weights)
        if stop < len(self._plan.queries):
            return
        for head, (shown, mutual) in self._layer.items():
            if self._found is None or mutual.result > self._found[0]:
                self._found, self.map = (mutual.result, block.layer, head), shown

    @property
    def title(self) -> str:
        """Whose map it is, and which step a word's row is."""
        return f"{self._what(self._plan.selection.noun)}, {self._plan.rows} rows"

    @property
    def reason(self) -> str:
        """Why it is of these heads."""
        if self._found is None:
            return self._why
        score, layer, head = self._found
        if self._plan.selection.joint:
            return (
                f"Of all {self._plan.head_count} layers, {layer} comes nearest to pairing words one to one "
                f"(mutual weight {score:.2f})."
            )
        return (
            f"This model does not say which of its heads align words. Of all {self._plan.head_count}, "
            f"{name_head(layer, head)} comes nearest to pairing them one to one (mutual weight {score:.2f})."
        )

    def _what(self, measure: str) -> str:
        """Whose weights these are."""
        if self._plan.selection.joint:
            layers = list(self._heads) if self._found is None else [self._found[1]]
            return f"{measure.capitalize()} to layer{'s' if len(layers) > 1 else ''} {listed(layers)}"
        if self._found is not None:
            return f"{measure.capitalize()}s of head {name_head(*self._found[1:])}"
        count = sum(map(len, self._heads.values()))
        if count == 1:
            ((layer, (head,)),) = self._heads.items()
            return f"{measure.capitalize()}s of head {name_head(layer, head)}"
        return (
            f"Mean {measure} of {count} heads, layer{'s' if len(self._heads) > 1 else ''} {listed(list(self._heads))}"
        )
