"""Direct logit attribution: what each head, and all else that writes to the residual stream, adds to a logit.

The logit is linear in what each part writes, once every normalization on the way keeps the scale that it has. So one
pass runs in which the output of each part stands alone, with no gradient to what the part read, and each scale is a
constant: a part's share of the logit is then its output times the gradient of the logit there. Modules are told apart
by what they are given and hold, not by their names, and a model whose shares do not add up is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cosine_similarity
from torch.overrides import TorchFunctionMode
from transformers.modeling_utils import PreTrainedModel

from attn_cli.data.attribution import Parts
from attn_cli.data.cuts import Variation
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import INSTEAD, Place
from attn_cli.models.capture.call import AttentionCall
from attn_cli.models.capture.delivery import lengths
from attn_cli.models.capture.edited import Edited, edited
from attn_cli.models.capture.stream import HALF, anatomy_of, gradients_of

__all__ = ["attribute"]

ROUNDING = 1e-3
"""Most that the sum of the parts may differ from the logit, beside the largest part; in half precision 0.05."""
STRAIGHT = 1e-4
"""Most that the direction of the gradient may turn (1 - cosine) between the layers of a residual stream."""
REMEDY = "Cut heads instead, without --attribution, or choose another model"

Logits = Callable[[], Float[torch.Tensor, "vocabulary"]]
"""A run of the model that returns its logits in one place."""
Choose = Callable[[Float[torch.Tensor, "vocabulary"]], torch.Tensor]
"""The choice of a logit, or of a difference of two."""


def attribute(
    model: PreTrainedModel,
    whole: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    run: Logits,
    choose: Choose,
    own: Float[torch.Tensor, "vocabulary"],
    cuts: Variation = (),
) -> tuple[Parts, float]:
    """Compute the parts of a logit in one run of one text.

    The model is as it was before afterwards.

    Args:
        model: a decoder loaded as for `capture.stream`.
        whole: the same with the layer that chooses words.
        inputs: keyword arguments of its forward method, with a batch of one text.
        run: a function that runs the whole model on these inputs.
        choose: the logit that is taken apart.
        own: the logits of the model as it is.
        cuts: the cuts of the run.

    Returns:
        the parts, and the logit that they add up to: before a soft cap, if the model has one.

    Raises:
        ModelError: the residual stream is not a sum, a head writes to it through other modules, or the parts do not
            add up to the logit.
    """
    direct = _Direct(model, inputs, cuts)
    scales = _FrozenScales(direct.see_weights)
    with edited(model, direct), direct.watching(), gradients_of(whole, _is_bias), scales:
        logits = run()
        logit = choose(logits)
        leaves = [*direct.leaves, *scales.biases]
        gradients = torch.autograd.grad(logit, [*leaves, *direct.entered], allow_unused=True)
    shares = [_share(leaf, gradient) for leaf, gradient in zip(leaves, gradients, strict=False)]
    direct.check_stream(gradients[0], gradients[len(leaves) :])
    parts = direct.parts(shares)
    rounding = 0.05 if model.dtype in HALF else ROUNDING
    most = rounding * max(1.0, *map(abs, parts.groups.values()))
    taken = float(logit.detach())
    found = (parts.total, float(choose(scales.capped(logits.detach()))))
    for one, other in zip(found, (taken, float(choose(own))), strict=True):
        if not abs(one - other) <= most:  # not-a-number included
            raise ModelError(
                f"In this model the parts of a logit add up to {one:.4f} where it is "
                f"{other:.4f}, so they cannot be shown",
                REMEDY,
            )
    return parts, taken


def _is_bias(name: str, parameter: nn.Parameter) -> bool:
    return name.endswith("bias") and parameter.ndim == 1


def _share(leaf: torch.Tensor, gradient: torch.Tensor | None) -> torch.Tensor | None:
    exact = torch.float32 if leaf.device.type == "mps" else torch.float64
    return None if gradient is None else leaf.detach().to(exact) * gradient.to(exact)


@dataclass(frozen=True, eq=False)
class _Written:
    """Output of a module beside attention."""

    part: str
    layer: int
    leaf: torch.Tensor


class _Direct(Edited):
    """One pass in which the output of each head, and of each module beside attention, is a leaf of the gradient.

    Modules compute without a gradient until they write. A module that is given the residual stream beside what it
    reads (BLOOM's add to it themselves) is entered, and those inside it are taken in its place.
    """

    def __init__(self, model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], cuts: Variation) -> None:
        super().__init__(model, [cuts], lengths(inputs))
        self._model = model
        self._sites = anatomy_of(model).sites
        self.entered: list[torch.Tensor] = []
        """The residual stream before each layer but the first."""
        self._embedding: torch.Tensor | None = None
        self._heads: list[tuple[Place, int, torch.Tensor]] = []
        """Layer, the axis of its heads, and their weighted sums; of older code, the weights."""
        self._written: list[_Written] = []
        self._layer = 0
        self._cut: nn.Module | None = None
        """The module beside attention that computes now."""
        self._attending: list[nn.Module] = []

    @property
    def leaves(self) -> list[torch.Tensor]:
        """The embedding, the heads' outputs, and what other modules wrote.

        Raises:
            ModelError: the model ran none of its layers.
        """
        if self._embedding is None:
            raise self._no_sum()
        return [self._embedding, *(leaf for _, _, leaf in self._heads), *(one.leaf for one in self._written)]

    def check_stream(self, first: torch.Tensor | None, later: Sequence[torch.Tensor | None]) -> None:
        """Check that the residual stream is a sum: the gradient is the same before each layer, but for its length.

        Args:
            first: the gradient at the embedding.
            later: the gradients at the other layers' inputs.

        Raises:
            ModelError: it is not, or it could not be followed.
        """
        for gradient in later:
            if first is None or gradient is None or gradient.numel() != first.numel():
                raise self._no_sum()
            same = cosine_similarity(first.flatten().double(), gradient.to(first.device).flatten().double(), dim=0)
            if not float(same) > 1 - STRAIGHT:
                raise self._no_sum()

    def parts(self, shares: Sequence[torch.Tensor | None]) -> Parts:
        """Sum the shares of the leaves, and then of the biases, by part.

        Raises:
            ModelError: a head does not write to the residual stream.
        """
        given = iter(shares)
        embedding = _total(next(given))
        heads: dict[tuple[Kind, int], Float[np.ndarray, "head"]] = {}
        for place, axis, _ in self._heads:
            share = next(given)
            if share is None:
                raise self._indirect(place)
            own = share.movedim(axis, 0).flatten(1).sum(dim=1).cpu().numpy()
            heads[place.kind, place.layer] = heads.get((place.kind, place.layer), 0) + own
        for site in self._sites.values():
            for place in site.places:
                if (place.kind, place.layer) not in heads:
                    raise self._indirect(place)
        written: dict[str, dict[int, float]] = {}
        for one in self._written:
            layers = written.setdefault(one.part, {})
            layers[one.layer] = layers.get(one.layer, 0.0) + _total(next(given))
        return Parts(heads, written, embedding, sum(map(_total, given)))

    def _no_sum(self) -> ModelError:
        return ModelError(
            "In this model the residual stream is not the sum of what the layers write (they normalize or mix it on "
            "the way), so a logit has no direct parts",
            REMEDY,
        )

    def _indirect(self, place: Place) -> ModelError:
        return ModelError(
            f"The heads of {place.kind} layer {place.layer} of this model write to the residual stream "
            "only through other modules, so they have no direct part of a logit",
            REMEDY,
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the modules of the model's layers, until the context is left."""
        older = [module for module, site in self._sites.items() if site.how == "hooks"]
        with ExitStack() as stack:
            for number, layer in anatomy_of(self._model).layers(self._model):
                stack.callback(layer.register_forward_pre_hook(self._enter_layer(number), with_kwargs=True).remove)
                for name, module in self._beside(layer):
                    stack.callback(module.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
                    stack.callback(module.register_forward_hook(self._leave(_part(name, module))).remove)
            for module in self._sites:
                stack.callback(module.register_forward_pre_hook(self._attend, with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(self._attended).remove)
            for module in older:
                stack.callback(module.register_forward_pre_hook(self.enter).remove)
            yield

    def _beside(self, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """Yield the modules with weights beside attention, outer ones first, each with the name of the outermost.

        What has no matrices (a normalization, an activation) is passed through.
        """
        for name, child in module.named_children():
            if child in self._sites:
                continue
            if isinstance(child, nn.ModuleList):
                for entry in child:
                    if entry not in self._sites:
                        yield from self._beside(entry)  # T5's layers consist of several that add to the stream
            elif any(inner in self._sites for inner in child.modules()):
                yield from self._beside(child)
            else:
                for inner in child.modules():
                    if any(weights.ndim > 1 for weights in inner.parameters()):
                        yield name, inner

    def _enter_layer(self, number: int) -> Callable[..., Any]:
        """Return the hook that follows the residual stream into a layer."""

        def hook(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            self._layer = number
            state = next((one for one in _tensors((given, named)) if one.is_floating_point() and one.ndim > 2), None)
            if state is None:
                raise self._no_sum()
            if self._embedding is None:
                self._embedding = _leaf(state)
                entered = self._embedding.clone()
                return _mapped((given, named), lambda value: entered if value is state else value)
            if not state.requires_grad:
                raise self._no_sum()
            self.entered.append(state)
            return None

        return hook

    def _is_given_stream(self, given: Any) -> bool:
        """Return whether a module is given the residual stream beside what it reads."""
        if self._embedding is None:
            return False
        width, numbers = self._embedding.shape[-1], self._embedding.numel()
        states = [one for one in _tensors(given) if one.is_floating_point() and one.shape[-1:] == (width,)]
        return sum(one.numel() == numbers for one in states) > 1

    def _enter(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self._cut is not None or self._is_given_stream((given, named)):
            return None
        self._cut = module
        torch.set_grad_enabled(False)
        return _mapped((given, named), torch.Tensor.detach)

    def _leave(self, part: str) -> Callable[..., Any]:
        """Return the hook that makes what a module writes a leaf."""

        def alone(value: torch.Tensor) -> torch.Tensor:
            if not value.is_floating_point():
                return value
            leaf = _leaf(value)
            self._written.append(_Written(part, self._layer, leaf))
            return leaf.clone()

        def hook(module: nn.Module, _: tuple[Any, ...], output: Any) -> Any:
            if self._cut is not module:
                return None
            self._cut = None
            torch.set_grad_enabled(True)
            return _mapped(output, alone)

        return hook

    def _attend(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self._attending.append(module)
        torch.set_grad_enabled(False)
        return None if self._is_given_stream((given, named)) else _mapped((given, named), torch.Tensor.detach)

    def _attended(self, *_: Any) -> None:
        self._attending.pop()
        torch.set_grad_enabled(True)

    def compute(self, place: Place | None, call: AttentionCall) -> torch.Tensor:
        """Compute one layer's attention, and let each head's output stand alone."""
        output = super().compute(place, call)
        return output if place is None else self._alone(place, output, axis=2)

    def see_weights(self, weights: torch.Tensor) -> torch.Tensor:
        """Let the weights of a layer of older code stand alone: with its values they make each head's output."""
        place = self._place.get(self._attending[-1]) if self._attending else None
        older = place is not None and self._sites[self._attending[-1]].how == "hooks"
        if place is None or not older or weights.ndim < 3 or weights.shape[-3] != place.heads:
            return weights
        return self._alone(place, weights, axis=weights.ndim - 3)

    def _alone(self, place: Place, output: torch.Tensor, axis: int) -> torch.Tensor:
        leaf = _leaf(output)
        self._heads.append((place, axis, leaf))
        torch.set_grad_enabled(True)
        return leaf.clone()


class _FrozenScales(TorchFunctionMode):
    """A context in which the scale of each normalization is a constant, and the logits have no soft cap.

    It also finds the biases that the model adds: they alone, of its parameters, are to have a gradient.

    Args:
        on_softmax: called with what each softmax returns; returns what the model is to take instead.
    """

    def __init__(self, on_softmax: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._on_softmax = on_softmax
        self._cap: tuple[torch.Tensor, torch.Tensor] | None = None
        self._biases: dict[int, torch.Tensor] = {}

    @property
    def biases(self) -> list[torch.Tensor]:
        """The biases that have been added, each once."""
        return list(self._biases.values())

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        for one in _tensors((*args, kwargs)):
            if isinstance(one, nn.Parameter) and one.requires_grad and not one.is_meta:
                self._biases[id(one)] = one  # kept, so that no other gets its number
        if name in ("layer_norm", "rms_norm"):
            return _normalized(*args, **kwargs, centred=name == "layer_norm")
        result = func(*args, **kwargs)
        if name == "softmax":
            return self._on_softmax(result)
        if name in ("rsqrt", "sqrt", "norm", "vector_norm") or (
            name in ("pow", "__pow__") and isinstance(args[1], float) and abs(args[1]) == 0.5
        ):
            return result.detach()
        if name == "tanh" and result.requires_grad:  # of the logits: no module has a gradient until it writes
            self._cap = args[0].detach(), result.detach()
            return args[0]
        return result

    def capped(self, logits: Float[torch.Tensor, "vocabulary"]) -> Float[torch.Tensor, "vocabulary"]:
        """Return logits after the soft cap that was left out."""
        if self._cap is None:
            return logits
        before, after = (one.flatten()[-len(logits) :] for one in self._cap)
        return logits * torch.where(before == 0, 1.0, after / before)


def _normalized(
    given: torch.Tensor,
    shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float | None = None,
    *,
    centred: bool,
) -> torch.Tensor:
    """Compute a normalization of torch's own, step by step, with a constant scale."""
    axes = tuple(range(-len(shape), 0))
    exact = given.float()
    if centred:
        exact = exact - exact.mean(dim=axes, keepdim=True)
    least = torch.finfo(given.dtype).eps if eps is None else eps
    scale = (exact.square().mean(dim=axes, keepdim=True) + least).rsqrt().detach()
    result = (exact * scale).to(given.dtype)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


def _part(name: str, module: nn.Module) -> str:
    """Name the part of a model that a module beside attention belongs to: `MLPs`, or what it is instead."""
    for described in (name.lower(), type(module).__name__.lower()):
        found = next((part for word, part in INSTEAD.items() if word in described), None)
        if found is not None and not any(word in described for word in ("mlp", "moe")):
            return found
    return "MLPs"


def _leaf(value: torch.Tensor) -> torch.Tensor:
    return value.detach().clone().requires_grad_()


def _total(share: torch.Tensor | None) -> float:
    return 0.0 if share is None else float(share.sum())


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in arguments."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _tensors(one)


def _mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return arguments with each tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) in (tuple, list):
        return type(value)(_mapped(one, change) for one in value)
    if type(value) is dict:
        return {name: _mapped(one, change) for name, one in value.items()}
    return value
