"""Decoding: an encoder-decoder's output, or what a decoder writes, searched for with transformers' own `generate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessorList, PreTrainedModel, StoppingCriteriaList

from attn_cli.errors import NOT_NUMBERS, ModelError
from attn_cli.models import Decoding, Watch, cut_short
from attn_cli.models.capture.offloaded import device_of
from attn_cli.models.capture.rotary import unstretched
from attn_cli.models.hf.languages import Told
from attn_cli.models.hf.live import Live

__all__ = ["UNCACHED", "Meanwhile", "Written", "end_tokens", "generate", "go_on", "limit_of_source"]

UNCACHED = frozenset({"prophetnet"})
"""Families that transformers 5 can only let write without a cache."""

Written = tuple[tuple[int, ...], tuple[str, ...]]
"""The start token and the tokens written after it; and notes for the user."""


@dataclass(frozen=True)
class Meanwhile:
    """The work to do after each token of one text that is written."""

    spell: Callable[[Sequence[int]], str]
    """A function that spells the tokens written."""
    watch: Watch | None = None
    """A function that is called with the text so far."""
    live: Live | None = None
    """The collector that takes the attention of each step."""

    def criterion(self, decoding: Decoding, first: int) -> Callable[..., torch.Tensor]:
        """Make the criterion that stops the search.

        Args:
            decoding: settings of the search.
            first: the number of tokens that stand before those written.
        """

        def done(ids: torch.Tensor, _: object, **__: object) -> torch.Tensor:
            rows = ids[:, first:].tolist()
            if self.live is not None:
                self.live.wrote(rows[0][-1])
            texts = [self.spell(row) for row in rows] if decoding.stop or self.watch is not None else []
            stop = [any(end in text for end in decoding.stop) for text in texts] or [False] * len(rows)
            if self.watch is not None and not self.watch(texts[0]):
                stop = [True] * len(rows)
            return torch.tensor(stop, device=ids.device)

        return done


def generate(
    model: PreTrainedModel,
    sources: Sequence[Sequence[int]],
    decoding: Decoding,
    told: Told,
    positions: int | None,
    meanwhile: Meanwhile | None = None,
) -> list[Written]:
    """Generate the model's output for each source, in their order.

    Args:
        model: an encoder-decoder with its language model head.
        sources: token ids of the texts.
        decoding: settings of the search.
        told: the language settings of the model.
        positions: the most tokens that the decoder can read; None where there is no limit.
        meanwhile: the work to do after each token, of one source alone.

    Raises:
        ModelError: a logit that the model computes is not a number.
    """
    limits = [limit_of_source(model, len(source), decoding, positions) for source in sources]
    settings = _settings(model, decoding, max(map(len, sources)), max(limits))
    if told.first is not None:
        settings.forced_bos_token_id = told.first
    if told.start is not None:
        settings.decoder_start_token_id = told.start
    longest = max(map(len, sources))
    # The mask hides the padding, so any id will do.
    padded = [[*source, *[0] * (longest - len(source))] for source in sources]
    mask = [[1] * len(source) + [0] * (longest - len(source)) for source in sources]
    inputs = {
        "input_ids": torch.tensor(padded, device=device_of(model)),
        "attention_mask": torch.tensor(mask, device=device_of(model)),
    }
    if meanwhile is not None and meanwhile.live is not None:
        settings.use_cache = True
    found = _search(model, inputs, settings, decoding, None if meanwhile is None else meanwhile.criterion(decoding, 1))
    ends = _ends(settings.eos_token_id)
    return [_cut(ids, limit, ends, decoding) for ids, limit in zip(found, limits, strict=True)]


def go_on(
    model: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    decoding: Decoding,
    most: int,
    meanwhile: Meanwhile,
) -> tuple[int, ...]:
    """Write what follows a prompt.

    Args:
        model: a decoder with its language model head.
        inputs: its inputs for the prompt.
        decoding: settings of the search.
        most: the most tokens to write.
        meanwhile: the work to do after each token.

    Returns:
        The tokens written; the end token is the last if it was reached.

    Raises:
        ModelError: a logit that the model computes is not a number.
    """
    count = inputs["input_ids"].shape[1]
    settings = _settings(model, decoding, count, most)
    settings.use_cache = model.config.model_type not in UNCACHED
    ends = _ends(settings.eos_token_id)
    (found,) = _search(model, inputs, settings, decoding, meanwhile.criterion(decoding, count))
    ids: list[int] = found[count:]
    stop = next((place for place, id_ in enumerate(ids) if id_ in ends), len(ids) - 1)
    return tuple(ids[: stop + 1])


def _settings(model: PreTrainedModel, decoding: Decoding, longest: int, most: int) -> Any:
    """Return the model's own settings with those of the search in them.

    Args:
        model: the model.
        decoding: settings of the search.
        longest: the number of tokens of the longest text.
        most: the most tokens to write.
    """
    whole: Any = model
    settings = deepcopy(whole.generation_config)
    settings.update(
        num_beams=decoding.beam,
        do_sample=decoding.temperature > 0,
        num_return_sequences=1,
        return_dict_in_generate=False,
        max_length=None,
        max_new_tokens=most,
        # A forced end token would hide where a search was cut short.
        forced_eos_token_id=None,
    )
    if decoding.temperature:
        settings.temperature = decoding.temperature
        settings.top_p = settings.top_p if decoding.top_p is None else decoding.top_p
        settings.top_k = settings.top_k or 0  # unset, transformers would draw from the 50 likeliest alone
    for name in ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"):
        # transformers makes a list of this many parts; no n-gram longer than the whole text can repeat.
        size = getattr(settings, name)
        if isinstance(size, int):
            setattr(settings, name, min(size, longest + most + 2))
    if model.config.model_type in UNCACHED:
        settings.use_cache = False
    return settings


def _search(
    model: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    settings: Any,
    decoding: Decoding,
    done: Callable[..., torch.Tensor] | None = None,
) -> list[list[int]]:
    """Run the search, with random numbers of its own where it draws."""
    whole: Any = model
    own = whole.generation_config
    # If passed as an argument, settings that are None would be filled in from the model's own.
    whole.generation_config = settings
    devices = [device] if (device := device_of(model)).type == "cuda" else []
    training = [module for module in model.modules() if module.training]  # of a model in memory (`wrapping.py`)
    model.train(mode=False)
    try:
        with unstretched(model), torch.random.fork_rng(devices, enabled=decoding.temperature > 0):
            if decoding.temperature:
                torch.manual_seed(decoding.seed)
            found = whole.generate(
                **inputs,
                logits_processor=LogitsProcessorList([_numbers]),
                stopping_criteria=StoppingCriteriaList([] if done is None else [done]),
            )
    finally:
        whole.generation_config = own
        for module in training:
            module.training = True
    ids: list[list[int]] = found.tolist()
    return ids


def _numbers(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return the logits unchanged, after checking them.

    Raises:
        ModelError: a logit is not a number; the search would produce some text all the same.
    """
    del ids
    if torch.isnan(logits).any():
        raise ModelError("The values that the model computes are not numbers", NOT_NUMBERS)
    return logits


def limit_of_source(model: PreTrainedModel, source: int, decoding: Decoding, positions: int | None) -> int:
    """Return the most tokens that an encoder-decoder is to write for a source of that many tokens."""
    whole: Any = model
    own = whole.generation_config.max_length
    if decoding.max_length is not None:
        wanted = decoding.max_length
    else:
        wanted = min([2 * source + 50, *([own - 1] if own else [])])
    return max(1, min([wanted, *([positions] if positions else [])]))


def end_tokens(model: Any) -> frozenset[int]:
    """Return the ids of the tokens at which a model stops writing."""
    return _ends(model.generation_config.eos_token_id)


def _ends(eos: int | list[int] | None) -> frozenset[int]:
    return frozenset([] if eos is None else eos if isinstance(eos, list) else [eos])


def _cut(ids: list[int], limit: int, ends: frozenset[int], decoding: Decoding) -> Written:
    """Remove the padding from one row of a batch."""
    # The start token may be an end token too (BART).
    stop = next((place for place, id_ in enumerate(ids) if place and id_ in ends), None)
    if stop is not None and stop <= limit:
        return tuple(ids[: stop + 1]), ()
    if len(ids) <= limit:  # it was stopped
        return tuple(ids), ()
    return tuple(ids[: limit + 1]), (cut_short(limit, decoding.most_option),)
