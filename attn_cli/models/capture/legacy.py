"""Capture of attention layers older than transformers' `AttentionInterface`, by watching their softmax as they run.

A hook before each attention module marks the beginning of a layer and one after it the end; a softmax over keys in
between is that layer's. Its map is delivered in blocks at once, so only one layer's map exists at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad

from attn_cli.data.shapes import Float
from attn_cli.data.stream import Kind, Steps
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import Anatomy, Place
from attn_cli.models.capture.delivery import Delivery, OtherPositionsError
from attn_cli.models.capture.replaced import attends_in_blocks
from attn_cli.models.capture.slices import HIDDEN, hull, to_host
from attn_cli.models.capture.watch import Softmax, Watch, softmax_exactly

__all__ = ["watch_older_layers"]

SCORE_ALONE = "how query and key make the score, because this family's older code keeps them to itself"
NO_VALUES = "the values and the context vector, because this family's older code keeps them to itself"


@contextmanager
def watch_older_layers(
    anatomy: Anatomy, delivery: Delivery, implementation: str | None, cut: Container[tuple[Kind, int]] = ()
) -> Iterator[None]:
    """Deliver the requested attention of every module that computes its softmax itself, until the context is left.

    Args:
        anatomy: the model's attention layers.
        delivery: the delivery that takes the maps.
        implementation: attention implementation that the model was loaded with.
        cut: layers with heads that are cut (`cut_older_layers`), so other weights than those shown multiply the values.

    Raises:
        ModelError: norms are requested, the model was not loaded with eager attention, or a requested layer computes
            no softmax from token to token, or several.
        ExactnessError: the values captured are not attention weights.
    """
    running: list[_WatchedLayer] = []
    done: list[_WatchedLayer] = []
    modules = [
        module
        for module, site in anatomy.sites.items()
        # Layers in one entry of the list are watched together, to check that they run in their order.
        if site.how == "hooks" and any(delivery.heads(place) or place.turns > 1 for place in site.places)
    ]
    if not any(delivery.heads(place) for module in modules for place in anatomy.sites[module].places):
        yield
        return
    if delivery.request.norms:
        raise ModelError(
            f"The family {delivery.family} has older code that keeps its values to itself, so norms cannot be measured",
            "Choose another --measure, or another model",
        )
    if implementation != "eager":
        raise ModelError(
            f"The family {delivery.family} shows its attention only when loaded with eager attention, and this model "
            f"was loaded with {implementation}",
            'Load it with attn_implementation="eager"',
        )

    def begin(module: nn.Module, _: tuple[Any, ...]) -> None:
        place = delivery.begin(module)
        running.append(_WatchedLayer(module, place, delivery, cut=(place.kind, place.layer) in cut))

    def end(module: nn.Module, _: tuple[Any, ...], __: Any) -> None:  # noqa: ARG001 - the signature is torch's
        layer = running.pop()
        layer.finish()
        done.append(layer)

    def on_softmax(softmax: Softmax) -> None:
        if running:
            running[-1].take(softmax)

    def on_product(function: Callable[..., Any], operands: Sequence[Any], result: torch.Tensor) -> None:
        if running:
            running[-1].see_product(function, operands, result)

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_pre_hook(begin).remove)
            stack.callback(module.register_forward_hook(end).remove)
        stack.enter_context(Watch(on_softmax, on_product))
        yield
    if any(layer.changed for layer in done):
        delivery.note_changed_weights()
    if delivery.request.verify:
        products = sum(layer.product_verified for layer in done)
        delivery.note(
            "Verified in each layer's own call: softmax(scores) against its weights"
            f", and softmax(scores) . values against its own product in {products} of {len(done)} layers"
        )


class _WatchedLayer:
    """One attention layer while it runs."""

    def __init__(self, module: nn.Module, place: Place, delivery: Delivery, *, cut: bool) -> None:
        self._module, self._place, self._delivery, self._cut = module, place, delivery, cut
        self._softmax: Softmax | None = None
        self._other: torch.Size | None = None
        """The shape of the last softmax that is not from token to token."""
        self._values: Float[torch.Tensor, "head key dim"] | None = None
        self._contexts: Float[torch.Tensor, "head query dim"] | None = None
        self._read = 0
        """The number of queries in the chunks delivered so far."""
        self.product_verified = False
        self.changed = False
        """True if the weights that multiply the values differ from the output of the softmax."""
        self._multiplied = False
        """True once the output of the softmax, or weights derived from it, have been multiplied with the values."""

    def take(self, softmax: Softmax) -> None:
        """Deliver the requested rows of a softmax if it is from token to token.

        Raises:
            ModelError: the layer has already computed another softmax from token to token.
            ExactnessError: the values are not attention weights.
        """
        place, delivery = self._place, self._delivery
        if delivery.heads(place) and self._is_chunk(softmax):
            self._deliver_chunk(softmax)
            return
        weights, scores = self._rows(softmax.weights), self._rows(softmax.scores)
        if weights is None or scores is None:
            self._other = softmax.weights.shape
        if not delivery.heads(place) or weights is None or scores is None:
            return
        if self._softmax is not None:
            raise ModelError(
                f"{place.kind} layer {place.layer} of the family {delivery.family} takes several softmaxes, so its "
                "weights cannot be told apart",
                "Choose another model",
            )
        self._softmax = softmax
        queries, keys = self._shape(softmax.weights)
        if not delivery.request.steps:  # else the block waits for the product with the values
            self._deliver(weights, scores, queries, keys)
        if delivery.request.verify:
            delivery.verify(softmax_exactly(softmax.scores) - softmax.weights)

    def finish(self) -> None:
        """Deliver the blocks that had to wait for the end of the layer because steps were requested.

        Raises:
            ModelError: the layer was requested and has no map from token to token.
        """
        wanted = self._delivery.heads(self._place) and self._delivery.request.queries.get(self._place.kind) != ()
        if self._softmax is None and wanted and not self._delivery.has(self._place):
            raise self._no_map()
        if self._softmax is None or not self._delivery.request.steps:
            return
        weights, scores = self._rows(self._softmax.weights), self._rows(self._softmax.scores)
        if weights is not None and scores is not None:
            self._deliver(weights, scores, *self._shape(self._softmax.weights))

    def _no_map(self) -> ModelError:
        place, family = self._place, self._delivery.family
        layer = f"{place.kind} layer {place.layer} of the family {family}"
        blocked = attends_in_blocks(self._module, layer, "has no map from token to token")
        if blocked is not None:
            return blocked
        other = "Choose other layers with --layer, or another model"
        if self._other is None:
            return ModelError(f"{layer} takes no softmax, so it has no attention weights", other)
        queries, keys = self._delivery.shape(place.kind) or ("queries", "keys")
        return OtherPositionsError(
            f"{layer} takes its softmax over {' x '.join(map(str, self._other))} numbers where {place.heads} heads x "
            f"{queries} x {keys} tokens are expected",
            other,
        )

    def _deliver(
        self,
        weights: Callable[[int, int], Float[torch.Tensor, "head query key"]],
        scores: Callable[[int, int], Float[torch.Tensor, "head query key"]],
        queries: int,
        keys: int,
    ) -> None:
        place, delivery = self._place, self._delivery
        for start, stop in delivery.spans(place.kind, queries, delivery.rows(place.heads, keys)):
            some = scores(start, stop)
            hidden = some <= HIDDEN
            delivery.deliver(
                place,
                start,
                weights(start, stop),
                hull((~hidden).any(dim=0)),
                scores=some.masked_fill(hidden, -torch.inf),
                steps=self._steps(start, stop) if delivery.request.steps else None,
                dtype=some.dtype,
            )

    def _is_chunk(self, softmax: Softmax) -> bool:
        """Return whether this softmax is over one of the chunks of text to which CANINE's first layer is limited."""
        queries, _ = self._shape(softmax.weights)
        return bool(getattr(self._module, "local", False)) and softmax.weights.shape[-2] < queries

    def _deliver_chunk(self, softmax: Softmax) -> None:
        place, delivery = self._place, self._delivery
        start, keys = self._read, softmax.weights.shape[-1]
        scores = pad(softmax.scores[0], (start, 0), value=-torch.inf)
        hidden = scores <= HIDDEN
        delivery.deliver(
            place,
            start,
            pad(softmax.weights[0], (start, 0)),
            hull((~hidden).any(dim=0)),
            scores=scores.masked_fill(hidden, -torch.inf),
            steps=_steps_of(None, None, delivery.heads(place)) if delivery.request.steps else None,
            dtype=scores.dtype,
        )
        if delivery.request.verify:
            delivery.verify(softmax_exactly(softmax.scores) - softmax.weights)
        self._read += keys

    def _steps(self, start: int, stop: int) -> Steps:
        contexts = None if self._contexts is None else self._contexts[:, start:stop]
        return _steps_of(self._values, contexts, self._delivery.heads(self._place))

    def see_product(self, function: Callable[..., Any], operands: Sequence[Any], result: torch.Tensor) -> None:
        """Take the layer's values from a product of its weights, and check the product as far as requested."""
        softmax = self._softmax
        if softmax is None or self._cut:
            return
        if not self._multiplied:
            self._see_weights(softmax, operands)
        if self._delivery.request.verify and not self.product_verified:
            self._verify_product(softmax, function, operands, result)
        if self._delivery.request.steps and self._values is None:
            self._take_values(softmax, operands, result)

    def _see_weights(self, softmax: Softmax, operands: Sequence[Any]) -> None:
        """Check whether a product multiplies the layer's weights, and whether they are still the softmax's output."""
        weights, given = softmax.weights, [one for one in _tensors(operands) if one.is_floating_point()]
        self._multiplied = any(_is_same(one, weights) for one in given)
        if self._multiplied:
            return
        for one in given:
            if one.numel() == weights.numel() and one.shape[-2:] == weights.shape[-2:]:
                # A copy in another number format may differ by rounding only.
                rounding = max(torch.finfo(kind).eps for kind in (one.dtype, weights.dtype))
                self.changed = bool((one.reshape(weights.shape).float() - weights.float()).abs().max() > rounding)
                self._multiplied = True
                return

    def _take_values(self, softmax: Softmax, operands: Sequence[Any], result: torch.Tensor) -> None:
        heads, (queries, keys) = self._place.heads, self._shape(softmax.weights)
        for weights, values in pairwise(operands):
            if (
                isinstance(weights, torch.Tensor)
                and isinstance(values, torch.Tensor)
                and _is_same(weights, softmax.weights)
                and values.ndim >= 3
                and values.shape[-2] == keys
                and weights.shape[-2:] == (queries, keys)
                and values[..., 0, 0].numel() == heads
                and result.shape[-2:] == (queries, values.shape[-1])
            ):
                self._values = values.reshape(heads, keys, -1)
                self._contexts = result.reshape(heads, queries, -1)

    def _verify_product(
        self, softmax: Softmax, function: Callable[..., Any], operands: Sequence[Any], result: torch.Tensor
    ) -> None:
        """Compute the product again with exact weights, and record the difference."""
        weights = softmax.weights
        again: list[Any] = []
        for operand in operands:
            if not isinstance(operand, torch.Tensor):
                again.append(operand)
            elif _is_same(operand, weights):
                again.append(softmax_exactly(softmax.scores).reshape(operand.shape))
                self.product_verified = True
            else:
                again.append(operand.to(torch.float32 if operand.device.type == "mps" else torch.float64))
        if self.product_verified:
            self._delivery.verify(function(*again) - result)

    def _shape(self, values: torch.Tensor) -> tuple[int, int]:
        known = self._delivery.shape(self._place.kind)
        return known if known is not None else (values.shape[-2], values.shape[-1])

    def _rows(self, values: torch.Tensor) -> Callable[[int, int], Float[torch.Tensor, "head query key"]] | None:
        """Return a function that gives rows `start` to `stop` of the map; None if it is not from token to token."""
        queries, keys = self._shape(values)
        heads = self._place.heads
        window = getattr(self._module, "one_sided_attn_window_size", None)
        if window is not None and values.ndim == 4 and values.shape[2:] == (heads, 2 * window + 1):
            return lambda start, stop: _unrolled(values[0, start:stop], start, keys)
        maps = values[0] if values.ndim == 4 and len(values) == 1 else values
        if self._place.kind == "cross" and self._delivery.family == "prophetnet":
            maps = maps[:, :queries]  # The rows of the main stream come first, then those of the predicting streams.
        if maps.shape != (heads, queries, keys):
            return None
        return lambda start, stop: maps[:, start:stop]


def _tensors(operands: Sequence[Any]) -> Iterator[torch.Tensor]:
    """Yield the tensors among the operands of a product, also those in a list, which einsum accepts."""
    for operand in operands:
        if isinstance(operand, torch.Tensor):
            yield operand
        elif isinstance(operand, list | tuple):
            yield from _tensors(operand)


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors share the same memory and size, perhaps in another shape."""
    return one.data_ptr() == other.data_ptr() and one.numel() == other.numel()


def _unrolled(
    band: Float[torch.Tensor, "query head window"], start: int, keys: int
) -> Float[torch.Tensor, "head query key"]:
    """Expand rows of Longformer's band, which holds the keys from -w to +w around each query, to rows of the map."""
    rows, heads, window = band.shape
    reach = (window - 1) // 2
    # A key is at its position plus w here, which leaves room for the ends of the band beyond the text.
    width = max(keys, start + rows) + 2 * reach
    fill = -torch.inf if bool((band < 0).any()) else 0.0
    whole = band.new_full((heads, rows, width), fill)
    columns = torch.arange(rows, device=band.device)[:, None] + torch.arange(window, device=band.device) + start
    whole.scatter_(2, columns.expand(heads, rows, window), band.transpose(0, 1))
    return whole[:, :, reach : reach + keys]


def _steps_of(
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
        chosen: Float[np.ndarray, "head row dim"] = to_host(array[list(heads)])
        return chosen

    if values is None or contexts is None:
        return Steps(None, None, None, None, missing=(SCORE_ALONE, NO_VALUES))
    return Steps(None, None, of_heads(values), of_heads(contexts), missing=(SCORE_ALONE,))
