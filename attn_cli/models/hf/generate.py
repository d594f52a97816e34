"""Decoding: the output of an encoder-decoder, searched for with transformers' own `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from transformers import LogitsProcessorList, PreTrainedModel

from attn_cli.errors import NOT_NUMBERS, ModelError
from attn_cli.models import Decoding, cut_short
from attn_cli.models.hf.languages import Told

__all__ = ["Written", "generate"]

UNCACHED = frozenset({"prophetnet"})
"""Families that transformers 5 can only let write without a cache."""

Written = tuple[tuple[int, ...], tuple[str, ...]]
"""The start token and the tokens written after it; and notes for the user."""


def generate(
    model: PreTrainedModel, sources: Sequence[Sequence[int]], decoding: Decoding, told: Told, positions: int | None
) -> list[Written]:
    """Generate the model's output for each source, in their order.

    Args:
        model: an encoder-decoder with its language model head.
        sources: token ids of the texts.
        decoding: settings of the search.
        told: the language settings of the model.
        positions: the most tokens that the decoder can read; None where there is no limit.

    Raises:
        ModelError: a logit that the model computes is not a number.
    """
    whole: Any = model
    own = whole.generation_config
    limits = [_limit(len(source), decoding, own.max_length, positions) for source in sources]
    settings = deepcopy(own)
    settings.update(
        num_beams=decoding.beam,
        do_sample=False,
        num_return_sequences=1,
        return_dict_in_generate=False,
        max_length=None,
        max_new_tokens=max(limits),
        # A forced end token would hide where a search was cut short.
        forced_eos_token_id=None,
    )
    for name in ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"):
        # transformers makes a list of this many parts; no n-gram longer than the whole text can repeat.
        size = getattr(settings, name)
        if isinstance(size, int):
            setattr(settings, name, min(size, max(map(len, sources)) + max(limits) + 2))
    if model.config.model_type in UNCACHED:
        settings.use_cache = False
    if told.first is not None:
        settings.forced_bos_token_id = told.first
    if told.start is not None:
        settings.decoder_start_token_id = told.start
    longest = max(map(len, sources))
    # The mask hides the padding, so any id will do.
    padded = [[*source, *[0] * (longest - len(source))] for source in sources]
    mask = [[1] * len(source) + [0] * (longest - len(source)) for source in sources]
    # If passed as an argument, settings that are None would be filled in from the model's own.
    whole.generation_config = settings
    try:
        found = whole.generate(
            torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            logits_processor=LogitsProcessorList([_numbers]),
        )
    finally:
        whole.generation_config = own
    ends = _ends(settings.eos_token_id)
    return [_cut(ids, limit, ends) for ids, limit in zip(found.tolist(), limits, strict=True)]


def _numbers(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return the logits unchanged, after checking them.

    Raises:
        ModelError: a logit is not a number; the search would produce some text all the same.
    """
    del ids
    if torch.isnan(logits).any():
        raise ModelError("The values that the model computes are not numbers", NOT_NUMBERS)
    return logits


def _limit(source: int, decoding: Decoding, own: int | None, positions: int | None) -> int:
    """Return the most tokens to write for a source of that many tokens."""
    if decoding.max_length is not None:
        wanted = decoding.max_length
    else:
        wanted = min([2 * source + 50, *([own - 1] if own else [])])
    return max(1, min([wanted, *([positions] if positions else [])]))


def _ends(eos: int | list[int] | None) -> frozenset[int]:
    return frozenset([] if eos is None else eos if isinstance(eos, list) else [eos])


def _cut(ids: list[int], limit: int, ends: frozenset[int]) -> Written:
    """Remove the padding from one row of a batch."""
    # The start token may be an end token too (BART).
    stop = next((place for place, id_ in enumerate(ids) if place and id_ in ends), None)
    if stop is not None and stop <= limit:
        return tuple(ids[: stop + 1]), ()
    return tuple(ids[: limit + 1]), (cut_short(limit),)
