"""The three steps as the terminal must show them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import RenderableType

from attn_cli.data.stream import Block, Steps
from attn_cli.draw.labels import Labels
from attn_cli.draw.screen import Screen, lines_of, to_text
from attn_cli.draw.strokes import stacked
from attn_cli.questions.explain.draw_steps import FEWEST_KEYS, explanation
from attn_cli.questions.explain.measure import ExplainedNumbers
from attn_cli.questions.explain.steps import Explanation, explain_numbers, explain_row
from tests.drawings import LABELS, NASTY, longest, shown
from tests.golden_files import assert_golden
from tests.samples import softmax

TEXTBOOK = np.array([2.1, 5.8, 0.4, 0.3, 0.5, 0.4])
WORDS = ("The", "cat", "sat", "on", "the", "mat")
SCREENS = {
    "60-plain": Screen(width=60, color=False),
    "80-dark": Screen(width=80),
    "80-ascii": Screen(width=80, color=False, unicode=False),
    "160-light": Screen(width=160, theme="light"),
}


def row(keys: int = len(LABELS), *, everything: bool = True) -> Explanation:
    """A causal row of whole numbers, with every part that a score can have."""
    query, key = np.arange(1.0, 4.0), (np.arange(keys * 3).reshape(keys, 3) * 7 % 5 - 2.0)
    scaled = 0.5 * key @ query
    bias = 0.25 * (np.arange(keys) % 3)
    scores = (4 * np.tanh(scaled / 4) + bias + 0.5) if everything else scaled
    scores = np.where(np.arange(keys) > keys - 4, -np.inf, scores)
    values = np.stack([np.arange(keys) % 4, np.arange(keys) % 5 - 2], axis=1)
    weights = softmax(np.append(scores, 1.0))[:-1] if everything else softmax(scores)
    three = (1, 1, -1)
    steps = Steps(
        query.reshape(three).astype(np.float32),
        key[None].astype(np.float32),
        values[None].astype(np.float32),
        (weights @ values).reshape(three).astype(np.float32),
        scaling=0.5,
        soft_cap=4.0 if everything else None,
        bias=bias.reshape(three).astype(np.float32) if everything else None,
        sink_scores=np.ones((1, 1), np.float32) if everything else None,
        missing=("a part that only this test leaves out",) if everything else (),
    )
    block = Block(
        kind="decoder",
        layer=0,
        heads=(2,),
        start=keys - 4,
        weights=weights.reshape(three).astype(np.float32),
        visible=np.array([[0, keys - 3]]),
        scores=scores.reshape(three).astype(np.float32),
        steps=steps,
    )
    return explain_row(block, 2, keys - 4, keys)


def drawn(found: Explanation, screen: Screen, labels: Labels = LABELS, room: int | None = None) -> RenderableType:
    return stacked(explanation(found, labels, screen, room=room))


@pytest.mark.parametrize("screen", SCREENS)
def test_golden(screen: str) -> None:
    assert_golden(f"explain-{screen}", to_text(drawn(row(), SCREENS[screen]), SCREENS[screen]))


@pytest.mark.parametrize("screen", SCREENS)
def test_golden_numbers(screen: str) -> None:
    values = np.arange(12.0).reshape(6, 2) - 4
    answer = ExplainedNumbers(explain_numbers(TEXTBOOK, values, 2.0), WORDS)
    assert_golden(f"explain-numbers-{screen}", to_text(answer.draw(SCREENS[screen]), SCREENS[screen]))


def test_the_textbook_table() -> None:
    lines = shown(ExplainedNumbers(explain_numbers(TEXTBOOK), WORDS).draw(Screen(80)), Screen(80))
    table = lines[lines.index("key      score    exp  weight") + 1 :]
    assert [line.split()[1:5] for line in table] == [
        ["The", "2.10", "0.025", "0.024"],
        ["cat", "5.80", "1.000", "0.959"],
        ["sat", "0.40", "0.005", "0.004"],
        ["on", "0.30", "0.004", "0.004"],
        ["the", "0.50", "0.005", "0.005"],
        ["mat", "0.40", "0.005", "0.004"],
    ]
    assert "1 score   = as given" in lines


def test_formulas_name_what_there_is() -> None:
    lines = shown(drawn(row(), Screen(100)), Screen(100))
    assert lines[0] == "1 score   = query·key × 0.5 + soft-capping at 4 + bias + other + mask"
    plain = shown(drawn(row(everything=False), Screen(100)), Screen(100))
    assert plain[0] == "1 score   = query·key × 0.5 + mask"
    assert plain[2] == "3 context = sum of weight × value"
    weights, scores = np.ones((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.float32)
    alone = explain_row(Block("encoder", 0, (0,), 0, weights, np.array([[0, 1]]), scores), 0, 0, 1)
    lines = shown(drawn(alone, Screen(100), Labels(["x"])), Screen(100))
    assert lines[0] == "1 score   = as the model computed it"
    assert not any("context" in line for line in lines)


def test_a_scaling_by_the_size_of_the_head_is_named() -> None:
    weights, scores = np.ones((1, 1, 1), np.float32), np.full((1, 1, 1), 8.0, np.float32)
    ones = np.ones((1, 1, 16), np.float32)

    def formula(scaling: float, screen: Screen) -> str:
        steps = Steps(ones, ones, ones, ones, scaling=scaling)
        block = Block("encoder", 0, (0,), 0, weights, np.array([[0, 1]]), scaling * 16 * scores / 8, steps=steps)
        return shown(drawn(explain_row(block, 0, 0, 1), screen, Labels(["x"])), screen)[0]

    assert formula(0.25, Screen(100)) == "1 score   = query·key × 0.25 (1/√16; the head's size is 16)"
    assert formula(0.25, Screen(100, unicode=False)).endswith(" x 0.25 (1/sqrt(16); the head's size is 16)")
    assert formula(0.5, Screen(100)) == "1 score   = query·key × 0.5"


def test_a_share_is_explained_where_there_are_shares() -> None:
    said = " ".join(shown(drawn(row(), Screen(80)), Screen(80)))
    assert "share: what a key adds to the context vector, along it. Shares sum to 1; below 0 a key pulls" in said
    assert "(attn terms share)" in said
    numbers = ExplainedNumbers(explain_numbers(TEXTBOOK), WORDS)
    assert "share" not in " ".join(shown(numbers.draw(Screen(80)), Screen(80)))


def test_columns_add_up_to_the_score() -> None:
    """As printed: each part has two decimals, so their sum may be off by one in the last for each."""
    lines = shown(drawn(row(), Screen(120)), Screen(120))
    header = next(line for line in lines if line.startswith("key")).split()
    assert header[1:8] == ["q·k", "scaled", "capping", "bias", "other", "mask", "score"]
    assert header[8:] == ["exp", "weight", "|value|", "share"]
    table = [line.split() for line in lines if line.split()[1:2] and line.split()[1] in LABELS.texts[:11]]
    assert len(table) == 11
    for cells in table:
        figures = [float(figure) for figure in cells[2:9]]
        assert figures[1] == pytest.approx(figures[0] * 0.5, abs=0.01)
        assert sum(figures[1:6]) == pytest.approx(figures[6], abs=0.03)


@pytest.mark.unchecked
@given(st.integers(40, 200), st.booleans(), st.booleans())
def test_no_line_is_too_long(width: int, color: bool, unicode: bool) -> None:
    screen = Screen(width, color=color, unicode=unicode)
    for labels in (LABELS, Labels(NASTY[: len(LABELS)])):
        lines = shown(drawn(row(), screen, labels), screen)
        assert longest(lines) <= width
        if not unicode:
            assert all(line.isascii() for line in lines)


@pytest.mark.parametrize("width", [50, 80, 120])
@pytest.mark.parametrize("room", [8, 20, 25, 40, 200])
def test_keys_that_do_not_fit_are_summed(width: int, room: int) -> None:
    keys = 61
    found, labels = row(keys, everything=False), Labels([f"w{key}" for key in range(keys)])
    screen = Screen(width)
    drawing = drawn(found, screen, labels, room)
    lines = shown(drawing, screen)
    heading = next(index for index, line in enumerate(lines) if line.startswith("key") and "weight" in line.split())
    table = lines[heading + 1 : lines.index("", heading)]
    if "more" in table[-1].split():
        assert len(table) - 1 >= FEWEST_KEYS
        assert len(table) - 1 + int(table[-1].split()[0]) == keys
        if len(table) - 1 > FEWEST_KEYS:
            assert lines_of(drawing, screen) <= room
    else:
        assert len(table) == keys
        assert lines_of(drawing, screen) <= room
    end = lines[heading].index("weight") + len("weight")
    assert sum(float(line[end - 6 : end]) for line in table) == pytest.approx(1, abs=0.001 * len(table))
    heaviest = [f"w{key}" for key in np.argsort(-found.weights, kind="stable")[:FEWEST_KEYS]]
    assert {line.split()[1] for line in table} >= set(heaviest)


def test_a_narrow_screen_says_what_it_leaves_out() -> None:
    lines = shown(drawn(row(), Screen(40)), Screen(40))
    assert any(line.startswith("Not shown for lack of width: q·k") for line in lines)
