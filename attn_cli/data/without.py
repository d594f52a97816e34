"""Heads that a model runs without: from what a user types to the model's own numbers, and into words again."""

from __future__ import annotations

from collections.abc import Mapping

from attn_cli.data.model import Heads, Stack
from attn_cli.data.plan import choose_heads, choose_kind, listed, name_head
from attn_cli.data.selection import KINDS, Kind, parse_without
from attn_cli.errors import enumerated

__all__ = ["choose_without", "named_without", "typed_without"]

MOST_NAMED = 10
"""Most heads of one kind to name one by one."""


def choose_without(typed: str, stacks: Mapping[Kind, Stack], kind: Kind | None, name: str = "This model") -> Heads:
    """Return the heads that `--without` names in a model.

    Args:
        typed: the heads, as they were typed: `2.0,cross:1.3`, or `2` for a layer.
        stacks: the model's attention layers.
        kind: the kind of attention of heads whose kind is not named; None for the model's first.
        name: the model's name, for messages.

    Raises:
        UsageError: the list has another form.
        SelectionError: a kind, layer or head does not exist.
    """
    chosen: dict[Kind, dict[int, set[int]]] = {}
    for named, layers, head in parse_without(typed):
        own = choose_kind(stacks, named or kind, has_target=False, name=name)
        for layer, heads in choose_heads(stacks[own], layers, head, name).items():
            chosen.setdefault(own, {}).setdefault(layer, set()).update(heads)
    return {
        kind: {layer: tuple(sorted(chosen[kind][layer])) for layer in sorted(chosen[kind])}
        for kind in KINDS
        if kind in chosen
    }


def typed_without(heads: Heads) -> str:
    """Return these heads as `--without` takes them: `encoder:2.0,2.3,cross:1.0`; nothing if there are none."""
    return ",".join(
        f"{kind}:{','.join(name_head(layer, head) for layer, some in layers.items() for head in some)}"
        for kind, layers in heads.items()
    )


def named_without(heads: Heads, stacks: Mapping[Kind, Stack]) -> str:
    """Name these heads in words: `without encoder head 2.0 (its output is zero)`; nothing if there are none."""
    if not heads:
        return ""
    count = sum(len(some) for layers in heads.values() for some in layers.values())
    parts = [_named(kind, layers, stacks[kind]) for kind, layers in heads.items()]
    named = enumerated(parts)
    if len(parts) > 1 and count == sum(sum(stack.heads.values()) for stack in stacks.values()):
        named = "all heads"
    return f"without {named} ({'its' if count == 1 else 'their'} output is zero)"


def _named(kind: Kind, layers: Mapping[int, tuple[int, ...]], stack: Stack) -> str:
    names = [name_head(layer, head) for layer, heads in layers.items() for head in heads]
    if len(names) > 1 and all(len(heads) == stack.heads[layer] for layer, heads in layers.items()):
        if len(layers) == len(stack.heads):
            return f"all {kind} heads"
        return f"all heads of {kind} layer{'s' * (len(layers) > 1)} {listed(tuple(layers))}"
    if len(names) > MOST_NAMED:
        return f"{len(names)} heads of {kind} layer{'s' * (len(layers) > 1)} {listed(tuple(layers))}"
    return f"{kind} head{'s' * (len(names) > 1)} {', '.join(names)}"
