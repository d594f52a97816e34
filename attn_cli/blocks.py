"""The one idea: a source *streams blocks* of attention, a collector *eats* them.

A model yields its attention a few query rows at a time and forgets them; a saved record yields its maps the same way.
Whoever wants full maps collects them, whoever wants summaries reduces each block and lets it go, so memory is what the
answer needs and not layers x heads x queries x keys.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args, runtime_checkable

import numpy as np

from attn_cli.errors import NOT_NUMBERS, ExactnessError, ModelError, SelectionError
from attn_cli.selection import Kind, Rows
from attn_cli.shapes import Float, Int
from attn_cli.verified import OutputCheck

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = [
    "Alignment",
    "Batch",
    "Block",
    "Companion",
    "Eat",
    "Kind",
    "ModelInfo",
    "Report",
    "Request",
    "Source",
    "Stack",
    "Steps",
    "Together",
    "Token",
    "Tokens",
    "Word",
    "each_head",
    "key_tokens",
    "query_tokens",
    "side_by_side",
]


@dataclass(frozen=True, slots=True)
class Token:
    """One piece that the model reads."""

    piece: str
    """As the vocabulary spells it: `##ing`, `Ġit`, `[SEP]`."""
    start: int
    """Where it stands in the text, in characters; `start == end` where it stands for none."""
    end: int
    word: int | None
    """Index into `Tokens.words`; None for special tokens."""
    special: bool = False
    segment: int = 0
    """0 for the text, 1 for its `--pair`."""
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text: a stretch between Unicode word boundaries that tokens do not straddle."""

    text: str
    start: int
    end: int
    segment: int = 0


@dataclass(frozen=True)
class Tokens:
    """One side's text, its tokens and its words."""

    text: str
    tokens: tuple[Token, ...]
    words: tuple[Word, ...]
    pair: str | None = None
    """The second segment's text, where there is one."""

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Stack:
    """The attention layers of one kind."""

    layers: int
    """How many layers the stack has, those without attention included."""
    heads: Mapping[int, int]
    """layer -> number of heads, for the layers that have attention."""
    key_value_heads: int
    """Fewer than the heads where heads share keys and values (grouped-query attention)."""
    without: Mapping[int, str] = field(default_factory=dict)
    """layer -> what stands in the place of attention there (`mamba`, `linear attention`)."""

    @property
    def total(self) -> int:
        """Heads in all layers together."""
        return sum(self.heads.values())


@dataclass(frozen=True)
class Alignment:
    """Heads that are known to say which word of the input a word of the output comes from."""

    layer: int
    heads: tuple[int, ...]
    """Cross-attention heads of that layer; where there are several, their mean aligns."""
    rows: Rows
    """At which step a word's row is read: the one that outputs it, or the one that reads it as input."""
    how: str
    """How they came to do so, in one sentence with a full stop: trained to, or found best on some data."""
    kind: Kind = "cross"

    @classmethod
    def declared(cls, known: object, stacks: Mapping[Kind, Stack], name: str) -> Alignment | None:
        """Read what a model's `config.json` says under `attn`, if it says anything of alignment.

        Args:
            known: what stands there.
            stacks: the model's attention layers.
            name: the model, as the user named it.

        Raises:
            ModelError: it names heads that the model does not have, or is no such statement at all.
        """
        found: Any = known.get("alignment") if isinstance(known, Mapping) else None
        if found is None:
            return None
        parts = ("layer", "heads", "rows", "how")
        values: list[Any] = [found.get(part) if isinstance(found, Mapping) else None for part in parts]
        layer, heads, rows, how = values
        counts = stacks["cross"].heads if "cross" in stacks else {}
        count = counts.get(layer, 0) if type(layer) is int else 0
        listed = heads if isinstance(heads, list) else []
        fits = (
            count > 0,
            len(listed) > 0 and all(type(head) is int and 0 <= head < count for head in listed),
            rows in get_args(Rows),
            isinstance(how, str),
        )
        for part, fit in zip(parts, fits, strict=True):
            if not fit:
                expected = "of its cross-attention" if part in {"layer", "heads"} else "that attn knows"
                raise ModelError(
                    f"config.json of {name}: attn.alignment.{part} names no {part} {expected}",
                    "Copy it again, or take alignment out there",
                )
        return cls(layer, tuple(heads), rows, how)


@dataclass(frozen=True)
class ModelInfo:
    """What a reader must know of a model."""

    name: str
    """As the user named it."""
    family: str
    """transformers' `model_type`, or the built-in's name."""
    stacks: Mapping[Kind, Stack]
    captured: Literal["interface", "hooks", "numpy"]
    """How the weights were taken: inside the model's own attention function, from what its layers return, or computed
    by the built-in model itself."""
    dtype: str = "float32"
    device: str = "cpu"
    parameters: int | None = None
    positions: int | None = None
    """The longest input, in tokens; None where there is no limit."""
    alignment: Alignment | None = None
    """What the model declares of its cross-attention; None where nothing is known."""
    bottleneck: int | None = None
    """How many numbers the one vector has that carries the whole text to the decoder, in a model without attention
    (whose `stacks` are empty); None in all others."""

    @property
    def one_sided(self) -> bool:
        """Whether it is an encoder or a decoder alone, which is given no target."""
        return bool(self.stacks) and "cross" not in self.stacks

    @property
    def without_attention(self) -> str:
        """What to say of a model that has none, in a sentence without a full stop."""
        if self.bottleneck is None:
            return f"{self.name} has no attention"
        return (
            f"{self.name} has no attention to show: the whole text passes to its decoder through one vector of "
            f"{self.bottleneck:,} numbers"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """What a block's weights are made from and what they are used for, as the layer had it; float32.

    Where heads share keys and values, these are repeated; rotary positions are in queries and keys already.
    """

    queries: Float[np.ndarray, "head query dim"] | None
    """None where the family does not show them."""
    keys: Float[np.ndarray, "head key dim"] | None
    """All keys, also those that no query of the block can see."""
    values: Float[np.ndarray, "head key value_dim"] | None
    contexts: Float[np.ndarray, "head query value_dim"] | None
    """The weighted sums of the values, as the layer itself computed them."""
    scaling: float | None = None
    """What query . key is multiplied with; None where the score is no such product."""
    vector: Float[np.ndarray, "dim"] | None = None
    """Of an additive score, vector . tanh(query + key); None where the score is a product."""
    soft_cap: float | None = None
    """The cap, where scaled scores are replaced by cap . tanh(score / cap)."""
    bias: Float[np.ndarray, "head query some_keys"] | None = None
    """What is added to the scores besides, 0 where a key is hidden; keys from position 0, like the block's weights."""
    sink_scores: Float[np.ndarray, "head query"] | None = None
    """The score of a learned sink, where there is one."""
    missing: tuple[str, ...] = ()
    """What this family does not show, in half sentences."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some heads of one layer, over a run of consecutive query positions.

    Blocks of one (kind, layer) come with rising `start`, and all the heads asked for come in the same block.
    """

    kind: Kind
    layer: int
    heads: tuple[int, ...]
    """The model's numbers of the heads along the first axis."""
    start: int
    """Position (token index) of the first query."""
    weights: Float[np.ndarray, "head query key"]
    """float32. Keys run from position 0; keys that no query of the block can see may be cut off at the end."""
    visible: Int[np.ndarray, "query 2"]
    """First key that each query can see, and one past the last (the mask's hull: causal, window, or everything)."""
    scores: Float[np.ndarray, "head query key"] | None = None
    """Scores before softmax, float32, minus infinity where masked; only when asked for."""
    sink: Float[np.ndarray, "head query"] | None = None
    """Share of each row's weight that a learned sink takes, in models that have one (gpt-oss)."""
    norms: Float[np.ndarray, "head every_key"] | None = None
    """|value . output projection| of every key, also of those that may be cut off, float32; only when
    asked for."""
    steps: Steps | None = None
    """Queries, keys and values; only when asked for."""
    rows: Int[np.ndarray, "query"] | None = None
    """Position of each row in its own text, where rows of several texts stand one below the other (`RegroupBatch`)."""

    @property
    def positions(self) -> Int[np.ndarray, "query"]:
        """Position of each row in its text."""
        return np.arange(self.start, self.start + len(self.visible)) if self.rows is None else self.rows


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some heads of one layer over several whole texts, each filled up to the longest."""

    kind: Kind
    layer: int
    heads: tuple[int, ...]
    """The model's numbers of the heads along the second axis."""
    weights: Float[np.ndarray, "text head query key"]
    """float32; 0 where a text has ended."""
    visible: Int[np.ndarray, "text query 2"]
    """As in a `Block`; 0 and 0 where a text has ended."""
    sizes: Sequence[tuple[int, int]]
    """Queries and keys of each text."""

    def block(self, text: int) -> Block:
        """That of one text."""
        queries, keys = self.sizes[text]
        weights = self.weights[text, :, :queries, :keys]
        return Block(self.kind, self.layer, self.heads, 0, weights, self.visible[text, :queries])


Eat = Callable[[Block], None]

Part = TypeVar("Part")
Reduced = TypeVar("Reduced")

WORTH_THREADS = 2**19
"""With fewer weights than these, threads cost more than they bring."""


@cache
def _threads() -> ThreadPoolExecutor:
    # Imported late: a short text never needs it.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="attn")


def each_head(reduce: Callable[[int], Reduced], weights: Float[np.ndarray, "head query key"]) -> list[Reduced]:
    """Reduce each head, given its index: one head fits in a processor's own cache, and NumPy lets several run at once.

    Args:
        reduce: may be called from several threads, but for each head once.
        weights: of the heads.
    """
    if weights.size < WORTH_THREADS:
        return [reduce(head) for head in range(len(weights))]
    return side_by_side(reduce, range(len(weights)))


def side_by_side(work: Callable[[Part], Reduced], parts: Sequence[Part]) -> list[Reduced]:
    """What becomes of each part, as many at a time as there are processor cores; one alone needs no thread.

    Args:
        work: may be called from several threads, but for each part once.
        parts: of something.
    """
    return list(map(work, parts) if len(parts) < 2 else _threads().map(work, parts))


@dataclass(frozen=True)
class Request:
    """What a source should stream."""

    heads: Mapping[Kind, Mapping[int, tuple[int, ...]]]
    """kind -> layer -> heads; whatever is absent is not streamed."""
    queries: Mapping[Kind, tuple[int, ...]] = field(default_factory=dict)
    """kind -> the only query positions wanted (sorted); a kind that is absent wants them all.

    A source may stream more rows than these, never fewer."""
    scores: bool = False
    """Also give the scores before softmax."""
    norms: bool = False
    """Also give the length of each key's value after the output projection."""
    steps: bool = False
    """Also give queries, keys and values, and the scores with them."""
    verify: bool = False
    """Recompute softmax(scores) . values and report the largest difference from what the layer itself computed; and
    report how far the model's output is from that of a plain run."""


@dataclass(frozen=True)
class Report:
    """What a source has to say once it has streamed everything.

    Raises:
        ExactnessError: what was to be verified are no numbers.
    """

    verified: float | None = None
    """Largest absolute difference between softmax(scores) . values and what the layers computed; None where
    `Request.verify` was not asked for, or the layers do more than that."""
    notes: tuple[str, ...] = ()
    """Things a reader of the result must know, one sentence each."""
    output: OutputCheck | None = None
    """How far the model's output is from that of a plain run; None where that was not asked for, or not possible."""

    def __post_init__(self) -> None:
        if self.verified is not None and not math.isfinite(self.verified):
            raise ExactnessError("What a layer computed from its weights are not numbers", NOT_NUMBERS)


@runtime_checkable
class Source(Protocol):
    """Text that has been given to a model (or a record of it), ready to stream its attention."""

    @property
    def model(self) -> ModelInfo:
        """The model's shape and name."""

    @property
    def source(self) -> Tokens:
        """Tokens of the text; of the encoder's side in an encoder-decoder."""

    @property
    def target(self) -> Tokens | None:
        """Tokens on the decoder's side of an encoder-decoder, when there are any: the start token, then all it writes.

        Row i of a map is the step that reads token i and outputs token i + 1, so there is one row fewer than tokens.
        """

    def stream(self, request: Request, eat: Eat) -> Report:
        """Run, and hand each block to `eat`.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: what it gave are not attention weights.
        """


Together = tuple[Sequence[Batch], Sequence[Report]]
"""All layers of some texts, held at once, and what is to be said of each text."""


@runtime_checkable
class Companion(Protocol):
    """A `Source` that can be run side by side with others of its model."""

    def run_groups(self, groups: Sequence[Sequence[Source]], request: Request) -> Generator[Together | None]:
        """Run groups of texts, each at once; until what is returned has ended or is closed, run nothing else.

        Returns:
            what each group gave, in their order; None from the first on whose texts must be run one after another.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: what it gave are not attention weights.
        """


def key_tokens(source: Source, kind: Kind) -> Tokens:
    """Tokens along the columns of this kind's maps: the encoder's side for `cross`.

    Raises:
        SelectionError: the decoder's side is asked for and there is none.
    """
    return source.source if kind == "cross" else query_tokens(source, kind)


def query_tokens(source: Source, kind: Kind, rows: Rows = "input") -> Tokens:
    """Tokens along the rows of this kind's maps: on the decoder's side, those that its steps read or output.

    Args:
        source: a text given to a model, or a record of one.
        kind: which attention.
        rows: whether a step on the decoder's side belongs to the token that it reads (`input`) or to the one that it
            outputs.

    Raises:
        SelectionError: the decoder's side is asked for and there is none.
    """
    if kind == "encoder" or (kind == "decoder" and "cross" not in source.model.stacks):
        return source.source
    if source.target is None:
        raise SelectionError(
            f"There is no text on the decoder's side for {kind} attention",
            "Give one with --target, or use attn translate",
        )
    tokens = source.target.tokens
    return replace(source.target, tokens=tokens[:-1] if rows == "input" else tokens[1:])
