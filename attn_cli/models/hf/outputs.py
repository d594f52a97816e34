"""A transformers model's outputs: the logits of words, and the last hidden states."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel

from attn_cli.data.shapes import Float
from attn_cli.errors import ModelError
from attn_cli.models.hf.plain import taken

__all__ = ["keeps_some", "logits_in", "logits_of", "states_of"]


def keeps_some(whole: PreTrainedModel) -> bool:
    """Return whether a model can be asked for the logits of its last positions alone."""
    return "logits_to_keep" in inspect.signature(whole.forward).parameters


def logits_of(
    whole: PreTrainedModel, given: Mapping[str, torch.Tensor], first: int
) -> Float[torch.Tensor, "row position vocabulary"]:
    """Run a model and return its logits from the position `first` on.

    Raises:
        ModelError: the model returns no logits of words.
    """
    side = "decoder_input_ids" if "decoder_input_ids" in given else "input_ids"
    keeps = keeps_some(whole) and first > 0
    few: dict[str, Any] = {"logits_to_keep": given[side].shape[1] - first} if keeps else {}
    logits = logits_in(whole(**taken(whole, given), **few), whole)
    return logits if keeps else logits[:, first:]


def logits_in(result: Any, whole: PreTrainedModel) -> Float[torch.Tensor, "row position vocabulary"]:
    """Return the logits in what a model's forward method returned.

    Raises:
        ModelError: there are no logits of words in it.
    """
    logits = getattr(result, "logits", None)
    logits = getattr(result, "prediction_logits", None) if logits is None else logits
    if not isinstance(logits, torch.Tensor) or logits.ndim != 3:
        raise ModelError(
            f"A {type(whole).__name__} returns no logits of words", "Choose another output, or another model"
        )
    return logits


def states_of(model: PreTrainedModel, given: Mapping[str, torch.Tensor]) -> Float[torch.Tensor, "row position dim"]:
    """Run a model and return its last hidden states.

    Raises:
        ModelError: the model returns none.
    """
    result: Any = model(**given)
    states = getattr(result, "last_hidden_state", None)
    if not isinstance(states, torch.Tensor):
        raise ModelError(f"A {type(model).__name__} returns no last hidden state", "Choose another model")
    return states.float()
