"""Cuts in attention layers older than transformers' `AttentionInterface`: the softmax that they call is changed.

One text runs at a time, since older code lays out a batch in many ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from attn_cli.data.cuts import Cut, CutEdges, EvenHeads, ReplacedHeads, ZeroedHeads
from attn_cli.data.shapes import Bool, Float
from attn_cli.data.stream import Kind
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import Anatomy, Place
from attn_cli.models.capture.delivery import Turns
from attn_cli.models.capture.slices import is_seen
from attn_cli.models.capture.watch import Rewrite

__all__ = ["cut_older_layers"]

Cuts = Mapping[tuple[Kind, int], Sequence[tuple[int, Cut]]]


@contextmanager
def cut_older_layers(
    anatomy: Anatomy, cuts: Cuts, family: str, shapes: Mapping[Kind, tuple[int, int]], lost: Callable[[Place], None]
) -> Iterator[None]:
    """Change the softmax of every module that computes it itself, until the context is left.

    Args:
        anatomy: the model's attention layers.
        cuts: the cuts of each layer in the one text that runs.
        family: the model's family, for messages.
        shapes: numbers of queries and keys of each kind.
        lost: called with a layer in which a query is left no key to see.

    Raises:
        ModelError: a layer that is cut has no softmax from token to token, or several, or does not show its values.
    """
    turns = Turns(family, anatomy)
    running: list[_CutLayer] = []
    modules = [module for module, site in anatomy.sites.items() if site.how == "hooks"]
    if not any((place.kind, place.layer) in cuts for module in modules for place in anatomy.sites[module].places):
        yield
        return

    def begin(module: nn.Module, _: tuple[Any, ...]) -> None:
        place = turns.begin(module)
        own = [cut for _, cut in cuts.get((place.kind, place.layer), ())]
        running.append(_CutLayer(module, place, own, family, shapes.get(place.kind), lost))

    def end(_: nn.Module, __: tuple[Any, ...], ___: Any) -> None:
        running.pop().finish()

    def rewrite(scores: torch.Tensor) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]] | None:
        return running[-1].rewrite(scores) if running else None

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_pre_hook(begin).remove)
            stack.callback(module.register_forward_hook(end).remove)
        stack.enter_context(Rewrite(rewrite))
        yield


class _CutLayer:
    """One older attention layer while it runs."""

    def __init__(
        self,
        module: nn.Module,
        place: Place,
        cuts: Sequence[Cut],
        family: str,
        shape: tuple[int, int] | None,
        lost: Callable[[Place], None],
    ) -> None:
        self._place, self._cuts, self._family, self._shape, self._lost = place, cuts, family, shape, lost
        self._window: int | None = getattr(module, "one_sided_attn_window_size", None)
        """How far a query of Longformer sees to each side: its map is a band."""
        self._done = False
        # CANINE attends within chunks, and ProphetNet writes with streams of their own, whose maps are other ones.
        if cuts and (getattr(module, "local", False) or (family == "prophetnet" and place.kind != "encoder")):
            raise self._refused()
        if any(isinstance(cut, ReplacedHeads) for cut in cuts):
            raise ModelError(
                f"The family {family} has older code that keeps its values to itself, so no head of it can be replaced",
                "Zero the heads, or choose another model",
            )

    def rewrite(self, scores: torch.Tensor) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]] | None:
        """Return the scores with the cuts made, and the function that changes the weights; None for another softmax.

        Raises:
            ModelError: the layer has already taken another softmax from token to token.
        """
        if not self._cuts or self._map(scores) is None:
            return None
        if self._done:
            raise self._refused()
        self._done = True
        changed = scores.clone()
        own = self._map(changed)
        assert own is not None  # the same shape  # noqa: S101
        before = is_seen(own).any(dim=-1)
        zeroed: list[int] = []
        for cut in self._cuts:
            heads = list(cut.heads_of(self._place.heads))
            if isinstance(cut, ZeroedHeads):
                zeroed += heads
            elif isinstance(cut, EvenHeads):
                own[heads] = torch.where(is_seen(own[heads]), 0.0, own[heads])
        for cut in self._cuts:
            if isinstance(cut, CutEdges):
                self._cut_edges(own, list(cut.heads_of(self._place.heads)), cut.edges)
        nothing = before & ~is_seen(own).any(dim=-1)
        if nothing.any():
            self._lost(self._place)
        return changed, lambda weights: self._weights(weights, zeroed, nothing)

    def finish(self) -> None:
        """Make sure that the cuts were made.

        Raises:
            ModelError: the layer took no softmax from token to token.
        """
        if self._cuts and not self._done:
            raise self._refused()

    def _weights(
        self, weights: torch.Tensor, zeroed: Sequence[int], nothing: Bool[torch.Tensor, "head query"]
    ) -> torch.Tensor:
        if not zeroed and not nothing.any():
            return weights
        changed = weights.clone()  # since whoever watches the softmax keeps the weights themselves
        own = self._map(changed)
        if own is not None:
            own[list(zeroed)] = 0
            own[nothing] = 0
        return changed

    def _cut_edges(
        self, own: Float[torch.Tensor, "head query key"], heads: list[int], edges: Sequence[tuple[int, int]]
    ) -> None:
        lowest = torch.finfo(own.dtype).min
        for query, key in edges:
            column = key if self._window is None else key - query + self._window
            if 0 <= column < own.shape[2]:
                own[heads, query, column] = lowest

    def _map(self, values: torch.Tensor) -> Float[torch.Tensor, "head query key"] | None:
        """Return a view of scores or weights as a map, or as Longformer's band; None if they are neither."""
        heads, window = self._place.heads, self._window
        if window is not None and values.ndim == 4 and values.shape[2:] == (heads, 2 * window + 1):
            return values[0].transpose(0, 1)
        maps = values[0] if values.ndim == 4 and len(values) == 1 else values
        shape = self._shape if self._shape is not None else tuple(maps.shape[1:])
        return maps if maps.ndim == 3 and maps.shape == (heads, *shape) else None

    def _refused(self) -> ModelError:
        place = self._place
        return ModelError(
            f"{place.kind} layer {place.layer} of the family {self._family} computes its attention in a way that "
            "cannot be changed so while it runs",
            "Cut other layers, or choose another model",
        )
