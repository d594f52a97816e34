"""Location of the attention in a transformers model: the modules that compute it, their layers and numbers of heads.

Everything is read from the modules themselves, so no forward pass is needed, and no table of families except for those
that share modules in an unusual way (ALBERT) or pool their tokens (Funnel, CANINE).
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, Literal

from torch import nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from attn_cli.data.model import Stack
from attn_cli.data.selection import KINDS
from attn_cli.data.stream import Kind
from attn_cli.errors import ModelError

__all__ = ["Anatomy", "Place", "Site", "dissect", "own_function"]

How = Literal["interface", "hooks"]

CROSS = re.compile(r"cross|enc(oder)?_?(dec|attn|attention)", re.IGNORECASE)
OTHER_SENSES = re.compile(r"vision|visual|image|audio|speech|video", re.IGNORECASE)
SIDE = re.compile(r"encoder|decoder")

MAKES_CAUSAL_MASK = re.compile(r"create_\w*causal_mask")
MAKES_OTHER_MASK = re.compile(r"create_\w*bidirectional_mask|or_mask_function$")

HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "num_attn_heads")
KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads")

POOLED = {"funnel": r"(^|\.)blocks\.[1-9]", "canine": r"(^|\.)encoder\.layer\."}
"""family -> pattern of the paths of layers that attend between groups of tokens (CANINE's molecules)."""

INSTEAD = {
    "mamba": "mamba",
    "delta": "linear attention (gated delta rule)",
    "lightning": "linear attention",
    "linearattention": "linear attention",
    "recurrent": "recurrence",
    "conv": "convolution",
    "mlp": "feed-forward only",
    "moe": "feed-forward only",
}
"""Part of a name in a layer without attention -> what the layer has instead; the first match counts."""


@dataclass(frozen=True, slots=True)
class Place:
    """One attention layer, identified by its kind and number."""

    kind: Kind
    layer: int
    heads: int
    key_value_heads: int
    turn: int = 0
    """The number of attention layers of this kind that precede it in the same entry of the model's list of layers
    (LongCat-Flash has two in each). They are numbered in the order of their definition and must run in that order."""
    turns: int = 1
    """The number of attention layers of this kind in that entry."""


@dataclass(frozen=True, slots=True)
class Site:
    """A module that computes attention."""

    how: How
    places: tuple[Place, ...]
    """The layers that the module computes, in the order of its calls; several if layers share it."""


@dataclass(frozen=True)
class Anatomy:
    """The attention layers of one model and the modules that compute them."""

    stacks: Mapping[Kind, Stack]
    sites: dict[nn.Module, Site]
    paths: Mapping[str, nn.Module]
    """Path in the model -> attention module; a shared module has several paths."""

    def fits(self, model: nn.Module) -> bool:
        """Return whether the model still has these modules: some models replace theirs while they run (BigBird)."""
        try:
            return all(model.get_submodule(path) is module for path, module in self.paths.items())
        except AttributeError:
            return False

    @property
    def modern(self) -> list[nn.Module]:
        """The modules that call transformers' `AttentionInterface`."""
        return [module for module, site in self.sites.items() if site.how == "interface"]

    def lists(self, model: nn.Module) -> dict[nn.ModuleList, None]:
        """Return the model's lists of layers: the outermost that contain attention modules."""
        outermost = (_outermost_list(model, path) for path in self.paths)
        return dict.fromkeys(found[0] for found in outermost if found is not None)

    def layers(self, model: nn.Module) -> Iterator[tuple[int, nn.Module]]:
        """Yield each entry of the model's lists of layers, with the number of its first layer."""
        for layers in self.lists(model):
            number = 0
            for entry in _flat(layers):
                yield number, entry
                sites = [self.sites[module] for module in entry.modules() if module in self.sites]
                kinds = Counter(place.kind for site in sites for place in site.places)
                number += max(1, *kinds.values(), 1)

    @property
    def captured(self) -> How:
        """The way to capture: `interface` if every module calls transformers' `AttentionInterface`, else `hooks`."""
        return "hooks" if any(site.how == "hooks" for site in self.sites.values()) else "interface"


@dataclass(frozen=True, slots=True)
class _Found:
    """A module that computes attention, with one of its paths in the model."""

    path: str
    module: nn.Module
    how: How
    kind: Kind
    layers: nn.ModuleList
    """The outermost list of layers that contains the module."""
    index: int
    """The index of its layer in that list, with directly nested lists flattened."""
    pooled: bool
    """True if its rows and columns are groups of tokens instead of tokens."""


def dissect(model: PreTrainedModel, only: Container[nn.Module] | None = None) -> Anatomy:
    """Find the attention layers of a model.

    Args:
        model: the model to search.
        only: the modules to consider; None for all.

    Raises:
        ModelError: the model has no attention from token to token, or two modules seem to be the same layer.
    """
    found = [one for one in _find(model) if only is None or one.module in only]
    sites: dict[nn.Module, Site] = {}
    stacks: dict[Kind, Stack] = {}
    for kind in KINDS:
        members = [one for one in found if one.kind == kind]
        if all(one.pooled for one in members):
            continue
        total, numbers, names = _number(model, members)
        together = Counter((one.layers, one.index) for one in members)
        turns: Counter[tuple[nn.ModuleList, int]] = Counter()
        places: dict[int, Place] = {}
        for one, layers in zip(members, numbers, strict=True):
            entry = one.layers, one.index
            turn = turns[entry]
            turns[entry] += 1
            for layer in layers if not one.pooled else ():
                if layer in places:
                    raise ModelError(
                        f"{type(one.module).__name__} of the family {model.config.model_type} and another module both "
                        f"seem to be {kind} layer {layer}, so its layers cannot be told apart",
                        "Choose another model",
                    )
                heads = _heads(one.module, _text_config(model))
                places[layer] = Place(kind, layer, *heads, turn=turn, turns=together[entry])
                known = sites.get(one.module, Site(one.how, ()))
                sites[one.module] = Site(one.how, (*known.places, places[layer]))
        stacks[kind] = Stack(
            layers=total,
            heads={layer: places[layer].heads for layer in sorted(places)},
            key_value_heads=places[min(places)].key_value_heads,
            without={layer: names[layer] for layer in range(total) if layer not in places},
        )
    if not stacks:
        raise ModelError(
            f"Models of the family {model.config.model_type} have no attention from token to token",
            "Choose a model whose layers weigh the tokens of a text with a softmax",
        )
    return Anatomy(stacks, sites, {one.path: one.module for one in found if one.module in sites})


def interface_caller(cls: type[nn.Module]) -> Callable[..., Any] | None:
    """Return the method of an attention module that calls transformers' `AttentionInterface`, if there is one."""
    return next((method for method in _methods(cls) if "ALL_ATTENTION_FUNCTIONS" in _names(method.__code__)), None)


def own_function(cls: type[nn.Module]) -> Callable[..., Any] | None:
    """Return the eager attention function that an attention module falls back on, if there is exactly one."""
    caller = interface_caller(cls)
    if caller is None:
        return None
    names = [name for name in _names(caller.__code__) if name.endswith("eager_attention_forward")]
    return caller.__globals__.get(names[0]) if len(names) == 1 else None


def _find(model: PreTrainedModel) -> Iterator[_Found]:
    encoder_decoder = bool(model.config.is_encoder_decoder) or _has_both_sides(model)
    crosses = bool(model.config.is_encoder_decoder or getattr(model.config, "add_cross_attention", False))
    known: dict[type[nn.Module], How | None] = {}
    seen: set[tuple[nn.Module, nn.ModuleList, int]] = set()
    for path, module in model.named_modules(remove_duplicate=False):
        if type(module) not in known:
            known[type(module)] = _how(type(module))
        how = known[type(module)]
        if how is None or OTHER_SENSES.search(path):
            continue
        outer = _outermost_list(model, path)
        if outer is None:
            continue
        layers, index, inner = outer
        if (module, layers, index) in seen:
            continue  # The same module under a second name.
        seen.add((module, layers, index))
        side = SIDE.search(path)
        kind: Kind
        if CROSS.search(inner):
            if not crosses:
                continue  # A decoder taken from an encoder-decoder keeps these modules but never calls them.
            kind = "cross"
        elif encoder_decoder and side is not None:
            kind = "encoder" if side[0] == "encoder" else "decoder"
        else:
            kind = "decoder" if _makes_causal_masks(model, path) or _is_causal(module, model) else "encoder"
        if model.config.model_type == "canine":  # its layers may attend several times, once within each chunk
            path = path.rpartition(".")[0]
            module = model.get_submodule(path)
        yield _Found(path, module, how, kind, layers, index, pooled=_is_pooled(model.config, path))


def _has_both_sides(model: nn.Module) -> bool:
    """Return whether a model has an encoder and a decoder, whatever its configuration says (DiffusionGemma)."""
    return all(isinstance(getattr(model, side, None), PreTrainedModel) for side in ("encoder", "decoder"))


def _how(cls: type[nn.Module]) -> How | None:
    if issubclass(cls, PreTrainedModel):
        return None
    if interface_caller(cls) is not None:
        return "interface"
    if "att" in cls.__name__.lower():
        # In code older than the interface, an attention module computes the softmax itself.
        names = {name.lower() for method in _methods(cls) for name in _names(method.__code__)}
        return "hooks" if "softmax" in names else None
    return None


def _methods(cls: type[nn.Module], stop: type[nn.Module] = nn.Module) -> Iterator[Callable[..., Any]]:
    for base in cls.__mro__:
        if base is stop:
            return
        for member in vars(base).values():
            method = inspect.unwrap(member) if callable(member) else None
            if inspect.isfunction(method):
                yield method


def _names(code: CodeType, *, constants: bool = False) -> set[str]:
    """Collect the names that code uses and, if `constants` is true, its string constants, which may name arguments."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant, constants=constants)
        elif constants and isinstance(constant, str | tuple):
            names |= {constant} if isinstance(constant, str) else {one for one in constant if isinstance(one, str)}
    return names


def _outermost_list(model: nn.Module, path: str) -> tuple[nn.ModuleList, int, str] | None:
    """Return the outermost list of layers that contains a module, its layer's index there, and the rest of its path."""
    module, parts = model, path.split(".")
    for depth, part in enumerate(parts):
        if isinstance(module, nn.ModuleList):
            layers, index, inner = module, 0, depth
            while isinstance(module, nn.ModuleList) and inner < len(parts):
                before = list(module)[: int(parts[inner])]
                index += sum(len(list(_flat(one))) if isinstance(one, nn.ModuleList) else 1 for one in before)
                module = module.get_submodule(parts[inner])
                inner += 1
            return layers, index, ".".join(parts[depth + 1 :])
        module = module.get_submodule(part)
    return None


def _flat(layers: nn.ModuleList) -> Iterator[nn.Module]:
    for layer in layers:
        if isinstance(layer, nn.ModuleList):
            yield from _flat(layer)
        else:
            yield layer


def _number(model: PreTrainedModel, members: list[_Found]) -> tuple[int, list[tuple[int, ...]], dict[int, str]]:
    """Return the number of layers, the layers that each member computes, and what each layer has if not attention."""
    config = _text_config(model)
    groups, inner = getattr(config, "num_hidden_groups", None), getattr(config, "inner_group_num", 1)
    if groups is not None:
        # ALBERT runs the layers of its first group repeatedly, then those of its second, and so on.
        turns = config.num_hidden_layers
        numbers = [
            tuple(
                turn * inner + order % inner for turn in range(turns) if int(turn / (turns / groups)) == order // inner
            )
            for order in range(len(members))
        ]
        return turns * inner, numbers, {}
    if config.model_type == "hrm_text":
        # Two stacks alternate: the low one runs `L_cycles` times, then the high one once, all of it `H_cycles` times.
        depth, lows, highs = config.num_layers_per_stack, config.L_cycles, config.H_cycles
        turns_of = {"L_module": range(lows), "H_module": [lows]}
        numbers = [
            tuple(
                (high * (lows + 1) + turn) * depth + one.index
                for high in range(highs)
                for turn in next(turns for name, turns in turns_of.items() if name in one.path)
            )
            for one in members
        ]
        return depth * highs * (lows + 1), numbers, {}
    together = Counter((one.layers, one.index) for one in members)
    following: dict[tuple[nn.ModuleList, int], Iterator[int]] = {}
    names: dict[int, str] = {}
    for layers in dict.fromkeys(one.layers for one in members):
        for index, layer in enumerate(_flat(layers)):
            first, count = len(names), max(1, together[layers, index])
            following[layers, index] = iter(range(first, first + count))
            names |= dict.fromkeys(range(first, first + count), _instead(layer))
    numbers = [(next(following[one.layers, one.index]),) for one in members]
    for one, (number,) in zip(members, numbers, strict=True):
        if one.pooled:
            names[number] = "attention between groups of tokens"
    return len(names), numbers, names


def _instead(layer: nn.Module) -> str:
    names = " ".join(f"{path} {type(module).__name__}" for path, module in layer.named_modules()).lower()
    return next((instead for word, instead in INSTEAD.items() if word in names), type(layer).__name__)


def _text_config(model: PreTrainedModel) -> PreTrainedConfig:
    return model.config.get_text_config()


def _is_pooled(config: PreTrainedConfig, path: str) -> bool:
    pooled = POOLED.get(config.model_type)
    return pooled is not None and re.search(pooled, path) is not None


def _is_causal(module: nn.Module, model: PreTrainedModel) -> bool:
    """Return whether a model of one stack reads from left to right."""
    config = model.config
    if getattr(config, "is_causal", None) is False:
        return False  # Many decoders can be configured to read in both directions, whatever their modules say.
    told = inspect.signature(type(model).forward).parameters.get("is_decoder")
    if told is not None and told.default is False:
        return False  # BLIP's text encoder shares its decoder's code, and an argument of each call decides.
    causal = getattr(module, "is_causal", None)
    if causal is None and config.model_type == "xlnet":
        causal = config.attn_type == "uni"
    if causal is None:
        causal = getattr(config, "causal", None)  # XLM and Flaubert
    if causal is not None:
        return bool(causal)
    if getattr(config, "is_decoder", False):
        return True
    family = config.model_type
    return family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and family not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def _makes_causal_masks(model: PreTrainedModel, path: str) -> bool:
    """Return whether the model around a module makes only causal masks, whatever the module's own attributes say.

    CLIP's text tower passes this to the modules of its encoder with each call; Gemma has an option that only its
    modules read.
    """
    *parents, _ = path.split(".")
    outwards = [model.get_submodule(".".join(parents[:end])) for end in range(len(parents), -1, -1)]
    around = next(module for module in outwards if isinstance(module, PreTrainedModel))
    names: set[str] = set()
    for method in _methods(type(around), PreTrainedModel):
        names |= _names(method.__code__, constants=True)
    return (
        any(MAKES_CAUSAL_MASK.match(name) for name in names)
        and not any(MAKES_OTHER_MASK.match(name) for name in names)
        and getattr(around.config, "is_causal", True) is not False
    )


def _heads(module: nn.Module, default: PreTrainedConfig) -> tuple[int, int]:
    """Return the numbers of heads and of key-value heads."""
    own = getattr(module, "config", None)
    config = own.get_text_config() if isinstance(own, PreTrainedConfig) else default
    groups = getattr(module, "num_key_value_groups", None)
    groups = None if groups is None else int(groups)  # 1.0 in VideoPrism
    heads = next((int(getattr(module, name)) for name in HEADS if isinstance(getattr(module, name, None), int)), None)
    keys, head_dim = getattr(module, "k_proj", None), getattr(module, "head_dim", None)
    if heads is None and groups is not None and head_dim and isinstance(keys, nn.Linear):
        # The numbers may differ from layer to layer (MiMo), so the shape of the weights overrides the configuration.
        heads = keys.out_features // head_dim * groups
    if heads is None:
        heads = int(config.num_attention_heads)
    if groups is not None:
        return heads, heads // groups
    shared = (getattr(module, name, None) for name in KEY_VALUE_HEADS)
    return heads, next((int(number) for number in shared if number), heads)
