"""A model made by hand that copies whatever stood behind the same words before."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attn_cli.data.cuts import Variation
from attn_cli.data.model import Heads, ModelInfo, Stack
from attn_cli.data.outcomes import Chances, Outcome, OutputKind, Wanted
from attn_cli.data.stream import Block, Eat, Report, Request, Source
from attn_cli.data.text import Tokens, make_tokens
from attn_cli.models import Input

TOKEN = re.compile(r"\w+|[^\w\s]")


def read(text: str, written: int | None = None) -> Tokens:
    """Read each word and mark as a token; its id is the same wherever it stands."""
    offsets = [match.span() for match in TOKEN.finditer(text)]
    pieces = [text[start:end] for start, end in offsets]
    ids = [int.from_bytes(piece.encode()[:5]) * 100 + len(piece) for piece in pieces]
    return make_tokens(text, pieces, offsets, [False] * len(pieces), ids=ids, written=written)


def copied_from(ids: Sequence[int], step: int) -> int:
    """The position behind the earlier place that shares most words with those up to this step; 0 if none does."""

    def shared(place: int) -> int:
        return next((count for count in range(place + 1) if ids[place - count] != ids[step - count]), place + 1)

    best = max(range(step), key=shared, default=0)
    return best + 1 if step and shared(best) else 0


@dataclass(frozen=True, eq=False)
class Text:
    """A text given to the model made by hand."""

    model: ModelInfo
    source: Tokens
    target: Tokens | None = None
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> list[int]:
        """Ids of all tokens."""
        return [one.id or 0 for one in self.source.tokens]

    def stream(self, request: Request, eat: Eat) -> Report:
        """Head 0.0 looks at what it copies, 0.1 at the first token, 1.0 at its own."""
        size = len(self.source) - (self.source.written is not None)
        rows = np.arange(size)
        keys = [[copied_from(self.ids, row) for row in range(size)], [0] * size], [list(range(size))]
        visible = np.stack([np.zeros_like(rows), rows + 1], axis=1)
        for layer, heads in request.heads["decoder"].items():
            weights = np.stack([np.eye(size, dtype=np.float32)[keys[layer][head]] for head in heads])
            for start in range(0, size, 64):
                part = slice(start, start + 64)
                eat(Block("decoder", layer, heads, start, weights[:, part], visible[part]))
        return Report()


class Copying:
    """A decoder that writes what its head 0.0 looks at, and without that head nothing that was ever read.

    Args:
        positions: the most tokens that it reads.
        copies: False for a model that copies nothing.
    """

    def __init__(self, positions: int | None = None, *, copies: bool = True, without: Heads | None = None) -> None:
        stacks = {"decoder": Stack(2, {0: 2, 1: 1}, 2)}
        self.info = ModelInfo("by hand", "by hand", stacks, "numpy", positions=positions)  # type: ignore[arg-type]
        if without is not None:
            self.info = replace(self.info, without=without)
        self.outputs: tuple[OutputKind, ...] = ("next",)
        self.unknown_token: int | None = None
        self._copies = copies
        self.runs: list[int] = []
        """Number of variations of each run."""

    def prepare(self, given: Input) -> Source:
        if given.continuation is None:
            return Text(self.info, read(given.text))
        return Text(self.info, read(f"{given.text}{given.continuation}", len(read(given.text))))

    def run(
        self, source: Source, variations: Sequence[Variation], wanted: Wanted | None = None
    ) -> Generator[tuple[int, Outcome]]:
        assert isinstance(source, Text)
        assert wanted is not None
        self.runs.append(len(variations))
        for index, cuts in reversed(list(enumerate(variations))):
            gone = any(cut.layer == 0 and 0 in cut.heads_of(2) for cut in cuts) or not self._copies
            best = [-1 if gone else source.ids[copied_from(source.ids, step)] for step in wanted.places]
            nothing = np.zeros(len(best), np.float32)
            yield index, Outcome(chances=Chances(nothing, nothing, np.array(best)[:, None], nothing[:, None]))
