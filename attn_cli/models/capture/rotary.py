"""Rotary positions that a model stretches to a long text: by dynamic NTK or LongRoPE.

Dynamic NTK recomputes the frequencies for a text longer than all before it, and keeps them until a text is shorter than
those of the training. A longer text would so change the weights of the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import nn

__all__ = ["stretches", "unstretched"]


class _Rotary(NamedTuple):
    """One set of rotary frequencies of a module; some have one for each type of layer."""

    module: Any
    kind: str
    settings: Any
    """Its entry in the model's config."""
    prefix: str
    """Beginning of the names of the module's attributes for it."""


def stretches(model: nn.Module, tokens: int) -> bool:
    """Return whether a text of that many tokens changes the rotary positions of the others (dynamic NTK, LongRoPE)."""
    for one in _rotary(model):
        if one.kind == "longrope" and tokens > int(one.settings["original_max_position_embeddings"]):
            return True
        if "dynamic" in one.kind and tokens > int(one.module.original_max_seq_len):
            return True
    return False


@contextmanager
def unstretched(model: nn.Module) -> Iterator[None]:
    """Start with rotary frequencies that no text has stretched, and restore those found at the end.

    Args:
        model: the model that is to run, within the context, on one text or on several of one length.
    """
    before: list[tuple[Any, str, Any]] = []
    for one in _rotary(model):
        module, frequencies, longest = one.module, f"{one.prefix}inv_freq", f"{one.prefix}max_seq_len_cached"
        original = getattr(module, f"{one.prefix}original_inv_freq", None)
        if "dynamic" not in one.kind or original is None:
            continue
        stretched, tokens = getattr(module, frequencies), getattr(module, longest, module.max_seq_len_cached)
        before += [(module, frequencies, stretched), (module, longest, tokens)]
        if tokens > module.original_max_seq_len:
            setattr(module, frequencies, original.to(stretched.device))
            setattr(module, longest, module.original_max_seq_len)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def _rotary(model: nn.Module) -> Iterator[_Rotary]:
    """Yield each set of rotary frequencies of a model that its config says the kind of."""
    for module in model.modules():
        kinds: Any = getattr(module, "rope_type", None)
        settings = getattr(getattr(module, "config", None), "rope_parameters", None) or {}
        if isinstance(kinds, str):
            yield _Rotary(module, kinds, settings, "")
        elif isinstance(kinds, dict):
            for layers, kind in kinds.items():
                yield _Rotary(module, kind, settings.get(layers), f"{layers}_")
