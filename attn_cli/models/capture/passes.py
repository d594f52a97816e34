"""Passes of a model whose attention a run computes: what every such run does before it computes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import ReferenceType, ref

import numpy as np
import torch
from torch import nn
from transformers.modeling_utils import PreTrainedModel

from attn_cli.data.shapes import Float
from attn_cli.data.stream import Steps
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import Anatomy, Place
from attn_cli.models.capture.call import AttentionCall, Slice
from attn_cli.models.capture.delivery import Delivery
from attn_cli.models.capture.interface import in_place_of_sdpa
from attn_cli.models.capture.masks import Masks

__all__ = ["InterfaceRun", "cannot_be_cut", "deliver_slice"]


def cannot_be_cut(family: str, place: Place, call: AttentionCall) -> ModelError:
    """Make the error for a layer that computes other heads or positions than those of the text."""
    return ModelError(
        f"{place.kind} layer {place.layer} of the family {family} attends from {call.query.shape[2]} to "
        f"{call.key.shape[2]} positions that are not the tokens of the text, so it cannot be cut",
        "Cut other layers, or choose another model",
    )


class InterfaceRun:
    """The attention of a model's passes, in the place of transformers' SDPA; see `interface.Run`.

    Args:
        model: the model that runs.
        anatomy: its attention layers.
        begin: returns the layer that a module computes now, and is called once for each call of a module.
    """

    def __init__(self, model: PreTrainedModel, anatomy: Anatomy, begin: Callable[[nn.Module], Place]) -> None:
        self.masks = Masks(model, anatomy)
        self.family = model.config.model_type
        self._anatomy, self._begin = anatomy, begin
        self._place: dict[nn.Module, Place] = {}
        self._shown: dict[nn.Module, ReferenceType[torch.Tensor]] = {}

    def mask(self, **options: Any) -> torch.Tensor | None:
        """Make the mask that the model asks for, as small as the model allows."""
        return self.masks.make(**options)

    def attention(
        self,
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **options: Any,
    ) -> tuple[torch.Tensor, None]:
        """Compute one layer's attention; see `interface.Run.attention`."""
        place = self._place.get(module)
        causal = self.masks.is_causal(module, place, options.pop("is_causal", None))
        call = AttentionCall(module, query, key, value, attention_mask, causal=causal, options=options)
        return self.compute(place, call), None

    def compute(self, place: Place | None, call: AttentionCall) -> torch.Tensor:
        """Compute a layer's output `[text, query, head, dim]`.

        Args:
            place: the layer; None if the anatomy does not list its module.
            call: the arguments of its attention function.
        """
        raise NotImplementedError

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the model's modern attention layers be computed here, until the context is left."""
        with ExitStack() as stack:
            for module in self._anatomy.modern:
                stack.callback(module.register_forward_pre_hook(self.enter).remove)
            stack.enter_context(in_place_of_sdpa(self))
            yield

    def enter(self, module: nn.Module, _: tuple[Any, ...]) -> None:
        """Determine which layer a module computes, before its forward method runs."""
        self._place[module] = self._begin(module)
        self._shown.pop(module, None)

    def is_repeated(self, place: Place, call: AttentionCall) -> bool:
        """Return whether this layer's attention was captured already: DiffLlama weights two halves of its values alike.

        Raises:
            ModelError: the layer computes attention again with other queries.
        """
        shown = self._shown.get(call.module)
        if shown is None:
            self._shown[call.module] = ref(call.query)
            return False
        if shown() is not call.query:
            raise ModelError(
                f"{place.kind} layer {place.layer} of the family {self.family} attends twice, so its weights cannot be "
                "told apart",
                "Choose other layers with --layer, or another model",
            )
        return True


def deliver_slice(
    delivery: Delivery,
    place: Place,
    call: AttentionCall,
    start: int,
    piece: Slice,
    *,
    norms: Float[np.ndarray, "head key"] | None = None,
    steps: Steps | None = None,
) -> None:
    """Deliver the attention of some queries, with a note where a learned sink scales the output after the softmax.

    Raises:
        ExactnessError: the values are not attention weights.
    """
    delivery.deliver(
        place,
        start,
        piece.weights,
        piece.visible,
        scores=piece.scores,
        sink=piece.sink,
        norms=norms,
        steps=steps,
        dtype=call.query.dtype,
    )
    if call.has_sinks and piece.sink is None:
        delivery.note(
            f"A learned sink scales each head's output after the softmax in the family {delivery.family}; the weights "
            "are those before it, and their product with the values was not verified"
        )
