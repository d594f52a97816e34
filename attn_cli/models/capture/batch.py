"""Several texts in one pass of a transformers model, padded to the longest.

If a model's attention goes through transformers' `AttentionInterface`, padding on the right changes nothing for the
texts themselves: padded keys are masked, and the rows of padded queries are discarded. A model that computes more than
one softmax per layer, or has learned sinks, is left to `capture.stream`, one text at a time.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask
from transformers.modeling_utils import PreTrainedModel

from attn_cli.data.cuts import Cut, ZeroedHeads, cuts_by_layer
from attn_cli.data.record import check_rows
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Batch, Kind, Request
from attn_cli.models.capture.anatomy import Anatomy, Place, own_function
from attn_cli.models.capture.device_array import as_array, stays
from attn_cli.models.capture.interface import NAME, in_place_of_sdpa, running
from attn_cli.models.capture.offloaded import check_weights_present, device_of, is_offloaded
from attn_cli.models.capture.projections import Afterwards, changed_output
from attn_cli.models.capture.slices import additive, hull, is_seen, to_host
from attn_cli.models.capture.stream import HALF, anatomy_of, left_as_found
from attn_cli.system.memory import keep_freed

__all__ = ["NotTogetherError", "Padded", "pad", "run_together"]

STATEFUL = frozenset({"nllb-moe", "recurrent_gemma"})
"""Families that keep figures of the pass in their modules, which passes in other threads would overwrite."""


class NotTogetherError(Exception):
    """The error for texts that must be given to the model one at a time."""


@dataclass(frozen=True, eq=False)
class Padded:
    """A batch of texts, padded to the same length."""

    inputs: Mapping[str, torch.Tensor]
    """Keyword arguments of the model's forward method: `[text, token, ...]`."""
    lengths: Mapping[str, tuple[int, ...]]
    """Name of an input -> number of tokens of each text."""

    def sizes(self, kind: Kind, *, two_sided: bool) -> list[tuple[int, int]]:
        """Return the numbers of queries and keys of each text."""
        source = self.lengths["input_ids"]
        target = self.lengths.get("decoder_input_ids", source) if two_sided else source
        sides: dict[Kind, tuple[tuple[int, ...], tuple[int, ...]]] = {
            "encoder": (source, source),
            "decoder": (target, target),
            "cross": (target, source),
        }
        return list(zip(*sides[kind], strict=True))


def pad(inputs: Sequence[Mapping[str, torch.Tensor]], padding: Mapping[str, Any]) -> Padded:
    """Pad texts to the longest and join them into one batch.

    Args:
        inputs: keyword arguments of the model's forward method for each text, `[1, token, ...]`.
        padding: name of an input -> the number that fills shorter texts, or a list if a token has several numbers.

    Raises:
        NotTogetherError: there is no attention mask, no padding for some input, the texts have different inputs, or an
            input does not have one entry per token.
    """
    names = inputs[0].keys()
    if "attention_mask" not in names or not names <= padding.keys() or any(one.keys() != names for one in inputs):
        raise NotTogetherError
    made: dict[str, torch.Tensor] = {}
    for name in names:
        rows = [one[name] for one in inputs]
        side = "decoder_input_ids" if name.startswith("decoder_") else "input_ids"
        if any(row.shape[1] != one[side].shape[1] for row, one in zip(rows, inputs, strict=True)):
            raise NotTogetherError
        filling = torch.as_tensor(padding[name], dtype=rows[0].dtype, device=rows[0].device)
        whole = filling.expand(len(rows), max(row.shape[1] for row in rows), *rows[0].shape[2:]).clone()
        for index, row in enumerate(rows):
            whole[index, : row.shape[1]] = row[0]
        made[name] = whole
    return Padded(made, {name: tuple(one[name].shape[1] for one in inputs) for name in names})


@dataclass(eq=False)
class _BatchRun:
    """One pass of the model over a batch."""

    anatomy: Anatomy
    request: Request
    texts: int
    awaited: set[Place]
    """The layers that were requested and have not been captured yet."""
    afterwards: Afterwards
    cuts: Mapping[tuple[Kind, int], Sequence[tuple[int, Cut]]]
    """The heads of each layer whose output is zero."""
    calls: Counter[nn.Module] = field(default_factory=Counter)
    begun: set[tuple[Kind, int]] = field(default_factory=set)
    maps: dict[Place, tuple[Float[torch.Tensor, "text head query key"], torch.Tensor | None]] = field(
        default_factory=dict
    )

    def place(self, module: nn.Module) -> Place | None:
        """Return the layer that this module computes now; None if the anatomy does not list the module."""
        site = self.anatomy.sites.get(module)
        if site is None:
            return None
        turn = self.calls[module]
        self.calls[module] += 1
        if turn >= len(site.places):
            raise NotTogetherError
        place = site.places[turn]
        if place.turn and (place.kind, place.layer - 1) not in self.begun:
            raise NotTogetherError
        self.begun.add((place.kind, place.layer))
        return place

    def mask(self, **options: Any) -> torch.Tensor | None:
        """Make the mask that the model asks for, as an additive one."""
        return eager_mask(**options)

    def attention(
        self,
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **options: Any,
    ) -> tuple[torch.Tensor, None]:
        """Run the model's own attention function on all texts and queries at once, and keep the weights requested."""
        place = self.place(module)
        own = own_function(type(module))
        sinks = getattr(module, "sinks", None) is not None or options.get("sinks") is not None
        # An indexer resolves ties between keys by their place in the memory of the whole batch.
        if own is None or len(query) != self.texts or sinks or hasattr(module, "indexer"):
            raise NotTogetherError
        asked = place is not None and bool(_asked([place], self.request))
        if not asked and options.get("softcap") is None and query.dtype not in HALF:
            output, _ = sdpa_attention_forward(
                module, query, key, value, attention_mask, **options | {"is_causal": False}
            )
            return self._cut(place, output), None
        options.pop("is_causal", None)
        mask = None if attention_mask is None else additive(attention_mask, query)
        output, weights = own(module, query, key, value, mask, **options)
        if place is not None and asked:
            if place in self.maps or weights.shape[1] != place.heads:
                raise NotTogetherError
            self.maps[place] = weights, mask
            self.awaited.discard(place)
            output = output.contiguous()  # or a model that copies it itself (GPT-2) would seem to change it
            self.afterwards.saw(output)
        return self._cut(place, output), None

    def _cut(
        self, place: Place | None, output: Float[torch.Tensor, "text query head dim"]
    ) -> Float[torch.Tensor, "text query head dim"]:
        """Set the output of the heads that are cut to zero, in its place."""
        for _, cut in () if place is None else self.cuts.get((place.kind, place.layer), ()):
            if place is None or output.shape[2] != place.heads:
                raise NotTogetherError
            output[:, :, list(cut.heads_of(place.heads))] = 0
        return output


class _SeenAllError(BaseException):
    """The signal that all requested layers were captured, so the rest of the model need not run."""


def run_together(
    model: PreTrainedModel,
    groups: Iterable[Padded],
    request: Request,
    note: Callable[[str], None] | None = None,
    cuts: tuple[ZeroedHeads, ...] = (),
) -> Generator[list[Batch]]:
    """Run the model once for each group of texts, no further than the last layer requested.

    On a CPU that holds the whole model, each thread runs one group, because matrix products this small gain little from
    more threads.
    The weights of all the texts and layers of several groups are held at once, so size the groups accordingly.

    Args:
        model: a model loaded as for `capture.stream`.
        groups: the padded batches.
        request: the heads to capture; scores and verification are not supported.
        note: called with each note for the reader before the batches of the group come; notes may repeat.
        cuts: the heads whose output is zero in all texts.

    Yields:
        the batches of each group, one for each layer captured, in the order of the groups.

    Raises:
        NotTogetherError: this model must be given one text at a time.
        ModelError: some of the model's weights are not in memory.
        ExactnessError: the values captured are not attention weights.
    """
    keep_freed()
    check_weights_present(model)
    anatomy = anatomy_of(model)
    wanted = {module: site for module, site in anatomy.sites.items() if _asked(site.places, request)}
    # (Padding may affect older code even in a layer that was not requested: BigBird-Pegasus chooses its attention by
    # the length.)
    if request.scores or request.verify or anatomy.captured != "interface":
        raise NotTogetherError
    # NLLB-MoE gives each expert room for this share of all tokens of the batch, so that texts take it from each other.
    if getattr(model.config, "moe_eval_capacity_token_fraction", 1.0) != 1.0:
        raise NotTogetherError

    zeroed = cuts_by_layer([cuts])
    afterwards = Afterwards(lambda: note(changed_output(model.config.model_type)) if note is not None else None)

    def run(padded: Padded) -> list[Batch]:
        awaited = {place for site in wanted.values() for place in _asked(site.places, request)}
        one = _BatchRun(anatomy, request, len(padded.inputs["input_ids"]), awaited, afterwards, zeroed)
        with torch.no_grad(), in_place_of_sdpa(one), suppress(_SeenAllError):
            model(**padded.inputs)
        if one.awaited:
            raise NotTogetherError
        return _batches(one, padded, str(model.dtype).removeprefix("torch."))

    with ExitStack() as stack:
        stack.enter_context(left_as_found(model, NAME))
        stack.enter_context(afterwards.watch(wanted))
        for module in wanted:
            stack.callback(module.register_forward_hook(_stop).remove)
        # Weights that are loaded while a module runs in one thread would be gone while it runs in another.
        alone = device_of(model).type != "cpu" or is_offloaded(model) or model.config.model_type in STATEFUL
        yield from _ahead(run, groups, 1 if alone else torch.get_num_threads())


def _stop(*_: object) -> None:
    """End the pass after a module if every requested layer was captured.

    This does not happen after an attention function, which some modules call twice.
    """
    run = running()
    if isinstance(run, _BatchRun) and not run.awaited:
        raise _SeenAllError


def _ahead(run: Callable[[Padded], list[Batch]], groups: Iterable[Padded], threads: int) -> Generator[list[Batch]]:
    """Yield the batches of each group in order, while other threads already run the next groups."""
    if threads < 2:
        yield from map(run, groups)
        return
    begun: deque[Future[list[Batch]]] = deque()
    with ThreadPoolExecutor(threads, "attn-run", torch.set_num_threads, (1,)) as pool:
        try:
            for group in groups:
                begun.append(pool.submit(run, group))
                if len(begun) > threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for one in begun:
                one.cancel()


def _asked(places: Sequence[Place], request: Request) -> list[Place]:
    return [place for place in places if request.heads.get(place.kind, {}).get(place.layer)]


def _batches(run: _BatchRun, padded: Padded, dtype: str) -> list[Batch]:
    batches = []
    two_sided = "cross" in run.anatomy.stacks
    seen: dict[tuple[int, Kind], Int[np.ndarray, "text query 2"]] = {}  # kept because most layers share one mask
    for place, (weights, mask) in run.maps.items():
        heads = run.request.heads[place.kind][place.layer]
        if heads != tuple(range(place.heads)):
            weights = weights[:, list(heads)]
        sizes = padded.sizes(place.kind, two_sided=two_sided)
        to_array = as_array if run.request.in_place and stays(weights) else to_host
        whole: Float[np.ndarray, "text head query key"] = to_array(weights)
        if (id(mask), place.kind) not in seen:
            seen[id(mask), place.kind] = _visible(mask, whole.shape, sizes)
        visible = seen[id(mask), place.kind]
        for text, (queries, _) in enumerate(sizes):
            whole[text, :, queries:] = visible[text, queries:] = 0
        batch = Batch(place.kind, place.layer, heads, whole, visible, sizes)
        check_rows(batch.weights, batch.visible, None, f"{place.kind} layer {place.layer}", dtype)
        batches.append(batch)
    return batches


def _visible(
    mask: torch.Tensor | None, shape: Sequence[int], sizes: Sequence[tuple[int, int]]
) -> Int[np.ndarray, "text query 2"]:
    """Return the first key that each query sees, and one past the last; without a mask it sees all keys of its text."""
    texts, _, queries, keys = shape
    if mask is None:
        return np.stack([np.tile([0, own], (queries, 1)) for _, own in sizes])
    return hull(is_seen(mask[..., :keys]).any(dim=1).expand(texts, queries, keys))
