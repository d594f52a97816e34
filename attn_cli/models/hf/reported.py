"""A check of captured maps against those that transformers returns with `output_attentions=True`.

A model's output shows that its attention was not changed, but not which layer a map came from: the map of layer 3 must
be the one that transformers returns for layer 3. transformers holds all maps at once, so only a text's start is
compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from attn_cli.data.model import Stack
from attn_cli.data.selection import KINDS
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Kind, Request
from attn_cli.errors import ExactnessError, MemoryLimitError, ModelError, counted
from attn_cli.models.capture import stream as capture
from attn_cli.models.capture.delivery import lengths
from attn_cli.models.hf.loading import faults_told
from attn_cli.models.hf.plain import Outputs, cut, held_against, plainly, remedy, taken, watch_output

__all__ = ["check_maps"]

START = 64
"""Most tokens of a text to compare: more than most windows and blocks have."""
FLOAT32 = 1e-4
ROUNDING = {torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest differences between weights that may be rounding, in float32 and in half precision. In float32, rounding is
some 1e-6."""

INSTALLED = "_output_capturing_hooks_installed"
"""The mark of a model on which transformers has put its hooks."""
LACKING = 0.1
"""Most that the sum of a row of weights may differ from 1 through rounding, without a learned sink."""


def check_maps(
    model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], request: Request, name: str
) -> tuple[str, ...]:
    """Make sure that each captured map is the one that transformers itself returns for its layer, if it returns one.

    Args:
        model: the model whose attention is captured.
        inputs: inputs of the captured run.
        request: the request of the captured run; with `verify` its heads are compared, otherwise all.
        name: the model's name, for messages.

    Returns:
        Notes.

    Raises:
        ExactnessError: a map differs by more than rounding.
    """
    try:
        with faults_told(f"{name} could not be run"):
            return _check(model, inputs, request, name)
    except (ModelError, MemoryLimitError) as fault:
        return (f"The maps could not be compared with those that transformers gives: {fault.problem}",)


@contextmanager
def _hooks_taken_off(model: nn.Module) -> Iterator[None]:
    """Take off the hooks that transformers leaves on a model whose attentions were asked for once."""
    before = {module: set(module._forward_hooks) for module in model.modules()}  # noqa: SLF001 - no public name
    hooked = {module for module in before if hasattr(module, INSTALLED)}
    try:
        yield
    finally:
        for module, known in before.items():
            for key in set(module._forward_hooks) - known:  # noqa: SLF001
                del module._forward_hooks[key]  # noqa: SLF001
            if hasattr(module, INSTALLED) and module not in hooked:
                delattr(module, INSTALLED)


def _check(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], request: Request, name: str) -> tuple[str, ...]:
    start, known = cut(inputs, START), capture.stacks(model)
    with _hooks_taken_off(model):
        given, output = _given(model, start)
    reported = _Reported({kind: maps for kind, maps in given.items() if kind in known}, start, known)
    asked = request.heads if request.verify else {kind: _every_head(stack) for kind, stack in known.items()}
    heads = {
        kind: {layer: some for layer, some in layers.items() if some and (kind, layer) in reported.maps}
        for kind, layers in asked.items()
    }
    if not any(heads.values()):
        return reported.notes
    largest: dict[tuple[Kind, int], float] = {}

    def compare(block: Block) -> None:
        place = block.kind, block.layer
        rows = reported.maps[place][list(block.heads), block.start : block.start + block.weights.shape[1]].cpu().float()
        if block.sink is None and (rows.sum(-1) - 1).abs().max() > LACKING:
            return  # DeBERTa's talking heads: mixtures of its weights
        keys = block.weights.shape[2]  # later keys are not visible
        found = torch.cat((torch.from_numpy(block.weights), torch.zeros_like(rows[..., keys:])), dim=-1)
        largest[place] = max(largest.get(place, 0.0), float((found - rows).abs().max()))

    with watch_output(model) as seen:
        capture.stream(model, start, Request(heads), compare)
    wrong = [place for place, difference in largest.items() if difference > ROUNDING.get(model.dtype, FLOAT32)]
    # Rounding that sends a token to another expert, or grows in half precision, changes maps and outputs alike.
    if wrong and held_against(seen[-1], output).is_rounding:
        kind, layer = min(wrong)
        raise ExactnessError(
            f"The weights of {kind} layer {layer} of {name} differ by "
            f"{largest[kind, layer]:.1e} from those that transformers gives for this layer",
            remedy(model),
        )
    return reported.notes


def _every_head(stack: Stack) -> dict[int, tuple[int, ...]]:
    return {layer: tuple(range(count)) for layer, count in stack.heads.items()}


def _given(
    model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]
) -> tuple[Mapping[Kind, Sequence[torch.Tensor]], Outputs]:
    """Run transformers for its maps of each kind, in its order, and the output; both empty where that fails."""
    result: Any = None
    # Some families cannot return their maps, and some fail when asked to.
    with suppress(ModelError), faults_told(""), plainly(model, "eager"), watch_output(model) as seen:
        result = model(**taken(model, inputs), output_attentions=True)
    if result is None or not seen:
        return {}, {}
    if model.config.is_encoder_decoder:
        of = {kind: getattr(result, f"{kind}_attentions", None) for kind in KINDS}
    else:
        alone = [kind for kind in capture.stacks(model) if kind != "cross"]
        of = {alone[0]: getattr(result, "attentions", None)} if len(alone) == 1 else {}
    return {kind: [one for one in maps if isinstance(one, torch.Tensor)] for kind, maps in of.items() if maps}, seen[-1]


class _Reported:
    """The maps that transformers returns, assigned to their layers."""

    def __init__(
        self,
        given: Mapping[Kind, Sequence[torch.Tensor]],
        inputs: Mapping[str, torch.Tensor],
        known: Mapping[Kind, Stack],
    ) -> None:
        self.maps: dict[tuple[Kind, int], Float[torch.Tensor, "head query key"]] = {}
        self.notes: tuple[str, ...] = ()
        sizes = lengths(inputs)
        for kind, maps in given.items():
            stack = known[kind]
            # The maps include layers that attend between groups of tokens, but not layers without attention.
            layers = range(stack.layers) if len(maps) == stack.layers else sorted(stack.heads)
            if len(maps) > len(layers):
                there = f"{counted(len(maps), f'{kind} map')} where {len(layers)} are captured"
                self.notes += (f"transformers gives {there}, so they could not be compared",)
            if len(maps) != len(layers):
                continue  # maps of some parts alone (BLT)
            for layer, one in zip(layers, maps, strict=True):
                # (Of an image, the inputs do not tell how many patches there are.)
                shape = 1, stack.heads.get(layer), *sizes.get(kind, one.shape[2:])
                if one.shape == shape and _are_weights(one):
                    self.maps[kind, layer] = one[0]


def _are_weights(values: Float[torch.Tensor, "1 head query key"]) -> bool:
    """Return whether the values can be weights: some families return their scores."""
    return bool((values >= 0).all() and (values.sum(-1) < 1 + LACKING).all())
