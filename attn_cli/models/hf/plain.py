"""What a model computes without attn, held against what it computed while its attention was captured.

The measure is what any user of transformers would run: `model(**tokenizer(text, return_tensors="pt"))`, the model with
its head, under the attention implementation that transformers chooses for it (SDPA, or eager where a family knows no
other). A mask that was lost on the way, or an input that was left out, shows there as another output.
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

from attn_cli.data.stream import Report, Request
from attn_cli.data.verified import OutputCheck
from attn_cli.errors import NOT_NUMBERS, ExactnessError, MemoryLimitError, ModelError
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
"""What a model may return that all its attention went into, and what to call it."""
ROUNDING = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""How much of an output's root mean square rounding may change it. In float32, transformers' own SDPA and eager
attention differ by some 1e-6 of it after three layers; what a wrong mask changes is a hundredth at least. In half
precision they differ by a tenth and more, so what exceeds this there is held against the model's eager attention."""
UNASKED = 2048
"""The most tokens of a text that are compared where nobody asked for it."""
EAGER = 2**27
"""The most weights of one layer that a plain run may hold under eager attention: half a gigabyte in float32."""
LOGITS = 2**28
"""The most logits of a plain run: a gigabyte in float32."""

Outputs = Mapping[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Plain:
    """How to run a model on a text without attn."""

    whole: PreTrainedModel
    """The model with its head."""
    inputs: Callable[[], Mapping[str, torch.Tensor]]
    """Makes what transformers' users would give it."""


@contextmanager
def watch_output(model: nn.Module) -> Iterator[list[Outputs]]:
    """While it is entered, keep what each run of the model returns."""
    seen: list[Outputs] = []

    def keep(_: nn.Module, __: tuple[Any, ...], result: Any) -> None:
        seen.append(_outputs(result))

    handle = model.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def _outputs(result: Any) -> Outputs:
    """What of a model's output is held against another's; of a model with several parts, that of those which ran."""
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
    """Hold what a model computed while its attention was captured against a plain run.

    Args:
        model: whose attention was captured.
        inputs: what it was given.
        plain: how to run it without attn.
        request: what was asked for. Without `verify`, no more than the text's start is compared.
        seen: what it returned; None where it is yet to be run.
        name: of the model, for messages.

    Returns:
        What was compared, where it was asked for, and notes.

    Raises:
        ExactnessError: they differ by more than rounding.
    """
    try:
        with faults_told(f"{name} could not be run"):
            return _Check(model, inputs, plain, request, name).report(seen)
    except (ModelError, MemoryLimitError) as fault:
        return Report(notes=(f"The output could not be held against that of the model without attn: {fault.problem}",))


@dataclass(frozen=True)
class _Gap:
    """How far two runs are from each other."""

    difference: float
    """Largest absolute difference."""
    rounding: float
    """What rounding may make of it."""
    compared: tuple[str, ...]

    @property
    def is_rounding(self) -> bool:
        return self.difference <= self.rounding


class _Check:
    """One text, run both ways."""

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
        """Whether rounding may grow to anything."""
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
                raise ModelError(f"{self._name} gives another output in each run")
            gap = held_against(seen, steady)
            if not gap.is_rounding:
                gap, told, differently = self._held_against_eager(seen, steady, given, gap, own)
        if not self._request.verify:  # what rounding does is told to those alone who ask
            return Report(notes=() if self._may_round else differently)
        return Report(output=OutputCheck(gap.difference, gap.compared, told), notes=(*notes, *differently))

    def _held_against_eager(
        self, seen: Outputs, first: Outputs, given: Mapping[str, torch.Tensor], gap: _Gap, own: str
    ) -> tuple[_Gap, str, tuple[str, ...]]:
        """A second opinion: the layers that are shown are eager, which is not always what SDPA makes of a model.

        In half precision, and where it chooses experts, rounding may grow to anything. And PaliGemma, given text
        alone, is causal under eager attention and reads both ways under SDPA.

        Raises:
            ExactnessError: it is no better.
        """
        what = " and ".join(gap.compared)
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
            f"The {what} of {self._name} is another one without attn: it differs by {gap.difference:.1e}, and rounding "
            f"makes no more than {gap.rounding:.1e}",
            remedy(self._model),
        )

    def _captured(self, inputs: Mapping[str, torch.Tensor]) -> Outputs:
        with watch_output(self._model) as seen:
            capture.stream(self._model, inputs, Request(heads=self._request.heads), lambda _: None)
        return seen[-1]

    def _given(self) -> Mapping[str, torch.Tensor]:
        """What the tokenizer alone would have given, where that is the same text."""
        found = self._plain.inputs()
        ids = found.get("input_ids")
        if ids is None or not torch.equal(ids, self._inputs["input_ids"]):
            return self._inputs  # cut, with a prefix, or of tokens that are no text
        return {**{name: value for name, value in self._inputs.items() if name.startswith("decoder_")}, **found}

    def _run(self, given: Mapping[str, torch.Tensor], attention: str) -> Outputs:
        """A plain run: of the model with its head, or else of its body alone."""
        whole = self._plain.whole
        if whole is not self._model and (settings := _few_logits(whole, given)) is not None:
            # Some heads want more than a text.
            with suppress(ModelError), faults_told(""), watch_output(self._model) as seen, plainly(whole, attention):
                whole(**taken(whole, given), **settings)
            if len(seen) == 1:
                return seen[0]
        with plainly(self._model, attention), watch_output(self._model) as seen:
            self._model(**taken(self._model, given))
        return seen[-1]


@contextmanager
def plainly(model: PreTrainedModel, attention: str) -> Iterator[None]:
    """While it is entered, the model runs under this attention implementation, without attn and without gradients."""
    with capture.left_as_found(model, None), torch.no_grad():
        capture.set_attention(model, attention)
        yield


def taken(model: PreTrainedModel, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What of it the model's forward takes."""
    parameters = inspect.signature(model.forward).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return dict(given)
    return {name: value for name, value in given.items() if name in parameters}


def remedy(model: PreTrainedModel) -> str:
    """What to do where a model is not the same without attn."""
    family = model.config.model_type
    return f"Choose another model: attn does not know the family {family} well enough to show its weights"


def _has_experts(model: PreTrainedModel) -> bool:
    """Whether rounding may send a token to another expert."""
    settings = model.config.get_text_config().to_dict()
    return any("experts" in name and isinstance(value, int) and value > 1 for name, value in settings.items())


def _few_logits(whole: PreTrainedModel, given: Mapping[str, torch.Tensor]) -> dict[str, int] | None:
    """What keeps the head's own output small; None where nothing does."""
    if "logits_to_keep" in inspect.signature(whole.forward).parameters:
        return {"logits_to_keep": 1}
    words = getattr(whole.config.get_text_config(), "vocab_size", 0)
    return {} if max(tensor.numel() for tensor in given.values()) * words <= LOGITS else None


def cut(given: Mapping[str, torch.Tensor], most: int) -> dict[str, torch.Tensor]:
    """No more than so many tokens of it."""
    return {name: tensor[:, :most] if tensor.ndim > 1 else tensor for name, tensor in given.items()}


def _steady(one: Outputs, other: Outputs) -> Outputs:
    """What two plain runs agree on: the part of DiffusionGemma that writes starts from words drawn by chance."""
    return {name: value for name, value in one.items() if held_against({name: other[name]}, one).is_rounding}


def held_against(one: Outputs, other: Outputs) -> _Gap:
    """How far a run is from another, which is the measure.

    Raises:
        ExactnessError: the other's output are no numbers.
        ModelError: they have nothing in common.
    """
    names = [name for name in NAMES if name in one and name in other and one[name].shape == other[name].shape]
    if not names:
        raise ModelError("A plain run of the model gives an output of another form")
    gaps = []
    for name in names:
        exact = torch.float32 if other[name].device.type == "mps" else torch.float64
        a, b = one[name].to(exact), other[name].to(exact)
        finite = b[b.isfinite()]
        if not len(finite):
            raise ExactnessError("What the model computes are not numbers", NOT_NUMBERS)
        same = (a == b) | (a.isnan() & b.isnan())
        difference = float(torch.where(same, 0.0, (a - b).abs()).nan_to_num(nan=math.inf).max())
        rounding = ROUNDING.get(other[name].dtype, ROUNDING[torch.float32]) * float(finite.square().mean().sqrt())
        gaps.append((difference, rounding))
    difference, rounding = max(gaps, key=lambda gap: (gap[0] > gap[1], gap[0]))
    return _Gap(difference, rounding, tuple(NAMES[name] for name in names))
