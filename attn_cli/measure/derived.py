"""A source that streams a measure of the table `MEASURES` in place of its weights, and scores that can be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from attn_cli.data.matrix import Scaled
from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.record import Record
from attn_cli.data.selection import JOINT, Kind, Measure, Selection
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block, Eat, Report, Request, Source, key_tokens, query_tokens
from attn_cli.data.text import Tokens
from attn_cli.errors import SelectionError
from attn_cli.measure.measures import MEASURES, BlockMeasure, LayerMeasure
from attn_cli.measure.paths import LayerPath, rows_of_one, with_residual

__all__ = ["Measured", "centred", "measured", "measured_model", "scores_of"]

BLOCK = 2**20
"""The number of values passed on at a time, which bounds the temporary arrays for a long text."""


def measured(source: Source, selection: Selection, *, scaled: bool = True) -> Source:
    """Return the source, wrapped if needed so that it streams the selected measure.

    Args:
        source: a text with its model, or a record.
        selection: the selection that names the measure.
        scaled: scale rows that do not sum to 1, as figures of shares need.

    Raises:
        SelectionError: the record holds another measure, or the measure follows heads that the model runs without.
    """
    if selection.joint and source.model.without:
        raise SelectionError(
            f"{selection.measure.capitalize()} follows what all heads hand on, and the model ran without some",
            "Choose another measure",
        )
    held: Measure = source.selection.measure if isinstance(source, Record) else "weights"
    wanted = selection.measure
    if MEASURES[held].derived and held != wanted:
        raise SelectionError(
            f"This record holds {held} instead of weights, and {wanted} cannot be computed from them",
            f"Show it with --measure {held}, or give the text itself",
        )
    if isinstance(source, Record) and selection.relevant_to != source.selection.relevant_to:
        raise SelectionError(
            "A record holds relevance for one output, and --relevant-to names another", "Give the text itself"
        )
    derived = held != wanted and MEASURES[wanted].derived
    if source.model.unscaled and (scaled or derived):
        source = Scaled(source)
    return Measured(source, wanted) if derived else source


def measured_model(model: ModelInfo, measure: Measure) -> ModelInfo:
    """Return the model's shape, reduced to one head per layer if the measure averages the heads."""
    if measure not in JOINT:
        return model
    stacks: dict[Kind, Stack] = {
        kind: replace(stack, heads=dict.fromkeys(stack.heads, 1), key_value_heads=1)
        for kind, stack in model.stacks.items()
    }
    aligned = model.alignment
    return replace(model, stacks=stacks, alignment=None if aligned is None else replace(aligned, heads=(0,)), guided=())


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

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of the base."""
        return self.base.notes

    def stream(self, request: Request, eat: Eat) -> Report:
        """Run the base and pass each measured block to `eat`; see `Source`.

        Raises:
            InputError: the flow through this many tokens would take too long.
            ModelError: the model could not be run, or does not expose what the measure needs.
            ExactnessError: the values streamed are not attention weights.
        """
        measure = MEASURES[self.measure]
        if isinstance(measure, BlockMeasure):
            change = measure.of_block
            return self.base.stream(
                replace(
                    request,
                    norms=measure.needs_norms,
                    relevance=measure.needs_gradients,
                    scores=False,
                    in_place=False,
                ),
                lambda block: eat(change(block)),
            )
        if not isinstance(measure, LayerMeasure):
            return self.base.stream(request, eat)
        measure.check(self.base, request)
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
        joint = _Joint(self, measure, request, eat)
        report = self.base.stream(Request(heads=heads, verify=request.verify), joint)
        joint.finish()
        return report


class _Joint:
    """A collector that computes a measure of several layers, one after another, and passes on the layers requested.

    Args:
        source: the measured source.
        measure: the measure.
        request: the request for the measured layers.
        eat: the consumer of the measured blocks.
    """

    def __init__(self, source: Measured, measure: LayerMeasure, request: Request, eat: Eat) -> None:
        self._source, self._measure, self._request, self._eat = source, measure, request, eat
        self._paths: dict[Kind, LayerPath] = {}
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
        before = self._paths.get("encoder" if kind == "cross" else kind) or LayerPath.start(mean.values.shape[1])
        keep = self._measure.needs_layers
        if kind == "cross":
            path = before.through(rows_of_one(mean.values), mean.visible, keep=keep)
        else:
            own = np.arange(len(mean.values))
            seen = np.stack([np.minimum(mean.visible[:, 0], own), np.maximum(mean.visible[:, 1], own + 1)], axis=1)
            path = self._paths[kind] = before.through(with_residual(mean.values), seen, keep=keep)
        if mean.layer in self._request.heads.get(kind, {}):
            self._hand_over(kind, mean.layer, path)

    def _hand_over(self, kind: Kind, layer: int, path: LayerPath) -> None:
        values = self._measure.of_path(path, self._request.queries.get(kind, range(len(path.visible))))
        step = max(BLOCK // values.shape[1], 1)
        for start in range(0, len(values), step):
            rows = slice(start, start + step)
            weights = np.ascontiguousarray(values[None, rows], np.float32)
            self._eat(Block(kind, layer, (0,), start, weights, path.visible[rows]))


class _Mean:
    """A collector of the mean map over the heads of one layer."""

    def __init__(self, layer: int, queries: int, keys: int) -> None:
        self.layer = layer
        self.values: Float[np.ndarray, "query key"] = np.zeros((queries, keys), np.float32)
        self.visible: Int[np.ndarray, "query 2"] = np.zeros((queries, 2), np.intp)

    def __call__(self, block: Block) -> None:
        rows = slice(block.start, block.start + block.visible.shape[0])
        self.values[rows, : block.weights.shape[2]] = block.weights.mean(axis=0)
        self.visible[rows] = block.visible
