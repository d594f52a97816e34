"""A check of a model's output while its attention is captured against its output without attn.

The reference is the run that any user of transformers would make: `model(**tokenizer(text, return_tensors="pt"))`, the
model with its head, under the attention implementation that transformers chooses for it (SDPA, or eager where a family
has no other). A lost mask or a missing input shows as a different output.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from attn_cli.data.stream import OutputCheck, Report, Request
from attn_cli.errors import NOT_NUMBERS, ExactnessError, MemoryLimitError, ModelError, enumerated
from attn_cli.models.capture import stream as capture
from attn_cli.models.hf.loading import faults_told

__all__ = [
    "Outputs",
    "Plain",
    "check_output",
    "cut",
    "held_against",
    "plainly",
    "remedy",
    "taken",
    "watch_output",
]

NAMES = {
    "last_hidden_state": "last hidden state",
    "encoder_last_hidden_state": "encoder's last hidden state",
    "logits": "logits",
}
"""Outputs that all of a model's attention layers feed into, with their names in messages."""
ROUNDING = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference that may be rounding, as a fraction of the output's root mean square. In float32, transformers'
own SDPA and eager attention differ by some 1e-6 of it after three layers; a wrong mask changes it by a hundredth at
least. In half precision they differ by a tenth and more, so there a larger difference is compared with the model's
eager attention."""
UNASKED = 2048
"""Most tokens of a text to compare where the user did not ask for the check."""
EAGER = 2**27
"""Most weights of one layer that a plain run may hold under eager attention: half a gigabyte in float32."""
LOGITS = 2**28
"""Most logits of a plain run: a gigabyte in float32."""

Outputs = Mapping[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Plain:
    """A model and inputs for a run without attn."""

    whole: PreTrainedModel
    """The model with its head."""
    inputs: Callable[[], Mapping[str, torch.Tensor]]
    """Function that makes the inputs that a transformers user would pass to the model."""


@contextmanager
def watch_output(model: nn.Module) -> Iterator[list[Outputs]]:
    """Collect the outputs of each run of the model inside the context."""
    seen: list[Outputs] = []

    def keep(_: nn.Module, __: tuple[Any, ...], result: Any) -> None:
        seen.append(_outputs(result))

    handle = model.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def _outputs(result: Any) -> Outputs:
    """Take the outputs to compare from a model's result; for a model of several parts, those of the parts that ran."""
    given = {name: getattr(result, name, None) for name in NAMES}
    found = {name: value.detach() for name, value in given.items() if isinstance(value, torch.Tensor)}
    if not found and isinstance(result, ModelOutput):
        parts = [_outputs(part) for part in result.values() if isinstance(part, ModelOutput)]
        found = {name: value for part in parts for name, value in part.items()}
    elif not found and isinstance(result, tuple) and isinstance(result[0], torch.Tensor):
        found = {"last_hidden_state": result[0].detach()}
    return found


def check_output(
    model: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    plain: Plain,
    request: Request,
    seen: Outputs | None,
    name: str,
) -> Report:
    """Compare a model's output while its attention was captured with that of a plain run.

    Args:
        model: the model whose attention was captured.
        inputs: inputs of that run.
        plain: the model and inputs for a run without attn.
        request: the request of the run. Without `verify`, no more than the text's start is compared.
        seen: outputs of that run; None where it is yet to be run.
        name: the model's name, for messages.

    Returns:
        The comparison, where the request has `verify`, and notes.

    Raises:
        ExactnessError: the outputs differ by more than rounding.
    """
    try:
        with faults_told(f"{name} could not be run"):
            return _Check(model, inputs, plain, request, name).report(seen)
    except (ModelError, MemoryLimitError) as fault:
        return Report(notes=(f"The output could not be compared with that of the model without attn: {fault.problem}",))


@dataclass(frozen=True)
class _Gap:
    """The difference between the outputs of two runs."""

    difference: float
    """Largest absolute difference."""
    rounding: float
    """Largest absolute difference that may be rounding."""
    compared: tuple[str, ...]

    @property
    def is_rounding(self) -> bool:
        return self.difference <= self.rounding


class _Check:
    """A comparison of one text's captured run with plain runs."""

    def __init__(
        self,
        model: PreTrainedModel,
        inputs: Mapping[str, torch.Tensor],
        plain: Plain,
        request: Request,
        name: str,
    ) -> None:
        self._model, self._inputs, self._plain, self._request, self._name = model, inputs, plain, request, name
        self._half = model.dtype != torch.float32

    @property
    def _may_round(self) -> bool:
        """True if rounding may grow without bound: in half precision, or with a choice of experts."""
        return self._half or _has_experts(self._model)

    def report(self, seen: Outputs | None) -> Report:
        length = max(tensor.shape[1] for tensor in self._inputs.values() if tensor.ndim > 1)
        own = capture.plain_attention(self._model)
        heads = max(count for stack in capture.stacks(self._model).values() for count in stack.heads.values())
        most = math.isqrt(EAGER // heads)
        if own != "eager" and self._request.verify and not self._half:
            most = length
        elif not self._request.verify:
            most = min(most, UNASKED)
        given = self._given()
        notes: tuple[str, ...] = ()
        differently: tuple[str, ...] = ()
        if length > most:
            notes = (f"The model's output was compared with a plain run's for the first {most:,} tokens alone",)
            given, seen = cut(given, most), self._captured(cut(self._inputs, most))
        elif seen is None:
            seen = self._captured(self._inputs)
        first = self._run(given, own)
        gap, told = held_against(seen, first), own
        if not gap.is_rounding:
            steady = _steady(first, self._run(given, own))
            if not steady:
                raise ModelError(f"{self._name} gives a different output in each run")
            gap = held_against(seen, steady)
            if not gap.is_rounding:
                gap, told, differently = self._held_against_eager(seen, steady, given, gap, own)
        if not self._request.verify:  # rounding is reported only to users who ask for the check
            return Report(notes=() if self._may_round else differently)
        return Report(output=OutputCheck(gap.difference, gap.compared, told), notes=(*notes, *differently))

    def _held_against_eager(
        self, seen: Outputs, first: Outputs, given: Mapping[str, torch.Tensor], gap: _Gap, own: str
    ) -> tuple[_Gap, str, tuple[str, ...]]:
        """Compare with eager attention, under which layers are captured, where SDPA gives another output.

        In half precision, and in a model that chooses experts, rounding may grow without bound. And PaliGemma, on text
        alone, is causal under eager attention and bidirectional under SDPA.

        Raises:
            ExactnessError: the difference from eager attention is more than rounding too.
        """
        what = enumerated(gap.compared)
        if own != "eager":
            eager = {name: value for name, value in self._run(given, "eager").items() if name in first}
            again, apart = held_against(seen, eager), held_against(first, eager)
            if again.is_rounding or (self._may_round and min(gap.difference, again.difference) <= 2 * apart.difference):
                reason = "By rounding alone" if self._may_round else "By the way in which this family makes its masks"
                note = (
                    f"{reason}, the {what} differs by {apart.difference:.1e} between transformers' {own} attention and "
                    "its eager attention, which is shown"
                )
                return again, "eager", (note,)
        raise ExactnessError(
            f"The {what} of {self._name} differs by {gap.difference:.1e} without attn, and rounding "
            f"explains no more than {gap.rounding:.1e}",
            remedy(self._model),
        )

    def _captured(self, inputs: Mapping[str, torch.Tensor]) -> Outputs:
        with watch_output(self._model) as seen:
            capture.stream(self._model, inputs, Request(heads=self._request.heads), lambda _: None)
        return seen[-1]

    def _given(self) -> Mapping[str, torch.Tensor]:
        """Return a transformers user's inputs where they hold the same tokens; else the inputs of the captured run."""
        found = self._plain.inputs()
        ids = found.get("input_ids")
        if ids is None or not torch.equal(ids, self._inputs["input_ids"]):
            return self._inputs  # the text was cut, has a prefix, or was made of tokens
        return {**{name: value for name, value in self._inputs.items() if name.startswith("decoder_")}, **found}

    def _run(self, given: Mapping[str, torch.Tensor], attention: str) -> Outputs:
        """Run the model plainly, with its head where that works, else its body alone."""
        whole = self._plain.whole
        if whole is not self._model and (settings := _few_logits(whole, given)) is not None:
            # Some heads need more than a text.
            with suppress(ModelError), faults_told(""), watch_output(self._model) as seen, plainly(whole, attention):
                whole(**taken(whole, given), **settings)
            if len(seen) == 1:
                return seen[0]
        with plainly(self._model, attention), watch_output(self._model) as seen:
            self._model(**taken(self._model, given))
        return seen[-1]


@contextmanager
def plainly(model: PreTrainedModel, attention: str) -> Iterator[None]:
    """Set up the model for runs under this attention implementation, without attn and without gradients."""
    with capture.left_as_found(model, None), torch.no_grad():
        capture.set_attention(model, attention)
        yield


def taken(model: PreTrainedModel, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the inputs that the model's forward accepts."""
    parameters = inspect.signature(model.forward).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return dict(given)
    return {name: value for name, value in given.items() if name in parameters}


def remedy(model: PreTrainedModel) -> str:
    """Word the remedy for a model whose output or maps differ without attn."""
    family = model.config.model_type
    return f"Choose another model: attn does not know the family {family} well enough to show its weights"


def _has_experts(model: PreTrainedModel) -> bool:
    """Return whether the model has several experts, so that rounding may send a token to another one."""
    settings = model.config.get_text_config().to_dict()
    return any("experts" in name and isinstance(value, int) and value > 1 for name, value in settings.items())


def _few_logits(whole: PreTrainedModel, given: Mapping[str, torch.Tensor]) -> dict[str, int] | None:
    """Return the forward arguments under which the head's logits stay few; None where they would be too many."""
    if "logits_to_keep" in inspect.signature(whole.forward).parameters:
        return {"logits_to_keep": 1}
    words = getattr(whole.config.get_text_config(), "vocab_size", 0)
    return {} if max(tensor.numel() for tensor in given.values()) * words <= LOGITS else None


def cut(given: Mapping[str, torch.Tensor], most: int) -> dict[str, torch.Tensor]:
    """Cut the inputs to at most that many tokens."""
    return {name: tensor[:, :most] if tensor.ndim > 1 else tensor for name, tensor in given.items()}


def _steady(one: Outputs, other: Outputs) -> Outputs:
    """Keep the outputs that two plain runs agree on: DiffusionGemma's decoder, for one, starts from random words."""
    return {name: value for name, value in one.items() if held_against({name: other[name]}, one).is_rounding}


def held_against(one: Outputs, other: Outputs) -> _Gap:
    """Measure how far a run's outputs are from those of another run, the reference.

    Raises:
        ExactnessError: an output of the reference holds no finite number.
        ModelError: the runs have no output of the same name and shape.
    """
    names = [name for name in NAMES if name in one and name in other and one[name].shape == other[name].shape]
    if not names:
        raise ModelError("A plain run of the model gives an output of a different form")
    gaps = []
    for name in names:
        exact = torch.float32 if other[name].device.type == "mps" else torch.float64
        b = other[name].to(exact)
        a = one[name].to(b.device, exact)  # of a model on several devices, its body leaves the output on the last
        finite = b[b.isfinite()]
        if not len(finite):
            raise ExactnessError("The values that the model computes are not numbers", NOT_NUMBERS)
        same = (a == b) | (a.isnan() & b.isnan())
        difference = float(torch.where(same, 0.0, (a - b).abs()).nan_to_num(nan=math.inf).max())
        rounding = ROUNDING.get(other[name].dtype, ROUNDING[torch.float32]) * float(finite.square().mean().sqrt())
        gaps.append((difference, rounding))
    difference, rounding = max(gaps, key=lambda gap: (gap[0] > gap[1], gap[0]))
    return _Gap(difference, rounding, tuple(NAMES[name] for name in names))
