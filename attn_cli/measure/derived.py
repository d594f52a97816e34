"""Measures other than raw weights: a source whose blocks hold another measure in place of the weights.

Each measure is a share of its row, so every view and every figure treats it like weights:

- `norms`: |weight . value . output projection| of each key, as a share of the row's total (Kobayashi et al. 2020,
  "Attention is Not Only a Weight", equation 6): a key with a large weight and a short value has a small share;
- `rollout`: the share of each token in a layer's state, if every layer passes on one half through its weights and one
  half through its residual connection: the product of 0.5 W + 0.5 I over the layers (Abnar and Zuidema 2020,
  "Quantifying Attention Flow in Transformers", section 3);
- `flow`: the maximum flow from the state to each token through the same graph (same paper, section 3), as a share.

Rollout and flow average the heads of each layer. In a decoder they follow its self-attention. In cross-attention they
lead from a step through its layer's cross-attention, which has no residual connection to the text, and then through all
layers of the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.record import Record
from attn_cli.data.selection import JOINT, Kind, Measure, Selection
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block, Eat, Report, Request, Source, key_tokens, query_tokens
from attn_cli.data.text import Tokens
from attn_cli.errors import NOT_NUMBERS, ExactnessError, InputError, SelectionError
from attn_cli.measure.flow import flows

__all__ = ["Measured", "centred", "measured", "measured_model", "norms_of", "with_residual"]

DERIVED: tuple[Measure, ...] = ("norms", "rollout", "flow")
SECONDS_PER_EDGE = 4e-8
"""Approximate time of one maximum flow, in seconds per edge; each row and key needs one, over all the layers below."""
LONGEST = 1800.0
"""The longest estimated time of a flow that is still computed, in seconds."""
BLOCK = 2**20
"""The number of values passed on at a time, which bounds the temporary arrays for a long text."""
Square = Float[np.ndarray, "query key"]


def measured(source: Source, selection: Selection) -> Source:
    """Return the source, wrapped if needed so that it streams the selected measure.

    Args:
        source: a text with its model, or a record.
        selection: the selection that names the measure.

    Raises:
        SelectionError: the record holds another measure.
    """
    held: Measure = source.selection.measure if isinstance(source, Record) else "weights"
    wanted = selection.measure
    if held in DERIVED and held != wanted:
        raise SelectionError(
            f"This record holds {held} in the place of weights, and {wanted} cannot be told from them",
            f"Show it with --measure {held}, or give the text itself",
        )
    return source if held == wanted or wanted not in DERIVED else Measured(source, wanted)


def measured_model(model: ModelInfo, measure: Measure) -> ModelInfo:
    """Return the model's shape, reduced to one head per layer if the measure averages the heads."""
    if measure not in JOINT:
        return model
    stacks: dict[Kind, Stack] = {
        kind: replace(stack, heads=dict.fromkeys(stack.heads, 1), key_value_heads=1)
        for kind, stack in model.stacks.items()
    }
    aligned = model.alignment
    return replace(model, stacks=stacks, alignment=None if aligned is None else replace(aligned, heads=(0,)))


def scores_of(block: Block) -> Float[np.ndarray, "head query key"]:
    """Return a block's scores.

    Raises:
        SelectionError: the block has no scores.
    """
    if block.scores is None:
        raise SelectionError(f"{block.kind} layer {block.layer} has no scores here", "Give the text itself, in tokens")
    return block.scores


def centred(block: Block) -> Float[np.ndarray, "head query key"]:
    """Return a block's scores minus the mean score of their row.

    A softmax ignores a constant added to a whole row, so only centred scores can be compared across rows, heads and
    texts. A key that the query cannot see gets the lowest score of the keys that it can see.

    Args:
        block: a block streamed with scores, in the model's own tokens.

    Raises:
        SelectionError: the block has no scores.
    """
    scores = scores_of(block)
    seen = np.isfinite(scores)
    count = np.maximum(seen.sum(axis=2, keepdims=True), 1)
    least = np.where(seen, scores, np.inf).min(axis=2, keepdims=True, initial=np.inf)
    filled = np.where(seen, scores, np.where(np.isfinite(least), least, 0.0))
    mean = np.where(seen, filled, 0).sum(axis=2, keepdims=True, dtype=np.float64) / count
    less: Float[np.ndarray, "head query key"] = (filled - mean).astype(np.float32)
    return less


def norms_of(block: Block) -> Block:
    """Replace a block's weights by each key's share of its row's norms.

    A row whose norms are all 0 keeps its weights.

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


def with_residual(weights: Square) -> Square:
    """Return 0.5 W + 0.5 I, with the rows of W scaled to sum to 1 first (a learned sink may take a share of a row)."""
    half = _rows_of_one(weights)
    half *= 0.5
    half[np.diag_indices_from(half)] += 0.5
    return _rows_of_one(half)


def _rows_of_one(weights: Square) -> Square:
    total = weights.sum(axis=1, keepdims=True)
    shares: Square = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return shares


@dataclass(frozen=True, eq=False)
class Measured:
    """A `Source` that streams another measure in place of the weights of its base.

    Raises:
        SelectionError: a record does not hold what the measure needs.
    """

    base: Source
    measure: Measure

    @property
    def model(self) -> ModelInfo:
        """The model's shape for this measure; see `measured_model`."""
        return measured_model(self.base.model, self.measure)

    @property
    def source(self) -> Tokens:
        """The source tokens of the base."""
        return self.base.source

    @property
    def target(self) -> Tokens | None:
        """The target tokens of the base, if it has any."""
        return self.base.target

    def stream(self, request: Request, eat: Eat) -> Report:
        """Run the base and pass each measured block to `eat`; see `Source`.

        Raises:
            InputError: the flow through this many tokens would take too long.
            ModelError: the model could not be run, or does not expose what the measure needs.
            ExactnessError: the values streamed are not attention weights.
        """
        if self.measure == "norms":
            return self.base.stream(replace(request, norms=True, scores=False), lambda block: eat(norms_of(block)))
        if self.measure == "flow":
            self._check_time(request)
        stacks = self.base.model.stacks
        heads: dict[Kind, dict[int, tuple[int, ...]]] = {}
        for kind, layers in request.heads.items():
            path: Kind = "encoder" if kind == "cross" else kind
            if path in stacks:
                last = max(stacks[path].heads) if kind == "cross" else max(layers)
                every = {layer: tuple(range(count)) for layer, count in stacks[path].heads.items() if layer <= last}
                heads[path] = {**heads.get(path, {}), **every}
            if kind == "cross":  # must come after the encoder, also when a record streams them
                heads["cross"] = {layer: tuple(range(stacks["cross"].heads[layer])) for layer in layers}
        joint = _Joint(self, request, eat)
        report = self.base.stream(Request(heads=heads, verify=request.verify), joint)
        joint.finish()
        return report

    def _check_time(self, request: Request) -> None:
        """Refuse a flow that would take too long: one is computed from each row to each key through all layers below.

        Raises:
            InputError: the estimated time exceeds `LONGEST`.
        """
        stacks, seconds = self.base.model.stacks, 0.0
        for kind, layers in request.heads.items():
            rows, keys = (len(side(self.base, kind)) for side in (query_tokens, key_tokens))
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


@dataclass(frozen=True, eq=False)
class _Reach:
    """The path through the layers from the states of one layer down to the tokens."""

    layers: tuple[Float[np.ndarray, "_ _"], ...]
    """The share of each state before a layer in each state after it, `[state after, state before]`, first layer first;
    empty before the first layer, and if only the rollout is needed."""
    rollout: Float[np.ndarray, "query key"]
    """The product of the layers."""
    visible: Int[np.ndarray, "query 2"]
    """The first token that can reach a state, and one past the last."""

    @classmethod
    def start(cls, tokens: int) -> _Reach:
        """Return the path before the first layer: each state is its own token."""
        each = np.arange(tokens)
        return cls((), np.eye(tokens, dtype=np.float32), np.stack([each, each + 1], axis=1))

    def through(
        self, layer: Float[np.ndarray, "row state"], visible: Int[np.ndarray, "row 2"], *, keep: bool
    ) -> _Reach:
        """Return the path extended by one more layer, each state of which sees a run of the states before it.

        Args:
            layer: share of each state before the layer in each state after it.
            visible: first state before the layer that each state after it sees, and one past the last.
            keep: whether to keep the layer itself, which the flow needs.
        """
        spans = [
            (self.visible[first:stop, 0].min(), self.visible[first:stop, 1].max()) if first < stop else (0, 0)
            for first, stop in visible.tolist()
        ]
        return _Reach(
            (*self.layers, layer) if keep else (), layer @ self.rollout, np.asarray(spans, np.intp).reshape(-1, 2)
        )


class _Joint:
    """A collector that computes rollout or flow layer by layer and passes on the layers requested.

    Args:
        source: the measured source, which names the measure.
        request: the request for the measured layers.
        eat: the consumer of the measured blocks.
    """

    def __init__(self, source: Measured, request: Request, eat: Eat) -> None:
        self._source, self._request, self._eat = source, request, eat
        self._reach: dict[Kind, _Reach] = {}
        self._running: dict[Kind, _Mean] = {}

    def __call__(self, block: Block) -> None:
        running = self._running.get(block.kind)
        if running is not None and running.layer != block.layer:
            self._end(block.kind)
            running = None
        if running is None:
            queries, keys = (len(side(self._source, block.kind)) for side in (query_tokens, key_tokens))
            running = self._running[block.kind] = _Mean(block.layer, queries, keys)
        running(block)

    def finish(self) -> None:
        """Complete the last layer of each kind."""
        for kind in ("encoder", "decoder", "cross"):
            if kind in self._running:
                self._end(kind)

    def _end(self, kind: Kind) -> None:
        if kind == "cross" and "encoder" in self._running:
            self._end("encoder")
        mean = self._running.pop(kind)
        path: Kind = "encoder" if kind == "cross" else kind
        before = self._reach.get(path) or _Reach.start(mean.values.shape[1])
        keep = self._source.measure == "flow"
        if kind == "cross":
            reach = before.through(_rows_of_one(mean.values), mean.visible, keep=keep)
        else:
            own = np.arange(len(mean.values))
            seen = np.stack([np.minimum(mean.visible[:, 0], own), np.maximum(mean.visible[:, 1], own + 1)], axis=1)
            reach = self._reach[kind] = before.through(with_residual(mean.values), seen, keep=keep)
        if mean.layer in self._request.heads.get(kind, {}):
            self._hand_over(kind, mean.layer, reach)

    def _hand_over(self, kind: Kind, layer: int, reach: _Reach) -> None:
        values = reach.rollout
        if self._source.measure == "flow":
            wanted = self._request.queries.get(kind, tuple(range(len(values))))
            values = flows(reach.layers, wanted, reach.visible)
        step = max(BLOCK // values.shape[1], 1)
        for start in range(0, len(values), step):
            rows = slice(start, start + step)
            weights = np.ascontiguousarray(values[None, rows], np.float32)
            self._eat(Block(kind, layer, (0,), start, weights, reach.visible[rows]))


class _Mean:
    """A collector of the mean map over the heads of one layer."""

    def __init__(self, layer: int, queries: int, keys: int) -> None:
        self.layer = layer
        self.values: Square = np.zeros((queries, keys), np.float32)
        self.visible: Int[np.ndarray, "query 2"] = np.zeros((queries, 2), np.intp)

    def __call__(self, block: Block) -> None:
        rows = slice(block.start, block.start + block.visible.shape[0])
        self.values[rows, : block.weights.shape[2]] = block.weights.mean(axis=0)
        self.visible[rows] = block.visible
