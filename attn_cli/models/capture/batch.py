"""Several texts in one pass of a transformers model, padded to the longest.

Where a model's attention goes through transformers' `AttentionInterface`, padding on the right changes nothing for the
texts themselves: padded keys are masked, and what padded queries see is thrown away. A model that does more than one
softmax, or has learned sinks, is left to `capture.stream`, a text at a time.
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

from attn_cli.data.record import check_rows
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Batch, Kind, Request
from attn_cli.models.capture.afterwards import Afterwards, changed_output
from attn_cli.models.capture.anatomy import Anatomy, Place, own_function
from attn_cli.models.capture.interface import NAME, in_place_of_sdpa, running
from attn_cli.models.capture.offloaded import check_weights_present
from attn_cli.models.capture.slices import additive, hull, is_seen
from attn_cli.models.capture.stream import HALF, anatomy_of, left_as_found
from attn_cli.system.memory import keep_freed

__all__ = ["NotTogetherError", "Padded", "pad", "run_together"]


class NotTogetherError(Exception):
    """Texts must be given to the model one at a time."""


@dataclass(frozen=True, eq=False)
class Padded:
    """Texts side by side."""

    inputs: Mapping[str, torch.Tensor]
    """Keyword arguments of the model's forward: `[text, token]`."""
    lengths: Mapping[str, tuple[int, ...]]
    """Tokens of each text, by the name of the input."""

    def sizes(self, kind: Kind, *, two_sided: bool) -> list[tuple[int, int]]:
        """Queries and keys of each text."""
        source = self.lengths["input_ids"]
        target = self.lengths.get("decoder_input_ids", source) if two_sided else source
        sides: dict[Kind, tuple[tuple[int, ...], tuple[int, ...]]] = {
            "encoder": (source, source),
            "decoder": (target, target),
            "cross": (target, source),
        }
        return list(zip(*sides[kind], strict=True))


def pad(inputs: Sequence[Mapping[str, torch.Tensor]], padding: Mapping[str, Any]) -> Padded:
    """Put texts side by side.

    Args:
        inputs: what the model's forward is given for each, `[1, token, ...]`.
        padding: what fills each of them up: a number, or a list of them where a token has several.

    Raises:
        NotTogetherError: the model cannot be told what is padding, or is given something that is not of the tokens.
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
class _Run:
    """One pass."""

    anatomy: Anatomy
    request: Request
    texts: int
    awaited: set[Place]
    """What is still to be seen."""
    afterwards: Afterwards
    calls: Counter[nn.Module] = field(default_factory=Counter)
    begun: set[tuple[Kind, int]] = field(default_factory=set)
    maps: dict[Place, tuple[Float[torch.Tensor, "text head query key"], torch.Tensor | None]] = field(
        default_factory=dict
    )

    def place(self, module: nn.Module) -> Place | None:
        """Which layer this module computes now; None where it is none that a reader could ask for."""
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
        """The mask that the model asks for."""
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
        """The model's own attention function, on all texts and queries at once."""
        place = self.place(module)
        own = own_function(type(module))
        sinks = getattr(module, "sinks", None) is not None or options.get("sinks") is not None
        # An indexer that finds several keys alike good takes those that come first in the memory of all the texts.
        if own is None or len(query) != self.texts or sinks or hasattr(module, "indexer"):
            raise NotTogetherError
        asked = place is not None and bool(_asked([place], self.request))
        if not asked and options.get("softcap") is None and query.dtype not in HALF:
            output, _ = sdpa_attention_forward(
                module, query, key, value, attention_mask, **options | {"is_causal": False}
            )
            return output, None
        options.pop("is_causal", None)
        mask = None if attention_mask is None else additive(attention_mask, query)
        output, weights = own(module, query, key, value, mask, **options)
        if place is not None and asked:
            if place in self.maps or weights.shape[1] != place.heads:
                raise NotTogetherError
            self.maps[place] = weights, mask
            self.awaited.discard(place)
            output = output.contiguous()  # or a model that does so itself (GPT-2) would seem to change it
            self.afterwards.saw(output)
        return output, None


class _SeenAllError(BaseException):
    """Nothing more is asked for, so the rest of the model need not be run."""


def run_together(
    model: PreTrainedModel, groups: Iterable[Padded], request: Request, note: Callable[[str], None] | None = None
) -> Generator[list[Batch]]:
    """Run the model once for each group of texts, no further than the last layer asked for.

    On a processor, one group runs in each thread: products as small as these gain little from more.
    The weights of all the texts and layers of some groups are held at once: choose how many texts accordingly.

    Args:
        model: loaded as for `capture.stream`.
        groups: texts side by side.
        request: which heads; neither scores nor verification.
        note: told, before the group's batches come, of what a reader must know; perhaps again and again.

    Raises:
        NotTogetherError: this model must be given one text at a time.
        ModelError: weights are not in memory.
        ExactnessError: what was found are not attention weights.
    """
    keep_freed()
    check_weights_present(model)
    anatomy = anatomy_of(model)
    wanted = {module: site for module, site in anatomy.sites.items() if _asked(site.places, request)}
    # (Older code in a layer that is not asked for may feel the padding all the same: BigBird-Pegasus chooses its
    # attention by the length.)
    if request.scores or request.verify or anatomy.captured != "interface":
        raise NotTogetherError

    afterwards = Afterwards(lambda: note(changed_output(model.config.model_type)) if note is not None else None)

    def run(padded: Padded) -> list[Batch]:
        awaited = {place for site in wanted.values() for place in _asked(site.places, request)}
        one = _Run(anatomy, request, len(padded.inputs["input_ids"]), awaited, afterwards)
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
        yield from _ahead(run, groups, torch.get_num_threads() if model.device.type == "cpu" else 1)


def _stop(*_: object) -> None:
    """After a module (not after its attention function, which some call twice): no further, if all has been seen."""
    run = running()
    if isinstance(run, _Run) and not run.awaited:
        raise _SeenAllError


def _ahead(run: Callable[[Padded], list[Batch]], groups: Iterable[Padded], threads: int) -> Generator[list[Batch]]:
    """What each group gives, in their order, while the next are run already."""
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


def _batches(run: _Run, padded: Padded, dtype: str) -> list[Batch]:
    batches = []
    two_sided = "cross" in run.anatomy.stacks
    seen: dict[tuple[int, Kind], Int[np.ndarray, "text query 2"]] = {}  # most layers share one mask
    for place, (weights, mask) in run.maps.items():
        heads = run.request.heads[place.kind][place.layer]
        if heads != tuple(range(place.heads)):
            weights = weights[:, list(heads)]
        sizes = padded.sizes(place.kind, two_sided=two_sided)
        whole: Float[np.ndarray, "text head query key"] = weights.to("cpu", torch.float32).numpy()
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
    """What each query sees, as its mask says, or else all the keys of its text."""
    texts, _, queries, keys = shape
    if mask is None:
        return np.stack([np.tile([0, own], (queries, 1)) for _, own in sizes])
    return hull(is_seen(mask[..., :keys]).any(dim=1).expand(texts, queries, keys))
