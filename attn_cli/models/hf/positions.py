"""The longest text that a model has positions for, on either side."""

from __future__ import annotations

import re
from itertools import chain
from typing import Any, NamedTuple

from transformers import PreTrainedConfig, PreTrainedModel

from attn_cli.models.capture.anatomy import OTHER_SENSES

__all__ = ["Limit", "config_of", "limit_of"]

POSITION_TABLE = re.compile(r"(?<!relative_)position_embedding|positions_embed|embed_positions|wpe|pos_encoding")
"""Names of tables with one row for each position; those of images or sound have none for a text's."""
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")


class Limit(NamedTuple):
    """The longest input of one side."""

    tokens: int
    hard: bool
    """True if the model's table of positions ends there. Computed positions (rotary) go on past the length that the
    model was trained with, and then a note is enough."""


def config_of(config: PreTrainedConfig, side: str) -> PreTrainedConfig:
    """Return the part of a nested config that describes the model of this side's text."""
    for name in (side, "text_config"):
        part = getattr(config, name, None)
        config = part if isinstance(part, PreTrainedConfig) else config
    return config


def limit_of(model: PreTrainedModel, side: str) -> Limit | None:
    """Return the most positions of one side; None where positions are relative distances alone (T5, ALiBi).

    Args:
        model: the model that runs.
        side: `encoder` or `decoder`.
    """
    config = config_of(model.config, side)
    found = [(name, getattr(config, name, None)) for name in (f"max_{side}_position_embeddings", *POSITIONS)]
    name, tokens = next(((name, n) for name, n in found if isinstance(n, int) and n > 0), ("", 0))
    if not tokens:
        return None
    for place, _ in chain(model.named_parameters(), model.named_buffers()):
        if POSITION_TABLE.search(place) and not OTHER_SENSES.search(place):
            table: Any = model.get_submodule(place.rpartition(".")[0])
            grows = hasattr(table, "make_weight") or hasattr(table, "make_weights")
            # RoBERTa and its kin count positions from one past the padding id, in a table with that many more rows.
            padded = "position_embeddings" in place and getattr(table, "padding_idx", None) is not None
            return Limit(tokens - (table.padding_idx + 1 if padded else 0), hard=not grows)
    if getattr(config, "rope_parameters", None) or getattr(config, "rope_theta", None):
        return Limit(tokens, hard=False)
    return Limit(tokens, hard=True) if name == "max_seq_len" else None  # MPT's ALiBi biases are a table, but unnamed
