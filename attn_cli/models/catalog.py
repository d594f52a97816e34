"""A catalog of the models on this machine: the built-in ones and those in the hub's cache. Reads only headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from attn_cli.errors import ModelError
from attn_cli.models import LoadOptions
from attn_cli.models.hf.checkpoint import Checkpoint, examine
from attn_cli.models.toy.folder import BUILT_IN, OWN_SHAPES, ToyFolder, built_in, weight_shapes
from attn_cli.models.toy.recurrent import RecurrentShape

__all__ = ["Listed", "catalog"]

LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads")
"""Config keys under which the model families store their numbers of layers and heads."""


@dataclass(frozen=True)
class Listed:
    """A catalog entry: a model on this machine."""

    name: str
    """Name to pass to `--model`."""
    family: str
    layers: tuple[int, ...]
    """Number of layers of the encoder and the decoder, where there are both; empty where the config does not say."""
    heads: int | None
    """Number of heads in a layer; None where the config does not say."""
    parameters: int | None
    """Number of weights; None where they are pickled, or quantized by others."""
    bytes: int
    """Size of the weights as saved."""
    built_in: bool
    notes: tuple[str, ...] = ()
    """Known facts about it and its heads, one sentence each with a full stop."""


def catalog() -> Iterator[Listed]:
    """List the built-in models, then those in the hub's cache, sorted by name."""
    for name in BUILT_IN:
        if built_in(name).is_dir():
            yield _listed(examine(name, built_in(name), LoadOptions()), built_in=True)
    for name, folder in sorted(_cached(), key=lambda found: found[0].casefold()):
        try:
            # `examine` runs no code and reads no pickle, even where the model needs them.
            options = LoadOptions(allow_pickle=True, trust_remote_code=True)
            listed = _listed(examine(name, folder, options), built_in=False)
        except ModelError:  # an incomplete model, one that reads no text, or one of impossible sizes
            continue
        yield listed


def _cached() -> Iterator[tuple[str, Path]]:
    """List names and folders of the models in the hub's cache."""
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return
    for repository in repositories:
        if repository.repo_type == "model":
            config = try_to_load_from_cache(repository.repo_id, "config.json")
            if isinstance(config, str):
                yield repository.repo_id, Path(config).parent


def _listed(found: Checkpoint, *, built_in: bool) -> Listed:
    config = found.config
    family, layers, heads = str(config.get("model_type", "")), _layers(config), _first(config, HEADS)
    parameters, notes = found.parameters, _notes(config)
    if family in OWN_SHAPES:
        shape = ToyFolder(found.name, found.folder).shape
        if built_in:  # the sizes in another folder may be anything
            parameters = sum(prod(size) for size in weight_shapes(shape).values())
        if isinstance(shape, RecurrentShape):
            family, layers, heads = "recurrent", (1, 1), int(shape.attention)
            notes = notes if shape.attention else (*_without_attention(shape), *notes)
        else:
            family, layers, heads = "transformer", (shape.encoder_layers, shape.decoder_layers), shape.heads
    return Listed(
        name=found.name,
        family=family,
        layers=layers,
        heads=heads,
        parameters=parameters,
        bytes=found.saved_bytes,
        built_in=built_in,
        notes=notes,
    )


def _without_attention(shape: RecurrentShape) -> tuple[str, ...]:
    return (f"No attention: everything passes through one vector of {2 * shape.hidden} numbers.",)


def _notes(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a config says about heads in its `attn` entry, as far as that has the expected form."""
    known = config.get("attn")
    notes = []
    guided = known.get("guided") if isinstance(known, Mapping) else None
    told = set()
    for head in guided if isinstance(guided, list) else ():
        if isinstance(head, Mapping) and {"kind", "layer", "head", "towards", "on"} <= head.keys():
            place = f"{head['kind']} {head['layer']}.{head['head']}"
            told.add(place)
            notes.append(f"{place}: trained to look {head['towards']}, on {head['on']}.")
    for name, kind in (("alignment", "cross"), ("coreference", "encoder")):
        one = known.get(name) if isinstance(known, Mapping) else None
        if isinstance(one, Mapping) and {"layer", "how"} <= one.keys():
            heads = one.get("heads", [one.get("head")])
            places = ", ".join(f"{one['layer']}.{head}" for head in (heads if isinstance(heads, list) else [heads]))
            if f"{kind} {places}" not in told:
                notes.append(f"{kind} {places}: {one['how']}")
    caveat = known.get("caveat") if isinstance(known, Mapping) else None
    if isinstance(caveat, str) and caveat:
        notes.append(caveat)
    return tuple(notes)


def _layers(config: Mapping[str, Any]) -> tuple[int, ...]:
    both = [config.get(f"{side}_layers") for side in ("encoder", "decoder")]
    counts = both if None not in both else [_first(config, LAYERS), config.get("num_decoder_layers")]
    return tuple(count for count in counts if isinstance(count, int))


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((config[name] for name in names if isinstance(config.get(name), int)), None)
