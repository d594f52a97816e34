"""From tensors to blocks: what was asked for, what has been handed over, and what there is to say about it."""

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

__all__ = ["Delivery", "OtherPositionsError", "every_span", "lengths"]

BLOCK = 3 * 2**20
"""How many weights a block should have: 12 megabytes stay in a processor's cache while they are reduced."""
FEWEST_ROWS = 16
"""Fewer rows at a time make matrix products slow."""


class OtherPositionsError(ModelError):
    """A layer's rows and columns are not the tokens of the text."""


class Delivery:
    """One run's blocks, on their way from the model to a collector.

    Args:
        family: the model's family, for messages.
        anatomy: the model's attention.
        inputs: what the model's forward is given.
        request: what to hand over.
        eat: whom to hand it to.
        rows: the most queries in one block; None to choose.
    """

    def __init__(
        self,
        family: str,
        anatomy: Anatomy,
        inputs: Mapping[str, torch.Tensor],
        request: Request,
        eat: Eat,
        rows: int | None,
    ) -> None:
        self.request = request
        self.family = family
        self._anatomy = anatomy
        self._eat = eat
        self._rows = rows
        self._lengths = lengths(inputs)
        self._calls: Counter[nn.Module] = Counter()
        self._begun: set[tuple[Kind, int]] = set()
        self._delivered: dict[tuple[Kind, int], int] = {}
        self._verified: float | None = None
        self._notes: dict[str, None] = {}

    def begin(self, module: nn.Module) -> Place:
        """The layer that this module computes now: modules that layers share are told apart by the order of calls.

        Raises:
            ModelError: it is called more often than there are layers, or not in their order.
        """
        places = self._anatomy.sites[module].places
        turn = self._calls[module]
        if turn == len(places):
            raise ModelError(
                f"{type(module).__name__} of the family {self.family} runs more than {turn} times in one pass, so its "
                "layers cannot be told apart",
                "Choose a layer of another kind, or another model",
            )
        self._calls[module] += 1
        place = places[turn]
        if place.turn and (place.kind, place.layer - 1) not in self._begun:
            raise ModelError(
                f"The family {self.family} runs {place.kind} layer {place.layer} before layer {place.layer - 1}, which "
                "stands before it, so they cannot be told apart",
                "Choose a layer of another kind, or another model",
            )
        self._begun.add((place.kind, place.layer))
        return place

    def heads(self, place: Place) -> tuple[int, ...]:
        """The heads asked for in this layer; none where it was not asked for."""
        return self.request.heads.get(place.kind, {}).get(place.layer, ())

    def shape(self, kind: Kind) -> tuple[int, int] | None:
        """How many queries and keys this kind has, where the inputs tell."""
        return self._lengths.get(kind)

    def check_shape(self, place: Place, heads: int, queries: int, keys: int) -> None:
        """Make sure that rows and columns are the tokens that a reader takes them for.

        Raises:
            ModelError: they are not.
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
        """How many queries a block should have at most."""
        return self._rows if self._rows is not None else max(FEWEST_ROWS, BLOCK // (heads * keys))

    def spans(self, kind: Kind, queries: int, rows: int) -> list[tuple[int, int]]:
        """Runs of at most `rows` queries, rising, that cover every one that was asked for."""
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
        """Whether any query from `start` to `stop` was asked for."""
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
        steps: Steps | None = None,
        dtype: torch.dtype,
    ) -> None:
        """Check some rows of one layer, all its heads, and hand over the heads asked for.

        Raises:
            ExactnessError: these are not attention weights.
        """
        heads = self.heads(place)
        scored = self.request.scores or self.request.steps
        block = Block(
            kind=place.kind,
            layer=place.layer,
            heads=heads,
            start=start,
            weights=_to_numpy(weights, heads),
            visible=visible,
            scores=_to_numpy(scores, heads) if scores is not None and scored else None,
            sink=None if sink is None else _to_numpy(sink, heads),
            norms=norms,
            steps=steps,
        )
        where = f"{place.kind} layer {place.layer}, rows from {start}"
        check_rows(block.weights, block.visible, block.sink, where, str(dtype).removeprefix("torch."))
        self._delivered[place.kind, place.layer] = self._delivered.get((place.kind, place.layer), 0) + 1
        self._eat(block)

    def has(self, place: Place) -> bool:
        """Whether anything of this layer was handed over."""
        return (place.kind, place.layer) in self._delivered

    def verify(self, difference: torch.Tensor) -> None:
        """Take note of the differences that recomputing showed."""
        largest = float(difference.abs().max()) if difference.numel() else 0.0
        # (Python's own max may lose what is no number.)
        self._verified = float(np.maximum(largest, self._verified or 0.0))

    def note_changed_weights(self) -> None:
        """Take note that what multiplies the values is not what the softmax gave."""
        self.note(
            f"The family {self.family} changes its weights between the softmax and their product with the values (by "
            "mixing its heads, say); those shown are as the softmax gives them"
        )

    def note_gaps(self) -> None:
        """Take note that not all keys between the first and the last that a query sees are seen."""
        self.note(
            f"Between the keys that a word sees, masks of the family {self.family} hide others: these have weight 0.00 "
            "and are counted as visible keys in focus"
        )

    def note(self, text: str) -> None:
        """Take note of something that a reader of the result must know, once."""
        self._notes[text] = None

    def finish(self) -> Report:
        """Make sure that every layer asked for was handed over.

        Raises:
            ModelError: one was not.
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
    """Runs of at most `rows` queries that cover them all."""
    return [(start, min(start + rows, queries)) for start in range(0, queries, rows)]


def lengths(inputs: Mapping[str, torch.Tensor]) -> dict[Kind, tuple[int, int]]:
    """Queries and keys of each kind, as far as the inputs tell.

    Raises:
        ModelError: they are not a batch of one.
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


def _to_numpy(values: torch.Tensor, heads: tuple[int, ...]) -> Float[np.ndarray, "head ..."]:
    if heads != tuple(range(len(values))):
        values = values[list(heads)]
    array: Float[np.ndarray, "head ..."] = values.to("cpu", torch.float32).contiguous().numpy()
    return array
