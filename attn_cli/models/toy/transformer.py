"""The multi-head Transformer (Vaswani et al. 2017), encoder and decoder, as a MarianMT checkpoint holds it.

Written once for NumPy and torch (see `ops`). Weights carry the names that transformers' `MarianMTModel` gives them,
so that one file serves both. Layer norm comes after each residual sum; positions are fixed sines and cosines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.models.toy.cuts import RowCuts
from attn_cli.models.toy.ops import Array, hide, layer_norm, linear, namespace, normalize, score, sigmoid, weighted_sum

__all__ = ["KeysValues", "See", "Transformer", "TransformerShape", "positions", "weight_shapes"]

KeysValues = tuple[Float[Array, "batch head key head_dim"], Float[Array, "batch head key head_dim"]]
Past = tuple[Float[Array, "batch head past head_dim"], Float[Array, "batch head past head_dim"]]
Grown = tuple[Float[Array, "batch head so_far head_dim"], Float[Array, "batch head so_far head_dim"]]

See = Callable[
    [
        Literal["encoder", "decoder", "cross"],
        int,
        Float[Array, "batch head query key"],
        Float[Array, "batch head query key"],
        Float[Array, "batch head key value_dim"],
        Float[Array, "batch head query value_dim"],
        Float[Array, "batch head query dim"],
        Float[Array, "batch head key dim"],
    ],
    None,
]
"""Callback for each attention layer: its kind and number, scores, weights, values, context vectors, queries, keys."""


@dataclass(frozen=True)
class TransformerShape:
    """Sizes of a Transformer."""

    vocabulary: int
    dim: int
    heads: int
    feed_forward: int
    encoder_layers: int
    decoder_layers: int
    positions: int
    """Length of the longest text, in tokens."""


def weight_shapes(shape: TransformerShape) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every weight, as transformers' MarianMTModel names them."""
    dim, wide = shape.dim, shape.feed_forward
    shapes: dict[str, tuple[int, ...]] = {
        "model.shared.weight": (shape.vocabulary, dim),
        "final_logits_bias": (1, shape.vocabulary),
    }

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (dim,)

    for side, layers in (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers)):
        for layer in range(layers):
            place = f"model.{side}.layers.{layer}"
            for attention in ("self_attn", "encoder_attn") if side == "decoder" else ("self_attn",):
                for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    shapes[f"{place}.{attention}.{part}.weight"] = (dim, dim)
                    shapes[f"{place}.{attention}.{part}.bias"] = (dim,)
                norm(f"{place}.{attention}_layer_norm")
            shapes[f"{place}.fc1.weight"], shapes[f"{place}.fc1.bias"] = (wide, dim), (wide,)
            shapes[f"{place}.fc2.weight"], shapes[f"{place}.fc2.bias"] = (dim, wide), (dim,)
            norm(f"{place}.final_layer_norm")
    return shapes


def positions(count: int, dim: int) -> Float[np.ndarray, "position dim"]:
    """Compute position vectors: sines in the first half, cosines in the second (Vaswani et al. 2017, section 3.5)."""
    angles = np.arange(count)[:, None] / 10000 ** (np.arange(0, dim, 2) / dim)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class TransformerWriting:
    """The decoder's progress after the tokens read so far."""

    memory: Sequence[KeysValues]
    """Keys and values of the source text, by decoder layer."""
    present: Bool[Array, "batch key"]
    past: list[Past]
    """Keys and values of the tokens read so far, by decoder layer."""
    cuts: RowCuts | None = None
    """Cuts in the attention of each row."""


class Transformer:
    """The Transformer, around weights that are NumPy arrays or torch tensors.

    Args:
        shape: sizes of the model.
        weights: weights by name; see `weight_shapes`.
        table: position vectors from `positions`, as an array of the weights' kind.
        drop: dropout to apply to states in training; by default, states stay as they are.
        product: function that does what `linear` does; training has a quicker one.
    """

    def __init__(
        self,
        shape: TransformerShape,
        weights: Mapping[str, Array],
        table: Float[Array, "position dim"],
        drop: Callable[[Array], Array] = lambda states: states,
        product: Callable[[Array, Array, Array], Array] = linear,
    ) -> None:
        self.shape, self.weights, self.table, self.drop, self.product = shape, weights, table, drop, product

    def encode(
        self,
        ids: Int[Array, "batch key"],
        present: Bool[Array, "batch key"],
        see: See | None = None,
        cuts: RowCuts | None = None,
    ) -> Float[Array, "batch key dim"]:
        """Return the encoder's last states.

        Args:
            ids: tokens of the texts, padded at the end.
            present: True where a token is not padding.
            see: callback for each layer's attention.
            cuts: cuts to make in it, in NumPy.
        """
        mask = hide(present)[:, None, None, :]
        states = self._embed(ids, 0)
        for layer in range(self.shape.encoder_layers):
            place = f"model.encoder.layers.{layer}"
            keys_values = self._keys_values(f"{place}.self_attn", states)
            states = self._attend("encoder", layer, f"{place}.self_attn", states, keys_values, mask, see, cuts)
            states = self._feed_forward(place, states)
        return states

    def cross_keys_values(self, memory: Float[Array, "batch key dim"]) -> list[KeysValues]:
        """Compute each decoder layer's keys and values from the encoder's last states."""
        return [
            self._keys_values(f"model.decoder.layers.{layer}.encoder_attn", memory)
            for layer in range(self.shape.decoder_layers)
        ]

    def decode(
        self,
        ids: Int[Array, "batch query"],
        memory: Sequence[KeysValues],
        present: Bool[Array, "batch key"],
        past: Sequence[Past] = (),
        see: See | None = None,
        cuts: RowCuts | None = None,
    ) -> tuple[Float[Array, "batch query dim"], list[Grown]]:
        """Return the decoder's last states, one per token, and the keys and values of all tokens read so far.

        Args:
            ids: tokens that the decoder reads, the start token first.
            memory: keys and values from `cross_keys_values`.
            present: True where an encoder token is not padding.
            past: keys and values of the tokens read before, by layer; empty where there are none.
            see: callback for each layer's attention.
            cuts: cuts to make in it, in NumPy.
        """
        xp = namespace(ids)
        before = past[0][0].shape[2] if past else 0
        # Each token sees itself and what came before it.
        order = xp.arange(before + ids.shape[1], device=ids.device)
        causal = hide(order[None, :] <= order[before:, None])
        mask = hide(present)[:, None, None, :]
        states = self._embed(ids, before)
        grown = []
        for layer in range(self.shape.decoder_layers):
            place = f"model.decoder.layers.{layer}"
            keys, values = self._keys_values(f"{place}.self_attn", states)
            if past:
                keys, values = xp.concat([past[layer][0], keys], axis=2), xp.concat([past[layer][1], values], axis=2)
            grown.append((keys, values))
            around = (see, cuts, before)
            states = self._attend("decoder", layer, f"{place}.self_attn", states, (keys, values), causal, *around)
            states = self._attend("cross", layer, f"{place}.encoder_attn", states, memory[layer], mask, *around)
            states = self._feed_forward(place, states)
        return states, grown

    def states(
        self,
        source: Int[Array, "batch key"],
        read: Int[Array, "batch query"],
        see: See | None = None,
        cuts: RowCuts | None = None,
    ) -> Float[Array, "batch query dim"]:
        """Return the decoder's state after each token that it reads. Token 0 is padding in `source`."""
        present = source != 0
        memory = self.cross_keys_values(self.encode(source, present, see, cuts))
        return self.decode(read, memory, present, see=see, cuts=cuts)[0]

    def logits(self, states: Float[Array, "*batch dim"]) -> Float[Array, "*batch vocabulary"]:
        """Compute the logits of the next token from the decoder's states."""
        return self.product(states, self.weights["model.shared.weight"], self.weights["final_logits_bias"][0])

    def begin(
        self, ids: Int[Array, "batch key"], present: Bool[Array, "batch key"], cuts: RowCuts | None = None
    ) -> TransformerWriting:
        """Read texts; see `search.Writer`."""
        return TransformerWriting(self.cross_keys_values(self.encode(ids, present, cuts=cuts)), present, [], cuts)

    def advance(
        self, ids: Int[Array, "batch"], state: TransformerWriting
    ) -> tuple[Float[Array, "batch vocabulary"], TransformerWriting]:
        """Read one token for each text; see `search.Writer`."""
        states, past = self.decode(ids[:, None], state.memory, state.present, state.past, cuts=state.cuts)
        return self.logits(states[:, 0]), TransformerWriting(state.memory, state.present, past, state.cuts)

    def pick(self, state: TransformerWriting, rows: Int[Array, "picked"]) -> TransformerWriting:
        """Select rows of the batch; see `search.Writer`."""
        return TransformerWriting(
            [(keys[rows], values[rows]) for keys, values in state.memory],
            state.present[rows],
            [(keys[rows], values[rows]) for keys, values in state.past],
            None if state.cuts is None else state.cuts.pick(rows),
        )

    def output_projection(
        self, kind: Literal["encoder", "decoder", "cross"], layer: int, head: int
    ) -> Float[Array, "dim head_dim"]:
        """Return the part of a layer's output projection that multiplies one head's context vector."""
        side, part = (
            ("encoder" if kind == "encoder" else "decoder"),
            ("encoder_attn" if kind == "cross" else "self_attn"),
        )
        size = self.shape.dim // self.shape.heads
        weight = self.weights[f"model.{side}.layers.{layer}.{part}.out_proj.weight"]
        return weight[:, head * size : (head + 1) * size]

    def _embed(self, ids: Int[Array, "batch query"], start: int) -> Float[Array, "batch query dim"]:
        embedded = self.weights["model.shared.weight"][ids] * math.sqrt(self.shape.dim)
        return self.drop(embedded + self.table[start : start + ids.shape[1]])

    def _split(self, states: Float[Array, "batch query dim"]) -> Float[Array, "batch head query head_dim"]:
        batch, count, dim = states.shape
        return states.reshape(batch, count, self.shape.heads, dim // self.shape.heads).swapaxes(1, 2)

    def _linear(self, place: str, states: Float[Array, "*batch dim"]) -> Float[Array, "*batch to_dim"]:
        return self.product(states, self.weights[f"{place}.weight"], self.weights[f"{place}.bias"])

    def _keys_values(self, place: str, states: Float[Array, "batch key dim"]) -> KeysValues:
        return (
            self._split(self._linear(f"{place}.k_proj", states)),
            self._split(self._linear(f"{place}.v_proj", states)),
        )

    def _attend(
        self,
        kind: Literal["encoder", "decoder", "cross"],
        layer: int,
        place: str,
        states: Float[Array, "batch query dim"],
        keys_values: KeysValues,
        mask: Float[Array, "..."],
        see: See | None,
        cuts: RowCuts | None,
        start: int = 0,
    ) -> Float[Array, "batch query dim"]:
        keys, values = keys_values
        queries = self._split(self._linear(f"{place}.q_proj", states))
        scores = score(queries, keys) + mask
        if cuts is None:
            weights = normalize(scores)
            context = weighted_sum(weights, values)
        else:
            scores, weights, context = cuts.attend(kind, layer, scores, values, start)
        if see is not None:
            see(kind, layer, scores, weights, values, context, queries, keys)
        joined = context.swapaxes(1, 2).reshape(states.shape)
        return self._add(f"{place}_layer_norm", states, self._linear(f"{place}.out_proj", joined))

    def _feed_forward(self, place: str, states: Float[Array, "batch query dim"]) -> Float[Array, "batch query dim"]:
        hidden = self._linear(f"{place}.fc1", states)
        hidden = hidden * sigmoid(hidden)  # swish (Ramachandran et al. 2017)
        return self._add(f"{place}.final_layer_norm", states, self._linear(f"{place}.fc2", hidden))

    def _add(
        self, norm: str, states: Float[Array, "batch query dim"], change: Float[Array, "batch query dim"]
    ) -> Float[Array, "batch query dim"]:
        return layer_norm(states + self.drop(change), self.weights[f"{norm}.weight"], self.weights[f"{norm}.bias"])
