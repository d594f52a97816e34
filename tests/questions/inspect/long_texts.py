"""Long texts for tests, without torch, which a process of its own would take long to import."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.pooling import Cuts
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.stream import Block, Eat, Report, Request
from attn_cli.data.text import Tokens, make_tokens
from attn_cli.data.units import Units
from attn_cli.draw.captions import labels_of
from attn_cli.draw.heatmap import cuts
from attn_cli.draw.screen import Screen, to_text
from attn_cli.questions.inspect.measure import look

COUNT = 1031
"""Words, a prime; their map is larger than what is kept whole."""


@dataclass(frozen=True, eq=False)
class Long:
    """A causal model of two layers of three heads, or an encoder, whose weights come from a generator of numbers."""

    count: int = COUNT
    kind: Kind = "decoder"
    rows: int = 13

    @property
    def model(self) -> ModelInfo:
        return ModelInfo("long", "sample", {self.kind: Stack(2, {0: 3, 1: 3}, 3)}, "interface")

    @cached_property
    def source(self) -> Tokens:
        """Every fourth word of two tokens, and one special token at the end."""
        text = ""
        offsets: list[tuple[int, int]] = []
        while len(offsets) < self.count - 1:
            sizes = (2, 2) if len(offsets) % 5 == 0 else (2,)
            for size in sizes[: self.count - 1 - len(offsets)]:
                offsets.append((len(text), len(text) + size))
                text += "ab"
            text += " "
        pieces = ["ab"] * len(offsets)
        return make_tokens(text, [*pieces, "[SEP]"], [*offsets, (0, 0)], [*[False] * len(pieces), True])

    target = None
    notes = ()

    @cached_property
    def _noise(self) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(3, self.rows, self.count)).astype(np.float32)

    def blocks(self, request: Request) -> Iterator[Block]:
        ((kind, layers),) = request.heads.items()
        for layer, heads in layers.items():
            for start in range(0, self.count, self.rows):
                stop = min(start + self.rows, self.count)
                last = np.arange(start + 1, stop + 1) if kind == "decoder" else np.full(stop - start, self.count)
                scores = self._noise[:, : stop - start, : last[-1]] * np.float32(1 + layer + start % 7)
                scores[:, np.arange(last[-1]) >= last[:, None]] = -np.inf
                weights = np.exp(scores)
                weights /= weights.sum(axis=2, keepdims=True)
                yield Block(
                    kind=kind,
                    layer=layer,
                    heads=heads,
                    start=start,
                    weights=weights[list(heads)],
                    visible=np.stack([np.zeros_like(last), last], axis=1),
                    scores=scores[list(heads)] if request.scores else None,
                )

    def stream(self, request: Request, eat: Eat) -> Report:
        for block in self.blocks(request):
            eat(block)
        return Report()


def cut_for(screens: Sequence[Screen], queries: Units, keys: Units) -> Cuts | None:
    """Say where maps that are drawn on these screens may be cut, as commands do."""
    return cuts(labels_of(queries), labels_of(keys), screens)


def most_memory(count: int, selection: Selection) -> int:
    """The most that NumPy and Python take for a look at so many tokens, in bytes."""
    screen = Screen(height=24)
    source = Long(count=count, rows=8)
    tracemalloc.start()
    drawn = to_text(look(source, selection, keep=False, cut=partial(cut_for, [screen])).draw(screen), screen)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "cell = largest weight of" in drawn
    return peak
