"""Layers before a row's first cut: run once for all, and not again for that row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from attn_cli.models.capture.anatomy import Anatomy, Place

__all__ = ["SharedLayers"]

Path = tuple[str | int, ...]
"""The indices and keys that lead to a tensor among a layer's arguments, which may hold tuples and mappings."""


class SharedLayers:
    """The inputs and outputs of a model's layers, in a run of one text with nothing cut.

    A row of a batch need not run through a layer if none up to it is changed: the layer's output is the recorded one.
    That holds where each entry of the model's lists of layers runs once, computes layers of attention of its own, and
    returns tensors; of other models nothing is shared.

    Args:
        model: the model that runs.
        anatomy: its attention layers.
    """

    def __init__(self, model: nn.Module, anatomy: Anatomy) -> None:
        self._layers = [layer for layers in anatomy.lists(model) for layer in layers]
        inner = [(module, layer) for layer in self._layers for module in layer.modules() if module in anatomy.sites]
        self._homes: dict[Place, nn.Module] = {
            place: layer for module, layer in inner for place in anatomy.sites[module].places
        }
        self._outputs: dict[nn.Module, Any] = {}
        """Layer -> its output, in the order in which the layers ran."""
        self._single: dict[nn.Module, frozenset[Path]] = {}
        """Layer -> paths of its tensors with an entry for each text: those of length 1, as there was one text."""
        # A module that several layers share (ALBERT, Zamba) tells them apart by the order of its calls, and a module
        # whose forward method was replaced (by accelerate) does more than compute.
        self._possible = (
            len(inner) == len(anatomy.sites) == len({module for module, _ in inner})
            and all(len(site.places) == 1 for site in anatomy.sites.values())
            and not any("forward" in vars(layer) for layer in self._layers)
        )

    @property
    def count(self) -> int:
        """The number of layers that rows can be left out of; 0 if there are none."""
        return len(self._outputs)

    @contextmanager
    def record(self) -> Iterator[None]:
        """Record what all layers that run in this context are given and return."""
        if not self._possible:
            yield
            return
        outputs: dict[nn.Module, Any] = {}
        single: dict[nn.Module, frozenset[Path]] = {}
        twice = False

        def before(layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            single[layer] = frozenset(path for path, tensor in _tensors((given, named), ()) if len(tensor) == 1)

        def after(layer: nn.Module, _: tuple[Any, ...], output: Any) -> None:
            nonlocal twice
            twice |= layer in outputs
            outputs[layer] = _copied(output)

        with ExitStack() as stack:
            for layer in self._layers:
                stack.callback(layer.register_forward_pre_hook(before, with_kwargs=True).remove)
                stack.callback(layer.register_forward_hook(after).remove)
            yield
        if not twice and len(outputs) == len(set(self._layers)) and all(map(_is_plain, outputs.values())):
            self._outputs, self._single = outputs, single

    def before(self, places: set[Place]) -> int:
        """Return how many layers run before the first of these places; all of them if there are no places."""
        homes = {self._homes.get(place) for place in places}
        if None in homes:
            return 0
        for number, layer in enumerate(self._outputs):
            if layer in homes:
                return number
        return 0 if places else self.count

    def forget(self) -> None:
        """Share nothing from now on."""
        self._outputs = {}

    @contextmanager
    def left_out(self, firsts: Sequence[int]) -> Iterator[None]:
        """Run each layer only for the rows that it may be changed in, until the context is left.

        Args:
            firsts: for each row of the batch, the number of layers to leave it out of; in rising order.
        """
        running = [bisect_right(firsts, number) for number in range(self.count)]
        partly = [(layer, number) for layer, number in zip(self._outputs, running, strict=True) if number < len(firsts)]
        try:
            for index, (layer, number) in enumerate(partly):
                last = index + 1 == len(partly) or partly[index + 1][1] > 0
                vars(layer)["forward"] = self._partly(layer, number, len(firsts), last=last)
            yield
        finally:
            for layer, _ in partly:
                vars(layer).pop("forward", None)

    def _partly(self, layer: nn.Module, running: int, rows: int, *, last: bool) -> Callable[..., Any]:
        """Make the forward method of a layer that runs for the first rows alone.

        Args:
            layer: the layer.
            running: number of rows that it runs for.
            rows: number of rows of the batch.
            last: whether the next layer runs, and may change its input in place.
        """
        own, recorded, single = layer.forward, self._outputs[layer], self._single[layer]

        def forward(*given: Any, **named: Any) -> Any:
            if not running:
                return _repeated(recorded, rows, copied=last)
            some, some_named = _of_rows((given, named), (), single, rows, running)
            return _joined(own(*some, **some_named), recorded, running, rows)

        return forward


def _tensors(value: Any, path: Path) -> Iterator[tuple[Path, torch.Tensor]]:
    """Yield each tensor with at least one axis among a layer's arguments, with its path."""
    if isinstance(value, torch.Tensor):
        if value.ndim:
            yield path, value
    elif isinstance(value, tuple):
        for index, part in enumerate(value):
            yield from _tensors(part, (*path, index))
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _tensors(part, (*path, name))


def _of_rows(value: Any, path: Path, single: frozenset[Path], rows: int, running: int) -> Any:
    """Return arguments with only the first rows of each tensor that has an entry for each row."""
    if isinstance(value, torch.Tensor):
        return value[:running] if path in single and len(value) == rows else value
    if isinstance(value, tuple):
        return tuple(_of_rows(part, (*path, index), single, rows, running) for index, part in enumerate(value))
    if isinstance(value, dict):
        return {name: _of_rows(part, (*path, name), single, rows, running) for name, part in value.items()}
    return value


def _is_plain(output: Any) -> bool:
    """Return whether an output holds nothing but tensors of one text."""
    if isinstance(output, tuple):
        return all(map(_is_plain, output))
    return output is None or (isinstance(output, torch.Tensor) and output.ndim > 0 and len(output) == 1)


def _copied(output: Any) -> Any:
    """Copy an output, which the next layer may change in place."""
    if isinstance(output, tuple):
        return tuple(map(_copied, output))
    return output.clone() if isinstance(output, torch.Tensor) else output


def _repeated(output: Any, rows: int, *, copied: bool) -> Any:
    """Repeat an output for each row."""
    if isinstance(output, tuple):
        return tuple(_repeated(part, rows, copied=copied) for part in output)
    if output is None:
        return None
    repeated = output.expand(rows, *output.shape[1:])
    return repeated.clone() if copied else repeated


def _joined(output: Any, recorded: Any, running: int, rows: int) -> Any:
    """Put the recorded output of a text behind that of the rows that ran."""
    if isinstance(output, tuple):
        return tuple(_joined(part, old, running, rows) for part, old in zip(output, recorded, strict=True))
    if output is None or (len(output) == 1 and running > 1):  # the same for every row, such as T5's position bias
        return output
    return torch.cat((output, recorded.expand(rows - running, *recorded.shape[1:])))
