"""Small made-up records with sizes that are distinct primes, so that a swapped axis cannot pass unseen."""

from __future__ import annotations

import numpy as np

from attn_cli.data.image import PatchGrid
from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.patches import patch_tokens, thumbnail_of
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


def landscape(height: int, width: int) -> Float[np.ndarray, "height width 3"]:
    """A drawn picture: a sun and a hill below a sky, above a meadow."""
    down, across = np.mgrid[0:height, 0:width] / np.array([height - 1, width - 1]).reshape(2, 1, 1)
    picture = np.stack([0.55 + 0.3 * down, 0.7 - 0.2 * down, 0.95 - 0.6 * down], -1)
    picture[(down - 0.3) ** 2 + (across - 0.28) ** 2 < 0.03] = 0.95, 0.85, 0.2
    picture[(down > 0.45) & (abs(across - 0.65) < (down - 0.45) * 0.75)] = 0.35, 0.2, 0.45
    picture[down > 0.86] = 0.2, 0.5, 0.2
    return picture


def image_record(rows: int = 3, columns: int = 5, layers: int = LAYERS, heads: int = HEADS) -> Record:
    """A picture and `[CLS]`: heads look at patches of like colour, at near ones, or at both."""
    picture = landscape(16 * rows, 16 * columns)
    grid = PatchGrid(rows, columns, "photo.png", thumbnail_of(picture, rows, columns))
    tokens = patch_tokens(grid, ["[CLS]"])
    colors = picture.reshape(rows, 16, columns, 16, 3).mean(axis=(1, 3)).reshape(-1, 3)
    places = np.stack(np.divmod(np.arange(rows * columns), columns), axis=1) / columns
    unlike, apart = (((one[:, None] - one[None]) ** 2).sum(-1) for one in (colors, places))
    maps = []
    for layer in range(layers):
        random = np.random.default_rng(layer)
        scores = random.normal(scale=0.4, size=(heads, len(tokens), len(tokens))).astype(np.float32)
        for head in range(heads):
            scores[head, 1:, 1:] -= 25 * (head % 3 != 1) * unlike + 40 * (head % 3 != 0) * apart
            scores[head, 0, 1:] -= 12 * unlike[head % len(unlike)]
            scores[head, :, 0] += random.uniform(-2, 3)
        queries = tuple(range(len(tokens)))
        visible = np.tile([0, len(tokens)], (len(tokens), 1))
        maps.append(AttentionMap("encoder", layer, tuple(range(heads)), queries, softmax(scores), visible))
    stack = Stack(layers, dict.fromkeys(range(layers), heads), heads)
    return Record(
        model=ModelInfo("sample", "vit", {"encoder": stack}, "interface"),
        source=tokens,
        target=None,
        maps=tuple(maps),
        selection=Selection(),
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
