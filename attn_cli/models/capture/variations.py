"""Variations of one text: how many fit in a batch, and which layers need not run again for each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import chain
from weakref import WeakSet

import torch
from transformers.modeling_utils import PreTrainedModel

from attn_cli.data.cuts import CutEdges, Variation, check_cuts
from attn_cli.data.shapes import Float
from attn_cli.data.stream import EatContexts, Kind
from attn_cli.models.capture.anatomy import Place
from attn_cli.models.capture.delivery import lengths
from attn_cli.models.capture.edited import Edited, edited
from attn_cli.models.capture.offloaded import check_weights_present, device_of, free_on
from attn_cli.models.capture.shared import SharedLayers
from attn_cli.models.capture.slices import to_host
from attn_cli.models.capture.stream import HALF, anatomy_of
from attn_cli.system.memory import keep_freed

__all__ = ["contexts", "run_variations"]

MOST = 4096
"""The most tokens of a batch: larger matrix products are not faster."""
SHARE = 4
"""A batch, or the outputs that are shared, may take the free memory divided by this."""
ROUNDING = 1e-3
"""Most that the output of a run that shares layers may differ, beside its largest number; in half precision 0.1."""

SMALLER = "Little memory is free, so cuts were run in smaller batches: it takes longer, and the figures are the same"
"""Note on variations that did not fit in memory together."""

Result = tuple[int, Float[torch.Tensor, "*output"], tuple[str, ...]]
"""The index of a variation, its output, and notes on it."""

LACKING = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""Errors of a layer that needs something which a skipped layer would have stored."""

_alone: WeakSet[PreTrainedModel] = WeakSet()
"""Models whose layers turned out to need those before them."""


def run_variations(
    model: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    variations: Sequence[Variation],
    compute: Callable[[Mapping[str, torch.Tensor]], Float[torch.Tensor, "row *output"]],
    numbers: int,
    patches: int | None = None,
) -> Generator[Result]:
    """Run a model on one text once for each variation, many in one batch.

    The model is as it was before whenever this yields, and afterwards.

    Args:
        model: a model loaded as for `capture.stream`, whose attention is cut.
        inputs: keyword arguments of its forward method, with a batch of one text.
        variations: the cuts of each run.
        compute: a function that runs the model, or one around it, on a batch of such inputs, and returns the output.
        numbers: how many numbers the output has for one text, to size a batch.
        patches: how many positions the model makes of an image, with its special tokens; None for a text.

    Yields:
        the result of each variation, those with late cuts last.

    Raises:
        SelectionError: the model does not have a layer or head that is cut.
        ModelError: a layer cannot be cut, or some of the model's weights are not in memory.
    """
    keep_freed()
    check_weights_present(model)
    shapes: Mapping[Kind, tuple[int, int]] = lengths(inputs) if patches is None else {"encoder": (patches, patches)}
    sweep = _Sweep(model, inputs, variations, compute, shapes)
    check_cuts(variations, sweep.anatomy.stacks)
    plain = [index for index, variation in enumerate(variations) if not variation]
    if len(variations) > 1:
        output = sweep.run_plain()
        yield from ((index, output, ()) for index in plain)
    for indices in sweep.groups(plain if len(variations) > 1 else (), numbers):
        yield from sweep.run_group(indices)


def contexts(
    model: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    eat: EatContexts,
    cuts: Variation = (),
) -> None:
    """Pass each head's weighted sums of the values in one run of one text to a collector, layer by layer.

    A layer of ProphetNet's decoder has those of its main stream, then those of the streams that predict.

    Args:
        model: a model loaded as for `capture.stream`.
        inputs: keyword arguments of its forward method, with a batch of one text.
        eat: the collector.
        cuts: the cuts of the run.
    """
    check_weights_present(model)
    run = Edited(model, [cuts], lengths(inputs))

    def pass_on(place: Place, output: torch.Tensor) -> None:
        eat(place.kind, place.layer, to_host(output[0].transpose(0, 1)))

    run.on_output = pass_on
    with edited(model, run):
        model(**inputs)


class _Sweep:
    """The runs of one text with each of several variations."""

    def __init__(
        self,
        model: PreTrainedModel,
        inputs: Mapping[str, torch.Tensor],
        variations: Sequence[Variation],
        compute: Callable[[Mapping[str, torch.Tensor]], Float[torch.Tensor, "row *output"]],
        shapes: Mapping[Kind, tuple[int, int]],
    ) -> None:
        self._model, self._inputs, self._variations, self._compute = model, inputs, variations, compute
        self.anatomy = anatomy_of(model)
        self._shapes = shapes
        self._shared = SharedLayers(model, self.anatomy)
        self._places = {
            (place.kind, place.layer): place for site in self.anatomy.sites.values() for place in site.places
        }
        self._holds_weights = model.dtype in HALF or any(
            isinstance(cut, CutEdges) for cut in chain.from_iterable(variations)
        )
        self._tokens = sum(
            queries for kind, (queries, _) in self._shapes.items() if kind in self.anatomy.stacks and kind != "cross"
        )
        self._short_of_memory = False
        """True once a batch has been made smaller than it could be."""

    def run_plain(self) -> Float[torch.Tensor, "*output"]:
        """Run the text once with nothing cut; record what the layers return, where they can be left out afterwards."""
        needed = self._tokens * _width(self._model) * 4 * len(self._places)
        shares = self._model not in _alone and needed < free_on(device_of(self._model)) // SHARE
        run = Edited(self._model, [()], self._shapes)
        with edited(self._model, run), self._shared.record() if shares else nullcontext():
            output = self._compute(self._inputs)[0]
        self._holds_weights |= run.holds_weights
        if self._shared.count and not self._is_same_without_layers(output):
            _alone.add(self._model)
            self._shared.forget()
        return output

    def _is_same_without_layers(self, expected: Float[torch.Tensor, "*output"]) -> bool:
        """Return whether a row is the same if it only runs through the last layer, beside two that run through all."""
        run = Edited(self._model, [(), (), ()], self._shapes)
        try:
            with edited(self._model, run), self._shared.left_out([0, 0, self._shared.count - 1]):
                output = self._compute(self._rows(3))
        except LACKING:
            return False
        most = 0.1 if expected.dtype in HALF else ROUNDING
        return bool((output - expected).abs().max() <= most * expected.abs().max().clamp(min=1e-6))

    def groups(self, done: Sequence[int], numbers: int) -> Iterator[list[int]]:
        """Return groups of variations to run in one batch each, in the order of their first cuts.

        Args:
            done: variations that have been run.
            numbers: how many numbers the output of one has.
        """
        firsts = {index: self._before(index) for index in range(len(self._variations)) if index not in done}
        room, most = self._room(numbers), self._most_rows()
        self._short_of_memory = room < min(most, len(firsts))
        most = min(room, most)
        ordered = sorted(firsts, key=firsts.__getitem__)
        for start in range(0, len(ordered), most):
            yield ordered[start : start + most]

    def run_group(self, indices: list[int]) -> list[Result]:
        """Run some variations in one batch; in smaller ones where memory runs out."""
        try:
            return self._run(indices)
        except torch.OutOfMemoryError:
            if len(indices) == 1:
                raise
            self._short_of_memory = True
            half = len(indices) // 2
            return self.run_group(indices[:half]) + self.run_group(indices[half:])

    def _run(self, indices: Sequence[int]) -> list[Result]:
        run = Edited(self._model, [self._variations[index] for index in indices], self._shapes)
        with edited(self._model, run), self._shared.left_out([self._before(index) for index in indices]):
            output = self._compute(self._rows(len(indices)))
        notes = (SMALLER,) if self._short_of_memory else ()
        return [(index, output[row], (*run.notes(row), *notes)) for row, index in enumerate(indices)]

    def _rows(self, count: int) -> dict[str, torch.Tensor]:
        """Return the inputs of a batch of that many rows."""
        return {
            name: tensor.expand(count, *tensor.shape[1:]) if tensor.ndim else tensor  # a setting is the same for all
            for name, tensor in self._inputs.items()
        }

    def _before(self, index: int) -> int:
        """Return how many layers run before the first cut of a variation."""
        return self._shared.before({self._places[cut.kind, cut.layer] for cut in self._variations[index]})

    def _most_rows(self) -> int:
        """Return how many rows a batch may have, whatever the memory."""
        # An indexer resolves ties between keys by their place in the memory of the whole batch.
        if self.anatomy.captured == "hooks" or any(hasattr(module, "indexer") for module in self.anatomy.sites):
            return 1
        return max(1, MOST // max(1, self._tokens))

    def _room(self, numbers: int) -> int:
        """Return how many rows there is memory for, at least 1."""
        width = _width(self._model)
        wide = getattr(self._model.config.get_text_config(), "intermediate_size", None) or 4 * width
        row = self._tokens * (8 * width + 3 * wide) + 3 * numbers
        if self._holds_weights:
            heads = max(place.heads for place in self._places.values())
            row += 3 * heads * max(queries * keys for queries, keys in self._shapes.values())
        return max(1, free_on(device_of(self._model)) // SHARE // (4 * row))


def _width(model: PreTrainedModel) -> int:
    return int(model.config.get_text_config().hidden_size)
