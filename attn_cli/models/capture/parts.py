"""Steps of an attention computation: the queries, keys, values, and everything else that goes into the scores."""

from __future__ import annotations

import numpy as np
import torch

from attn_cli.data.shapes import Float
from attn_cli.data.stream import Steps
from attn_cli.models.capture.call import AttentionCall, Slice
from attn_cli.models.capture.slices import Slicer, is_seen

__all__ = ["parts_of", "parts_of_older"]

SCORE_ALONE = "how query and key make the score, because this family's older code keeps them to itself"
NO_VALUES = "the values and the context vector, because this family's older code keeps them to itself"
SINK_AFTERWARDS = (
    "a learned sink, which scales this head's output after the softmax: the layer's context vector is smaller by that"
)


def parts_of(call: AttentionCall, piece: Slice, start: int, heads: tuple[int, ...]) -> Steps:
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
        array: Float[np.ndarray, "head row dim"] = chosen.to("cpu", torch.float32).contiguous().numpy()
        return array

    scaling = call.options.get("scaling")
    after = call.has_sinks and piece.sink is None
    sinks = None
    if piece.sink is not None and piece.softmax is not None:
        sinks = piece.softmax.scores[0, wanted, :, keys].to("cpu", torch.float32).numpy()
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


def parts_of_older(
    values: Float[torch.Tensor, "every key dim"] | None,
    contexts: Float[torch.Tensor, "every query dim"] | None,
    heads: tuple[int, ...],
) -> Steps:
    """Collect the steps of a layer of older code, of which only the softmax and the product of its weights are watched.

    Args:
        values: values of all heads; None if that product has an unexpected form.
        contexts: products of weights and values for the queries requested, all heads; None in the same case.
        heads: the heads requested.
    """

    def of_heads(array: Float[torch.Tensor, "every row dim"]) -> Float[np.ndarray, "head row dim"]:
        chosen: Float[np.ndarray, "head row dim"] = array[list(heads)].to("cpu", torch.float32).contiguous().numpy()
        return chosen

    if values is None or contexts is None:
        return Steps(None, None, None, None, missing=(SCORE_ALONE, NO_VALUES))
    return Steps(None, None, of_heads(values), of_heads(contexts), missing=(SCORE_ALONE,))


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
