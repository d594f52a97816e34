"""Hand-made heads over one sentence, and what a screen shows of a drawing."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from rich.cells import cell_len
from rich.console import RenderableType

from attn_cli.data.shapes import Float
from attn_cli.draw.labels import Labels
from attn_cli.draw.screen import Screen, to_text
from attn_cli.measure.summary import HeadSummary, Link

WORDS = [
    "[CLS]",
    "The",
    "trophy",
    "didn't",
    "fit",
    "in",
    "the",
    "suitcase",
    "because",
    "it",
    "was",
    "too",
    "big",
    "[SEP]",
]
LABELS = Labels(WORDS, [word.startswith("[") for word in WORDS])
FRENCH = Labels(["Le", "trophée", "ne", "rentrait", "pas", "</s>"], [False] * 5 + [True])
LAYERS, HEADS = 3, 5

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")

NASTY = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "nul\x00l",
    "[bold]x[/bold]",
    "[/]",
    "line\nbreak\ttab",
    "a\u202eb\u2066c",
    "\u200b",
    "漢字かな",
    "👩🏽‍🚀👨‍👩‍👧",
    "❤️‍🔥1️⃣",
    "שלום",
    "العربية",
    "e\u0301\u0301\u0301",
    "\u0301alone",
    "क्‍षि",
    "한국어",
    "\ud800",
    "\u2028",
    "  padded  ",
    "",
    "ﷺ",
    "a\u200db",
    "ends\u200d",
    "soft\u00adhyphen",
    "हिन्दी",
    "கொக்கு",
    "🇫",
    "🇫🇷🇩",
    "a🏽",
    "ℵ→①…",
)


def weights(layer: int, head: int, queries: int = len(WORDS), keys: int = len(WORDS)) -> Float[np.ndarray, "query key"]:
    """Rows of small whole numbers divided by their sum; each head has its own taste."""
    query, key = np.indices((queries, keys))
    tastes = [
        np.ones((queries, keys)),
        1 + 40 * (key == query - 1),
        1 + 25 * (key == 0) + 3 * ((query * 3 + key * 5) % 7 == 0),
        1 + 12 * (key == (query * 5 + 2) % keys) + 4 * (key == query),
        1 + (query * key) % 11,
    ]
    counts = tastes[(layer + head) % len(tastes)] + layer * (key == query)
    result: Float[np.ndarray, "query key"] = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def summaries() -> list[HeadSummary]:
    """Made-up figures for every head; the strongest link of each is from `it`."""
    return [
        HeadSummary(
            kind="encoder",
            layer=layer,
            head=head,
            focus=((layer * HEADS + head) * 7 % 15) / 14,
            entropy=2.64 - ((layer * HEADS + head) * 7 % 15) * 0.15,
            distance=1 + layer + head / 4,
            first=0.03 * (head + 1) * layer,
            itself=0.01 * (head + layer),
            previous=0.9 if (layer, head) == (0, 1) else 0.02,
            links=tuple(
                Link(9, key, round(0.58 - 0.13 * layer - 0.05 * place, 2)) for place, key in enumerate((2, 7, 12))
            ),
        )
        for layer in range(LAYERS)
        for head in range(HEADS)
    ]


def shown(drawing: RenderableType, screen: Screen) -> list[str]:
    """The lines of a drawing as letters, without colours."""
    lines = ESCAPE.sub("", to_text(drawing, screen)).split("\n")
    assert lines.pop() == ""
    return lines


def cells(line: str) -> int:
    """Return the width of a line, in cells, on a terminal that gives spacing marks a cell, as most do."""
    return cell_len(line) + sum(unicodedata.category(character) == "Mc" for character in line)


def longest(lines: list[str]) -> int:
    return max(map(cells, lines))
