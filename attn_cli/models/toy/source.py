"""A text that a built-in model reads: its attention streamed, with relevance for an output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from attn_cli.data.cuts import COMPARED_UNCUT, zeroed
from attn_cli.data.model import ModelInfo
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Eat, Kind, Report, Request, Steps
from attn_cli.data.text import Tokens
from attn_cli.errors import ModelError
from attn_cli.models.toy import recurrent
from attn_cli.models.toy.cuts import RowCuts
from attn_cli.models.toy.ops import normalize, weighted_sum
from attn_cli.models.toy.search import PAD
from attn_cli.models.toy.transformer import See, Transformer

__all__ = ["ToyGoal", "ToySource"]


@dataclass(frozen=True, eq=False)
class ToyGoal:
    """The tokens whose logits relevance is measured for."""

    target: Tokens
    """All tokens of the decoder's side, the start token first."""
    word: str | None
    """The only word of them that is meant; None for all."""
    own: bool
    """True if the model wrote them itself."""


@dataclass(frozen=True, eq=False)
class ToySource:
    """A text tokenized for a toy model, which implements `Source`."""

    model: ModelInfo
    source: Tokens
    target: Tokens | None
    notes: tuple[str, ...]
    network: Transformer | recurrent.Recurrent
    folder: Path
    ids: tuple[int, ...]
    read: tuple[int, ...] | None
    """Tokens that the decoder reads: the start token, then all tokens of the target but the last."""
    relevant_to: ToyGoal | None = None
    """The output whose relevance can be measured; None if the text was read for none."""

    def stream(self, request: Request, eat: Eat) -> Report:
        """Run the model, and pass each layer's attention to the collector `eat`.

        Raises:
            ModelError: relevance is asked for, and the model is recurrent or the text was read for no output.
        """
        if request.relevance:
            return self._stream_relevance(request, eat)
        largest = 0.0
        without = self.model.without

        def see(
            kind: Kind,
            layer: int,
            scores: Float[np.ndarray, "1 head query key"],
            weights: Float[np.ndarray, "1 head query key"],
            values: Float[np.ndarray, "1 head key value_dim"],
            contexts: Float[np.ndarray, "1 head query value_dim"],
            queries: Float[np.ndarray, "1 head query dim"],
            keys: Float[np.ndarray, "1 head key dim"],
        ) -> None:
            nonlocal largest
            heads = request.heads.get(kind, {}).get(layer)
            if heads is None:
                return
            of_heads = partial(_of_heads, heads=heads)
            if layer in without.get(kind, {}):  # what a head that is cut would have handed on
                contexts = weighted_sum(weights, values)
            if request.verify:
                again = weighted_sum(normalize(scores), values)
                largest = float(np.maximum(largest, np.abs(again - contexts).max()))
            rows, columns = weights.shape[2:]
            stops = np.arange(rows) + 1 if kind == "decoder" else np.full(rows, columns)
            steps = None
            if request.steps:
                vector = self._additive()
                steps = Steps(
                    queries=of_heads(queries),
                    keys=of_heads(keys),
                    values=of_heads(values),
                    contexts=of_heads(contexts),
                    scaling=queries.shape[-1] ** -0.5 if vector is None else None,
                    vector=vector,
                )
            eat(
                Block(
                    kind=kind,
                    layer=layer,
                    heads=heads,
                    start=0,
                    weights=of_heads(weights),
                    visible=np.stack([np.zeros_like(stops), stops], axis=1),
                    scores=of_heads(scores) if request.scores or request.steps else None,
                    norms=self._norms(kind, layer, heads, values) if request.norms else None,
                    steps=steps,
                )
            )

        states = self.run(see)
        notes, output = self.notes, None
        if request.verify and isinstance(self.network, Transformer) and states is not None:
            # Imported late, since it brings torch and transformers.
            from attn_cli.models.hf.marian import check_output

            if without:
                states, notes = self.run(cut=False), (*notes, COMPARED_UNCUT)
            output = None if states is None else check_output(self.folder, self.ids, self.read, states)
        return Report(largest if request.verify else None, notes, output, vector=self._vector())

    def _vector(self) -> Float[np.ndarray, "dim"] | None:
        """Return the last states of the encoder, if they are all that the decoder gets; None with attention."""
        network = self.network
        if not isinstance(network, recurrent.Recurrent) or network.shape.attention:
            return None
        ids = np.asarray([self.ids])
        vector: Float[np.ndarray, "dim"] = network.encode(ids, ids != PAD).last[0]
        return vector

    def _stream_relevance(self, request: Request, eat: Eat) -> Report:
        """Run the model's copy in transformers under autograd, and pass each layer's attention with its relevance."""
        if not isinstance(self.network, Transformer):
            raise ModelError(
                f"{self.model.name} is recurrent, and relevance goes from layer to layer of a Transformer",
                "Use --model toy, or choose another measure",
            )
        if self.relevant_to is None:
            raise ModelError("The text was not read for an output, so nothing can be relevant to it")
        checked = self.stream(replace(request, relevance=False), lambda _: None) if request.verify else Report()
        # Imported late, since it brings torch and transformers.
        from attn_cli.models.hf.marian import stream_relevance

        goal = self.relevant_to
        report = stream_relevance(self.folder, self.ids, goal.target, goal.word, request, eat, own=goal.own)
        notes = dict.fromkeys((*self.notes, *report.notes))
        return replace(report, notes=tuple(notes), verified=checked.verified, output=checked.output)

    def run(self, see: See | None = None, *, cut: bool = True) -> Float[np.ndarray, "1 token dim"] | None:
        """Run the model, and return the last states of the decoder, or of the encoder where there is no target.

        Args:
            see: callback for each layer's attention.
            cut: cut the heads that the model is without.
        """
        cuts = RowCuts([zeroed(self.model.without)]) if cut and self.model.without else None
        ids = np.asarray([self.ids])
        states: Float[np.ndarray, "1 token dim"] | None = None
        if self.read is not None:
            states = self.network.states(ids, np.asarray([self.read]), see, cuts)
        elif isinstance(self.network, Transformer):
            states = self.network.encode(ids, ids != PAD, see, cuts)
        return states

    def _norms(
        self, kind: Kind, layer: int, heads: tuple[int, ...], values: Float[np.ndarray, "1 every key dim"]
    ) -> Float[np.ndarray, "head key"]:
        """Return the norm of each key's value after the output projection, which only the Transformer has."""
        rows = []
        for head in heads:
            value = values[0, head]
            if isinstance(self.network, Transformer):
                value = value @ self.network.output_projection(kind, layer, head).T
            rows.append(np.linalg.norm(value, axis=-1))
        return np.stack(rows).astype(np.float32)

    def _additive(self) -> Float[np.ndarray, "dim"] | None:
        """Return the vector that turns tanh(query + key) into an additive score; None for dot-product scores."""
        additive = isinstance(self.network, recurrent.Recurrent)
        return np.asarray(self.network.weights["attention.vector"], np.float32) if additive else None


def _of_heads(
    arrays: Float[np.ndarray, "1 every row column"], heads: Sequence[int]
) -> Float[np.ndarray, "head row column"]:
    chosen: Float[np.ndarray, "head row column"] = np.ascontiguousarray(arrays[0, list(heads)], np.float32)
    return chosen
