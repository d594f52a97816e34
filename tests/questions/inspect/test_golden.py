"""Tests of the screens of `attn inspect`, on three widths, with and without colour."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.record import Record
from attn_cli.draw.atlas import atlas
from attn_cli.draw.captions import model_line
from attn_cli.draw.grid import grid
from attn_cli.draw.heatmap import heatmap
from attn_cli.draw.labels import Labels
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen, to_text
from attn_cli.measure.summary import Link
from attn_cli.questions.inspect.figures import QueryRow
from attn_cli.questions.inspect.tables import head_table, query_table
from tests.drawings import FRENCH, HEADS, LABELS, LAYERS, WORDS, summaries, weights
from tests.golden_files import assert_golden
from tests.samples import source_tokens

MODEL = ModelInfo(
    "sentence-transformers/all-MiniLM-L6-v2",
    "bert",
    {"encoder": Stack(LAYERS, dict.fromkeys(range(LAYERS), HEADS), HEADS)},
    "interface",
)
CAUSAL = np.stack([np.zeros(len(WORDS), np.intp), np.arange(1, len(WORDS) + 1)], axis=1)


def first_screen(screen: Screen) -> RenderableType:
    heads = summaries()
    focus = {(row.layer, row.head): row.focus for row in heads}
    chosen = sorted(heads, key=lambda row: -row.focus)[:7]
    mean = np.mean([weights(2, head) for head in range(HEADS)], axis=0)
    return Group(
        model_line(Record(MODEL, source_tokens(), None, ()), "encoder", screen),
        Text(),
        *atlas(focus, screen),
        Text(),
        head_table(chosen, LABELS, LABELS, screen, caption="7 of 15 heads, by focus; --all shows every head."),
        Text(),
        heatmap(MapView(mean, LABELS, LABELS), screen, title="Mean weight of 5 heads, layer 2"),
    )


def all_heads(screen: Screen) -> RenderableType:
    return head_table(summaries(), LABELS, LABELS, screen)


def whole_head(screen: Screen) -> RenderableType:
    return heatmap(
        MapView(np.tril(weights(0, 3)), LABELS, LABELS, "decoder", visible=CAUSAL),
        screen,
        title="Weights of head 0.3",
        caption="A learned sink takes 0.25 of the average row; the weights sum to the rest.",
        numbers=True,
        mark_strongest=True,
    )


def squares(screen: Screen) -> RenderableType:
    labels = Labels([f"{word}" for word in WORDS] * 3)
    return heatmap(MapView(weights(0, 3, 5, 42), Labels(WORDS[:5]), labels), screen, mark_strongest=True)


def scores(screen: Screen) -> RenderableType:
    values = np.round(np.log(weights(1, 3, 6, len(WORDS))) * 2, 2)
    values[:, 4] = -np.inf
    return heatmap(MapView(values, FRENCH, LABELS, "cross", "score"), screen, title="Scores of head 1.3")


def mosaic(screen: Screen) -> RenderableType:
    labels = Labels([f"w{i}" for i in range(211)])
    return heatmap(MapView(weights(0, 1, 211, 211), labels, labels), screen, title="Head 0.1")


def every_map(screen: Screen) -> RenderableType:
    maps = {(layer, head): weights(layer, head) for layer in range(LAYERS) for head in range(HEADS)}
    return grid(maps, screen, title="All heads")


def one_word(screen: Screen) -> RenderableType:
    rows = [
        QueryRow(
            layer, head, query, tuple(Link(query, key, float(weights(layer, head)[query, key])) for key in (2, 0, 9))
        )
        for query in (2, 9)
        for layer in range(LAYERS)
        for head in range(0, HEADS, 2)
    ]
    labels = Labels(["it" if word == "trophy" else word for word in WORDS], LABELS.special)
    return query_table(rows, labels, LABELS, screen, caption="9 of 15 heads; --all shows every head.")


VIEWS: Mapping[str, Callable[[Screen], RenderableType]] = {
    "first": first_screen,
    "heads": all_heads,
    "head": whole_head,
    "squares": squares,
    "scores": scores,
    "mosaic": mosaic,
    "grid": every_map,
    "query": one_word,
}


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("color", [True, False], ids=["color", "plain"])
@pytest.mark.parametrize("name", VIEWS)
def test_screens(name: str, color: bool, width: int) -> None:
    screen = Screen(width=width, height=40, color=color)
    assert_golden(f"{name}-{width}-{'color' if color else 'plain'}", to_text(VIEWS[name](screen), screen))


@pytest.mark.parametrize(
    ("name", "screen"),
    [
        ("light", Screen(color=True, theme="light")),
        ("256", Screen(color=True, depth="256")),
        ("ascii", Screen(color=False, unicode=False)),
    ],
    ids=["light", "256", "ascii"],
)
def test_other_terminals(name: str, screen: Screen) -> None:
    drawn = Group(first_screen(screen), whole_head(screen), squares(screen), every_map(screen), one_word(screen))
    assert_golden(f"other-{name}", to_text(drawn, screen))
