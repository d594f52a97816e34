"""Selection of the encoder-decoder heads that best pair the words of the two sides, and the map of those heads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from attn_cli.data.plan import Plan, listed, name_head
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block
from attn_cli.measure.maps import BestMap, MeanMap

__all__ = ["AlignmentMap", "MutualWeight", "strongest"]


def strongest(weights: Float[np.ndarray, "target source"]) -> Int[np.ndarray, "target"]:
    """Return the index of the source word with the most weight in each row; the first one in a tie."""
    found: Int[np.ndarray, "target"] = weights.argmax(axis=1)
    return found


class MutualWeight:
    """A running score, from 0 to 1, of how far a map pairs words one to one.

    The score is the weight in the cells that are the largest of both their row and their column, divided by the number
    of rows. It is 1 if each target word attends to one source word only and no two to the same one. It is small if a
    head attends to one word throughout, to all words alike, or to special tokens (which are not words).

    Args:
        sources: number of columns.
    """

    def __init__(self, sources: int) -> None:
        self._keys: list[Int[np.ndarray, "some_targets"]] = []
        self._weights: list[Float[np.ndarray, "some_targets"]] = []
        self._targets = 0
        self._most: Float[np.ndarray, "source"] = np.full(sources, -1, np.float32)
        self._row: Int[np.ndarray, "source"] = np.zeros(sources, np.intp)
        """The row that holds the largest weight of each column; the first one in a tie."""

    def add(self, weights: Float[np.ndarray, "some_targets source"]) -> None:
        """Add the next rows of the map."""
        if not weights.size:
            return
        keys = np.asarray(strongest(weights))
        self._keys.append(keys)
        self._weights.append(np.asarray(weights[np.arange(len(keys)), keys]))
        rows = np.asarray(weights.argmax(axis=0))
        most = np.asarray(weights[rows, np.arange(len(rows))])
        more = most > self._most
        self._most[more], self._row[more] = most[more], rows[more] + self._targets
        self._targets += len(keys)

    @property
    def result(self) -> float:
        """The mutual weight of all the rows added so far; 0 if there are none."""
        if not self._targets:
            return 0.0
        keys = np.concatenate(self._keys)
        mutual = self._row[keys] == np.arange(self._targets)
        return float(np.concatenate(self._weights)[mutual].sum(dtype=np.float64) / self._targets)


class _MutualWords(MutualWeight):
    """The running `MutualWeight` of one head between words, special tokens excluded; called with its blocks."""

    def __init__(self, plan: Plan) -> None:
        self._queries, self._words = (
            np.flatnonzero(~np.asarray(units.special, np.bool_)) for units in (plan.queries, plan.keys)
        )
        super().__init__(len(self._words))

    def __call__(self, block: Block) -> None:
        stop = block.start + block.visible.shape[0]
        first, last = np.searchsorted(self._queries, [block.start, stop])
        rows = self._queries[first:last] - block.start
        keys = self._words[self._words < block.weights.shape[2]]
        weights = np.zeros((len(rows), len(self._words)), np.float32, like=block.weights)
        weights[:, : len(keys)] = block.weights[0][np.ix_(rows, keys)]
        self.add(weights)


class AlignmentMap:
    """A collector of one map: that of the selected heads, or else that of the heads that align words best.

    The heads that align best are those that the model declares (`ModelInfo.alignment`). If it declares none, it is the
    head with the largest `MutualWeight` on this text, special tokens excluded.

    Args:
        plan: the plan of the view (source, selection, rows and columns).
        empty: function that makes an empty collector of the mean map of some layers, in the plan's units.
    """

    def __init__(self, plan: Plan, empty: Callable[[Collection[int]], MeanMap]) -> None:
        self._plan = plan
        declared = plan.source.model.alignment_at(plan.rows)
        selected = plan.selection.layer is not None or plan.selection.head is not None
        self._heads = plan.heads
        self._why = ""
        if not selected and declared is not None:
            self._heads = {declared.layer: declared.heads}
            # A joint measure averages all heads of the layer, also those that are not declared. What guided heads were
            # trained for is said of them wherever they are shown.
            taught = plan.source.model.guided_among(("cross", declared.layer, head) for head in declared.heads)
            self._why = "" if plan.selection.joint or len(taught) == len(declared.heads) else declared.how
            if declared.rows != plan.rows:
                self._why = f"{self._why} They align at {declared.rows} rows, and these are {plan.rows} rows.".strip()
        searches = not selected and declared is None
        self._best = BestMap(len(plan.queries), empty, lambda *_: _MutualWords(plan)) if searches else None
        self._map = empty(list(self._heads))

    @property
    def heads(self) -> Mapping[int, tuple[int, ...]]:
        """Heads of the map, by layer."""
        if self._found is None:
            return self._heads
        _, layer, head = self._found
        return {layer: (head,)}

    @property
    def bytes_needed(self) -> int:
        """The memory that the collector takes, in bytes."""
        if self._best is None:
            return self._map.bytes_needed
        return self._best.bytes_needed(max(map(len, self._heads.values()), default=0))

    def __call__(self, block: Block) -> None:
        if self._best is not None:
            self._best(block)
        elif block.layer in self._heads:
            self._map(block.take(self._heads[block.layer]))

    @property
    def map(self) -> MeanMap:
        """The collected map."""
        return self._map if self._best is None or self._best.best is None else self._best.best[2]

    @property
    def _found(self) -> tuple[float, int, int] | None:
        """Mutual weight, layer and head of the best head, if one was searched for."""
        if self._best is None or self._best.best is None:
            return None
        layer, head, _, mutual = self._best.best
        return mutual.result, layer, head

    @property
    def title(self) -> str:
        """A title that names the heads of the map and says which step a word's row belongs to."""
        return f"{self._what(self._plan.selection.noun)}, {self._plan.rows} rows"

    @property
    def reason(self) -> str:
        """The reason why these heads are shown, in full sentences; empty if there is nothing to explain."""
        if self._found is None:
            return self._why
        score, layer, head = self._found
        if self._plan.selection.joint:
            return (
                f"Of all {self._plan.head_count} layers, layer {layer} comes nearest to pairing words one to one "
                f"(mutual weight {score:.2f})."
            )
        return (
            f"This model does not say which of its heads align words. Of all {self._plan.head_count}, "
            f"head {name_head(layer, head)} comes nearest to pairing them one to one (mutual weight {score:.2f})."
        )

    def _what(self, measure: str) -> str:
        """Return the part of the title that names the measure and its heads or layers."""
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
