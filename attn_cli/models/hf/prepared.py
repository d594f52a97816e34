"""Text prepared for a transformers model: running it, alone or in a batch, and reporting faults."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any, TypeVar
from weakref import WeakSet

import numpy as np
import torch
from transformers import PreTrainedModel

from attn_cli.data.cuts import COMPARED_UNCUT, zeroed
from attn_cli.data.model import ModelInfo
from attn_cli.data.record import Record, TakenLive
from attn_cli.data.statistics import EatStatistics, StatisticsRequest
from attn_cli.data.stream import Block, Eat, Report, Request, Source, Together
from attn_cli.data.text import Tokens
from attn_cli.errors import ModelError
from attn_cli.models.capture import stream as capture
from attn_cli.models.capture.batch import NotTogetherError, pad, run_together
from attn_cli.models.capture.footprint import held_bytes
from attn_cli.models.capture.offloaded import device_of, free_on
from attn_cli.models.capture.relevance import stream_relevance
from attn_cli.models.capture.rotary import stretches
from attn_cli.models.capture.summing import on_cpu, sum_up
from attn_cli.models.capture.tile_sums import tile_bytes
from attn_cli.models.hf.loading import faults_told, quiet
from attn_cli.models.hf.padding import same_together
from attn_cli.models.hf.plain import Outputs, Plain, check_output, watch_output
from attn_cli.models.hf.relevance import Goal
from attn_cli.models.hf.reported import check_maps
from attn_cli.models.hf.trial import is_tested

__all__ = ["PretrainedSource"]

Eaten = TypeVar("Eaten")

STREAMED = "Set ATTN_DEBUG=1 to see where transformers failed"
SAME = 1e-3
"""Largest difference between weights taken live and those of one pass that goes without saying."""
BESIDE = 3
"""The peak memory of a layer, in its feed-forward part, over what it holds beside its tiles, roughly."""
SHORT, MOST_SHORT = 32, 256
"""The shorter of two passes that memory is predicted from has one token for so many of the text, and no more tokens
than this; the other has twice as many."""
GRADIENTS = "Choose another measure; set ATTN_DEBUG=1 to see where transformers failed"


@dataclass(frozen=True, eq=False)
class PretrainedSource:
    """Text tokenized for a model: a `Source`."""

    model: ModelInfo
    source: Tokens
    target: Tokens | None
    """Tokens of the decoder's side: the start token, then the tokens that the decoder writes."""
    notes: tuple[str, ...]
    module: PreTrainedModel
    inputs: Mapping[str, torch.Tensor]
    plain: Plain
    """The model and inputs for a run on the same text without attn."""
    padding: Mapping[str, Any] = field(default_factory=dict)
    """Padding value of each input, for a batch with longer texts; an input that is not here cannot be padded."""
    goal: Callable[[], Goal] | None = None
    """Function that returns the output whose relevance can be measured; None if the text was read for none."""
    live: TakenLive | None = None
    """Attention and chances taken while the model wrote the text, streamed in place of a pass; None if none were."""

    @property
    def noun(self) -> str:
        """The name of the model's input, for messages: `text` or `image`."""
        return "text" if self.source.grid is None else "image"

    def stream(self, request: Request, eat: Eat) -> Report:
        """Run the model, and pass each block of its attention to `eat`.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: the captured maps are not attention weights, or fail a check against a plain run.
        """
        if request.relevance:
            return self._stream_relevance(request, eat)
        if self.live is not None:
            return self._stream_live(self.live, request, eat)
        problem = f"{self.model.name} could not be run on this {self.noun}"
        checked = Report()
        with quiet():
            try:
                with (
                    faults_told(problem, STREAMED),
                    watch_output(self.module) as seen,
                ):
                    report = capture.stream(
                        self.module, self.inputs, request, _carrying(eat), cuts=zeroed(self.model.without)
                    )
            except _CarriedError as carried:
                raise carried.fault from carried.fault.__cause__
            if request.verify or self._is_new:
                checked = self._check(request, None if self.model.without else seen[-1])
        return replace(report, notes=self.notes + report.notes + checked.notes, output=checked.output)

    def _stream_live(self, live: TakenLive, request: Request, eat: Eat) -> Report:
        """Pass on what was taken while the model wrote; compare it with one pass over the text where checks are due.

        Raises:
            SelectionError: something was not taken.
            ModelError: the model could not be run.
            ExactnessError: the maps of that pass fail a check against a plain run.
        """
        record = Record(self.model, self.source, self.target, live.maps, chances=live.chances)
        report = record.stream(replace(request, verify=False), eat)
        notes = (*self.notes, *live.notes)
        if not (request.verify or self._is_new):
            return replace(report, notes=notes)
        gap = 0.0

        def compare(block: Block) -> None:
            nonlocal gap
            own = next(one for one in live.maps if (one.kind, one.layer) == (block.kind, block.layer))
            rows = np.isin(block.positions, own.queries)
            weights = block.weights[:, rows]
            taken = own.weights[:, np.isin(own.queries, block.positions)]
            gap = max(gap, float(np.abs(taken[..., : weights.shape[2]] - weights).max(initial=0)))

        checked = replace(self, live=None).stream(replace(request, in_place=False), compare)
        said = f"Taken live, the weights differ by at most {gap:.1e} from those of one pass over the same tokens"
        both = dict.fromkeys((*notes, *checked.notes, *([said] if request.verify or gap > SAME else [])))
        return replace(report, notes=tuple(both), verified=checked.verified, output=checked.output)

    def sum_up(self, request: StatisticsRequest, eat: EatStatistics) -> Report | None:
        """Compute statistics of rows without streaming their weights; see `data.statistics.Summable`.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: the weights of a row do not sum to 1.
        """
        report = self._sum_up(self.inputs, request, eat)
        return None if report is None else replace(report, notes=self.notes + report.notes)

    def predict_bytes(self, request: StatisticsRequest) -> int | None:
        """Predict the memory that `sum_up` takes; see `data.statistics.Summable`.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: the weights of a row do not sum to 1.
        """
        count = len(request.words)
        few = min(MOST_SHORT, max(1, count // SHORT))

        def most(tokens: int) -> int | None:
            beginning = {name: tensor[:, :tokens] for name, tensor in self.inputs.items()}
            with held_bytes() as held:
                report = self._sum_up(beginning, request.beginning(tokens), lambda _: None)
            return None if report is None else held.most

        small, large = most(few), most(2 * few)
        if small is None or large is None:
            return None
        # Without a map, all that is held grows with the tokens, but for tiles that are larger than these texts were.
        needed = large + max(0, (large - small) * (count - 2 * few) // few)
        if on_cpu(self.module):
            return needed
        return max(needed, needed // BESIDE + tile_bytes(count, len(request.rests)))

    def free_bytes(self) -> int:
        """Return the memory that is left to `sum_up`; see `data.statistics.Summable`."""
        return free_on(device_of(self.module))

    def _sum_up(
        self, inputs: Mapping[str, torch.Tensor], request: StatisticsRequest, eat: EatStatistics
    ) -> Report | None:
        if self._is_new or self.live is not None:  # what is checked, and what was taken live, is streamed
            return None
        with quiet():
            try:
                with faults_told(f"{self.model.name} could not be run on this {self.noun}", STREAMED):
                    return sum_up(self.module, inputs, request, _carrying(eat), cuts=zeroed(self.model.without))
            except _CarriedError as carried:
                raise carried.fault from carried.fault.__cause__

    def _stream_relevance(self, request: Request, eat: Eat) -> Report:
        """Run the model forward and back, and pass each block to `eat` with its relevance.

        Raises:
            ModelError: the model could not be run, or does not run under autograd.
            ExactnessError: the captured maps are not attention weights, or fail a check against a plain run.
        """
        if self.goal is None:
            raise ModelError("The text was not read for an output, so nothing can be relevant to it")
        checked = Report()
        if request.verify or self._is_new:
            checked = self.stream(replace(request, relevance=False), lambda _: None)
        with quiet():
            try:
                with faults_told(f"{self.model.name} could not be run under autograd on this text", GRADIENTS):
                    goal = self.goal()
                    report = stream_relevance(
                        self.module, goal.whole, self.inputs, goal.compute, request, _carrying(eat)
                    )
            except _CarriedError as carried:
                raise carried.fault from carried.fault.__cause__
        notes = dict.fromkeys((*self.notes, *report.notes, *checked.notes))
        return replace(report, notes=tuple(notes), verified=checked.verified, output=checked.output)

    @property
    def _is_new(self) -> bool:
        """True if neither the tests nor an earlier run compared this model's output with that without attn."""
        return not is_tested(self.module) and self.module not in _checked

    def _check(self, request: Request, seen: Outputs | None = None) -> Report:
        """Compare the model's output with that of a plain run, and its maps with those that transformers returns.

        A model with heads cut is compared with nothing cut.

        Args:
            request: the request of the run.
            seen: its output, with nothing cut; None where it is yet to be run.

        Raises:
            ExactnessError: an output or a map differs by more than rounding.
        """
        report = check_output(self.module, self.inputs, self.plain, request, seen, self.model.name)
        notes = check_maps(self.module, self.inputs, request, self.model.name)
        _checked.add(self.module)
        uncut = (COMPARED_UNCUT,) if self.model.without and request.verify else ()
        return replace(report, notes=report.notes + notes + uncut)

    def run_groups(self, groups: Sequence[Sequence[Source]], request: Request) -> Generator[Together | None]:
        """Run groups of texts, each group in one batch, where the family allows it; see `data.stream.Companion`.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: the captured maps are not attention weights, or fail a check against a plain run.
        """
        own = [[one for one in group if isinstance(one, PretrainedSource) and self._may_join(one)] for group in groups]
        done = 0
        plain = not (request.scores or request.verify)
        if plain and self.module not in _alone and sum(map(len, own)) == sum(map(len, groups)):
            padded = (pad([source.inputs for source in group], self.padding) for group in own)
            notes: list[str] = []
            at_first: tuple[str, ...] = ()
            if self._is_new:
                with quiet():
                    at_first = self._check(request).notes
            try:
                with (
                    quiet(),
                    faults_told(f"{self.model.name} could not be run on several texts", STREAMED, (NotTogetherError,)),
                    ExitStack() as stack,
                ):
                    self._check_together([source.inputs for group in own for source in group], request)
                    cuts = zeroed(self.model.without)
                    runs = run_together(self.module, padded, request, notes.append, cuts)
                    found = stack.enter_context(closing(runs))
                    for batches, group in zip(found, own, strict=True):
                        yield (
                            batches,
                            [Report(notes=(*source.notes, *at_first, *dict.fromkeys(notes))) for source in group],
                        )
                        done, at_first = done + 1, ()
            except NotTogetherError:
                _alone.add(self.module)
        yield from repeat(None, len(groups) - done)

    def _may_join(self, other: PretrainedSource) -> bool:
        """Return whether another text can be run in one batch with this one: on the same model, with the same cuts."""
        return other.module is self.module and other.model.without == self.model.without

    def _check_together(self, texts: Sequence[Mapping[str, torch.Tensor]], request: Request) -> None:
        """Make sure, once for a model, that its texts have the same weights in a batch as alone.

        Raises:
            NotTogetherError: batching or long texts change the weights.
        """
        longest = max(texts, key=lambda inputs: inputs["input_ids"].shape[1])
        if stretches(self.module, longest["input_ids"].shape[1]):
            raise NotTogetherError
        if is_tested(self.module) or self.module in _together or longest["input_ids"].shape[1] < 2:
            return
        if not same_together(self.module, longest, self.padding, request):
            raise NotTogetherError
        _together.add(self.module)


_alone: WeakSet[PreTrainedModel] = WeakSet()
"""Models whose texts turned out to need one run each."""
_together: WeakSet[PreTrainedModel] = WeakSet()
"""Models that the tests do not cover and whose texts turned out not to change under padding."""
_checked: WeakSet[PreTrainedModel] = WeakSet()
"""Models whose output was compared with that of a plain run, or could not be."""


class _CarriedError(BaseException):
    """A carrier for a collector's own exception, past the handlers that would take it for a fault of the model."""

    def __init__(self, fault: Exception) -> None:
        super().__init__(fault)
        self.fault = fault


def _carrying(eat: Callable[[Eaten], None]) -> Callable[[Eaten], None]:
    def carry(eaten: Eaten) -> None:
        try:
            eat(eaten)
        except Exception as fault:
            raise _CarriedError(fault) from fault

    return carry
