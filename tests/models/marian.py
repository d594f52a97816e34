"""The built-in model as plain transformers runs it: MarianMT on the same folder, cut by hooks of its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from transformers import AutoTokenizer, MarianMTModel

from attn_cli.data.model import Heads
from attn_cli.data.selection import Kind
from attn_cli.models.toy.folder import built_in

__all__ = [
    "edge_cut",
    "ids_of",
    "log_probabilities",
    "place_of",
    "plain",
    "slice_of",
    "slices_changed",
    "slices_zeroed",
    "written",
]

WIDTH = 32
"""Dimensions of a head."""
Change = Callable[[torch.Tensor], torch.Tensor]
"""Function that changes a head's slice of the output projection's input, `[batch, query, dim]`."""


@cache
def plain() -> Any:
    """Return MarianMT with the built-in model's weights, and eager attention."""
    return MarianMTModel.from_pretrained(built_in("toy"), attn_implementation="eager", dtype=torch.float32)


@cache
def _tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(built_in("toy"))


def ids_of(text: str) -> list[int]:
    """Return a text's tokens, the last one `</s>`."""
    ids: list[int] = _tokenizer()(text)["input_ids"]
    return ids


def place_of(piece: str, text: str) -> int:
    """Return the place of a piece that stands in a text once."""
    return [_tokenizer().decode([token]).strip() for token in ids_of(text)].index(piece)


def _attention(kind: Kind, layer: int) -> Any:
    whole = plain().model
    if kind == "encoder":
        return whole.encoder.layers[layer].self_attn
    decoder = whole.decoder.layers[layer]
    return decoder.self_attn if kind == "decoder" else decoder.encoder_attn


def _part(head: int) -> slice:
    return slice(head * WIDTH, (head + 1) * WIDTH)


@contextmanager
def slices_changed(kind: Kind, layer: int, heads: Sequence[int], change: Change) -> Iterator[None]:
    """Change the slices of a layer's heads in what enters the output projection."""

    def put(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        changed = given[0].clone()
        for head in heads:
            changed[..., _part(head)] = change(given[0][..., _part(head)])
        return (changed, *given[1:])

    handle = _attention(kind, layer).out_proj.register_forward_pre_hook(put)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def slices_zeroed(heads: Heads) -> Iterator[None]:
    """Zero the slices of these heads."""
    with ExitStack() as stack:
        for kind, layers in heads.items():
            for layer, some in layers.items():
                stack.enter_context(slices_changed(kind, layer, some, torch.zeros_like))
        yield


@contextmanager
def edge_cut(layer: int, head: int, query: int, key: int) -> Iterator[None]:
    """Add minus infinity to one score of an encoder head, by the mask that its eager attention adds."""
    attention = _attention("encoder", layer)

    def mask(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        states = given[0] if given else named["hidden_states"]
        length = states.shape[1]
        scores = torch.zeros(1, attention.num_heads, length, length)
        scores[0, head, query, key] = -torch.inf
        return given, named | {"attention_mask": scores}

    handle = attention.register_forward_pre_hook(mask, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def slice_of(layer: int, head: int, text: str, *, values: bool = False) -> torch.Tensor:
    """Return the slice of an encoder head in what enters the output projection, or in the values, [token, dim]."""
    attention = _attention("encoder", layer)
    seen: list[torch.Tensor] = []
    if values:
        handle = attention.v_proj.register_forward_hook(lambda _, __, out: seen.append(out))
    else:
        handle = attention.out_proj.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        plain().get_encoder()(torch.tensor([ids_of(text)]))
    handle.remove()
    return seen[0][0, :, _part(head)].clone()


def log_probabilities(text: str, target: str) -> torch.Tensor:
    """Return the log-probability of every token at each step of a target, [step, token]; the last writes `</s>`."""
    start = plain().config.decoder_start_token_id
    given = torch.tensor([[start, *ids_of(target)[:-1]]])
    with torch.no_grad():
        logits = plain()(input_ids=torch.tensor([ids_of(text)]), decoder_input_ids=given).logits[0]
    found: torch.Tensor = logits.log_softmax(dim=-1)
    return found


def written(text: str, *, beam: int = 1) -> str:
    """Return what `generate` translates."""
    with torch.no_grad():
        ids = plain().generate(torch.tensor([ids_of(text)]), num_beams=beam, do_sample=False)[0]
    found: str = _tokenizer().decode(ids, skip_special_tokens=True)
    return found
