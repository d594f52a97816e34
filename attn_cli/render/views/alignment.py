"""A translation's cross-attention: for each word of the output, the words of the input that it looks at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from rich.console import RenderableType

from attn_cli.blocks import Block
from attn_cli.measure.alignment import MutualWeight
from attn_cli.measure.collect import MeanMap
from attn_cli.plan import Plan, name_head
from attn_cli.render.heading import listed
from attn_cli.render.heatmap import heatmap
from attn_cli.render.screen import Screen
from attn_cli.render.views.base import View
from attn_cli.shapes import Float

__all__ = ["AlignmentView"]

OTHER_STEP = {
    "input": "A word's row is the step that reads it; --rows output shows the step that writes it.",
    "output": "A word's row is the step that writes it; --rows input shows the step that reads it.",
}


class AlignmentView(View):
    """One heatmap: of the heads selected, or of those that align best.

    Those are the heads that the model declares (`ModelInfo.alignment`); where it declares none, the head with the
    largest `MutualWeight` on this text, special tokens aside.
    """

    def __init__(self, plan: Plan, screens: Sequence[Screen] | None = None) -> None:
        super().__init__(plan, screens)
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
        self._map = self._empty(list(self._heads))
        self._layer: dict[int, tuple[MeanMap, MutualWeight]] = {}
        """head -> what is shown of it, and how far it pairs words, while its layer passes."""
        self._words = (
            np.flatnonzero(~np.asarray(self.queries.special, np.bool_)),
            np.flatnonzero(~np.asarray(self.keys.special, np.bool_)),
        )
        self._found: tuple[float, int, int] | None = None
        """Mutual weight, layer and head of the best so far."""

    def _empty(self, layers: Collection[int]) -> MeanMap:
        return self.mean_map(layers, numbers=self.plan.selection.all)

    @property
    def bytes_needed(self) -> int:
        if not self._searches:
            return self._map.bytes_needed
        one = self._empty([0])  # of one layer
        return one.bytes_needed + max(map(len, self._heads.values()), default=0) * one.bytes_kept

    def eat(self, block: Block) -> None:
        super().eat(block)
        if self._searches:
            self._search(block)
        elif block.layer in self._heads:
            self._map(_some_heads(block, self._heads[block.layer]))

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
            shown(_some_heads(block, (head,)))
            weights = np.zeros((len(rows), len(self._words[1])), np.float32)
            weights[:, : len(keys)] = block.weights[index][np.ix_(rows, keys)]
            mutual.add(weights)
        if stop < len(self.queries):
            return
        for head, (shown, mutual) in self._layer.items():
            if self._found is None or mutual.result > self._found[0]:
                self._found, self._map = (mutual.result, block.layer, head), shown

    @property
    def values(self) -> Float[np.ndarray, "query key"]:
        """The map, in the units of the plan."""
        return self._map.values

    @property
    def title(self) -> str:
        """Whose map it is, and which step a word's row is."""
        return f"{self._what(self.plan.selection.noun)}, {self.plan.rows} rows"

    def body(self, screen: Screen, room: int | None) -> Sequence[RenderableType]:
        del room  # words that can be read are worth scrolling for
        return [
            heatmap(
                self.map_view(self._map),
                screen,
                title=self.title,
                caption=f"{self._reason()} {OTHER_STEP[self.plan.rows]}".strip(),
                numbers=self.plan.selection.all,
                mark_strongest=True,
            )
        ]

    def _what(self, measure: str) -> str:
        """Whose weights these are."""
        if self.plan.selection.joint:
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

    def _reason(self) -> str:
        """Why these heads."""
        if self._found is None:
            return self._why
        score, layer, head = self._found
        if self.plan.selection.joint:
            return (
                f"Of all {self.plan.head_count} layers, {layer} comes nearest to pairing words one to one "
                f"(mutual weight {score:.2f})."
            )
        return (
            f"This model does not say which of its heads align words. Of all {self.plan.head_count}, "
            f"{name_head(layer, head)} comes nearest to pairing them one to one (mutual weight {score:.2f})."
        )


def _some_heads(block: Block, heads: Sequence[int]) -> Block:
    index = [block.heads.index(head) for head in heads]
    return replace(
        block,
        heads=tuple(heads),
        weights=block.weights[index],
        scores=None if block.scores is None else block.scores[index],
        sink=None if block.sink is None else block.sink[index],
    )
