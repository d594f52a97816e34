"""Attention taken while a model writes: the row of each step, under the key-value cache that it writes with.

A step reads one token (the first reads the prompt), and its last row is the one that writes the next. The layer's own
output is computed as it would be anyway, so the same tokens are written; its row of weights is computed beside it, by
the model's own attention function, from the queries, keys and mask that it has there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from transformers.modeling_utils import PreTrainedModel

from attn_cli.data.cuts import Variation
from attn_cli.data.record import AttentionMap
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Kind, Request
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import Place
from attn_cli.models.capture.call import AttentionCall
from attn_cli.models.capture.delivery import Delivery
from attn_cli.models.capture.edited import Edited, edited
from attn_cli.models.capture.legacy import watch_older_layers
from attn_cli.models.capture.passes import deliver_slice
from attn_cli.models.capture.projections import Afterwards, changed_output
from attn_cli.models.capture.slices import Slicer
from attn_cli.models.capture.stream import anatomy_of

__all__ = ["LiveRun", "not_live"]


def not_live(family: str, why: str) -> ModelError:
    """Return the error for a family whose attention cannot be taken while it writes.

    Args:
        family: the family.
        why: the reason, as a clause.
    """
    return ModelError(
        f"The attention of the family {family} cannot be taken while it writes: {why}",
        "Leave --live out: it is then taken in one pass over what was written",
    )


class LiveRun(Edited):
    """The attention of the passes of a model that writes one text, of which the rows that write tokens are kept.

    Args:
        whole: the model that writes, with the layer that chooses words.
        model: the part of it whose attention is taken.
        request: the heads whose rows are kept, and whether their scores are.
        cuts: the cuts that are made all the while.
        first: position of the first row to keep: of a decoder alone, its prompt's last.
        source: the number of tokens on the encoder's side; 0 for a decoder alone.
    """

    def __init__(
        self,
        whole: PreTrainedModel,
        model: PreTrainedModel,
        request: Request,
        cuts: Variation,
        *,
        first: int = 0,
        source: int = 0,
    ) -> None:
        super().__init__(model, [cuts], {}, repeats=True)
        self._whole_model, self._model = whole, model
        self._request, self._first, self._source = request, first, source
        self._inputs = inspect.signature(whole.forward)
        self._slicer = Slicer()
        self._afterwards = Afterwards(lambda: self._delivery.note(changed_output(self.family)))
        self._start = 0
        """Position of the first token that the decoder reads in this pass."""
        self._stop = 0
        self._delivery = self._deliver_pass({})
        self._older = ExitStack()
        self._kept: dict[tuple[Kind, int], list[tuple[int, Block]]] = {}
        """(kind, layer) -> blocks, each with the position of its first key."""
        self._notes: dict[str, None] = {}
        self._offset = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep the rows of every pass of the model, until the context is left."""
        with ExitStack() as stack:
            stack.callback(self._whole_model.register_forward_pre_hook(self._begin_pass, with_kwargs=True).remove)
            stack.callback(self._whole_model.register_forward_hook(self._end_pass).remove)
            stack.enter_context(edited(self._model, self))
            stack.enter_context(self._afterwards.watch(anatomy_of(self._model).modern))
            stack.callback(lambda: self._older.close())
            yield

    def maps(self, count: int) -> tuple[AttentionMap, ...]:
        """Return the maps of the layers requested, whose rows are those that wrote this many tokens.

        Raises:
            ModelError: a layer took other steps than one for each token.
            ExactnessError: the values taken are not attention weights.
        """
        return tuple(
            self._map(kind, layer, heads, count)
            for kind, layers in self._request.heads.items()
            for layer, heads in layers.items()
        )

    def notes(self, index: int = 0) -> tuple[str, ...]:
        """Return the notes on the cuts and on what was taken."""
        return (*super().notes(index), *self._notes)

    def _map(self, kind: Kind, layer: int, heads: tuple[int, ...], count: int) -> AttentionMap:
        blocks = self._kept.get((kind, layer), [])
        keys = self._source if kind == "cross" else self._first + count
        rows = sum(len(block.visible) for _, block in blocks)
        if rows != count or any(offset + block.weights.shape[2] > keys for offset, block in blocks):
            raise not_live(self.family, f"{kind} layer {layer} took {rows} steps for {count} tokens")
        shape = (len(heads), count, keys)
        weights, visible = np.zeros(shape, np.float32), np.zeros((count, 2), np.intp)
        scores = np.full(shape, -np.inf, np.float32) if self._request.scores else None
        sinks = [block.sink for _, block in blocks if block.sink is not None]
        stop = 0
        for offset, block in blocks:
            start, stop = stop, stop + len(block.visible)
            place = np.s_[:, start:stop, offset : offset + block.weights.shape[2]]
            weights[place], visible[start:stop] = block.weights, block.visible + offset
            if scores is not None and block.scores is not None:
                scores[place] = block.scores
        return AttentionMap(
            kind,
            layer,
            heads,
            tuple(range(self._first, self._first + count)),
            weights,
            visible,
            scores,
            np.concatenate(sinks, axis=1) if sinks else None,
            str(self._model.dtype).removeprefix("torch."),
        )

    def _begin_pass(self, module: torch.nn.Module, given: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        """Prepare for the tokens that the decoder reads now."""
        del module
        named = self._inputs.bind_partial(*given, **options).arguments
        ids = next(
            (
                named[name]
                for name in ("decoder_input_ids", "input_ids", "decoder_inputs_embeds", "inputs_embeds")
                if isinstance(named.get(name), torch.Tensor)
            ),
            None,
        )
        if ids is None or len(ids) != 1:
            raise not_live(self.family, "its passes read something else than the tokens of one text")
        count = ids.shape[1]
        self._start, self._stop = self._stop, self._stop + count
        if count > 1 and self._start > self._first:
            raise not_live(self.family, "it writes without a cache, and reads all of the text at each step")
        self._delivery = self._deliver_pass({"decoder": (count, self._stop), "cross": (count, self._source)})
        older = watch_older_layers(anatomy_of(self._model), self._delivery, "eager", self.cuts)
        self._older.enter_context(older)

    def _end_pass(self, *_: Any) -> None:
        self._older.close()
        self._notes |= dict.fromkeys(self._delivery.finish().notes)

    def _deliver_pass(self, shapes: Mapping[Kind, tuple[int, int]]) -> Delivery:
        """Make the delivery of one pass, of whose rows those from the first wanted on are kept."""
        wanted = tuple(range(max(self._first - self._start, 0), self._stop - self._start))
        request = Request(self._request.heads, dict.fromkeys(("decoder", "cross"), wanted), self._request.scores)
        return Delivery(self.family, anatomy_of(self._model), shapes, request, self._keep, None)

    def _keep(self, block: Block) -> None:
        skipped = max(self._first - self._start - block.start, 0)
        if skipped < len(block.visible):
            own = block.take(rows=slice(skipped, None))
            self._kept.setdefault((block.kind, block.layer), []).append((self._offset, own))

    def compute(self, place: Place | None, call: AttentionCall) -> Float[torch.Tensor, "row query head dim"]:
        """Compute one layer's output with its cuts, and keep its rows."""
        call.causal = call.causal and call.query.shape[2] > 1  # a query alone is the last, and sees all keys
        wanted = place is not None and bool(self._delivery.heads(place))
        if place is not None and wanted and not self.is_repeated(place, call):
            self._take(place, call)
        output = super().compute(place, call)
        if wanted:
            self._afterwards.saw(output)
        return output

    def _take(self, place: Place, call: AttentionCall) -> None:
        heads, queries, keys = call.query.shape[1], call.query.shape[2], call.key.shape[2]
        read = self._source if place.kind == "cross" else self._stop
        if len(call.query) != 1 or heads != place.heads or queries != self._stop - self._start:
            raise not_live(self.family, f"{place.kind} layer {place.layer} reads something else than its tokens")
        start = max(self._first - self._start, 0)
        if start >= queries:
            return
        if queries == 1 and call.mask is None:  # which some families' own functions cannot do without
            nothing = call.query.new_zeros((1, 1, 1, keys))
            call = AttentionCall(
                call.module, call.query, call.key, call.value, nothing, causal=False, options=call.options
            )
        piece = call.slice(self._slicer, start, queries, watch=self._request.scores)
        # A window's cache holds the latest keys alone, and a cache of one size room for more, which nothing sees yet.
        self._offset = max(read - keys, 0)
        if self._slicer.gaps:
            self._delivery.note_gaps()
        deliver_slice(self._delivery, place, call, start, piece)
        self._offset = 0

    def _whole(self, call: AttentionCall) -> Float[torch.Tensor, "row query head dim"]:
        """Compute a layer's output as a model that writes without attn does, if nothing is cut."""
        if not self.cuts and call.suits_flash and self.masks.flash:
            return call.flash()
        return super()._whole(call)
