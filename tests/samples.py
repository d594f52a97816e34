"""Small made-up records with sizes that are distinct primes, so that a swapped axis cannot pass unseen."""

from __future__ import annotations

import numpy as np

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.shapes import Float
from attn_cli.data.text import Tokens, make_tokens

LAYERS, HEADS = 2, 3
SENTENCE = "The trophy didn't fit."
PIECES = ("[CLS]", "the", "tro", "##phy", "didn", "'", "t", "fit", ".", "[SEP]", "[SEP]")  # 11 tokens
OFFSETS = ((0, 0), (0, 3), (4, 7), (7, 10), (11, 15), (15, 16), (16, 17), (18, 21), (21, 22), (0, 0), (0, 0))
TARGET = "Le trophée."
TARGET_PIECES = ("<s>", "Le", "tro", "phée", ".", "</s>")  # 6 tokens, which makes 5 steps
TARGET_OFFSETS = ((0, 0), (0, 2), (3, 6), (6, 10), (10, 11), (0, 0))


def source_tokens() -> Tokens:
    return make_tokens(SENTENCE, PIECES, OFFSETS, [piece.startswith("[") for piece in PIECES], ids=range(11))


def target_tokens() -> Tokens:
    special = [piece.startswith("<") for piece in TARGET_PIECES]
    return make_tokens(TARGET, TARGET_PIECES, TARGET_OFFSETS, special, ids=range(6))


def softmax(scores: Float[np.ndarray, "*rows key"]) -> Float[np.ndarray, "*rows key"]:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: Float[np.ndarray, "*rows key"] = powers / powers.sum(axis=-1, keepdims=True)
    return result


def random_map(
    kind: Kind, layer: int, queries: int, keys: int, *, heads: int = HEADS, seed: int = 0, causal: bool = False
) -> AttentionMap:
    scores = np.random.default_rng((seed, layer)).normal(scale=2, size=(heads, queries, keys)).astype(np.float32)
    visible = np.tile([0, keys], (queries, 1))
    if causal:
        scores[:, np.triu(np.ones((queries, keys), np.bool_), 1)] = -np.inf
        visible[:, 1] = np.arange(1, queries + 1)
    return AttentionMap(
        kind, layer, tuple(range(heads)), tuple(range(queries)), softmax(scores), visible, scores=scores
    )


def encoder_record(selection: Selection | None = None) -> Record:
    """2 layers of 3 heads over 11 tokens, 8 of them in 5 words."""
    tokens = source_tokens()
    return Record(
        model=ModelInfo(
            "sample", "bert", {"encoder": Stack(LAYERS, dict.fromkeys(range(LAYERS), HEADS), HEADS)}, "interface"
        ),
        source=tokens,
        target=None,
        maps=tuple(random_map("encoder", layer, 11, 11) for layer in range(LAYERS)),
        selection=selection or Selection(),
    )


def decoder_record(selection: Selection | None = None) -> Record:
    """The same text in a causal model whose second layer of three has no attention."""
    return Record(
        model=ModelInfo(
            "sample-causal", "jamba", {"decoder": Stack(3, {0: HEADS, 2: HEADS}, 1, {1: "mamba"})}, "interface"
        ),
        source=source_tokens(),
        target=None,
        maps=tuple(random_map("decoder", layer, 11, 11, causal=True) for layer in (0, 2)),
        selection=selection or Selection(),
    )


def translation_record(selection: Selection | None = None) -> Record:
    """An encoder-decoder: 11 source tokens, 5 steps of its decoder."""
    stack = Stack(LAYERS, dict.fromkeys(range(LAYERS), HEADS), HEADS)
    sizes: dict[Kind, tuple[int, int]] = {"encoder": (11, 11), "decoder": (5, 5), "cross": (5, 11)}
    return Record(
        model=ModelInfo("sample-translation", "marian", dict.fromkeys(sizes, stack), "interface"),
        source=source_tokens(),
        target=target_tokens(),
        maps=tuple(
            random_map(kind, layer, *size, seed=7, causal=kind == "decoder")
            for kind, size in sizes.items()
            for layer in range(LAYERS)
        ),
        selection=selection or Selection(),
    )
