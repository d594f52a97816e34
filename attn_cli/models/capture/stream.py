"""Streaming of a transformers model's attention, in blocks of query rows, through the model's own attention function.

transformers passes the query, key, value and mask of every modern attention layer to a registered function;
`interface.py` lets a run replace it. The run here calls the model's own `eager_attention_forward` on a slice of the
queries at a time, so the weights and the output are the model's own and only one slice of weights exists at once. In
single precision, layers that were not requested run on plain SDPA. Families of older code are handled in `legacy.py`.

    model = AutoModel.from_pretrained(..., attn_implementation=LOAD_WITH)
    report = stream(model, inputs, request, eat)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import chain
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_utils import PreTrainedModel

from attn_cli.data.cuts import ZeroedHeads, check_cuts, cuts_by_layer
from attn_cli.data.model import Stack
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Eat, Kind, Report, Request
from attn_cli.models.capture.anatomy import Anatomy, Place, dissect
from attn_cli.models.capture.call import AttentionCall, steps_of
from attn_cli.models.capture.cut_softmax import cut_older_layers
from attn_cli.models.capture.delivery import Delivery, every_span, lengths
from attn_cli.models.capture.interface import NAME
from attn_cli.models.capture.legacy import watch_older_layers
from attn_cli.models.capture.offloaded import MissingWeights, check_weights_present, is_offloaded
from attn_cli.models.capture.passes import InterfaceRun, cannot_be_cut, deliver_slice
from attn_cli.models.capture.projections import FEW, Afterwards, Projections, changed_output, value_norms
from attn_cli.models.capture.replaced import modules_kept
from attn_cli.models.capture.rotary import unstretched
from attn_cli.models.capture.slices import Slicer
from attn_cli.system.memory import keep_freed

__all__ = [
    "LOAD_WITH",
    "StreamRun",
    "anatomy_of",
    "captured_by",
    "gradients_of",
    "graph_let_go",
    "left_as_found",
    "narrow",
    "plain_attention",
    "run_pass",
    "set_attention",
    "stacks",
    "stream",
]

LOAD_WITH = "eager"
"""The `attn_implementation` to load a model with. Every family accepts it; families that use transformers'
`AttentionInterface` are switched to the functions that `interface.py` registers for the duration of a `stream`, and
back afterwards."""

HALF = (torch.bfloat16, torch.float16)

_anatomies: WeakKeyDictionary[PreTrainedModel, Anatomy] = WeakKeyDictionary()
_known_projections: WeakKeyDictionary[
    PreTrainedModel, tuple[tuple[nn.Module, ...], Mapping[tuple[str, int], nn.Module]]
] = WeakKeyDictionary()
"""The modules that each model had within it when its output projections were found, and those."""


def captured_by(model: PreTrainedModel) -> Literal["interface", "hooks"]:
    """Return how a model's weights are captured: through transformers' interface, or by hooks on older layers.

    Raises:
        ModelError: the model has no attention.
    """
    return anatomy_of(model).captured


def stacks(model: PreTrainedModel) -> Mapping[Kind, Stack]:
    """Return the shape of a model's attention, without running the model.

    Raises:
        ModelError: the model has no attention.
    """
    return anatomy_of(model).stacks


def plain_attention(model: PreTrainedModel) -> str:
    """Return the attention implementation that transformers chooses for this model by default.

    Models with older code keep the one that they were loaded with.
    """
    if captured_by(model) == "hooks":
        return str(model.config._attn_implementation)  # noqa: SLF001 - there is no public name
    return model.get_correct_attn_implementation(None)


def set_attention(model: PreTrainedModel, implementation: str) -> None:
    """Set the attention implementation of a model and each model inside it, or eager where it is not supported."""
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            known = implementation == "eager" or module.get_correct_attn_implementation(None) == implementation
            module.config._attn_implementation = implementation if known else "eager"  # noqa: SLF001


def stream(
    model: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    request: Request,
    eat: Eat,
    *,
    cuts: tuple[ZeroedHeads, ...] = (),
    rows: int | None = None,
) -> Report:
    """Run the model once on a batch of one, without gradients or dropout, and pass each block of attention to `eat`.

    The model is restored to its previous state afterwards, also if `eat` raises an error. The map of a head that is cut
    is the one that it computes; only its output is zero.

    Args:
        model: a model from `from_pretrained`, loaded with `LOAD_WITH`.
        inputs: keyword arguments of its forward method: `input_ids` `[1, query]`, `attention_mask`,
            `decoder_input_ids`, ...
        request: the request that says what to stream.
        eat: consumer that is called with each block.
        cuts: the heads whose output is zero.
        rows: most queries in one block; by default as many as make a block of 12 megabytes, but at least 16.

    Raises:
        SelectionError: the model does not have a layer or head that is cut.
        ModelError: a requested layer computed no attention, a layer cannot be cut, the inputs are not a batch of one,
            or some of the model's weights are not in memory.
        ExactnessError: the values captured are not attention weights.
    """
    keep_freed()
    check_weights_present(model)
    delivery = Delivery(model.config.model_type, anatomy_of(model), lengths(inputs), request, eat, rows)
    check_cuts([cuts], stacks(model))
    run = StreamRun(model, delivery, _projections(model, inputs) if request.norms else {}, cuts=cuts)
    run_pass(model, inputs, run)
    return delivery.finish()


def _projections(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> Mapping[tuple[str, int], nn.Module]:
    """Return the model's output projections.

    They are found in a pass over the first tokens of the text, or over the whole of an image: once, and again if
    modules of the model have been replaced, as those are that an adapter is put on.
    """
    within = tuple(model.modules())[1:]  # without the model itself, which would keep itself in memory
    if model not in _known_projections or _known_projections[model][0] != within:
        few = _beginning(inputs)
        nothing = Delivery(
            model.config.model_type, anatomy_of(model), lengths(few), Request(heads={}), lambda _: None, None
        )
        projections = Projections()
        with projections.watch(model):
            run_pass(model, few, StreamRun(model, nothing, {}, finding=projections))
        _known_projections[model] = within, projections.found
    return _known_projections[model][1]


def _beginning(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Cut the inputs to a text's first tokens; of an image, nothing has the length of a text."""
    tokens = {length for pair in lengths(inputs).values() for length in pair}
    return {
        name: tensor[:, :FEW] if tensor.ndim > 1 and tensor.shape[1] in tokens else tensor
        for name, tensor in inputs.items()
    }


def run_pass(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], run: StreamRun) -> None:
    """Run the model once with its attention computed by `run`, and restore it to its previous state."""
    anatomy = anatomy_of(model)
    loaded_with = model.config._attn_implementation  # noqa: SLF001 - there is no public name
    with ExitStack() as stack:
        stack.enter_context(left_as_found(model, NAME if anatomy.modern else None))
        stack.enter_context(torch.no_grad())
        stack.enter_context(run.afterwards.watch(anatomy.modern))
        stack.enter_context(watch_older_layers(anatomy, run.delivery, loaded_with, run.cuts))
        # Inside the watch, which so sees the weights that a head computes, and not those that leave it no output.
        stack.enter_context(cut_older_layers(model, anatomy, run.cuts, lengths(inputs), lambda _: None))
        stack.enter_context(run.running())
        model(**inputs)


def anatomy_of(model: PreTrainedModel) -> Anatomy:
    """Return the attention layers of a model, which are found once, and again if its modules have been replaced.

    Raises:
        ModelError: the model has no attention.
    """
    if model not in _anatomies or not _anatomies[model].fits(model):
        _anatomies[model] = dissect(model)
    return _anatomies[model]


def narrow(model: PreTrainedModel, anatomy: Anatomy) -> None:
    """Restrict a model to this part of its attention from now on: the rest has no map from token to token."""
    _anatomies[model] = anatomy


@contextmanager
def left_as_found(model: PreTrainedModel, implementation: str | None) -> Iterator[None]:
    """Set the attention implementation, evaluation mode, no cache and rotary positions that no earlier text stretched.

    Everything is restored at the end, and so are modules that the model replaces while it runs.
    """
    configs: dict[int, PreTrainedConfig] = {}
    for module in model.modules():
        own = getattr(module, "config", None)
        for config in _with_parts(own) if isinstance(own, PreTrainedConfig) else ():
            configs[id(config)] = config
    before = [(config, config._attn_implementation, getattr(config, "use_cache", None)) for config in configs.values()]  # noqa: SLF001
    training = [module for module in model.modules() if module.training]
    try:
        model.train(mode=False)
        for config, _, use_cache in before:
            if implementation is not None:
                config._attn_implementation = implementation  # noqa: SLF001
            if use_cache is not None:
                config.use_cache = False
        with (
            modules_kept(model, anatomy_of(model)),
            unstretched(model),
            MissingWeights() if is_offloaded(model) else nullcontext(),
        ):
            yield
    finally:
        # Setting a configuration also sets its parts, so the parts are restored after the whole.
        for config, implementation_before, use_cache in before:
            config._attn_implementation = implementation_before  # noqa: SLF001
            if use_cache is not None:
                config.use_cache = use_cache
        for module in training:
            module.training = True


@contextmanager
def graph_let_go(model: nn.Module) -> Iterator[None]:
    """Detach the states that modules keep from one pass to the next (RecurrentGemma's), which would keep the graph."""
    try:
        yield
    finally:
        for module in model.modules():
            for name, value in vars(module).items():
                if isinstance(value, torch.Tensor) and value.grad_fn is not None:
                    setattr(module, name, value.detach())


@contextmanager
def gradients_of(
    whole: PreTrainedModel, wanted: Callable[[str, nn.Parameter], bool] = lambda *_: False
) -> Iterator[None]:
    """Compute gradients within the context, of no parameters but those wanted; by default of none.

    Parameters are told by their names, since one that is offloaded is another tensor each time it is loaded.
    """
    before = {name: one.requires_grad for name, one in whole.named_parameters(remove_duplicate=False)}
    try:
        for name, one in whole.named_parameters(remove_duplicate=False):
            one.requires_grad_(wanted(name, one))
        with graph_let_go(whole), torch.enable_grad():
            yield
    finally:
        for name, one in whole.named_parameters(remove_duplicate=False):
            one.requires_grad_(before[name])


def _with_parts(config: PreTrainedConfig) -> Iterator[PreTrainedConfig]:
    yield config
    for name in config.sub_configs:
        part = getattr(config, name, None)
        if isinstance(part, PreTrainedConfig):
            yield from _with_parts(part)


class StreamRun(InterfaceRun):
    """One pass of a model through the registered attention function.

    Args:
        model: the model that runs.
        delivery: the delivery that takes the blocks requested.
        projections: the model's output projections, which only norms need.
        finding: the finder of output projections, in a pass that looks for them.
        cuts: the heads whose output is zero.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        delivery: Delivery,
        projections: Mapping[tuple[str, int], nn.Module],
        *,
        finding: Projections | None = None,
        cuts: tuple[ZeroedHeads, ...] = (),
    ) -> None:
        super().__init__(model, anatomy_of(model), delivery.begin)
        self.delivery = delivery
        self._slicer = Slicer()
        self._projections = projections
        self._finding = finding
        self.cuts = cuts_by_layer([cuts])
        self.afterwards = Afterwards(lambda: delivery.note(changed_output(delivery.family)))
        self._normed: tuple[Place, Float[np.ndarray, "head key"]] | None = None

    def saw(self, place: Place, output: torch.Tensor) -> None:
        """Pass the output of an attention function on to the watchers of what is done with it."""
        if self._finding is not None:
            self._finding.saw(place, output)
        if self.delivery.heads(place):
            self.afterwards.saw(output)

    def compute(self, place: Place | None, call: AttentionCall) -> Float[torch.Tensor, "1 query head dim"]:
        """Compute one layer's output, deliver the rows requested of its weights, and pass the output to `saw`."""
        output = self.attend(place, call)
        if place is not None:
            for _, cut in self.cuts.get((place.kind, place.layer), ()):
                if output.shape[2] != place.heads:
                    raise cannot_be_cut(self.delivery.family, place, call)
                output[:, :, list(cut.heads_of(place.heads))] = 0
            self.saw(place, output)
        return output

    def attend(self, place: Place | None, call: AttentionCall) -> Float[torch.Tensor, "1 query head dim"]:
        """Compute one layer's output with nothing cut, and deliver the rows requested of its weights."""
        heads, queries, keys = call.query.shape[1], call.query.shape[2], call.key.shape[2]
        # In half precision, SDPA rounds differently from the model's own function, and slices differently from the
        # whole; a layer's output must not depend on what was requested.
        same = call.query.dtype not in HALF
        flash = self.masks.flash and same and call.suits_flash
        rows = self.delivery.rows(heads, keys)
        every = every_span(queries, rows)
        if place is None or not self.delivery.heads(place) or self.is_repeated(place, call):
            if flash or (call.suits_flash and not call.can_be_cut):
                return call.flash()
            return _joined((call.slice(self._slicer, *span).output for span in every), queries)
        self.delivery.check_shape(place, heads, queries, keys)
        wanted = self.delivery.spans(place.kind, queries, rows)
        if flash and 2 * sum(stop - start for start, stop in wanted) <= queries:
            for span in wanted:
                self._deliver(place, call, *span)
            return call.flash()
        return _joined((self._deliver(place, call, *span) for span in every), queries)

    def _deliver(
        self, place: Place, call: AttentionCall, start: int, stop: int
    ) -> Float[torch.Tensor, "1 query head dim"]:
        request = self.delivery.request
        piece = call.slice(self._slicer, start, stop, watch=request.scores or request.verify or request.steps)
        if not self.delivery.wants(place.kind, start, stop):
            return piece.output
        if self._slicer.gaps:
            self.delivery.note_gaps()
        deliver_slice(
            self.delivery,
            place,
            call,
            start,
            piece,
            norms=self._norms(place, call) if request.norms else None,
            steps=steps_of(call, piece, start, self.delivery.heads(place)) if request.steps else None,
        )
        if request.verify:
            difference = call.difference(piece)
            if difference is not None:
                self.delivery.verify(difference)
        return piece.output

    def _norms(self, place: Place, call: AttentionCall) -> Float[np.ndarray, "head key"]:
        """Return the norms of the layer's values, which are computed once for all its blocks."""
        if self._normed is None or self._normed[0] != place:
            heads, family = self.delivery.heads(place), self.delivery.family
            self._normed = (place, value_norms(call, place, heads, self._projections, family))
        return self._normed[1]


def _joined(
    parts: Iterator[Float[torch.Tensor, "1 some_queries head dim"]], queries: int
) -> Float[torch.Tensor, "1 query head dim"]:
    """Join the outputs of consecutive slices into a layer's output.

    The memory for the whole is allocated once. Slices kept until the last one would fragment the memory: in a causal
    layer, temporary tensors grow from slice to slice and would not fit into the gaps between the slices kept.
    """
    first = next(parts)
    whole = first.new_empty((1, queries, *first.shape[2:]))
    stop = 0
    for part in chain([first], parts):
        start, stop = stop, stop + part.shape[1]
        whole[:, start:stop] = part
    return whole
