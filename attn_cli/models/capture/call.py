"""One call of a model's attention function, computed a slice of the queries at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Steps
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import own_function
from attn_cli.models.capture.slices import Slicer, additive, is_seen, to_host
from attn_cli.models.capture.watch import Softmax, Watch, softmax_exactly

__all__ = ["AttentionCall", "Slice", "steps_of"]

SINK_AFTERWARDS = (
    "a learned sink, which scales this head's output after the softmax: the layer's context vector is smaller by that "
    "factor"
)


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """The attention of a run of queries in all heads."""

    output: Float[torch.Tensor, "1 query head dim"]
    weights: Float[torch.Tensor, "head query key"]
    visible: Int[np.ndarray, "query 2"]
    scores: Float[torch.Tensor, "head query key"] | None
    """Scores before softmax, minus infinity where masked; None if the softmax was not watched."""
    sink: Float[torch.Tensor, "head query"] | None
    """The share of each row that a learned sink takes; None if no sink took part in the watched softmax."""
    softmax: Softmax | None


class AttentionCall:
    """The arguments that a module passes to its attention function.

    Args:
        module: the attention module.
        query: queries `[text, head, query, dim]`; `slice` takes one text.
        key: keys `[text, key-value head, key, dim]`.
        value: values `[text, key-value head, key, value dim]`.
        mask: mask `[1 or text, 1 or head, 1 or query, key]`, either true at visible keys or added to the scores; or
            None.
        causal: whether, without a mask, a query sees only the keys up to its own position.
        options: the remaining keyword arguments.
    """

    def __init__(
        self,
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        *,
        causal: bool,
        options: dict[str, Any],
    ) -> None:
        self.module = module
        self.query, self.key, self.value, self.mask = query, key, value, mask
        self.causal = causal
        self.options = options
        self._eager = own_function(type(module))

    @property
    def has_sinks(self) -> bool:
        """True if the layer has a learned sink (gpt-oss)."""
        return getattr(self.module, "sinks", None) is not None or self.options.get("sinks") is not None

    @property
    def suits_flash(self) -> bool:
        """True if `flash` computes the same output: it supports neither soft-capping nor learned sinks."""
        return self.options.get("softcap") is None and not self.has_sinks

    @property
    def has_own(self) -> bool:
        """True if the module has an attention function of its own."""
        return self._eager is not None

    @property
    def can_be_cut(self) -> bool:
        """True if `slice` can be called."""
        return len(self.query) == 1 and self.has_own

    def flash(self) -> Float[torch.Tensor, "text query head dim"]:
        """Compute the whole output by SDPA, without weights."""
        options = self.options | {"is_causal": self.causal}
        output, _ = sdpa_attention_forward(self.module, self.query, self.key, self.value, self.mask, **options)
        return output

    def whole(self) -> Float[torch.Tensor, "text query head dim"]:
        """Compute the whole output, of any number of texts, by the model's own attention function.

        Raises:
            ModelError: the module has no attention function of its own.
        """
        output: Float[torch.Tensor, "text query head dim"]
        output, _ = self._own()(self.module, self.query, self.key, self.value, self.additive_mask(), **self.options)
        return output

    def additive_mask(self) -> torch.Tensor | None:
        """Return the mask as numbers added to the scores, `[1 or text, 1 or head, 1 or query, key]`; None if all is
        visible.
        """
        queries, keys = self.query.shape[2], self.key.shape[2]
        if self.mask is not None:
            return additive(self.mask, self.query)[..., :keys]
        if not self.causal or queries == 1:  # as in transformers: a query alone is the last
            return None
        lowest = torch.finfo(self.query.dtype).min
        return self.query.new_full((1, 1, queries, keys), lowest).triu(diagonal=1)

    def take(self, texts: list[int], queries: list[int]) -> AttentionCall:
        """Return the call for some texts of the batch, and for some queries in each.

        Its mask is additive and has a row for each text, head and query, and so have its biases: they may be changed.
        """
        mask = self.additive_mask()
        if mask is None:
            mask = self.query.new_zeros((1, 1, 1, self.key.shape[2]))
        return AttentionCall(
            self.module,
            self.query[texts][:, :, queries],
            self.key[texts],
            self.value[texts],
            self._taken(mask, texts, queries),
            causal=False,
            options=self.options | {name: self._taken(bias, texts, queries) for name, bias in self.biases.items()},
        )

    @property
    def biases(self) -> dict[str, torch.Tensor]:
        """The options with an axis of keys that are added to the scores: T5's position bias."""
        return {
            name: value
            for name, value in self.options.items()
            if isinstance(value, torch.Tensor) and value.ndim == 4 and value.shape[3] == self.key.shape[2]
        }

    @property
    def is_biased(self) -> bool:
        """True if something is added to the scores of visible keys: a bias, or a mask that holds one."""
        mask = self.mask
        return bool(self.biases) or (
            mask is not None and mask.dtype != torch.bool and bool((mask.masked_fill(~is_seen(mask), 0) != 0).any())
        )

    def _taken(self, values: torch.Tensor, texts: list[int], queries: list[int]) -> torch.Tensor:
        heads = self.query.shape[1]
        values = values[texts] if len(values) > 1 else values
        values = values[:, :, queries] if values.shape[2] > 1 else values
        return values.expand(len(texts), heads, len(queries), -1).clone()

    def _own(self) -> Callable[..., Any]:
        if self._eager is None:
            raise ModelError(
                f"{type(self.module).__name__} has no attention function of its own to run", "Choose another model"
            )
        return self._eager

    def slice(self, slicer: Slicer, start: int, stop: int, *, watch: bool = False) -> Slice:
        """Compute queries `start` to `stop` by the model's own attention function.

        Args:
            slicer: the slicer that cuts the mask.
            start: first query.
            stop: one past the last query.
            watch: whether to watch the softmax, which gives the scores; a layer with a sink is always watched.

        Raises:
            ModelError: the input is cut into several pieces, the module has no attention function of its own, or a
                watched function does not compute exactly one softmax.
        """
        if not watch and not self.has_sinks:
            output, weights, visible = self.run_slice(slicer, start, stop)
            return Slice(output, weights[0], visible, None, None, None)
        seen: list[Softmax] = []
        with Watch(seen.append):
            output, weights, visible = self.run_slice(slicer, start, stop)
        keys = weights.shape[-1]
        if len(seen) != 1:
            raise ModelError(
                f"{type(self.module).__name__} takes {len(seen)} softmaxes where one is expected, so its scores cannot "
                "be shown",
                "Ask for its weights alone",
            )
        (softmax,) = seen
        scores = softmax.scores[0, ..., :keys]
        return Slice(
            output,
            weights[0],
            visible,
            scores.masked_fill(~is_seen(scores), -torch.inf),
            softmax.weights[0, ..., keys] if softmax.weights.shape[-1] > keys else None,
            softmax,
        )

    def run_slice(
        self, slicer: Slicer, start: int, stop: int, query: Float[torch.Tensor, "1 head query query_dim"] | None = None
    ) -> tuple[
        Float[torch.Tensor, "1 query head dim"], Float[torch.Tensor, "1 head query key"], Int[np.ndarray, "query 2"]
    ]:
        """Call the model's own attention function on queries `start` to `stop`.

        Args:
            slicer: the slicer that cuts the mask.
            start: first query.
            stop: one past the last query.
            query: the queries `start` to `stop`, if they are to begin a graph of their own.

        Returns:
            its output, the very weights that it returns, and the keys that each query can see.

        Raises:
            ModelError: the input is cut into several pieces, or the module has no attention function of its own.
        """
        if len(self.query) != 1:
            raise ModelError(
                f"{type(self.module).__name__} cuts its text into {len(self.query)} pieces, which cannot be shown as "
                "one map",
                "Give a shorter text, or choose another model",
            )
        mask, keys, visible = slicer.cut(self.mask, start, stop, self.query, self.key.shape[2], causal=self.causal)
        output, weights = self._own()(
            self.module,
            self.query[:, :, start:stop] if query is None else query,
            self.key[:, :, :keys],
            self.value[:, :, :keys],
            mask,
            **{name: self.cut(value, start, stop, keys) for name, value in self.options.items()},
        )
        return output, weights, visible

    def detached(self) -> AttentionCall:
        """Return the same call, of numbers that belong to no graph."""
        return AttentionCall(
            self.module,
            self.query.detach(),
            self.key.detach(),
            self.value.detach(),
            self.mask,
            causal=self.causal,
            options={
                name: value.detach() if isinstance(value, torch.Tensor) else value
                for name, value in self.options.items()
            },
        )

    def difference(self, piece: Slice) -> torch.Tensor | None:
        """Return softmax(scores) . values minus the slice's own output; None if they are not comparable.

        They are not if the softmax was not watched, or if a learned sink scales the output after it.
        """
        softmax, keys = piece.softmax, piece.weights.shape[-1]
        if softmax is None or (self.has_sinks and piece.sink is None):
            return None
        weights = softmax_exactly(softmax.scores)[..., :keys]
        values = self.value[:, :, :keys].to(weights.dtype)
        values = values.repeat_interleave(weights.shape[1] // values.shape[1], dim=1)
        return (weights @ values).transpose(1, 2) - piece.output

    def cut(self, value: Any, start: int, stop: int, keys: int) -> Any:
        """Cut an option that has axes of queries and keys (T5's position bias) to a slice; return others unchanged."""
        if not isinstance(value, torch.Tensor) or value.ndim != 4:
            return value
        if value.shape[2] == self.query.shape[2]:
            value = value[:, :, start:stop]
        return value[..., :keys] if value.shape[3] == self.key.shape[2] else value


def steps_of(call: AttentionCall, piece: Slice, start: int, heads: tuple[int, ...]) -> Steps:
    """Collect the steps of some queries' attention.

    Args:
        call: the call of the whole layer.
        piece: the slice of the queries, with its softmax watched.
        start: first query of the slice.
        heads: the heads requested.
    """
    stop, keys = start + piece.weights.shape[1], piece.weights.shape[2]
    wanted = list(heads)

    def of_heads(values: Float[torch.Tensor, "1 some_heads row dim"]) -> Float[np.ndarray, "head row dim"]:
        group = call.query.shape[1] // values.shape[1]  # number of heads that share keys and values
        chosen = values[0, [head // group for head in wanted]]
        array: Float[np.ndarray, "head row dim"] = to_host(chosen)
        return array

    scaling = call.options.get("scaling")
    after = call.has_sinks and piece.sink is None
    sinks = None
    if piece.sink is not None and piece.softmax is not None:
        sinks = to_host(piece.softmax.scores[0, wanted, :, keys])
    bias = _bias(call, start, stop, keys)
    return Steps(
        queries=of_heads(call.query[:, :, start:stop]),
        keys=of_heads(call.key),
        values=of_heads(call.value),
        contexts=of_heads(piece.output.transpose(1, 2)),
        scaling=call.query.shape[-1] ** -0.5 if scaling is None else float(scaling),
        soft_cap=call.options.get("softcap"),
        bias=None if bias is None else of_heads(bias.expand(1, call.query.shape[1], stop - start, keys)),
        sink_scores=sinks,
        missing=(SINK_AFTERWARDS,) if after else (),
    )


def _bias(
    call: AttentionCall, start: int, stop: int, keys: int
) -> Float[torch.Tensor, "1 some_heads query key"] | None:
    """Sum what is added to the scores of visible keys: T5's position bias, and a mask with values other than 0."""
    total = None
    mask, _, _ = Slicer().cut(call.mask, start, stop, call.query, call.key.shape[2], causal=False)
    for added in (mask, call.options.get("position_bias")):
        if isinstance(added, torch.Tensor):
            part = added if added is mask else call.cut(added, start, stop, keys)
            part = part[..., :keys].masked_fill(~is_seen(part[..., :keys]), 0.0)
            total = part if total is None else total + part
    return total
