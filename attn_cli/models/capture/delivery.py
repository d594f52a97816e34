"""Delivery of attention from tensors to blocks: what was requested, what has been delivered, and notes about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from attn_cli.data.record import check_rows
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block, Eat, Kind, Report, Request, Steps
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import Anatomy, Place
from attn_cli.models.capture.device_array import as_array, stays
from attn_cli.models.capture.slices import to_host

__all__ = ["Delivery", "OtherPositionsError", "Turns", "every_span", "lengths"]

BLOCK = 3 * 2**20
"""The number of weights that a block should have: 12 megabytes stay in a CPU's cache while they are reduced."""
FEWEST_ROWS = 16
"""The fewest rows of a block: matrix products of fewer rows are slow."""


class OtherPositionsError(ModelError):
    """The error for a layer whose rows and columns are not the tokens of the text."""


class Turns:
    """The layers that modules compute, in one pass of a model.

    Args:
        family: the model's family, for messages.
        anatomy: the model's attention layers.
        repeats: whether the model runs several times, as it does while it writes.
    """

    def __init__(self, family: str, anatomy: Anatomy, *, repeats: bool = False) -> None:
        self._family, self._anatomy, self._repeats = family, anatomy, repeats
        self._calls: Counter[nn.Module] = Counter()
        self._begun: set[tuple[Kind, int]] = set()

    def begin(self, module: nn.Module) -> Place:
        """Return the layer that this module computes now; the order of calls tells layers that share a module apart.

        Raises:
            ModelError: the module is called more often than it has layers, or layers do not run in their order.
        """
        places = self._anatomy.sites[module].places
        turn = self._calls[module]
        if turn == len(places) and self._repeats:
            self._calls[module] = turn = 0
        if turn == len(places):
            raise ModelError(
                f"{type(module).__name__} of the family {self._family} runs more than {turn} times in one pass, so its "
                "layers cannot be told apart",
                "Choose a layer of another kind, or another model",
            )
        self._calls[module] += 1
        place = places[turn]
        if place.turn and (place.kind, place.layer - 1) not in self._begun:
            raise ModelError(
                f"The family {self._family} runs {place.kind} layer {place.layer} before layer {place.layer - 1}, "
                "which precedes it, so they cannot be told apart",
                "Choose a layer of another kind, or another model",
            )
        self._begun.add((place.kind, place.layer))
        return place


class Delivery:
    """Delivery of the blocks of one run from the model to a collector.

    Args:
        family: the model's family, for messages.
        anatomy: the model's attention layers.
        shapes: numbers of queries and keys of each kind, as far as they are known; see `lengths`.
        request: the request that says what to deliver.
        eat: the consumer of the blocks.
        rows: most queries in one block; None to choose by the size of a row.
    """

    def __init__(
        self,
        family: str,
        anatomy: Anatomy,
        shapes: Mapping[Kind, tuple[int, int]],
        request: Request,
        eat: Eat,
        rows: int | None,
    ) -> None:
        self.request = request
        self.family = family
        self._eat = eat
        self._rows = rows
        self._lengths = shapes
        self._turns = Turns(family, anatomy)
        self._delivered: set[tuple[Kind, int]] = set()
        self._verified: float | None = None
        self._notes: dict[str, None] = {}

    def begin(self, module: nn.Module) -> Place:
        """Return the layer that this module computes now; see `Turns.begin`.

        Raises:
            ModelError: the module is called more often than it has layers, or layers do not run in their order.
        """
        return self._turns.begin(module)

    def heads(self, place: Place) -> tuple[int, ...]:
        """Return the heads requested of this layer; none if the layer was not requested."""
        return self.request.heads.get(place.kind, {}).get(place.layer, ())

    def shape(self, kind: Kind) -> tuple[int, int] | None:
        """Return the numbers of queries and keys of this kind; None if the inputs do not determine them."""
        return self._lengths.get(kind)

    def check_shape(self, place: Place, heads: int, queries: int, keys: int) -> None:
        """Check that a layer has the expected heads, and that its rows and columns are the tokens of the text.

        Raises:
            ModelError: the numbers of heads, queries or keys differ from those expected.
        """
        expected = self._lengths.get(place.kind)
        if heads != place.heads or expected not in (None, (queries, keys)):
            tokens = (
                f"{place.heads} heads of {expected[0]} x {expected[1]} tokens" if expected else f"{place.heads} heads"
            )
            raise OtherPositionsError(
                f"{place.kind} layer {place.layer} of the family {self.family} computes {heads} heads of {queries} x "
                f"{keys} positions where {tokens} are expected",
                "Choose other layers with --layer, or another model",
            )

    def rows(self, heads: int, keys: int) -> int:
        """Return the most queries that a block should have."""
        return self._rows if self._rows is not None else max(FEWEST_ROWS, BLOCK // (heads * keys))

    def spans(self, kind: Kind, queries: int, rows: int) -> list[tuple[int, int]]:
        """Return runs of at most `rows` queries, in rising order, that cover every query requested."""
        wanted = self.request.queries.get(kind)
        if wanted is None:
            return every_span(queries, rows)
        spans: list[tuple[int, int]] = []
        for query in wanted:
            if spans and query < spans[-1][0] + rows:
                spans[-1] = (spans[-1][0], query + 1)
            else:
                spans.append((query, query + 1))
        return spans

    def wants(self, kind: Kind, start: int, stop: int) -> bool:
        """Return whether any query from `start` up to but not including `stop` was requested."""
        wanted = self.request.queries.get(kind)
        return wanted is None or any(start <= query < stop for query in wanted)

    def deliver(
        self,
        place: Place,
        start: int,
        weights: Float[torch.Tensor, "head query key"],
        visible: Int[np.ndarray, "query 2"],
        *,
        scores: Float[torch.Tensor, "head query key"] | None = None,
        sink: Float[torch.Tensor, "head query"] | None = None,
        norms: Float[np.ndarray, "chosen every_key"] | None = None,
        relevance: Float[torch.Tensor, "head query key"] | None = None,
        steps: Steps | None = None,
        dtype: torch.dtype,
    ) -> None:
        """Select the requested heads from some rows of all heads of a layer, check them, and deliver them as a block.

        Raises:
            ExactnessError: the values are not attention weights.
        """
        heads = self.heads(place)
        scored = self.request.scores or self.request.steps
        to_array = as_array if self.request.in_place and stays(weights) else to_host
        block = Block(
            kind=place.kind,
            layer=place.layer,
            heads=heads,
            start=start,
            weights=to_array(_chosen(weights, heads)),
            visible=visible,
            scores=to_array(_chosen(scores, heads)) if scores is not None and scored else None,
            sink=None if sink is None else to_host(_chosen(sink, heads)),
            norms=norms,
            relevance=None if relevance is None else to_host(_chosen(relevance, heads)),
            steps=steps,
        )
        where = f"{place.kind} layer {place.layer}" + (f" (rows from {start} on)" if start else "")
        check_rows(block.weights, block.visible, block.sink, where, str(dtype).removeprefix("torch."))
        self.mark(place)
        self._eat(block)

    def mark(self, place: Place) -> None:
        """Record that something of this layer was delivered."""
        self._delivered.add((place.kind, place.layer))

    def has(self, place: Place) -> bool:
        """Return whether any block of this layer was delivered."""
        return (place.kind, place.layer) in self._delivered

    def verify(self, difference: torch.Tensor) -> None:
        """Record the differences from a recomputed result; the report gives the largest."""
        largest = float(difference.abs().max()) if difference.numel() else 0.0
        # (Python's own max may lose a NaN.)
        self._verified = float(np.maximum(largest, self._verified or 0.0))

    def note_changed_weights(self) -> None:
        """Add the note that the weights that multiply the values differ from the output of the softmax."""
        self.note(
            f"The family {self.family} changes its weights between the softmax and their product with the values (by "
            "mixing its heads, say); those shown are as the softmax gives them"
        )

    def note_gaps(self) -> None:
        """Add the note that a query does not see all keys between the first and the last that it sees."""
        self.note(
            f"Between the keys that a word sees, masks of the family {self.family} hide others: these have weight 0.00 "
            "and are counted as visible keys in focus"
        )

    def note(self, text: str) -> None:
        """Add a note for the reader of the result; the same note is kept once."""
        self._notes[text] = None

    def finish(self) -> Report:
        """Check that every layer requested was delivered, and return the report.

        Raises:
            ModelError: a requested layer was not delivered.
        """
        for kind, layers in self.request.heads.items():
            for layer, heads in layers.items():
                if heads and self.request.queries.get(kind) != () and (kind, layer) not in self._delivered:
                    raise ModelError(
                        f"{kind} layer {layer} of the family {self.family} computed no attention from token to token",
                        "Choose other layers with --layer, or another model",
                    )
        return Report(verified=self._verified, notes=tuple(self._notes))


def every_span(queries: int, rows: int) -> list[tuple[int, int]]:
    """Return runs of at most `rows` queries that cover all queries."""
    return [(start, min(start + rows, queries)) for start in range(0, queries, rows)]


def lengths(inputs: Mapping[str, torch.Tensor]) -> dict[Kind, tuple[int, int]]:
    """Return the numbers of queries and keys of each kind, as far as the inputs determine them.

    Raises:
        ModelError: the inputs are not a batch of one.
    """

    def tokens(*names: str) -> int | None:
        given = [inputs[name] for name in names if inputs.get(name) is not None]
        for tensor in given:
            if len(tensor) != 1:
                raise ModelError(f"The model was given a batch of {len(tensor)} texts", "Give it one at a time")
        return int(given[0].shape[1]) if given else None

    source = tokens("input_ids", "inputs_embeds")
    target = tokens("decoder_input_ids", "decoder_inputs_embeds")
    sides: dict[Kind, tuple[int | None, int | None]] = {"encoder": (source, source), "decoder": (source, source)}
    if target is not None:
        sides |= {"decoder": (target, target), "cross": (target, source)}
    return {
        kind: (queries, keys) for kind, (queries, keys) in sides.items() if queries is not None and keys is not None
    }


def _chosen(values: Float[torch.Tensor, "head ..."], heads: tuple[int, ...]) -> Float[torch.Tensor, "chosen ..."]:
    return values if heads == tuple(range(len(values))) else values[list(heads)]
