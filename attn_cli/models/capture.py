"""A transformers model's attention, streamed in blocks of query rows through the model's own attention function.

The three things that `pretrained.py` needs (the anatomy is read from the modules, so no forward pass is spent on it):

    model = AutoModel.from_pretrained(..., attn_implementation=LOAD_WITH)
    model_info.captured = captured_by(model); model_info.stacks = stacks(model)
    report = stream(model, inputs, request, eat)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import torch

from attn_cli.blocks import Eat, Kind, Report, Request, Stack

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["LOAD_WITH", "captured_by", "stacks", "stream"]

LOAD_WITH = "eager"
"""What to pass as `attn_implementation` when loading. Every family takes it; families that use transformers'
`AttentionInterface` are switched to this module's function for the length of a `stream` and back afterwards."""


def captured_by(model: PreTrainedModel) -> Literal["interface", "hooks"]:
    """How this model's weights are taken: inside its own attention function, or from what its layers compute."""
    raise NotImplementedError


def stacks(model: PreTrainedModel) -> Mapping[Kind, Stack]:
    """Shape of the model's attention, known before a run.

    Raises:
        ModelError: the model has no attention.
    """
    raise NotImplementedError


def stream(
    model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], request: Request, eat: Eat, *, rows: int = 64
) -> Report:
    """Run the model once on a batch of one, and hand each block of attention to `eat`.

    Args:
        model: as `from_pretrained` gives it, loaded with `LOAD_WITH`.
        inputs: keyword arguments of its forward: `input_ids` `[1, query]`, `attention_mask`, `decoder_input_ids`, ...
        request: what to stream.
        eat: called with each block.
        rows: queries in one block.

    Raises:
        ModelError: a layer asked for gave no attention, or the inputs are not a batch of one.
        ExactnessError: what was found are not attention weights.
    """
    raise NotImplementedError
