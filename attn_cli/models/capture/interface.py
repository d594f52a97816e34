"""Replacement of transformers' SDPA by the functions of a run.

transformers passes the query, key, value and mask of every modern attention layer to the function that is registered
in its `AttentionInterface` under the name in the model's configuration; the function registered in
`AttentionMaskInterface` under the same name makes the mask. The code of some families checks that name: DeepSeek-V3.2
applies the mask of its indexer only under names that it knows. So an inspected model keeps a name that all code knows,
and the functions registered here replace those behind it: they call the run's functions while a run is active, and
those of transformers at any other time.
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
"""The attention implementation that a model must be set to so that a run can replace it."""


@runtime_checkable
class Run(Protocol):
    """A run that replaces the attention and mask functions of SDPA."""

    def attention(
        self,
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **options: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Compute attention, in the shapes of `transformers.integrations.sdpa_attention.sdpa_attention_forward`."""

    def mask(self, **options: Any) -> torch.Tensor | None:
        """Make a mask, with the options of `transformers.masking_utils.sdpa_mask`."""


@contextmanager
def in_place_of_sdpa(run: Run) -> Iterator[None]:
    """Replace SDPA by a run in this thread, until the context is left."""
    token = _running.set(run)
    try:
        yield
    finally:
        _running.reset(token)


def running() -> Run | None:
    """Return the run that replaces SDPA in this thread now, if any."""
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
