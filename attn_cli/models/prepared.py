"""Text that a transformers model has been given: running it, alone or beside others, and the faults on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakSet

import torch
from transformers import PreTrainedModel

from attn_cli.blocks import Batch, Block, Eat, ModelInfo, Report, Request, Source, Tokens
from attn_cli.models import capture
from attn_cli.models.loading import faults_told, quiet
from attn_cli.models.together import NotTogetherError, pad, run_together

__all__ = ["Prepared"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Text that has been tokenized for a model: a `Source`."""

    model: ModelInfo
    source: Tokens
    target: Tokens | None
    """The start token, and all that the decoder writes after it."""
    notes: tuple[str, ...]
    module: PreTrainedModel
    inputs: Mapping[str, torch.Tensor]

    def stream(self, request: Request, eat: Eat) -> Report:
        """Run the model, and hand each block of its attention to `eat`.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: what it gave are not attention weights.
        """
        problem = f"{self.model.name} could not be run on this text"
        try:
            with quiet(), faults_told(problem, "Set ATTN_DEBUG=1 to see where transformers failed"):
                report = capture.stream(self.module, self.inputs, request, _carrying(eat))
        except _CarriedError as carried:
            raise carried.fault from carried.fault.__cause__
        return replace(report, notes=self.notes + report.notes)

    def run_with(self, sources: Sequence[Source], request: Request) -> tuple[Sequence[Batch], Sequence[Report]] | None:
        """Run texts at once, where the family allows it; see `blocks.Companion`.

        Raises:
            ModelError: the model could not be run.
            ExactnessError: what it gave are not attention weights.
        """
        fellows = [source for source in sources if isinstance(source, Prepared) and source.module is self.module]
        if len(fellows) < len(sources) or self.module in _alone:
            return None
        problem = f"{self.model.name} could not be run on {len(sources)} texts"
        padding = getattr(self.module.config, "pad_token_id", None) or 0
        try:
            with (
                quiet(),
                faults_told(problem, "Set ATTN_DEBUG=1 to see where transformers failed", (NotTogetherError,)),
            ):
                found = run_together(self.module, pad([source.inputs for source in fellows], padding), request)
        except NotTogetherError:
            _alone.add(self.module)
            return None
        return found, [Report(notes=source.notes) for source in fellows]


_alone: WeakSet[PreTrainedModel] = WeakSet()
"""Models that have shown that their texts must be run one at a time."""


class _CarriedError(BaseException):
    """A collector's own fault on its way out, past all that could take it for one of the model's."""

    def __init__(self, fault: Exception) -> None:
        super().__init__(fault)
        self.fault = fault


def _carrying(eat: Eat) -> Eat:
    def carry(block: Block) -> None:
        try:
            eat(block)
        except Exception as fault:
            raise _CarriedError(fault) from fault

    return carry
