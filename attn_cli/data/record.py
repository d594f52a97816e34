"""Attention maps and the record that holds them. Plain, frozen, NumPy only, self-checking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from attn_cli.data.elsewhere import Elsewhere
from attn_cli.data.model import ModelInfo
from attn_cli.data.outcomes import Chances
from attn_cli.data.relevance import Relevance
from attn_cli.data.selection import Selection
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import (
    WORTH_THREADS,
    Block,
    Eat,
    Kind,
    OutputCheck,
    Report,
    Request,
    Source,
    key_tokens,
    query_tokens,
    side_by_side,
)
from attn_cli.data.text import Tokens
from attn_cli.errors import NOT_NUMBERS, ExactnessError, SelectionError
from attn_cli.version import __version__

__all__ = ["AttentionMap", "Record", "Selection", "TakenLive", "check_rows"]


ROW_TOLERANCE: Mapping[str, float] = {"float32": 1e-3, "float64": 1e-3, "float16": 5e-3, "bfloat16": 3e-2}
"""dtype -> largest deviation of a row's sum from 1; half-precision models round each weight."""


def check_rows(
    weights: Float[np.ndarray, "*texts head query key"],
    visible: Int[np.ndarray, "*texts query 2"],
    sink: Float[np.ndarray, "*texts head query"] | None,
    where: str,
    dtype: str = "float32",
    *,
    unscaled: bool = False,
) -> None:
    """Check that these are attention weights.

    Args:
        weights: rows of some heads.
        visible: the keys that each query sees, from the first to one past the last.
        sink: the share of each row that a learned sink takes.
        where: the name of the rows in messages.
        dtype: the type that the model computed in.
        unscaled: allow rows that do not sum to 1.

    Raises:
        ExactnessError: a weight is not a number or is negative, or a row (with its learned sink) does not sum to 1.
    """
    # Every block passes here, so each pass over it counts: a product with ones is the fastest sum, and one weight that
    # is not finite makes its row's sum not finite.
    ones = np.ones(weights.shape[-1], weights.dtype)

    def reduce(part: Float[np.ndarray, "*parts query key"]) -> tuple[Float[np.ndarray, "*parts query"], float]:
        with np.errstate(invalid="ignore", over="ignore"):
            return part @ ones, float(part.min(initial=0))

    whole = weights.size < WORTH_THREADS or isinstance(weights, Elsewhere)
    reduced = side_by_side(reduce, [weights] if whole else list(weights))
    sums = np.array([row for row, _ in reduced], np.float64).reshape(weights.shape[:-1])
    if not np.isfinite(sums).all() or (sink is not None and not np.isfinite(sink).all()):
        raise ExactnessError(f"{where} has weights that are not numbers", NOT_NUMBERS)
    if any(least < 0 for _, least in reduced):
        raise ExactnessError(f"{where} has negative weights", "This model's attention is not a softmax")
    if unscaled:
        return
    if sink is not None:
        sums = sums + sink
    tolerance = ROW_TOLERANCE.get(dtype, 1e-3)
    # Only a query that can see nothing (padding, some windows) may have a row of zeros.
    wrong = (np.abs(sums - 1) > tolerance) & ((sums != 0) | (visible[..., None, :, 0] < visible[..., None, :, 1]))
    if wrong.any():
        first = tuple(np.argwhere(wrong)[0].tolist())
        raise ExactnessError(
            f"{where}: row {first[-1]} of head number {first[-2]} sums to {sums[first]:.4f} instead of 1",
            "This model's attention is not a plain softmax",
        )


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """The maps of some heads of one layer: rows are queries, columns are keys.

    Raises:
        ExactnessError: shapes disagree, or `check_rows` fails.
    """

    kind: Kind
    layer: int
    heads: tuple[int, ...]
    queries: tuple[int, ...]
    """Positions (token indices) of the rows: all of them, or those asked for."""
    weights: Float[np.ndarray, "head query key"]
    visible: Int[np.ndarray, "query 2"]
    scores: Float[np.ndarray, "head query key"] | None = None
    sink: Float[np.ndarray, "head query"] | None = None
    dtype: str = "float32"
    """The type that the model computed in, which bounds how exact the rows can be."""
    unscaled: bool = False
    """True if rows need not sum to 1."""

    def __post_init__(self) -> None:
        where = f"{self.kind} layer {self.layer}"
        rows = (len(self.heads), len(self.queries))
        for name, array, shape in (
            ("weights", self.weights, (*rows, self.weights.shape[-1])),
            ("scores", self.scores, self.weights.shape),
            ("visible", self.visible, (rows[1], 2)),
            ("sink", self.sink, rows),
        ):
            if array is not None and array.shape != shape:
                raise ExactnessError(f"{where}: {name} has shape {array.shape}, expected {shape}")
        check_rows(self.weights, self.visible, self.sink, where, self.dtype, unscaled=self.unscaled)

    def blocks(self, heads: tuple[int, ...], rows: int = 64) -> Iterator[Block]:
        """Yield these heads as blocks of at most `rows` consecutive queries."""
        index = [self.heads.index(head) for head in heads]
        queries = np.asarray(self.queries)
        breaks = np.flatnonzero(np.diff(queries) != 1) + 1
        for run in np.split(np.arange(len(queries)), breaks):
            for first in range(0, len(run), rows):
                part = slice(int(run[first]), int(run[min(first + rows, len(run)) - 1]) + 1)
                yield Block(
                    kind=self.kind,
                    layer=self.layer,
                    heads=heads,
                    start=int(queries[part.start]),
                    weights=self.weights[index, part],
                    visible=self.visible[part],
                    scores=None if self.scores is None else self.scores[index, part],
                    sink=None if self.sink is None else self.sink[index, part],
                )


@dataclass(frozen=True, eq=False)
class TakenLive:
    """Attention and chances of the steps of a model that wrote, each taken at its step, under the key-value cache."""

    maps: tuple[AttentionMap, ...]
    """Maps whose rows are the steps that wrote the tokens."""
    chances: Chances
    """The chances at each of these steps."""
    notes: tuple[str, ...] = ()
    """Notes for the reader of the result, one sentence each."""


@dataclass(frozen=True, eq=False, repr=False)
class Record:
    """The attention of a model to one text. It is also a `Source`: it streams its maps as a model would.

    Raises:
        ExactnessError: maps and tokens disagree.
    """

    model: ModelInfo
    source: Tokens
    target: Tokens | None
    maps: tuple[AttentionMap, ...]
    verified: float | None = None
    """Largest absolute difference between softmax(scores) . values and what the layers computed (`--verify`)."""
    notes: tuple[str, ...] = ()
    selection: Selection = field(default_factory=Selection)
    """The selection it was made for, so that showing the record again shows the same."""
    tool_version: str = ""
    output: OutputCheck | None = None
    """The difference of the model's output from that of a plain run (`--verify`)."""
    relevance: Relevance | None = None
    """The relevance of each token for the output, if that is the measure."""
    vector: Float[np.ndarray, "dim"] | None = None
    """The one vector that carried the text to the decoder, in a model without attention (`ModelInfo.bottleneck`)."""
    chances: Chances | None = None
    """The chances at each step that wrote a token (`attn generate`)."""

    def __post_init__(self) -> None:
        if len(self._by_place) != len(self.maps):
            raise ExactnessError("A layer has two maps of one kind")
        for map_ in self.maps:
            stack = self.model.stacks.get(map_.kind)
            heads = 0 if stack is None else stack.heads.get(map_.layer, 0)
            if any(not 0 <= head < heads for head in map_.heads):
                raise ExactnessError(
                    f"{map_.kind} layer {map_.layer} has a map of head {', '.join(map(str, map_.heads))}, but the "
                    f"model has {heads} heads there"
                )
            expected = (len(query_tokens(self, map_.kind)), len(key_tokens(self, map_.kind)))
            if map_.weights.shape[-1] != expected[1] or any(not 0 <= q < expected[0] for q in map_.queries):
                raise ExactnessError(
                    f"{map_.kind} layer {map_.layer} has {map_.weights.shape[-1]} keys and queries up to "
                    f"{max(map_.queries, default=-1)}, but there are {expected[1]} and {expected[0]} tokens"
                )

    @classmethod
    def without_text(cls, model: ModelInfo, report: Report, selection: Selection) -> Record:
        """Build the record of a model that has read many texts, which holds none of them.

        Args:
            model: the model's name and shape.
            report: the report on all of them.
            selection: the selection that was shown.
        """
        nothing = Tokens("", (), ())
        return cls(model, nothing, None, (), report.verified, report.notes, selection, __version__, report.output)

    @classmethod
    def of(
        cls,
        source: Source,
        report: Report,
        selection: Selection,
        maps: tuple[AttentionMap, ...] = (),
        *,
        tool_version: str = "",
    ) -> Record:
        """Build the record of a source that has streamed.

        Args:
            source: a text given to a model, or a record of one.
            report: the report that the stream ended with.
            selection: the selection that was shown.
            maps: the maps that were kept.
            tool_version: version of attn that the maps are from, if they are those of a record; empty for this one.

        Raises:
            ExactnessError: maps and tokens disagree.
        """
        return cls(
            source.model,
            source.source,
            source.target,
            maps,
            report.verified,
            report.notes,
            selection,
            tool_version or __version__,
            report.output,
            report.relevance,
            report.vector,
            report.chances,
        )

    @cached_property
    def _by_place(self) -> Mapping[tuple[Kind, int], AttentionMap]:
        return {(map_.kind, map_.layer): map_ for map_ in self.maps}

    @property
    def holds_all(self) -> bool:
        """True if each map has all its rows."""
        return all(len(map_.queries) == len(query_tokens(self, map_.kind)) for map_ in self.maps)

    def stream(self, request: Request, eat: Eat) -> Report:
        """Stream the maps asked for, block by block.

        Raises:
            SelectionError: a layer, head, query or the scores asked for were not saved.
        """
        if request.norms:
            raise SelectionError(
                "A record holds no values, so norms cannot be measured from it",
                "Give the text itself, and its model with --model",
            )
        if request.relevance:
            raise SelectionError(
                "A record holds no gradients, so relevance cannot be measured from it",
                "Give the text itself, and its model with --model",
            )
        if request.steps:
            raise SelectionError(
                "A record holds no queries, keys and values", "Give the text itself, and its model with --model"
            )
        for kind, layers in request.heads.items():
            for layer, heads in layers.items():
                map_ = self._by_place.get((kind, layer))
                missing = heads if map_ is None else tuple(head for head in heads if head not in map_.heads)
                if map_ is None or missing:
                    raise SelectionError(
                        f"This record does not hold {kind} layer {layer}, head {', '.join(map(str, missing))}",
                        "Save it again with that layer and head selected",
                    )
                wanted = request.queries.get(kind, range(len(query_tokens(self, kind))))
                if not set(wanted) <= set(map_.queries):
                    raise SelectionError(
                        f"This record holds only {len(map_.queries)} of the queries of {kind} layer {layer}",
                        "Show it with attn view and the --query it was saved with, or save it again without",
                    )
                if request.scores and map_.scores is None:
                    what, remedy = ("This record", "Save it again with --scores")
                    if self.model.captured == "given":
                        what, remedy = self.model.name, "It is a matrix of weights alone: choose another measure"
                    raise SelectionError(f"{what} holds no scores", remedy)
                for block in map_.blocks(heads):
                    eat(block)
        return Report(self.verified, self.notes, self.output, self.relevance, self.vector, self.chances)

    def __repr__(self) -> str:
        layers = f"{len(self.maps)} layer{'' if len(self.maps) == 1 else 's'}"
        return f"<attn record: {self.model.name!r}, {len(self.source)} tokens, maps of {layers}>"
