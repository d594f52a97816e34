"""The output of a transformers model on one text, under each of several cuts of its attention."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from attn_cli.data.cuts import Variation, zeroed
from attn_cli.data.outcomes import LIKELIEST, Chances, Outcome, Wanted
from attn_cli.data.shapes import Float
from attn_cli.errors import InputError
from attn_cli.models.capture.variations import run_variations
from attn_cli.models.hf.loading import faults_told, quiet
from attn_cli.models.hf.outputs import keeps_some, logits_of, states_of
from attn_cli.models.hf.prepared import PretrainedSource

__all__ = ["REMEDY", "chances_in", "chances_of_places", "has_head", "run_outcomes"]

REMEDY = "Set ATTN_DEBUG=1 to see where transformers failed"


def has_head(whole: PreTrainedModel) -> bool:
    """Return whether a model has a layer that chooses words."""
    asked: Any = whole
    return asked.get_output_embeddings() is not None


@dataclass(frozen=True)
class _OutputLayout:
    """The layout of one run's output in the one row of numbers that a batch returns for it."""

    places: tuple[int, ...]
    """Positions whose logits are wanted whole."""
    following: tuple[int, ...]
    """Ids of the tokens whose log-probability is wanted, from position 0 on."""
    first: int
    """The first position whose logits are computed."""
    written: tuple[int, ...] = ()
    """Ids of the tokens at these positions whose chances are wanted in place of the logits."""


def run_outcomes(
    source: PretrainedSource,
    whole: Callable[[], PreTrainedModel],
    variations: Sequence[Variation],
    wanted: Wanted,
    mask_token: int | None,
) -> Generator[tuple[int, Outcome]]:
    """Run a model on a text once with each variation of its attention.

    Args:
        source: the text.
        whole: a function that returns the model with the layer that chooses words.
        variations: the cuts of each run, beside those of the model itself.
        wanted: the output that is wanted.
        mask_token: id of the token that a masked encoder fills in.

    Yields:
        the index of a variation and its output, in the order that takes the least time.

    Raises:
        InputError: the text has nothing to measure, such as a mask token.
        ModelError: the model has no such output, or could not be run.
    """
    if wanted.output == "states":
        model, layout = source.module, None
        compute, numbers = _states(model), len(source.source) * int(model.config.get_text_config().hidden_size)
    else:
        model, layout = whole(), _layout(source, wanted, mask_token)
        compute, numbers = _words(model, layout), _numbers(source, model, layout)
    patches = None if source.source.grid is None else len(source.source)
    problem = f"{source.model.name} could not be run on this {source.noun}"
    own = zeroed(source.model.without)
    cuts = [(*own, *variation) for variation in variations]
    with closing(run_variations(source.module, source.inputs, cuts, compute, numbers, patches)) as runs:
        while True:
            with quiet(), faults_told(problem, REMEDY):
                found = next(runs, None)
            if found is None:
                return
            index, values, notes = found
            yield index, _output(values, layout, notes)


def _layout(source: PretrainedSource, wanted: Wanted, mask_token: int | None) -> _OutputLayout:
    """Determine which logits to compute.

    Raises:
        InputError: the text has nothing to measure.
    """
    ids: list[int] = source.inputs["input_ids"][0].tolist()
    following: tuple[int, ...] = ()
    if wanted.output == "mask":
        places = wanted.places or tuple(place for place, id_ in enumerate(ids) if id_ == mask_token)
        if not places:
            raise InputError("The text has no mask token", "Write [MASK] where a word is to be filled in")
    elif wanted.written:
        places = wanted.places
    elif wanted.output == "target":
        if source.target is None:
            raise InputError("There is no target to measure", "Give one with --target, or translate the text first")
        places = wanted.places
        following = tuple(int(token.id or 0) for token in source.target.tokens[1:]) if wanted.tokens else ()
    else:
        places = wanted.places or (len(ids) - 1,)
        following = tuple(ids[1:]) if wanted.tokens else ()
    first = 0 if following else min(places, default=0)
    return _OutputLayout(places, following, first, wanted.written)


def _numbers(source: PretrainedSource, whole: PreTrainedModel, layout: _OutputLayout) -> int:
    """Return how many logits the model computes for one text."""
    side = "decoder_input_ids" if "decoder_input_ids" in source.inputs else "input_ids"
    count = source.inputs[side].shape[1] - (layout.first if keeps_some(whole) else 0)
    return count * int(getattr(whole.config.get_text_config(), "vocab_size", 0))


def _words(
    whole: PreTrainedModel, layout: _OutputLayout
) -> Callable[[Mapping[str, torch.Tensor]], Float[torch.Tensor, "row number"]]:
    """Return the function that computes the log-probabilities and logits wanted, one after another."""

    def compute(given: Mapping[str, torch.Tensor]) -> Float[torch.Tensor, "row number"]:
        logits = logits_of(whole, given, layout.first)
        if layout.written:
            return chances_of_places(logits[:, [place - layout.first for place in layout.places]], layout.written)
        parts = [logits[:, [place - layout.first for place in layout.places]].float().flatten(1)]
        if layout.following:
            own = logits[:, : len(layout.following)].float()
            ids = torch.tensor(layout.following, device=own.device)[None, :, None].expand(len(own), -1, 1)
            parts.insert(0, own.gather(2, ids)[..., 0] - own.logsumexp(dim=2))
        return torch.cat(parts, dim=1)

    return compute


def chances_of_places(
    logits: Float[torch.Tensor, "row place vocabulary"], written: Sequence[int]
) -> Float[torch.Tensor, "row number"]:
    """Return, for each place, the log-probability of the token written, the entropy, and the likeliest tokens."""
    found = []
    for place, id_ in enumerate(written):  # one at a time, since a vocabulary may have a quarter of a million tokens
        logs = logits[:, place].float().log_softmax(dim=1)
        entropy = -(logs.exp() * logs).nan_to_num(0.0).sum(dim=1, keepdim=True)
        best = logs.topk(min(LIKELIEST, logs.shape[1]), dim=1)
        # float32 holds every id below 2^24 exactly.
        found.append(torch.cat([logs[:, [id_]], entropy, best.indices.float(), best.values], dim=1))
    return torch.cat(found, dim=1)


def chances_in(table: Float[np.ndarray, "place number"]) -> Chances:
    """Return the chances that are in the numbers of `chances_of_places`."""
    best = (table.shape[1] - 2) // 2
    return Chances(table[:, 0], table[:, 1], table[:, 2 : 2 + best].astype(np.int64), table[:, 2 + best :])


def _states(model: PreTrainedModel) -> Callable[[Mapping[str, torch.Tensor]], Float[torch.Tensor, "row position dim"]]:
    """Return the function that computes the last hidden states."""
    return lambda given: states_of(model, given)


def _output(values: torch.Tensor, layout: _OutputLayout | None, notes: tuple[str, ...]) -> Outcome:
    """Take one run's output out of its row of numbers."""
    array: Float[Any, "..."] = values.cpu().numpy()
    if layout is None:
        return Outcome(states=array, notes=notes)
    if layout.written:
        return Outcome(chances=chances_in(array.reshape(len(layout.written), -1)), notes=notes)
    count = len(layout.following)
    return Outcome(
        tokens=array[:count] if count else None,
        logits=array[count:].reshape(len(layout.places), -1) if layout.places else None,
        notes=notes,
    )
