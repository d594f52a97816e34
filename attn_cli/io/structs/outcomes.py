"""The output of a model: tokens that were written with their chances, relevance for it, and how exact it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from attn_cli.data.relevance import OutputUnit
from attn_cli.io.structs.base import Array, AttentionKind, Count, Entry, Number

__all__ = [
    "HandedEntry",
    "LikeliestEntry",
    "LookbackEntry",
    "OutputCheckEntry",
    "RelevanceEntry",
    "WrittenEntry",
    "WrittenTokenEntry",
]


class OutputCheckEntry(Entry):
    """The difference between the model's output and that of a plain run."""

    difference: Annotated[float, Meta(ge=0, description="Largest absolute difference.")]
    compared: Annotated[
        Sequence[str],
        Meta(description="What of the output: last hidden state, encoder's last hidden state, logits."),
    ]
    attention: Annotated[str, Meta(description="The attention implementation of the plain run: sdpa or eager.")]


class HandedEntry(Entry):
    """Relevance that the heads of one layer handed on."""

    kind: AttentionKind
    layer: Count
    heads: Annotated[
        Array[Annotated[Number, Meta(ge=0)]],
        Meta(description="[head]. Over all heads of all layers, they add up to the relevance of all tokens."),
    ]


class RelevanceEntry(Entry):
    """The relevance of each token for an output, carried down through all layers (Chefer et al. 2021)."""

    output: Annotated[str, Meta(description="The output: a word that the model chooses, or a similarity.")]
    value: Annotated[float, Meta(description="Its value.")]
    unit: Annotated[OutputUnit, Meta(description="The unit of the value.")]
    source: Annotated[Array[Annotated[Number, Meta(ge=0)]], Meta(description="[token] of the source.")]
    target: Annotated[
        Array[Annotated[Number, Meta(ge=0)]] | None,
        Meta(description="[token] that an encoder-decoder's decoder reads; null for other models."),
    ]
    heads: Annotated[Sequence[HandedEntry], Meta(description="One for each layer of attention.")]


class LikeliestEntry(Entry):
    """One of the likeliest tokens of a step."""

    id: Count
    text: Annotated[str, Meta(description="What it adds to the text; its name if that is nothing.")]
    log_probability: Annotated[Number, Meta(le=0, description="In nats.")]


class WrittenTokenEntry(Entry):
    """A token that was written, and the model's own distribution there, at temperature 1."""

    index: Annotated[Count, Meta(description="The token's, on the side of the decoder.")]
    log_probability: Annotated[Number, Meta(le=0, description="In nats.")]
    entropy: Annotated[Number, Meta(description="Of the distribution over the vocabulary, in nats.")]
    likeliest: Annotated[Sequence[LikeliestEntry], Meta(description="The likeliest tokens, the likeliest first.")]
    lookback: Annotated[
        Number | UnsetType | None,
        Meta(
            description="m / (m + n), the mean over the heads shown: m is the mean weight of a token of the prompt, n "
            "that of a token written so far (Chuang et al. 2024); null where nothing was written yet. Derived."
        ),
    ] = UNSET


class LookbackEntry(Entry):
    """The lookback of one head, its mean over the tokens written."""

    layer: Count
    head: Count
    lookback: Number


class WrittenEntry(Entry):
    """The text that a model wrote, or a known text as the model sees it."""

    log_probability: Annotated[Number, Meta(description="Of all of it, in nats.")]
    perplexity: Annotated[Number, Meta(description="exp of the mean negative log-probability of a token.")]
    tokens: Annotated[Sequence[WrittenTokenEntry], Meta(min_length=1)]
    heads: Annotated[
        Sequence[LookbackEntry] | UnsetType,
        Meta(description="The heads shown, those that look back most first. Derived: reading a record ignores it."),
    ] = UNSET
    live: Annotated[
        bool,
        Meta(
            description="True if all of this and the weights were taken while the model wrote, at each step under its "
            "key-value cache (--live); false if in one pass over the tokens."
        ),
    ] = False
