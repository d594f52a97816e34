"""The table of measures: what is shown of the attention, one class each, listed in `MEASURES` by its name.

A measure that is not the model's own is a share of its row, and is streamed in place of the weights, so that every view
and every figure treats it like weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from attn_cli.data.selection import Measure
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Request, Source, key_tokens, query_tokens
from attn_cli.errors import NOT_NUMBERS, ExactnessError, InputError, SelectionError
from attn_cli.measure.flow import flows
from attn_cli.measure.paths import LayerPath

__all__ = ["MEASURES", "BlockMeasure", "LayerMeasure", "StreamedMeasure"]

SECONDS_PER_EDGE = 4e-8
"""Approximate time of one maximum flow, in seconds per edge; each row and key needs one, over all the layers below."""
LONGEST = 1800.0
"""The longest estimated time of a flow that is still computed, in seconds."""

SPREAD = 1e-6
"""The part of a row's relevance that is spread evenly."""

MEASURES: dict[Measure, StreamedMeasure] = {}
"""Name -> measure. The names are those of `attn_cli.data.selection.Measure`, which the command line offers."""


class StreamedMeasure:
    """A measure. A subclass that has a name is listed in `MEASURES`."""

    name: ClassVar[Measure]
    unit: ClassVar[str]
    """Meaning of one number, for JSON."""
    remark: ClassVar[str] = ""
    """Sentence below a drawing; for a measure of several layers its beginning, which the layers' names follow."""
    derived: ClassVar[bool] = False
    """True if it stands in place of the weights that the model gave."""

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            MEASURES[cls.name] = cls()


class BlockMeasure(StreamedMeasure, ABC):
    """A measure that is computed block by block, from each head's own weights."""

    derived = True
    needs_norms: ClassVar[bool] = False
    """True if the norms of the values must be streamed."""
    needs_gradients: ClassVar[bool] = False
    """True if the model must run under autograd, for the output that the text was read for."""

    @abstractmethod
    def of_block(self, block: Block) -> Block:
        """Return the block with the measure in place of its weights, and without scores."""


class LayerMeasure(StreamedMeasure, ABC):
    """A measure of all layers up to one, whose heads are averaged; its name is one of `JOINT`.

    In a decoder it follows its self-attention. In cross-attention it leads from a step through its layer's
    cross-attention, which has no residual connection to the text, and then through all layers of the encoder.
    """

    derived = True
    needs_layers: ClassVar[bool] = False
    """True if each layer of a path is needed, and not their product alone."""

    @abstractmethod
    def of_path(self, path: LayerPath, queries: Sequence[int]) -> Float[np.ndarray, "query key"]:
        """Return the measure at the end of a path; rows other than `queries` may be left out as 0."""

    def check(self, source: Source, request: Request) -> None:
        """Refuse a request that would take too long; by default, none does."""
        del source, request


class Weights(StreamedMeasure):
    """The softmax of the scores over the keys."""

    name, unit = "weights", "share of 1"


class Scores(StreamedMeasure):
    """Query·key before the softmax; the weights are streamed beside it."""

    name, unit = "scores", "share of 1"
    remark = "Scores: before the softmax, between the model's own pieces, since a word of several has no single one."


class Norms(BlockMeasure):
    """|weight·value·output projection| of each key, as a share of the row's total.

    A key with a large weight and a short value has a small share (Kobayashi et al. 2020, "Attention is Not Only a
    Weight", equation 6).
    """

    name, unit = "norms", "|weight·value·output projection|, as a share of its row"
    remark = "Norms: the length of weight·value·output projection, as a share of its row."
    needs_norms = True

    def of_block(self, block: Block) -> Block:
        """Replace a block's weights by each key's share; a row whose norms are all 0 keeps its weights.

        Raises:
            SelectionError: the block was streamed without norms.
            ExactnessError: a norm is infinite or not a number.
        """
        if block.norms is None:
            raise SelectionError(f"{block.kind} layer {block.layer} was streamed without its norms")
        if not np.isfinite(block.norms).all():
            raise ExactnessError(f"{block.kind} layer {block.layer} has values that are not numbers", NOT_NUMBERS)
        norms = block.weights * block.norms[:, None, : block.weights.shape[2]]
        total = norms.sum(axis=2, keepdims=True)
        shares = np.divide(norms, total, out=block.weights.copy(), where=total > 0)
        return replace(block, weights=shares, scores=None, sink=None, norms=None)


class RelevantWeights(BlockMeasure):
    """weight x gradient of an output, where it is positive, as a share of its row (Chefer et al. 2021, equation 5).

    A row through which nothing speaks for the output is even; in every other, a millionth is spread evenly, so that
    what is left of a row is even where all that it has is on a key that is hidden. The shares tell where a row's
    relevance comes from; how much there is of it, and what each token has of it in the end, is in
    `attn_cli.data.relevance.Relevance`.
    """

    name, unit = "relevance", "weight·gradient of the output where positive, as a share of its row"
    remark = (
        "Relevance: weight·gradient of the output where that is positive, as a share of its row; a row without any is "
        "even."
    )
    needs_gradients = True

    def of_block(self, block: Block) -> Block:
        """Replace a block's weights by each key's share.

        Raises:
            SelectionError: the block was streamed without relevance.
            ExactnessError: a gradient is infinite or not a number.
        """
        if block.relevance is None:
            raise SelectionError(f"{block.kind} layer {block.layer} was streamed without its relevance")
        if not np.isfinite(block.relevance).all():
            raise ExactnessError(f"{block.kind} layer {block.layer} has gradients that are not numbers", NOT_NUMBERS)
        total = block.relevance.sum(axis=2, keepdims=True, dtype=np.float64)
        even = even_shares(block)
        shares = np.broadcast_to(even, block.relevance.shape).copy()
        np.divide(block.relevance, total, out=shares, where=total > 0, casting="same_kind")
        shares += np.float32(SPREAD) * (even - shares)
        return replace(block, weights=shares, scores=None, sink=None, relevance=None)


def even_shares(block: Block) -> Float[np.ndarray, "query key"]:
    """Return an even share of each key that a query can see."""
    keys = np.arange(block.weights.shape[2])
    seen = (keys >= block.visible[:, :1]) & (keys < block.visible[:, 1:])
    shares: Float[np.ndarray, "query key"] = seen / np.maximum(seen.sum(axis=1, keepdims=True), 1, dtype=np.float32)
    return shares


def even_rows(block: Block) -> Block:
    """Return the same rows for one head that gives the same weight to each token that a query can see."""
    return Block(block.kind, block.layer, (0,), block.start, even_shares(block)[None], block.visible)


class Rollout(LayerMeasure):
    """The share of each token in a layer's state, if every layer passes on half its weights and half its residual.

    The product of 0.5 W + 0.5 I over the layers (Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers",
    section 3).
    """

    name, unit = "rollout", "product of 0.5·mean weights + 0.5·identity over the layers up to this one"
    remark = "Rollout: half of each layer's mean weights and half of the residual connection, multiplied over "

    def of_path(self, path: LayerPath, queries: Sequence[int]) -> Float[np.ndarray, "query key"]:
        """Return the product of the layers."""
        del queries
        return path.rollout


class Flow(LayerMeasure):
    """The maximum flow from a layer's state to each token through the same graph, as a share (ibid., section 3)."""

    name = "flow"
    unit = "maximum flow through 0.5·mean weights + 0.5·identity of the layers up to this one, as a share of its row"
    remark = (
        "Flow: the most that can pass through half of each layer's mean weights and half of the residual "
        "connection, over "
    )
    needs_layers = True

    def of_path(self, path: LayerPath, queries: Sequence[int]) -> Float[np.ndarray, "query key"]:
        """Compute the flow from each of the queries; the other rows are 0."""
        return flows(path.layers, queries, path.visible)

    def check(self, source: Source, request: Request) -> None:
        """Refuse a flow that would take too long: one is computed from each row to each key through all layers below.

        Raises:
            InputError: the estimated time exceeds `LONGEST`.
        """
        stacks, seconds = source.model.stacks, 0.0
        for kind, layers in request.heads.items():
            rows, keys = (len(side(source, kind)) for side in (query_tokens, key_tokens))
            wanted = len(request.queries.get(kind, range(rows)))
            path = sorted(stacks["encoder"].heads) if kind == "cross" and "encoder" in stacks else []
            for layer in layers:
                below = path if kind == "cross" else [one for one in stacks[kind].heads if one <= layer]
                edges = len(below) * keys**2 + (rows * keys if kind == "cross" else 0)
                # In a decoder, a state sees half of the tokens on average, through half of the edges.
                seconds += wanted * keys * edges * SECONDS_PER_EDGE / (4 if kind == "decoder" else 1)
        if seconds > LONGEST:
            raise InputError(
                f"Flow through {keys:,} tokens would take about {seconds / 3600:,.1f} hours",
                "Name one word with --query or one --layer, cut the text, or choose --measure rollout",
            )
