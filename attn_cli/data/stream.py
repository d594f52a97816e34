"""The interface between sources, which *stream blocks* of attention, and collectors, which *consume* them.

A model yields its attention a few query rows at a time and does not keep them; a saved record yields its maps the same
way. A collector of full maps keeps the blocks; a collector of summaries reduces each block and drops it, so that memory
grows with the answer and not with layers x heads x queries x keys.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from attn_cli.data.elsewhere import Elsewhere
from attn_cli.data.model import ModelInfo
from attn_cli.data.outcomes import Chances
from attn_cli.data.relevance import Relevance
from attn_cli.data.selection import Kind, Rows
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.text import Tokens
from attn_cli.errors import NOT_NUMBERS, ExactnessError, SelectionError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = [
    "Batch",
    "Block",
    "Companion",
    "Eat",
    "EatContexts",
    "Kind",
    "OutputCheck",
    "Report",
    "Request",
    "Source",
    "Steps",
    "Together",
    "each_head",
    "key_tokens",
    "largest_check",
    "query_tokens",
    "side_by_side",
]


Axis = slice | Int[np.ndarray, "chosen"] | Bool[np.ndarray, "every"]
"""An index that selects part of an axis."""


def _taken(array: np.ndarray | None, heads: Axis, rows: Axis = slice(None)) -> Any:
    """Return some heads of an array, and some rows of each; None without an array."""
    return None if array is None else array[heads][:, rows]


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The inputs and outputs of a block's attention, as the layer computed them; float32.

    Where heads share keys and values, these are repeated; queries and keys already include rotary positions.
    """

    queries: Float[np.ndarray, "head query dim"] | None
    """Queries; None if the model family does not expose them."""
    keys: Float[np.ndarray, "head key dim"] | None
    """All keys, including those that no query of the block can see."""
    values: Float[np.ndarray, "head key value_dim"] | None
    contexts: Float[np.ndarray, "head query value_dim"] | None
    """The weighted sums of the values, as the layer itself computed them."""
    scaling: float | None = None
    """The factor of query . key; None if the score is not such a product."""
    vector: Float[np.ndarray, "dim"] | None = None
    """The vector of an additive score, vector . tanh(query + key); None if the score is a product."""
    soft_cap: float | None = None
    """The cap, if scaled scores are replaced by cap . tanh(score / cap)."""
    bias: Float[np.ndarray, "head query some_keys"] | None = None
    """A term added to the scores, 0 where a key is hidden; keys run from position 0, like those of the weights."""
    sink_scores: Float[np.ndarray, "head query"] | None = None
    """The score of a learned sink, if there is one."""
    missing: tuple[str, ...] = ()
    """Phrases about what this model family does not expose."""

    def take(self, heads: Axis, rows: Axis) -> Steps:
        """Return the steps of some heads, and of some rows of each; see `Block.take`."""
        return replace(
            self,
            queries=_taken(self.queries, heads, rows),
            keys=_taken(self.keys, heads),
            values=_taken(self.values, heads),
            contexts=_taken(self.contexts, heads, rows),
            bias=_taken(self.bias, heads, rows),
            sink_scores=_taken(self.sink_scores, heads, rows),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some heads of one layer, over a run of consecutive query positions.

    Blocks of one (kind, layer) come in ascending order of `start`, each with all the heads asked for.
    """

    kind: Kind
    layer: int
    heads: tuple[int, ...]
    """The model's numbers of the heads along the first axis."""
    start: int
    """Position (token index) of the first query."""
    weights: Float[np.ndarray, "head query key"]
    """float32. Keys run from position 0; keys that no query of the block can see may be cut off at the end. An array on
    another device (`Elsewhere`), as are the scores, if `Request.in_place` was asked for."""
    visible: Int[np.ndarray, "query 2"]
    """First key that each query can see, and one past the last (the mask's hull: causal, window, or everything)."""
    scores: Float[np.ndarray, "head query key"] | None = None
    """Scores before softmax, float32, minus infinity where masked; only when asked for."""
    sink: Float[np.ndarray, "head query"] | None = None
    """Share of each row's weight that a learned sink takes, in models that have one (gpt-oss)."""
    norms: Float[np.ndarray, "head every_key"] | None = None
    """|value . output projection| of every key, including those that may be cut off, float32; only when asked for."""
    relevance: Float[np.ndarray, "head query key"] | None = None
    """Weight x gradient of the output, where that is positive, else 0; float32; only when asked for."""
    steps: Steps | None = None
    """Queries, keys and values; only when asked for."""
    rows: Int[np.ndarray, "query"] | None = None
    """Position of each row in its own text, if the block holds rows of several texts (`RegroupBatch`)."""

    @property
    def positions(self) -> Int[np.ndarray, "query"]:
        """Position of each row in its text."""
        return np.arange(self.start, self.start + len(self.visible)) if self.rows is None else self.rows

    def take(self, heads: Sequence[int] | None = None, rows: Axis = slice(None)) -> Block:
        """Return some heads and rows of everything that the block holds.

        Args:
            heads: the model's numbers of the heads, in the order wanted; all by default.
            rows: the rows, counted within the block; all by default. `start` moves along with a slice, but not with an
                array or a mask: there the caller must keep track of the positions.

        Raises:
            ValueError: the block has no such head.
        """
        index: Axis = slice(None) if heads is None else np.array([self.heads.index(head) for head in heads], np.intp)
        return replace(
            self,
            heads=self.heads if heads is None else tuple(heads),
            start=self.start + ((rows.start or 0) if isinstance(rows, slice) else 0),
            weights=self.weights[index][:, rows],
            visible=self.visible[rows],
            scores=_taken(self.scores, index, rows),
            sink=_taken(self.sink, index, rows),
            norms=_taken(self.norms, index),
            relevance=_taken(self.relevance, index, rows),
            steps=None if self.steps is None else self.steps.take(index, rows),
            rows=None if self.rows is None else self.rows[rows],
        )

    def at_hand(self) -> Block:
        """Return a copy whose weights and scores are NumPy's own arrays; the block itself if they are already."""
        if not isinstance(self.weights, Elsewhere):
            return self
        scores = None if self.scores is None else np.asarray(self.scores)
        return replace(self, weights=np.asarray(self.weights), scores=scores)

    def within(self, rows: int, keys: int) -> Block:
        """Return the first rows and keys of the weights and scores, and the rest of it as it is."""
        some = self.take(rows=slice(0, rows))
        return replace(
            some,
            weights=some.weights[:, :, :keys],
            visible=np.minimum(some.visible, keys),
            scores=None if some.scores is None else some.scores[:, :, :keys],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some heads of one layer over several whole texts, each padded to the longest."""

    kind: Kind
    layer: int
    heads: tuple[int, ...]
    """The model's numbers of the heads along the second axis."""
    weights: Float[np.ndarray, "text head query key"]
    """float32; 0 where a text has ended."""
    visible: Int[np.ndarray, "text query 2"]
    """First key that each query can see, and one past the last, as in a `Block`; 0 and 0 where a text has ended."""
    sizes: Sequence[tuple[int, int]]
    """The numbers of queries and keys of each text."""

    def block(self, text: int) -> Block:
        """Return the block of one text."""
        queries, keys = self.sizes[text]
        weights = self.weights[text, :, :queries, :keys]
        return Block(self.kind, self.layer, self.heads, 0, weights, self.visible[text, :queries])


Eat = Callable[[Block], None]
EatContexts = Callable[[Kind, int, Float[np.ndarray, "head query dim"]], None]
"""A collector of the heads' weighted sums of the values, called with the kind and the number of each layer."""

Part = TypeVar("Part")
Reduced = TypeVar("Reduced")

WORTH_THREADS = 2**19
"""Fewest weights for which threads save more time than they cost."""


@cache
def _threads() -> ThreadPoolExecutor:
    # Imported late: a short text never needs it.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="attn")


def each_head(reduce: Callable[[int], Reduced], weights: Float[np.ndarray, "head query key"]) -> list[Reduced]:
    """Reduce each head, given its index: one head fits in a processor's own cache, and NumPy lets several run at once.

    Args:
        reduce: the function of a head's index; called once for each head, perhaps from several threads.
        weights: the weights of the heads, which decide whether threads are worth their cost.
    """
    if weights.size < WORTH_THREADS or isinstance(weights, Elsewhere):
        return [reduce(head) for head in range(len(weights))]
    return side_by_side(reduce, range(len(weights)))


def side_by_side(work: Callable[[Part], Reduced], parts: Sequence[Part]) -> list[Reduced]:
    """Apply a function to each part, as many at a time as there are processor cores; a single part needs no thread.

    Args:
        work: the function of a part; called once for each part, perhaps from several threads.
        parts: the parts to process.
    """
    return list(map(work, parts) if len(parts) < 2 else _threads().map(work, parts))


@dataclass(frozen=True)
class Request:
    """The attention that a source is asked to stream."""

    heads: Mapping[Kind, Mapping[int, tuple[int, ...]]]
    """kind -> layer -> heads; those that are absent are not streamed."""
    queries: Mapping[Kind, tuple[int, ...]] = field(default_factory=dict)
    """kind -> the only query positions wanted (sorted); a kind that is absent wants them all.

    A source may stream more rows than these, never fewer."""
    scores: bool = False
    """True to include the scores before softmax."""
    norms: bool = False
    """True to include the length of each key's value after the output projection."""
    relevance: bool = False
    """True to include weight x gradient of the output that the text was read for, and to report each token's
    relevance for it."""
    steps: bool = False
    """True to include queries, keys and values, and the scores with them."""
    in_place: bool = False
    """True if weights and scores may stay on the device where they were computed, as an `Elsewhere`: the consumer
    reduces them there, and copies only what it keeps."""
    verify: bool = False
    """True to recompute softmax(scores) . values and report the largest difference from what the layer itself computed,
    and how far the model's output is from that of a plain run."""


@dataclass(frozen=True)
class OutputCheck:
    """The difference of a model's output with its attention captured from its output in a plain run, without attn."""

    difference: float
    """Largest absolute difference."""
    compared: tuple[str, ...]
    """The parts of the output that were compared: `last hidden state`, ..."""
    attention: str
    """transformers' implementation of attention in the plain run: `sdpa` or `eager`."""


def largest_check(checks: Iterable[OutputCheck | None]) -> OutputCheck | None:
    """Return the check with the largest difference among several texts; None if there is none."""
    return max(filter(None, checks), key=lambda check: check.difference, default=None)


@dataclass(frozen=True)
class Report:
    """The report of a source that has streamed everything.

    Raises:
        ExactnessError: the values to be verified are not numbers.
    """

    verified: float | None = None
    """Largest absolute difference between softmax(scores) . values and what the layers computed; None if
    `Request.verify` was not asked for, or the layers compute more than that."""
    notes: tuple[str, ...] = ()
    """Notes for the reader of the result, one sentence each."""
    output: OutputCheck | None = None
    """The difference of the model's output from that of a plain run; None if not asked for or not possible."""
    relevance: Relevance | None = None
    """The relevance of each token for the output, if that was asked for."""
    vector: Float[np.ndarray, "dim"] | None = None
    """The one vector that carries the text to the decoder, in a model without attention (`ModelInfo.bottleneck`)."""
    chances: Chances | None = None
    """The chances at each step that wrote a token, where a record holds them."""

    def __post_init__(self) -> None:
        if self.verified is not None and not math.isfinite(self.verified):
            raise ExactnessError("The values that a layer computed from its weights are not numbers", NOT_NUMBERS)


@runtime_checkable
class Source(Protocol):
    """A text that has been given to a model (or a record of one), ready to stream its attention."""

    @property
    def model(self) -> ModelInfo:
        """The model's shape and name."""

    @property
    def source(self) -> Tokens:
        """Tokens of the text; in an encoder-decoder, those on the encoder's side.

        Behind a prompt that a decoder has written on (`Tokens.written`) there is one row fewer than tokens, as below.
        """

    @property
    def target(self) -> Tokens | None:
        """Tokens on the decoder's side of an encoder-decoder, if there are any: the start token, then its output.

        Row i of a map is the step that reads token i and outputs token i + 1, so there is one row fewer than tokens.
        """

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the text, which are known before it is run and are also in the report, one sentence each."""

    def stream(self, request: Request, eat: Eat) -> Report:
        """Run the model, and pass each block to `eat`.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: the model's output is not attention weights.
        """


Together = tuple[Sequence[Batch], Sequence[Report]]
"""All layers of some texts, held at once, and the report on each text."""


@runtime_checkable
class Companion(Protocol):
    """A `Source` that can be run in one batch with others of its model."""

    def run_groups(self, groups: Sequence[Sequence[Source]], request: Request) -> Generator[Together | None]:
        """Run each group of texts at once; run nothing else until the generator has ended or is closed.

        Returns:
            The result of each group, in order; None from the first group on whose texts must be run one after another.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: the model's output is not attention weights.
        """


def key_tokens(source: Source, kind: Kind, rows: Rows = "input") -> Tokens:
    """Return the tokens along the columns of this kind's maps: the encoder's side for `cross`.

    Args:
        source: a text given to a model, or a record of one.
        kind: the kind of attention.
        rows: the rows, as in `query_tokens`; a token that is only read by a step left out there is left out here.

    Raises:
        SelectionError: the decoder's side is asked for and there is none.
    """
    if kind == "cross":
        return source.source
    keys = query_tokens(source, kind)
    return keys if rows == "input" else replace(keys, tokens=keys.tokens[: len(query_tokens(source, kind, rows))])


def query_tokens(source: Source, kind: Kind, rows: Rows = "input") -> Tokens:
    """Return the tokens along the rows of this kind's maps: of a decoder, those that its steps read or output.

    A decoder alone that has only read a text outputs nothing at its last step, which is left out of output rows.

    Args:
        source: a text given to a model, or a record of one.
        kind: the kind of attention.
        rows: the token that a step of a decoder belongs to: the one that it reads (`input`) or the one that
            it outputs (`output`).

    Raises:
        SelectionError: the decoder's side is asked for and there is none.
    """
    if kind == "encoder":
        return source.source
    if kind == "decoder" and "cross" not in source.model.stacks:
        side, read = source.source, source.source.written is None
        return replace(side, tokens=side.tokens[1:] if rows == "output" else side.tokens[: None if read else -1])
    if source.target is None:
        raise SelectionError(
            f"{kind.capitalize()} attention needs a text on the decoder's side",
            "Give one with --target, or use attn translate",
        )
    tokens = source.target.tokens
    return replace(source.target, tokens=tokens[:-1] if rows == "input" else tokens[1:])
