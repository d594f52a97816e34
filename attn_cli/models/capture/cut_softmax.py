"""Cuts in attention layers older than transformers' `AttentionInterface`, whose softmax and whose product are changed.

A cut edge and an even head change what goes into the softmax that a layer calls; a zeroed or replaced head changes what
the product of its weights and values returns, which is the next product after it in every family. All rows of a batch
get the same cuts, since older code lays out a batch in many ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.modeling_utils import PreTrainedModel

from attn_cli.data.cuts import Cut, CutEdges, EvenHeads, ReplacedHeads, ZeroedHeads
from attn_cli.data.shapes import Bool, Float
from attn_cli.data.stream import Kind
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import Anatomy, Place
from attn_cli.models.capture.delivery import Turns
from attn_cli.models.capture.replaced import attends_in_blocks
from attn_cli.models.capture.slices import is_seen
from attn_cli.models.capture.watch import Rewrite

__all__ = ["cut_older_layers"]

Cuts = Mapping[tuple[Kind, int], Sequence[tuple[int, Cut]]]
Output = Float[torch.Tensor, "row query head dim"]


@contextmanager
def cut_older_layers(
    model: PreTrainedModel,
    anatomy: Anatomy,
    cuts: Cuts,
    shapes: Mapping[Kind, tuple[int, int]],
    lost: Callable[[Place], None],
    on_output: Callable[[Place, Output], None] | None = None,
    *,
    repeats: bool = False,
) -> Iterator[None]:
    """Change the attention of every module that computes its softmax itself, until the context is left.

    Args:
        model: the model that runs.
        anatomy: its attention layers.
        cuts: the cuts of each layer, the same in all rows of a batch.
        shapes: numbers of queries and keys of each kind; none while the model writes.
        lost: called with a layer in which a query is left no key to see.
        on_output: called with each layer's weighted sums of the values, with the cuts made; those of CANINE's chunks
            and of ProphetNet's streams one after another.
        repeats: whether the model runs several times, as it does while it writes.

    Raises:
        ModelError: a layer that is cut has no softmax from token to token, several, or no product of it.
    """
    family = model.config.model_type
    turns = Turns(family, anatomy, repeats=repeats)
    streams = 1 + model.config.ngram if family == "prophetnet" else 1
    running: list[_CutLayer] = []
    modules = [module for module, site in anatomy.sites.items() if site.how == "hooks"]
    cut = any((place.kind, place.layer) in cuts for module in modules for place in anatomy.sites[module].places)
    if not cut and on_output is None:
        yield
        return
    before = 0

    def begin(module: nn.Module, _: tuple[Any, ...]) -> None:
        place = turns.begin(module)
        own = [cut for _, cut in cuts.get((place.kind, place.layer), ())]
        layout = _Layout.of(module, place, shapes.get(place.kind), streams)
        running.append(_CutLayer(module, place, own, layout, family, 0 if place.kind == "encoder" else before))

    def end(_: nn.Module, __: tuple[Any, ...], ___: Any) -> None:
        nonlocal before
        layer = running.pop()
        layer.finish()
        if layer.place.kind == "decoder":
            before = layer.before
        if layer.left_nothing:
            lost(layer.place)
        if on_output is not None and layer.outputs:
            on_output(layer.place, torch.cat(layer.outputs, dim=1))

    def on_softmax(scores: torch.Tensor) -> torch.Tensor | None:
        return running[-1].cut_scores(scores) if running else None

    def on_product(function: Callable[..., Any], operands: Sequence[Any], result: torch.Tensor) -> None:
        if running:
            running[-1].cut_product(function, operands, result)

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_pre_hook(begin).remove)
            stack.callback(module.register_forward_hook(end).remove)
        stack.enter_context(Rewrite(on_softmax, on_product))
        yield


@dataclass(frozen=True, slots=True)
class _Layout:
    """Layout of an older layer's scores, and of what is made of them."""

    heads: int
    shape: tuple[int, int] | None
    """Numbers of queries and keys; None while the model writes."""
    window: int | None = None
    """Number of keys that a query of Longformer sees on each side: its map is a band."""
    chunked: bool = False
    """True if CANINE's layer attends within chunks of the text, one after another."""
    streams: int = 1
    """Number of streams that attend from the same positions: ProphetNet has some that predict beside the main one."""
    apart: bool = False
    """True if the streams that predict take a softmax of their own, where each sees its own key beside the text's."""

    @classmethod
    def of(cls, module: nn.Module, place: Place, shape: tuple[int, int] | None, streams: int) -> _Layout:
        """Determine the layout of a module's layer."""
        return cls(
            place.heads,
            shape,
            getattr(module, "one_sided_attn_window_size", None),
            bool(getattr(module, "local", False)),
            1 if place.kind == "encoder" else streams,
            place.kind == "decoder" and streams > 1,
        )

    def maps(self, values: torch.Tensor) -> list[Float[torch.Tensor, "row head query key"]]:
        """Return views of scores as maps, one for each stream, or as Longformer's band; none if they are neither."""
        heads, window = self.heads, self.window
        if window is not None and values.ndim == 4 and values.shape[2:] == (heads, 2 * window + 1):
            return [values.transpose(1, 2)]
        if values.ndim == 3 and len(values) % heads == 0:
            values = values.view(-1, heads, *values.shape[1:])
        if values.ndim == 5 and self.apart and values.shape[1:3] == (self.streams - 1, heads):
            return list(values.unbind(dim=1))
        if values.ndim != 4 or values.shape[1] != heads:
            return []
        maps = [values] if self.apart else list(values.chunk(self.streams, dim=2))
        if self.shape is None or maps[0].shape[2:] == self.shape:
            return maps
        return maps if self.chunked and maps[0].shape[2] == maps[0].shape[3] <= self.shape[0] else []

    def outputs(
        self, function: Callable[..., Any], operands: Sequence[Any], result: torch.Tensor, queries: int
    ) -> list[Float[torch.Tensor, "row head query dim"]]:
        """Return views of the product of weights and values, one for each stream; none if it is another product.

        Args:
            function: the function that computed it.
            operands: what it was given.
            result: the product.
            queries: the number of queries of each stream.
        """
        if self.window is not None:
            wide = len(result) % self.heads == 0 and result.is_contiguous()
            return [result.view(-1, self.heads, result[0, ..., 0].numel(), result.shape[-1])] if wide else []
        if getattr(function, "__name__", "") == "einsum":
            terms, _, kept = operands[0].replace(" ", "").partition("->")
            rows = [letter for letter in terms.partition(",")[0] if letter in kept]
            result = result.permute([kept.index(one) for one in (*rows, *(set(kept) - set(rows)))])
        if result.ndim == 3 and len(result) % self.heads == 0:
            result = result.view(-1, self.heads, *result.shape[1:])
        if result.ndim == 5:
            parts = list(result.unbind(dim=1))
        else:
            parts = [result] if self.apart else list(result.chunk(self.streams, dim=2))
        fits = all(part.ndim == 4 and part.shape[1:3] == (self.heads, queries) for part in parts)
        return parts if fits else []


class _CutLayer:
    """One older attention layer while it runs."""

    def __init__(
        self, module: nn.Module, place: Place, cuts: Sequence[Cut], layout: _Layout, family: str, before: int
    ) -> None:
        self.place = place
        self.before = before
        """The number of tokens that the decoder has read in earlier passes."""
        self.left_nothing = False
        """True if the cuts leave a query nothing to see."""
        self.outputs: list[Output] = []
        """The weighted sums of the values, in the parts in which they are computed."""
        self._module, self._cuts, self._layout, self._family = module, cuts, layout, family
        self._waiting: list[Bool[torch.Tensor, "row head query"]] | None = None
        """The queries that are left nothing to see in each stream, from a softmax to its product."""
        self._read = 0
        """The number of queries, of all streams, in the softmaxes so far."""
        self._given = 0
        """The number of them in the products so far."""

    def cut_scores(self, scores: torch.Tensor) -> torch.Tensor | None:
        """Return the scores with the cuts made; None for another softmax than the layer's.

        Raises:
            ModelError: the layer has already taken another softmax from token to token.
        """
        maps = self._layout.maps(scores)
        if not maps:
            return None
        if self._waiting is not None or (self._read and not (self._layout.chunked or self._layout.apart)):
            if self._cuts:
                raise self._refused()
            return None
        if self.place.kind == "decoder" and not self._read:
            self.before = maps[0].shape[3] - maps[0].shape[2]
        changed = scores.clone() if self._cuts else scores
        self._waiting = [self._cut(own) for own in self._layout.maps(changed)]
        self._read += sum(own.shape[2] for own in maps)
        return changed

    def _cut(self, own: Float[torch.Tensor, "row head query key"]) -> Bool[torch.Tensor, "row head query"]:
        """Cut edges of one stream and make its heads even; return the queries that are left nothing to see."""
        seen = is_seen(own).any(dim=-1)
        for cut in self._cuts:
            heads = list(cut.heads_of(self.place.heads))
            if isinstance(cut, EvenHeads):
                own[:, heads] = torch.where(is_seen(own[:, heads]), 0.0, own[:, heads])
        for cut in self._cuts:
            if isinstance(cut, CutEdges):
                self._cut_edges(own, list(cut.heads_of(self.place.heads)), cut.edges)
        nothing = seen & ~is_seen(own).any(dim=-1)
        self.left_nothing |= bool(nothing.any())
        return nothing

    def _cut_edges(
        self, own: Float[torch.Tensor, "row head query key"], heads: list[int], edges: Sequence[tuple[int, int]]
    ) -> None:
        layout = self._layout
        first = self._read if layout.chunked else self.before
        # What a stream that predicts sees beyond the text is a key of its own.
        keys = own.shape[3] if not layout.apart else self.before + own.shape[2]
        for query, key in edges:
            row = query - first
            column = key - query + layout.window if layout.window is not None else key - layout.chunked * first
            if 0 <= row < own.shape[2] and 0 <= column < keys:
                own[:, heads, row, column] = torch.finfo(own.dtype).min

    def cut_product(self, function: Callable[..., Any], operands: Sequence[Any], result: torch.Tensor) -> None:
        """Change what the product of the layer's weights and values returns.

        Raises:
            ModelError: it cannot be told apart by head and query.
        """
        if self._waiting is None:
            return
        waiting, self._waiting = self._waiting, None
        parts = self._layout.outputs(function, operands, result, waiting[0].shape[2])
        if len(parts) != len(waiting):
            if self._cuts:
                raise self._refused()
            return
        for own, nothing in zip(parts, waiting, strict=True):
            queries = nothing.shape[2] if self._layout.shape is None or self._layout.chunked else self._layout.shape[0]
            own = own[:, :, :queries]
            own[nothing[:, :, :queries]] = 0
            for cut in self._cuts:
                heads = list(cut.heads_of(self.place.heads))
                if isinstance(cut, ZeroedHeads):
                    own[:, heads] = 0
                elif isinstance(cut, ReplacedHeads):
                    vectors = cut.of_queries(self.before + self._given, (len(heads), queries, own.shape[3]))
                    own[:, heads] = torch.from_numpy(vectors).to(own)
            self._given += queries
            self.outputs.append(own.transpose(1, 2))

    def finish(self) -> None:
        """Make sure that the cuts were made.

        Raises:
            ModelError: the layer took no softmax from token to token, or made no product of it.
        """
        if self._cuts and not (self._read and self._waiting is None):
            raise self._refused()

    def _refused(self) -> ModelError:
        layer = f"{self.place.kind} layer {self.place.layer} of the family {self._family}"
        return attends_in_blocks(self._module, layer, "cannot be cut") or ModelError(
            f"{layer} computes its attention in a way that cannot be changed so while it runs",
            "Cut other layers, or choose another model",
        )
