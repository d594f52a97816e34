"""Tests of the screens of a translation, on three widths, with and without colour, from hand-made records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attn_cli.data.model import Alignment, ModelInfo, Stack
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.selection import Rows, Selection
from attn_cli.data.text import make_tokens
from attn_cli.draw.screen import Screen, to_text
from attn_cli.errors import ModelError
from attn_cli.io.records import from_json, to_json
from attn_cli.questions.inspect.measure import look
from tests.drawings import longest, shown
from tests.golden_files import assert_golden

SOURCE = "The cat sat on the mat because it was tired ."
TARGET = "Le chat était assis sur le tapis parce qu'il était fatigué ."
# For each word of the target, the source word that it is made to look at.
PAIRS = (0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10)
LAYERS, HEADS = 2, 3
SHARP = Alignment(1, (2,), "input", "Head 1.2 was trained on word alignments.")
TRANSLATION = Selection(translation=True)
STEPS: tuple[Rows, ...] = ("input", "output")


def spaced(text: str, ends: tuple[str, str]) -> tuple[list[str], list[tuple[int, int]], list[bool]]:
    """A token for each word, between two that are special where they are named."""
    pieces, offsets, at = [], [], 0
    for word in text.split():
        pieces.append(word)
        offsets.append((at, at + len(word)))
        at += len(word) + 1
    first, last = ends
    special = [True] * bool(first) + [False] * len(pieces) + [True]
    return (
        [*([first] if first else []), *pieces, last],
        [*([(0, 0)] if first else []), *offsets, (0, 0)],
        special,
    )


def record(alignment: Alignment | None = SHARP, repeat: int = 1) -> Record:
    """Two layers of cross-attention, whose last heads look at the word that is meant; in the second far more."""
    source, target = " ".join([SOURCE] * repeat), " ".join([TARGET] * repeat)
    read, written = (
        make_tokens(source, *spaced(source, ("", "</s>"))),
        make_tokens(target, *spaced(target, ("<s>", "</s>"))),
    )
    steps, keys = len(written) - 1, len(read)
    words = len(source.split()) // repeat
    pairs = [-1, *(turn * words + pair for turn in range(repeat) for pair in PAIRS)]
    maps = []
    for layer in range(LAYERS):
        counts = np.ones((HEADS, steps, keys))
        query, key = np.indices((steps, keys))
        counts[0] += 7 * (key == keys - 1)
        counts[1] += (query * 3 + key * 5) % 7
        for step, pair in enumerate(pairs):
            counts[2, step, pair] += (2 + 60 * layer) * repeat
        weights = (counts / counts.sum(axis=2, keepdims=True)).astype(np.float32)
        maps.append(
            AttentionMap(
                "cross", layer, tuple(range(HEADS)), tuple(range(steps)), weights, np.tile([0, keys], (steps, 1))
            )
        )
    stack = Stack(LAYERS, dict.fromkeys(range(LAYERS), HEADS), HEADS)
    model = ModelInfo("hand-made", "marian", {"encoder": stack, "decoder": stack, "cross": stack}, "interface")
    return Record(replace(model, alignment=alignment), read, written, tuple(maps))


def bottleneck() -> Record:
    return replace(
        record(), model=ModelInfo("toy-rnn", "toy-rnn", {}, "numpy", bottleneck=256), maps=(), selection=TRANSLATION
    )


SCREENS: dict[str, tuple[Record, Selection]] = {
    "declared": (record(), TRANSLATION),
    "found": (record(None), TRANSLATION),
    "output": (record(None), replace(TRANSLATION, rows="output")),
    "layer": (record(), replace(TRANSLATION, layer="0")),
    "long": (record(repeat=3), TRANSLATION),
    "grid": (record(), replace(TRANSLATION, view="grid")),
    "query": (record(), replace(TRANSLATION, view="query", query="chat")),
    "table": (record(), replace(TRANSLATION, kind="cross")),
    "bottleneck": (bottleneck(), TRANSLATION),
}


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("color", [True, False], ids=["color", "plain"])
@pytest.mark.parametrize("name", SCREENS)
def test_screens(name: str, color: bool, width: int) -> None:
    seen, selection = SCREENS[name]
    screen = Screen(width=width, height=40, color=color)
    drawing = look(seen, selection, keep=False).draw(screen)
    lines = shown(drawing, screen)
    assert longest(lines) <= width
    assert lines[0].startswith(TARGET[:20])
    assert_golden(f"translation-{name}-{width}-{'color' if color else 'plain'}", to_text(drawing, screen))


def test_the_strongest_cell_of_each_row_is_marked() -> None:
    screen = Screen(width=80, color=False)
    lines = shown(look(record(), TRANSLATION, keep=False).draw(screen), screen)
    rows = [line for line in lines if line[:2].strip().isdecimal()]
    assert len(rows) == 13
    assert all(line.count("■") == 1 for line in rows)
    chat = next(line for line in rows if "chat" in line)
    header = next(line for line in lines if "cat" in line and "■" not in line)
    # The number ends in the column in which the label ends.
    assert chat.index("■") < header.index("cat") + len("cat") <= chat.index("■") + 5


def test_the_head_that_pairs_words_best_is_found_at_either_step() -> None:
    for rows in STEPS:
        answer = look(record(None), replace(TRANSLATION, rows=rows), keep=False)
        screen = Screen(width=100, color=False)
        text = " ".join(shown(answer.draw(screen), screen))
        # The second layer's last head at the step that reads a word. A step earlier it pairs each with its neighbour.
        assert f"Weights of head 1.2, {rows} rows" in text
        assert "Of all 6, head 1.2 comes nearest to pairing them one to one" in text


def test_heads_declared_for_other_rows_say_so() -> None:
    screen = Screen(width=100, color=False)
    drawing = look(record(), replace(TRANSLATION, rows="output"), keep=False).draw(screen)
    assert "They align at input rows, and these are output rows." in " ".join(shown(drawing, screen))


@pytest.mark.parametrize("name", SCREENS)
def test_a_saved_record_shows_the_same(name: str) -> None:
    seen, selection = SCREENS[name]
    kept = look(seen, selection, keep=True)
    again = from_json(kept.data())
    screen = Screen(width=80, color=False)
    assert again.selection == selection
    assert shown(look(again, again.selection, keep=False).draw(screen), screen) == shown(kept.draw(screen), screen)


def test_documents_say_which_step_a_row_is() -> None:
    sentences: dict[Rows, str] = {
        "input": "input row: the step that reads the token",
        "output": "output row: the step that outputs the token",
    }
    for rows, said in sentences.items():
        kept = look(record(None), replace(TRANSLATION, rows=rows), keep=True)
        assert said.encode() in kept.data()
    declared = replace(SHARP, rows="output")
    assert b"output row: the step" in to_json(record(declared))
    assert b"input row: the step" in to_json(record(None))


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        replace(TRANSLATION, layer="0"),
        replace(TRANSLATION, view="grid"),
        replace(TRANSLATION, kind="encoder"),
        replace(TRANSLATION, view="query", query="chat"),
    ],
    ids=["inspect", "layer", "grid", "kind", "query"],
)
def test_a_model_without_attention_has_nothing_else_to_show(selection: Selection) -> None:
    with pytest.raises(ModelError, match=r"toy-rnn has no attention to show: .* one vector of 256 numbers"):
        look(bottleneck(), selection, keep=False)


def test_a_translation_of_nothing() -> None:
    empty = make_tokens("", ["<s>", "</s>"], [(0, 0), (0, 0)], [True, True])
    whole = record(None)
    maps = tuple(
        replace(map_, queries=(0,), weights=map_.weights[:, :1], visible=map_.visible[:1]) for map_ in whole.maps
    )
    screen = Screen(width=80, color=False)
    for rows in STEPS:
        nothing = replace(whole, target=empty, maps=maps)
        lines = shown(look(nothing, replace(TRANSLATION, rows=rows), keep=False).draw(screen), screen)
        assert lines[0] == "(The model wrote nothing.)"
        assert sum("■" in line for line in lines) == 2  # its one row, and the legend


def test_a_translation_without_spaces_goes_on_in_the_next_line() -> None:
    text = "猫坐在垫子上因为它累了" * 9
    target = make_tokens(text, ["<s>", text, "</s>"], [(0, 0), (0, len(text)), (0, 0)], [True, False, True])
    whole = record(None)
    maps = tuple(
        replace(map_, queries=(0, 1), weights=map_.weights[:, :2], visible=map_.visible[:2]) for map_ in whole.maps
    )
    screen = Screen(width=61, color=False)
    lines = shown(look(replace(whole, target=target, maps=maps), TRANSLATION, keep=False).draw(screen), screen)
    written = lines[: lines.index("")]
    assert "".join(written) == text
    assert len(written) == 4
    assert longest(written) == 60
