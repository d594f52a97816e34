"""The recurrent encoder-decoder, with additive attention (Bahdanau et al. 2015) and without (Cho et al. 2014).

Both have the same bidirectional encoder of gated recurrent units and the same decoder. With attention, the decoder
mixes a new context vector from all encoder states for each token that it writes. Without, it uses the same vector every
time, made of the two last states: all information about the sentence must pass through it.

Written once for NumPy and torch; see `ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.models.toy.cuts import RowCuts
from attn_cli.models.toy.ops import Array, hide, linear, namespace, normalize, score, sigmoid, weighted_sum
from attn_cli.models.toy.transformer import See

__all__ = ["Memory", "Recurrent", "RecurrentShape", "gated_unit", "read", "weight_shapes", "write"]


@dataclass(frozen=True)
class RecurrentShape:
    """Sizes of a recurrent encoder-decoder."""

    vocabulary: int
    dim: int
    """Width of the embeddings, and of the vectors that score the vocabulary."""
    hidden: int
    """Width of the encoder's state in each direction; the decoder's state is twice as wide."""
    attention: bool
    positions: int
    """Length of the longest text, in tokens."""


@dataclass(frozen=True)
class Memory:
    """The encoded texts, as the decoder uses them."""

    states: Float[Array, "batch key states_dim"]
    """The encoder's states, both directions side by side."""
    keys: Float[Array, "batch key dim"] | None
    """The states, projected for additive attention; None without attention."""
    mask: Float[Array, "batch 1 key"]
    last: Float[Array, "batch states_dim"]
    """Each direction's state after the whole text, side by side."""


@dataclass(frozen=True)
class RecurrentWriting:
    """The decoder's progress after the tokens read so far."""

    memory: Memory
    state: Float[Array, "batch state_dim"]
    cuts: RowCuts | None = None
    """Cuts in the attention of each row."""
    read: int = 0
    """Number of tokens read so far."""


def weight_shapes(shape: RecurrentShape) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every weight."""
    dim, hidden, double = shape.dim, shape.hidden, 2 * shape.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (shape.vocabulary, dim),
        "output.bias": (shape.vocabulary,),
    }

    def layer(name: str, wide: int, from_dim: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (wide, from_dim), (wide,)

    for direction in ("forward", "backward"):
        layer(f"encoder.{direction}.input", 3 * hidden, dim)
        layer(f"encoder.{direction}.state", 3 * hidden, hidden)
    layer("decoder.start", double, double)
    layer("decoder.input", 3 * double, dim)
    layer("decoder.context", 3 * double, double)
    layer("decoder.state", 3 * double, double)
    if shape.attention:
        layer("attention.query", dim, double)
        layer("attention.key", dim, double)
        shapes["attention.vector"] = (dim,)
    layer("output.state", dim, double)
    layer("output.input", dim, dim)
    layer("output.context", dim, double)
    return shapes


def gated_unit(
    inputs: Float[Array, "batch three_hidden"],
    recurrent: Float[Array, "batch three_hidden"],
    state: Float[Array, "batch hidden"],
) -> Float[Array, "batch hidden"]:
    """Compute the next state of a gated recurrent unit (Cho et al. 2014, with the reset gate after the product).

    Args:
        inputs: input vectors, projected for reset gate, update gate and candidate.
        recurrent: previous state, projected in the same way.
        state: previous state.
    """
    hidden = state.shape[-1]
    reset = sigmoid(inputs[..., :hidden] + recurrent[..., :hidden])
    update = sigmoid(inputs[..., hidden : 2 * hidden] + recurrent[..., hidden : 2 * hidden])
    candidate = namespace(state).tanh(inputs[..., 2 * hidden :] + reset * recurrent[..., 2 * hidden :])
    return candidate + update * (state - candidate)


def read(
    inputs: Float[Array, "batch three_hidden"],
    present: Bool[Array, "batch 1"],
    state: Float[Array, "batch hidden"],
    weight: Float[Array, "three_hidden hidden"],
    bias: Float[Array, "three_hidden"],
) -> Float[Array, "batch hidden"]:
    """Compute the encoder's next state in one direction; at padding, the state stays the same.

    Args:
        inputs: embedding of the token read, projected.
        present: True where the token is not padding.
        state: previous state.
        weight: weight that projects the state.
        bias: bias of that projection.
    """
    return namespace(state).where(present, gated_unit(inputs, linear(state, weight, bias), state), state)


def write(
    weights: Mapping[str, Array],
    inputs: Float[Array, "batch three_state"],
    state: Float[Array, "batch state_dim"],
    values: Float[Array, "batch key states_dim"],
    keys: Float[Array, "batch key dim"] | None,
    mask: Float[Array, "batch 1 key"],
    cuts: RowCuts | None = None,
    start: int = 0,
) -> tuple[Array, ...]:
    """Run one step of the decoder.

    Args:
        weights: weights of the model, by name.
        inputs: embedding of the token read, projected; without attention, plus the projected last encoder states.
        state: previous state of the decoder.
        values: the encoder's states.
        keys: the encoder's states, projected; None without attention.
        mask: minus infinity where there is padding, 0 elsewhere.
        cuts: cuts to make in the attention, in NumPy.
        start: position of the token read, which the cuts may depend on.

    Returns:
        The next state `[batch, state_dim]`; with attention also scores and weights `[batch, key]` and the context
        vectors `[batch, states_dim]`.
    """
    recurrent = _linear(weights, "decoder.state", state)
    if keys is None:
        return (gated_unit(inputs, recurrent, state),)
    query = _linear(weights, "attention.query", state)[:, None]
    scores = score(query, keys, weights["attention.vector"]) + mask
    if cuts is None:
        attention = normalize(scores)
        context = weighted_sum(attention, values)[:, 0]
    else:
        # The one head is an axis of its own for them.
        parts = cuts.attend("cross", 0, scores[:, None], values[:, None], start)
        scores, attention, context = parts[0][:, 0], parts[1][:, 0], parts[2][:, 0, 0]
    inputs = inputs + _linear(weights, "decoder.context", context)
    return gated_unit(inputs, recurrent, state), scores[:, 0], attention[:, 0], context


class Recurrent:
    """The recurrent model, around weights that are NumPy arrays or torch tensors.

    Args:
        shape: sizes of the model.
        weights: weights by name; see `weight_shapes`.
        drop: dropout to apply to states in training; by default, states stay as they are.
        steps: functions to run at each token: `read` and `write`, or compiled forms of them.
    """

    def __init__(
        self,
        shape: RecurrentShape,
        weights: Mapping[str, Array],
        drop: Callable[[Array], Array] = lambda states: states,
        steps: tuple[Callable[..., Array], Callable[..., tuple[Array, ...]]] = (read, write),
    ) -> None:
        self.shape, self.weights, self.drop = shape, weights, drop
        self._read, self._write = steps

    def encode(self, ids: Int[Array, "batch key"], present: Bool[Array, "batch key"]) -> Memory:
        """Read texts in both directions.

        Args:
            ids: tokens of the texts, padded at the end.
            present: True where a token is not padding.
        """
        xp = namespace(ids)
        embedded = self.drop(self.weights["embedding.weight"][ids])
        here = list(present.T[:, :, None])
        sides, lasts = [], []
        for direction in ("forward", "backward"):
            # Split into tokens all at once: in training, each single slice would cost as much as the whole array.
            inputs = list(xp.moveaxis(self._linear(f"encoder.{direction}.input", embedded), 1, 0))
            own = [self.weights[f"encoder.{direction}.state.{part}"] for part in ("weight", "bias")]
            state = xp.zeros((ids.shape[0], self.shape.hidden), dtype=xp.float32, device=ids.device)
            states = []
            order = range(ids.shape[1])
            for place in order if direction == "forward" else reversed(order):
                state = self._read(inputs[place], here[place], state, *own)
                states.append(state)
            sides.append(xp.stack(states if direction == "forward" else states[::-1], axis=1))
            lasts.append(state)
        both = self.drop(xp.concat(sides, axis=-1))
        keys = self._linear("attention.key", both) if self.shape.attention else None
        return Memory(both, keys, hide(present)[:, None, :], xp.concat(lasts, axis=-1))

    def start(self, memory: Memory) -> Float[Array, "batch state_dim"]:
        """Compute the decoder's first state."""
        return namespace(memory.last).tanh(self._linear("decoder.start", memory.last))

    def embed(self, ids: Int[Array, "*batch"]) -> Float[Array, "*batch dim"]:
        """Embed tokens for the decoder."""
        return self.drop(self.weights["embedding.weight"][ids])

    def states(
        self,
        source: Int[Array, "batch key"],
        read: Int[Array, "batch query"],
        see: See | None = None,
        cuts: RowCuts | None = None,
    ) -> Float[Array, "batch query dim"]:
        """Return the decoder's output vector after each token that it reads. Token 0 is padding in `source`."""
        xp = namespace(source)
        memory = self.encode(source, source != 0)
        state = self.start(memory)
        embedded = self.embed(read)
        states, seen = [state], []
        for place, inputs in enumerate(xp.moveaxis(self._inputs(embedded, memory), 1, 0)):
            given = (memory.states, memory.keys, memory.mask) + (() if cuts is None else (cuts, place))
            state, *attention = self._write(self.weights, inputs, state, *given)
            states.append(state)
            seen.append(attention)
        if self.shape.attention:
            scores, weights, contexts = (xp.stack(arrays, axis=1) for arrays in zip(*seen, strict=True))
            if see is not None and memory.keys is not None:
                queries, keys = self._linear("attention.query", xp.stack(states[:-1], axis=1)), memory.keys
                seen_arrays = (scores, weights, memory.states, contexts, queries, keys)
                see("cross", 0, *(array[:, None] for array in seen_arrays))
        else:
            contexts = memory.last[:, None]
        return self.drop(self._say(embedded, xp.stack(states[1:], axis=1), contexts))

    def begin(
        self, ids: Int[Array, "batch key"], present: Bool[Array, "batch key"], cuts: RowCuts | None = None
    ) -> RecurrentWriting:
        """Read texts; see `search.Writer`."""
        memory = self.encode(ids, present)
        return RecurrentWriting(memory, self.start(memory), cuts)

    def advance(
        self, ids: Int[Array, "batch"], state: RecurrentWriting
    ) -> tuple[Float[Array, "batch vocabulary"], RecurrentWriting]:
        """Read one token for each text; see `search.Writer`."""
        memory = state.memory
        embedded = self.embed(ids)[:, None]
        given = (memory.states, memory.keys, memory.mask) + (() if state.cuts is None else (state.cuts, state.read))
        after, *attention = self._write(self.weights, self._inputs(embedded, memory)[:, 0], state.state, *given)
        context = attention[-1] if attention else memory.last
        said = self._say(embedded[:, 0], after, context)
        return self.logits(said), RecurrentWriting(memory, after, state.cuts, state.read + 1)

    def pick(self, state: RecurrentWriting, rows: Int[Array, "picked"]) -> RecurrentWriting:
        """Select rows of the batch; see `search.Writer`."""
        memory = state.memory
        keys = None if memory.keys is None else memory.keys[rows]
        picked = Memory(memory.states[rows], keys, memory.mask[rows], memory.last[rows])
        cuts = None if state.cuts is None else state.cuts.pick(rows)
        return RecurrentWriting(picked, state.state[rows], cuts, state.read)

    def logits(self, states: Float[Array, "*batch dim"]) -> Float[Array, "*batch vocabulary"]:
        """Compute the logits of the next token from the decoder's output vectors."""
        return linear(states, self.weights["embedding.weight"], self.weights["output.bias"])

    def _inputs(
        self, embedded: Float[Array, "batch query dim"], memory: Memory
    ) -> Float[Array, "batch query three_state"]:
        """Compute the part of the decoder unit's input that does not depend on its state."""
        inputs = self._linear("decoder.input", embedded)
        if self.shape.attention:
            return inputs
        return inputs + self._linear("decoder.context", memory.last)[:, None]

    def _say(
        self,
        embedded: Float[Array, "*batch dim"],
        states: Float[Array, "*batch state_dim"],
        contexts: Float[Array, "*#batch states_dim"],
    ) -> Float[Array, "*batch dim"]:
        """Compute the decoder's output vectors, from which `logits` scores the next token."""
        said = (
            self._linear("output.state", states)
            + self._linear("output.input", embedded)
            + self._linear("output.context", contexts)
        )
        return namespace(said).tanh(said)

    def _linear(self, place: str, states: Float[Array, "*batch from_dim"]) -> Float[Array, "*batch to_dim"]:
        return _linear(self.weights, place, states)


def _linear(
    weights: Mapping[str, Array], place: str, states: Float[Array, "*batch from_dim"]
) -> Float[Array, "*batch to_dim"]:
    return linear(states, weights[f"{place}.weight"], weights[f"{place}.bias"])
