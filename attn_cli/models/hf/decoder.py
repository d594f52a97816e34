"""The decoder's side of a text: what an encoder-decoder reads there while it writes a target."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attn_cli.errors import ModelError
from attn_cli.models.capture.offloaded import device_of
from attn_cli.models.encoding import Pieces
from attn_cli.models.hf.loading import faults_told
from attn_cli.models.hf.vocabulary import names_of

__all__ = ["started"]


def started(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, pieces: Pieces, first: int | None
) -> Pieces:
    """Put the decoder's start token before a target, and leave out what the tokenizer adds and the decoder never reads.

    Args:
        model: the encoder-decoder with its language model head.
        tokenizer: the model's own tokenizer.
        name: name of the model, for messages.
        pieces: the target's pieces, as the tokenizer makes them.
        first: id of the token that the decoder writes first (a language); None where it is free to choose.

    Raises:
        ModelError: the model names no start token, or makes its decoder's input in a way of its own.
    """
    start, *read = _decoder_input(model, name, pieces.ids)
    if pieces.ids[0] == start and pieces.offsets[0][1] > 0 and not pieces.doubled and len(read) > 1:
        # The target spells out the start token, which the decoder has anyway.
        pieces, read = pieces.without([0]), read[1:]
    elif len(read) > 2 and pieces.ids[1:3] == (start, pieces.ids[0]):  # and the token that it writes first
        pieces, read = pieces.without([0, 1]), read[2:]
    if tuple(read) != pieces.ids[:-1]:
        raise ModelError(
            f"{name} rearranges its decoder's input in a way that attn does not know",
            "Inspect its encoder, without --target",
        )
    if len(read) > 1 and pieces.ids[-1] in (start, first) and read[-1] == tokenizer.eos_token_id:
        # mBART's tokenizer puts the language token behind the end token, where the decoder never writes it.
        pieces = pieces.without([len(pieces.ids) - 1])
    if first is not None and pieces.ids[0] != first:
        pieces = pieces.started(first, str(*names_of(tokenizer, (first,))))
    return pieces.started(start, str(*names_of(tokenizer, (start,))))


def _decoder_input(model: Any, name: str, ids: tuple[int, ...]) -> list[int]:
    """Make the decoder's input while it writes these ids, with the model's own function (shifted to the right)."""
    labels = torch.tensor([ids], device=device_of(model))
    told = (AttributeError, ValueError, TypeError)
    try:
        with faults_told(f"{name} could not make its decoder's input", "Leave --target out", told):
            if hasattr(model, "prepare_decoder_input_ids_from_labels"):
                shifted = model.prepare_decoder_input_ids_from_labels(labels=labels)
            elif hasattr(model, "_shift_right"):
                shifted = model._shift_right(labels)  # noqa: SLF001 (the T5 family has no public name for it)
            else:
                shift = sys.modules[type(model).__module__].shift_tokens_right
                starts = (model.config.pad_token_id, model.config.decoder_start_token_id)
                shifted = shift(labels, *starts[: len(inspect.signature(shift).parameters) - 1])
    except told as fault:
        raise ModelError(
            f"{name} does not say which token its decoder starts with",
            'Add "decoder_start_token_id" and "pad_token_id" to its config.json',
        ) from fault
    made: list[int] = shifted[0].tolist()
    return made
