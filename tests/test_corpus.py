"""A corpus in one pass: the same sums as a text at a time, and no more memory for more texts."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli import corpus
from attn_cli.blocks import Source
from attn_cli.corpus import MOST_TOKENS, MOST_WEIGHTS, gather, groups
from attn_cli.measure.heads import CollectHeads
from attn_cli.models import load
from attn_cli.selection import Selection

TEXTS = (
    "The trophy didn't fit in the suitcase because it was too big.",
    "No.",
    "The cat sat on the mat, and the dog sat on the cat.",
    "A will and a way: keep reading, keep writing, keep asking.",
    "Where there is a will, there is a way.",
)


@pytest.mark.parametrize("unit", ["word", "token"])
def test_side_by_side_gives_the_same_as_one_after_another(unit: Any, minilm: str) -> None:
    model = load(minilm)
    selection = Selection(unit=unit)
    together, apart = CollectHeads(selection), CollectHeads(selection)
    gather([model.prepare(text) for text in TEXTS], together)
    for text in TEXTS:
        source = model.prepare(text)
        source.stream(apart.request(source), apart.turn(source))
    assert (together.texts, together.tokens) == (apart.texts, apart.tokens)
    for one, other in zip(together.result(), apart.result(), strict=True):
        assert (one.layer, one.head) == (other.layer, other.head)
        assert one.summary.focus == pytest.approx(other.summary.focus, abs=1e-5)
        assert one.summary.distance == pytest.approx(other.summary.distance, abs=1e-4)
        for score, expected in zip(one.scores, other.scores, strict=True):
            assert score.rows == expected.rows
            assert score.score == pytest.approx(expected.score, abs=1e-5)
            assert score.baseline == pytest.approx(expected.baseline, abs=1e-9)


def test_texts_are_read_as_they_are_needed_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "WINDOW", 3)
    toy = load("toy")
    alive: list[weakref.ref[Source]] = []
    most = 0

    def sources() -> Iterator[Source]:
        nonlocal most
        for index in range(20):
            source = toy.prepare(TEXTS[index % len(TEXTS)])
            alive.append(weakref.ref(source))
            yield source
            del source
            gc.collect()
            most = max(most, sum(one() is not None for one in alive))

    seen: list[int] = []
    collect = CollectHeads(Selection())
    gather(sources(), collect, advance=seen.append)
    assert collect.texts == sum(seen) == 20
    assert most <= 2 * 3 + 1


def test_it_stops_between_groups_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "WINDOW", 2)
    toy, collect, done = load("toy"), CollectHeads(Selection()), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count

    gather((toy.prepare(text) for text in TEXTS), collect, advance=advance, stopped=lambda: done >= 2)
    assert collect.texts == done == 2


def test_notes_of_some_texts_are_counted() -> None:
    toy = load("toy")
    texts = ["The cat sat on the mat.", "The qwertyish cat sat.", "The zxcvbish dog sat."]
    notes = gather([toy.prepare(text) for text in texts], CollectHeads(Selection())).notes
    assert len(notes) == 1
    assert notes[0].startswith("Some of the 3 texts have notes of their own (2 in all), such as: toy has hardly seen")
    assert "qwertyish" in gather([toy.prepare(texts[1])], CollectHeads(Selection())).notes[0]


@given(lengths=st.lists(st.integers(1, 600), max_size=60), heads=st.sampled_from([1, 72, 144]))
def test_groups_hold_every_text_once_and_not_too_many(lengths: list[int], heads: int) -> None:
    made = list(groups(lengths, lambda length: length, heads))
    assert [length for group in made for length in group] == sorted(lengths)
    for group in made:
        assert len(group) == 1 or len(group) * max(group) <= MOST_TOKENS
        assert len(group) == 1 or len(group) * heads * max(group) ** 2 <= MOST_WEIGHTS
