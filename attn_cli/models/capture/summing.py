"""Statistics of the rows of a transformers model's attention, without its weights, for texts of any length.

Layers run on flash attention. On a CPU it returns each row's normalizer beside the output; elsewhere normalizers are
computed from the scores, some rows at a time, where the model is, and nothing but sums leaves the device. `tiles.py`
and `tile_sums.py` do the rest. This is exact for a softmax of scaled products. A layer with a bias, soft-capping or a
learned sink has no such statistics, nor one in half precision on a CPU: their weights must be streamed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from transformers.modeling_utils import PreTrainedModel

from attn_cli.data.cuts import ZeroedHeads, check_cuts
from attn_cli.data.shapes import Float, Int
from attn_cli.data.statistics import EatStatistics, StatisticsRequest
from attn_cli.data.stream import Report, Request
from attn_cli.models.capture.anatomy import Place
from attn_cli.models.capture.call import AttentionCall
from attn_cli.models.capture.delivery import Delivery, every_span, lengths
from attn_cli.models.capture.offloaded import check_weights_present, device_of
from attn_cli.models.capture.slices import additive
from attn_cli.models.capture.stream import StreamRun, anatomy_of, captured_by, run_pass, stacks
from attn_cli.models.capture.tile_sums import sum_up_tiles
from attn_cli.models.capture.tiles import LayerTiles

__all__ = ["on_cpu", "repeat_heads", "sum_up"]

SHARES_HEADS = torch.__version__ >= "2.9"  # compared as versions, not as strings
"""True if torch's kernel takes fewer heads of keys and values than of queries; an older one reads other memory then."""
IN_FLOAT32 = "Figures of this text are computed in float32 from the queries and keys of the model, which are in {}"


def on_cpu(model: PreTrainedModel) -> bool:
    """Return whether a model computes on the processor."""
    return device_of(model).type == "cpu"


def repeat_heads(
    values: Float[torch.Tensor, "text key_value_head key dim"], heads: int
) -> Float[torch.Tensor, "text head key dim"]:
    """Repeat shared keys or values, once for each head that reads them, without a copy if all heads share the same.

    Args:
        values: the keys or values.
        heads: the number of heads of queries.
    """
    shared = values.shape[1]
    if shared == heads:
        return values
    return values[:, :, None].expand(-1, -1, heads // shared, -1, -1).flatten(1, 2)


class _MustStreamError(Exception):
    """Raised within a pass where a layer's weights must be streamed."""


def sum_up(
    model: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    request: StatisticsRequest,
    eat: EatStatistics,
    *,
    cuts: tuple[ZeroedHeads, ...] = (),
) -> Report | None:
    """Run the model once on a batch of one, and pass the statistics of each layer to `eat`.

    Args:
        model: a model loaded as for `capture.stream`.
        inputs: keyword arguments of its forward method.
        request: the statistics to compute.
        eat: the consumer of each layer's statistics.
        cuts: the heads whose output is zero.

    Returns:
        The report; None if this model's weights must be streamed.

    Raises:
        SelectionError: the model does not have a layer or head that is cut.
        ModelError: a requested layer computed no attention, or some of the model's weights are not in memory.
        ExactnessError: the weights of a row do not sum to 1.
    """
    if captured_by(model) != "interface" or (model.dtype != torch.float32 and on_cpu(model)):
        return None
    check_weights_present(model)
    check_cuts([cuts], stacks(model))
    wanted = Request(heads={request.kind: request.heads})
    delivery = Delivery(model.config.model_type, anatomy_of(model), lengths(inputs), wanted, lambda _: None, None)
    run = _SumRun(model, delivery, {}, cuts=cuts)
    run.request, run.eat, run.on_cpu = request, eat, on_cpu(model)
    if not run.masks.flash:
        return None
    try:
        run_pass(model, inputs, run)
    except _MustStreamError:
        return None
    return delivery.finish()


class _SumRun(StreamRun):
    """One pass of a model in which each layer requested is summed up."""

    request: StatisticsRequest
    eat: EatStatistics
    on_cpu: bool

    def attend(self, place: Place | None, call: AttentionCall) -> Float[torch.Tensor, "1 query head dim"]:
        """Compute one layer's output with nothing cut, and pass its statistics on if they are requested."""
        if not call.suits_flash:
            raise _MustStreamError
        if place is None or not self.delivery.heads(place) or self.is_repeated(place, call):
            return call.flash()
        heads, queries, keys = call.query.shape[1], call.query.shape[2], call.key.shape[2]
        self.delivery.check_shape(place, heads, queries, keys)
        size = call.query.shape[3]
        # The kernel takes heads of one size, and only what is not biased are products of queries and keys.
        if len(call.query) > 1 or call.value.shape[3] != size or call.is_biased:
            raise _MustStreamError
        scaling = call.options.get("scaling")
        scaling = size**-0.5 if scaling is None else float(scaling)
        mask = None if call.mask is None else call.mask[..., :keys]
        visible = self._visible(call, mask)
        alone = visible[:, 1] - visible[:, 0] == 1
        if mask is not None and not self.request.crosses and (visible[alone, 0] != np.flatnonzero(alone)).any():
            raise _MustStreamError  # such a row's distance would be summed up with those of rows with a choice
        causal = call.causal and mask is None and queries > 1
        if self.on_cpu:
            output, normalizer = self._flash(call, mask, visible, scaling)
            joined: Float[torch.Tensor, "1 query head dim"] = output.transpose(1, 2).contiguous()
        else:
            joined, normalizer = call.flash(), call.query.new_zeros((heads, queries), dtype=torch.float32)
            if call.query.dtype != torch.float32:
                self.delivery.note(IN_FLOAT32.format(str(call.query.dtype).removeprefix("torch.")))
        tiles = LayerTiles(
            call.query[0].float() * scaling,
            call.key[0].float(),
            normalizer,
            None if mask is None else mask[0],
            causal,
            visible,
        )
        if not self.on_cpu:
            tiles.normalize()
        normalizer[:, torch.from_numpy(visible[:, 0] >= visible[:, 1]).to(normalizer.device)] = 0.0
        self.eat(sum_up_tiles(tiles, place.kind, place.layer, self.delivery.heads(place), self.request))
        self.delivery.mark(place)
        return joined

    def _flash(
        self, call: AttentionCall, mask: torch.Tensor | None, visible: Int[np.ndarray, "query 2"], scaling: float
    ) -> tuple[Float[torch.Tensor, "1 head query dim"], Float[torch.Tensor, "head query"]]:
        """Return a layer's output and each row's normalizer.

        With a mask, a strip of rows at a time is computed, over the keys that it sees: as numbers, the whole mask would
        be four bytes for each pair of tokens.
        """
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001 - the only one to return both
        heads, queries, keys = call.query.shape[1], call.query.shape[2], call.key.shape[2]
        every_key, every_value = call.key, call.value
        if not SHARES_HEADS:
            every_key, every_value = repeat_heads(every_key, heads), repeat_heads(every_value, heads)
        if mask is None:
            causal = call.causal and queries > 1
            output, normalizer = kernel(call.query, every_key, every_value, 0.0, causal, scale=scaling)
            return output, normalizer.reshape(heads, queries)
        output, normalizer = torch.empty_like(call.query), torch.empty((heads, queries))
        for start, stop in every_span(queries, self.delivery.rows(1, keys)):
            rows, sees = slice(start, stop), visible[start:stop]
            # A row that sees no key gives all of them the same weight, so none may be cut off.
            blind = bool((sees[:, 0] == sees[:, 1]).any())
            columns = slice(0, keys) if blind else slice(int(sees[:, 0].min()), int(sees[:, 1].max()))
            part = mask[..., columns] if mask.shape[2] == 1 else mask[:, :, rows, columns]
            query, key, value = call.query[:, :, rows], every_key[:, :, columns], every_value[:, :, columns]
            output[:, :, rows], logs = kernel(query, key, value, 0.0, attn_mask=additive(part, query), scale=scaling)
            normalizer[:, rows] = logs.reshape(heads, stop - start)
        return output, normalizer

    def _visible(self, call: AttentionCall, mask: torch.Tensor | None) -> Int[np.ndarray, "query 2"]:
        """Return the first key that each query sees, and one past the last."""
        queries, keys = call.query.shape[2], call.key.shape[2]
        found = []
        for start, stop in every_span(queries, self.delivery.rows(1, keys)):
            found.append(self._slicer.cut(mask, start, stop, call.query, keys, causal=call.causal and queries > 1)[2])
            if self._slicer.gaps:
                self.delivery.note_gaps()
        return np.concatenate(found)
