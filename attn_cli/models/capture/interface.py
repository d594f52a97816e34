"""A run of ours in the place of transformers' SDPA.

transformers hands every modern attention layer's query, key, value and mask to the function that its
`AttentionInterface` has under the name in the model's configuration; `AttentionMaskInterface` has the function that
makes the mask under the same name. The code of some families asks for that name: DeepSeek-V3.2 applies the mask of
its indexer only under names it knows. So a model that is looked at keeps a name that all code knows, and the
functions registered here stand in for those behind it: while a run is entered they are the run's own, and at any
other time they are transformers'.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

__all__ = ["NAME", "Run", "in_place_of_sdpa", "running"]

NAME = "sdpa"
"""The implementation that a model must be set to for a run to stand in for it."""


@runtime_checkable
class Run(Protocol):
    """What stands in."""

    def attention(
        self,
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **options: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `transformers.integrations.sdpa_attention.sdpa_attention_forward`, which has the same shapes."""

    def mask(self, **options: Any) -> torch.Tensor | None:
        """As `transformers.masking_utils.sdpa_mask`."""


@contextmanager
def in_place_of_sdpa(run: Run) -> Iterator[None]:
    """Let a run stand in, in this thread, for as long as this is entered."""
    token = _running.set(run)
    try:
        yield
    finally:
        _running.reset(token)


def running() -> Run | None:
    """The run that stands in now, in this thread."""
    return _running.get()


def _attention(*arguments: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    run = _running.get()
    return sdpa_attention_forward(*arguments, **options) if run is None else run.attention(*arguments, **options)


def _mask(**options: Any) -> torch.Tensor | None:
    run = _running.get()
    return sdpa_mask(**options) if run is None else run.mask(**options)


_running: ContextVar[Run | None] = ContextVar("running", default=None)

AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, _mask)
