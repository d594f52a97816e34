"""Weight x gradient of a model's output, in blocks of query rows, and the relevance of each token for that output.

A relevance map is (A * dy/dA), where that is positive, for the weights A of a head and one number y of the output
(Chefer et al. 2021, "Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder
Transformers", equation 5; `attn_cli.data.relevance` says how tokens get theirs). No whole map is ever held. The model
runs once on SDPA, forward and back, with no gradients but those of each attention function's output O: what a layer was
given and dy/dO is all that is kept of it. Rows of weights are then computed again by the model's own function, a slice
at a time, and dy/dA = dy/dO . Vᵀ through that function's last step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_utils import PreTrainedModel

from attn_cli.data.relevance import OutputUnit, Relevance
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Bool, Float
from attn_cli.data.stream import Eat, Report, Request
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import Place
from attn_cli.models.capture.call import AttentionCall
from attn_cli.models.capture.delivery import Delivery, every_span, lengths
from attn_cli.models.capture.interface import NAME
from attn_cli.models.capture.offloaded import check_weights_present, loaded
from attn_cli.models.capture.passes import InterfaceRun
from attn_cli.models.capture.slices import Slicer, to_host
from attn_cli.models.capture.stream import HALF, anatomy_of, gradients_of, left_as_found
from attn_cli.system.memory import keep_freed

__all__ = ["ModelOutput", "stream_relevance"]


class ModelOutput(NamedTuple):
    """One number of a model's output, of which gradients are taken."""

    number: Float[torch.Tensor, ""]
    places: Mapping[int, float]
    """Each position at which it stands (of the decoder, in an encoder-decoder), with its share."""
    name: str
    """Its description."""
    unit: OutputUnit
    """Its unit."""


def stream_relevance(
    model: PreTrainedModel,
    whole: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    compute: Callable[[Mapping[str, torch.Tensor]], ModelOutput],
    request: Request,
    eat: Eat,
    *,
    rows: int | None = None,
) -> Report:
    """Run the model once, forward and back, and pass each block of weights to `eat` with its relevance.

    The model is restored to its previous state afterwards, also if `eat` raises an error.

    Args:
        model: a model loaded as for `capture.stream`, whose attention is captured.
        whole: the model that computes the output: the same, or one around it.
        inputs: keyword arguments of its forward method, with a batch of one text.
        compute: a function that runs `whole` on them and returns the output.
        request: the request that says what to stream.
        eat: consumer that is called with each block.
        rows: most queries in one block; see `capture.stream`.

    Returns:
        the report, with the relevance of each token.

    Raises:
        ModelError: the layers are of older code, compute more than one map, or do not run under autograd; a requested
            layer computed no attention; or some weights are not in memory.
        ExactnessError: the values captured are not attention weights.
    """
    keep_freed()
    check_weights_present(model)
    anatomy = anatomy_of(model)
    family = model.config.model_type
    if anatomy.captured == "hooks":
        raise ModelError(
            f"The attention of the family {family} is of older code, through which attn follows no gradients",
            "Choose another measure, or another model",
        )
    delivery = Delivery(family, anatomy, lengths(inputs), request, eat, rows)
    run = _Traced(model, delivery)
    with ExitStack() as stack:
        stack.enter_context(left_as_found(model, NAME))
        # No parameter takes part in the graph, so that none of their inputs are kept for their gradients.
        for part in dict.fromkeys((model, whole)):
            stack.enter_context(gradients_of(part))
        stack.enter_context(run.running())
        output = compute(inputs)
        layers = run.layers(output.number)
    two_sided = "cross" in anatomy.stacks and "decoder_input_ids" in inputs
    carried = _carry(layers, delivery, output, two_sided=two_sided)
    for layer in layers:
        layer.deliver(delivery)
    return replace(delivery.finish(), relevance=carried)


class _Traced(InterfaceRun):
    """One pass of a model through the registered attention function, under autograd.

    Args:
        model: the model that runs.
        delivery: the delivery that knows the layers.
    """

    def __init__(self, model: PreTrainedModel, delivery: Delivery) -> None:
        super().__init__(model, anatomy_of(model), delivery.begin)
        self._delivery = delivery
        self._slicer = Slicer()
        self._calls: dict[Place, AttentionCall] = {}
        self._outputs: dict[Place, torch.Tensor] = {}

    def compute(self, place: Place | None, call: AttentionCall) -> Float[torch.Tensor, "1 query head dim"]:
        """Compute one layer's output, and keep it and what the layer was given.

        Raises:
            ModelError: the layer attends twice.
        """
        output = self._compute(call)
        if place is not None:
            self._delivery.check_shape(place, call.query.shape[1], call.query.shape[2], call.key.shape[2])
            if place in self._calls:
                raise ModelError(
                    f"{place.kind} layer {place.layer} of the family {self._delivery.family} attends twice, so its "
                    "gradients cannot be told apart",
                    "Choose another measure, or another model",
                )
            if not output.requires_grad:  # the graph begins at the first layers' outputs
                output.requires_grad_()
            self._calls[place], self._outputs[place] = call.detached(), output
        return output

    def _compute(self, call: AttentionCall) -> Float[torch.Tensor, "1 query head dim"]:
        """Compute a layer's output by SDPA, or where that is not exact, by slices that are computed again for the
        gradients.
        """
        exact = call.suits_flash and self.masks.flash and call.query.dtype not in HALF
        if exact or (call.suits_flash and not call.can_be_cut):
            return call.flash()
        spans = every_span(call.query.shape[2], self._delivery.rows(call.query.shape[1], call.key.shape[2]))
        parts = [
            checkpoint(
                partial(self._output_of, call),
                *span,
                use_reentrant=False,
                preserve_rng_state=False,
            )
            for span in spans
        ]
        return torch.cat(parts, dim=1)

    def _output_of(self, call: AttentionCall, start: int, stop: int) -> Float[torch.Tensor, "1 some_queries head dim"]:
        """Compute some rows of a layer's output, while its module runs or later."""
        with loaded(call.module):
            return call.run_slice(self._slicer, start, stop)[0]

    def layers(self, output: Float[torch.Tensor, ""]) -> list[_Layer]:
        """Return the layers in the order in which they ran, with the gradient of the output at what each returned.

        Raises:
            ModelError: the output has no gradient.
        """
        gradients: Sequence[torch.Tensor | None] = [None] * len(self._outputs)
        if output.requires_grad:
            gradients = torch.autograd.grad(output, list(self._outputs.values()), allow_unused=True)
        self._outputs.clear()
        if all(gradient is None for gradient in gradients):
            raise ModelError(
                f"The family {self._delivery.family} does not run under autograd, so its output has no gradient",
                "Choose another measure, or another model",
            )
        return [
            _Layer(place, call, gradient)
            for (place, call), gradient in zip(self._calls.items(), gradients, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class _Layer:
    """Arguments of one layer's attention function, and the gradient of the output at its result."""

    place: Place
    call: AttentionCall
    gradient: Float[torch.Tensor, "1 query head dim"] | None
    """None if the output does not depend on it."""

    def rows(
        self, slicer: Slicer, start: int, stop: int
    ) -> tuple[Float[torch.Tensor, "head query key"], Float[torch.Tensor, "head query key"], np.ndarray]:
        """Compute some rows of the weights again; return them, their relevance, and the keys that each query sees.

        Raises:
            ModelError: the weights that the layer's function returns are not those that it uses.
        """
        call = self.call
        with torch.enable_grad(), loaded(call.module):
            query = call.query[:, :, start:stop].detach().requires_grad_()
            output, weights, visible = call.run_slice(slicer, start, stop, query)
            if self.gradient is None:
                return weights[0].detach(), torch.zeros_like(weights[0]), visible
            (slope,) = torch.autograd.grad(output, weights, self.gradient[:, start:stop], allow_unused=True)
        if slope is None:
            raise ModelError(
                f"{type(call.module).__name__} changes its weights before they meet the values, so they have no "
                "gradient of their own",
                "Choose another measure, or another model",
            )
        weights = weights.detach()
        return weights[0], (weights * slope).clamp_(min=0)[0], visible

    def hand_on(
        self, delivery: Delivery, rows: Float[torch.Tensor, "query"], columns: Float[torch.Tensor, "key"]
    ) -> Float[torch.Tensor, "head"]:
        """Add rows · Ā to the columns, which may be the rows; return how much of it each head handed on."""
        added = torch.zeros_like(columns)
        handed = added.new_zeros(self.place.heads)
        for start, relevance in self._relevant(delivery, rows != 0):
            of_heads = rows[start : start + relevance.shape[1]] @ relevance / self.place.heads
            added[: of_heads.shape[1]] += of_heads.sum(dim=0)
            handed += of_heads.sum(dim=1)
        columns += added
        return handed

    def gather(self, delivery: Delivery, values: Float[torch.Tensor, "token"]) -> None:
        """Add Ā · values to the values."""
        added = torch.zeros_like(values)
        for start, relevance in self._relevant(delivery, torch.ones_like(values, dtype=torch.bool)):
            mean = relevance.mean(dim=0)
            added[start : start + len(mean)] = mean @ values[: mean.shape[1]]
        values += added

    def _relevant(
        self, delivery: Delivery, wanted: Bool[torch.Tensor, "query"]
    ) -> Iterator[tuple[int, Float[torch.Tensor, "head query key"]]]:
        """Yield the relevance of runs of rows of which any is wanted, each with its first row."""
        if self.gradient is None:
            return
        queries, keys = self.call.query.shape[2], self.call.key.shape[2]
        slicer = Slicer()
        for start, stop in every_span(queries, delivery.rows(self.place.heads, keys)):
            if wanted[start:stop].any():
                yield start, self.rows(slicer, start, stop)[1].to(wanted.device, torch.float32)

    def deliver(self, delivery: Delivery) -> None:
        """Deliver the rows and heads requested."""
        if not delivery.heads(self.place):
            return
        queries, keys = self.call.query.shape[2], self.call.key.shape[2]
        slicer = Slicer()
        for start, stop in delivery.spans(self.place.kind, queries, delivery.rows(self.place.heads, keys)):
            weights, relevance, visible = self.rows(slicer, start, stop)
            if slicer.gaps:
                delivery.note_gaps()
            with torch.no_grad():
                # A learned sink has no key, and its share of the row is what the weights lack.
                sink = 1 - weights.sum(dim=2) if self.call.has_sinks else None
                delivery.deliver(
                    self.place, start, weights, visible, sink=sink, relevance=relevance, dtype=self.call.query.dtype
                )


def _carry(layers: Sequence[_Layer], delivery: Delivery, output: ModelOutput, *, two_sided: bool) -> Relevance:
    """Carry the relevance from the positions of the output down through all layers; see `Relevance`."""
    encoder = [layer for layer in layers if two_sided and layer.place.kind == "encoder"]
    own = [layer for layer in layers if layer not in encoder]
    for layer in layers:
        if layer.gradient is None:
            delivery.note(
                f"The output has no gradient at {layer.place.kind} layer {layer.place.layer}, so no relevance passes "
                "through it"
            )
    first = own[0].call
    start = torch.zeros(first.query.shape[2], dtype=torch.float32, device=first.query.device)
    for position, share in output.places.items():
        start[position] = share
    through: dict[Kind, dict[int, Float[np.ndarray, "_"]]] = {}

    def down(layer: _Layer, rows: Float[torch.Tensor, "query"], columns: Float[torch.Tensor, "key"]) -> None:
        place = layer.place
        handed = layer.hand_on(delivery, rows, columns)
        through.setdefault(place.kind, {})[place.layer] = to_host(handed)

    carried = start.clone()
    across = [layer.call.key.shape[2] for layer in own if layer.place.kind == "cross"]
    source = start.new_zeros(across[0]) if across else carried
    for layer in reversed(own):
        down(layer, carried, source if layer.place.kind == "cross" else carried)
    carried -= start
    if across and encoder:
        # Times R - I with each of its rows divided by its sum, which for all rows needs a pass from the first layer up.
        sums = torch.ones_like(source)
        for layer in encoder:
            layer.gather(delivery, sums)
        part = torch.where(sums > 1, source / (sums - 1), torch.zeros_like(source))
        spread = part.clone()
        for layer in reversed(encoder):
            down(layer, spread, spread)
        source += spread - part
    target = _on_cpu(carried) if across else None
    order = {kind: dict(sorted(of_kind.items())) for kind, of_kind in reversed(through.items())}
    return Relevance(output.name, float(output.number.detach()), output.unit, _on_cpu(source), target, order)


def _on_cpu(values: Float[torch.Tensor, "token"]) -> Float[np.ndarray, "token"]:
    array: Float[np.ndarray, "token"] = to_host(values.clamp(min=0))
    return array
