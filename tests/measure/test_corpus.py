"""A corpus in one pass: the same sums as a text at a time, and no more memory for more texts."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.selection import Selection
from attn_cli.data.shard import Shard
from attn_cli.data.stream import Source
from attn_cli.measure import corpus
from attn_cli.measure.corpus import MOST_TOKENS_CPU, MOST_WEIGHTS, gather, groups, share_of
from attn_cli.measure.summary import SUMMED, Summarize
from attn_cli.models import Input, load
from attn_cli.questions.heads.measure import NO_UNITS, CollectHeads
from tests.models.folders import made, opened, roberta, save

TEXTS = (
    "The trophy didn't fit in the suitcase because it was too big.",
    "No.",
    "The cat sat on the mat, and the dog sat on the cat.",
    "A will and a way: keep reading, keep writing, keep asking.",
    "Where there is a will, there is a way.",
)


def same(found: CollectHeads, expected: CollectHeads) -> None:
    assert (found.texts, found.tokens) == (expected.texts, expected.tokens)
    for one, other in zip(found.result(), expected.result(), strict=True):
        assert (one.layer, one.head) == (other.layer, other.head)
        for name in ("focus", "entropy", "distance", "first", "itself", "previous"):
            assert getattr(one.summary, name) == pytest.approx(getattr(other.summary, name), abs=1e-4), name
        for score, wanted in zip(one.scores, other.scores, strict=True):
            assert (score.rows, score.detail) == (wanted.rows, wanted.detail)
            for name in ("score", "share", "rest"):
                assert getattr(score, name) == pytest.approx(getattr(wanted, name), abs=1e-5, nan_ok=True), name
            assert score.baseline == pytest.approx(wanted.baseline, abs=1e-9, nan_ok=True)


def one_by_one(sources: Iterable[Source], selection: Selection) -> CollectHeads:
    collect = CollectHeads(selection)
    for source in sources:
        source.stream(collect.request(source), collect.turn(source))
    return collect


@pytest.mark.parametrize("sink", [True, False])
@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("unit", ["word", "token"])
def test_side_by_side_gives_the_same_as_one_after_another(unit: Any, special: bool, sink: bool, minilm: str) -> None:
    model = load(minilm)
    selection = Selection(unit=unit, special=special, sink=sink, head="0.1,0.2,3.5")
    together = CollectHeads(selection)
    gather([model.prepare(Input(text)) for text in TEXTS], together)
    same(together, one_by_one((model.prepare(Input(text)) for text in TEXTS), selection))


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_so_it_does_in_models_with_a_decoder(kind: Any, tmp_path: Path) -> None:
    sizes = {"d_model": 24, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37}
    heads = {"encoder_attention_heads": 3, "decoder_attention_heads": 3}
    bart = made("Bart", vocab_size=337, max_position_embeddings=83, decoder_start_token_id=2, **sizes, **heads)
    model, selection = opened(save(tmp_path, bart, roberta())), Selection(kind=kind)
    sources = [model.prepare(Input(text, target=target)) for text, target in zip(TEXTS, reversed(TEXTS), strict=True)]
    together = CollectHeads(selection)
    gather(sources, together)
    same(together, one_by_one(sources, selection))


def test_a_model_is_run_no_further_than_its_last_layer_asked_for(minilm: str) -> None:
    model = opened(minilm)
    reached: list[int] = []
    layers: Any = model.model.get_submodule("encoder.layer")
    for number, layer in enumerate(layers):
        layer.register_forward_hook(lambda *_, number=number: reached.append(number))
    gather([model.prepare(Input(text)) for text in TEXTS], CollectHeads(Selection(layer="1,3")))
    assert reached == [0, 1, 2]  # and of layer 3 nothing that follows its attention


def test_what_one_request_cannot_have_does_not_slow_the_next(minilm: str) -> None:
    model = opened(minilm)
    sources = [model.prepare(Input(text)) for text in TEXTS]
    assert gather(sources, CollectHeads(Selection(layer="0")), verify=True).verified is not None
    request = CollectHeads(Selection(layer="0")).request(sources[0])
    assert all(found is not None for found in sources[0].run_groups([sources], request))


@pytest.mark.unchecked
def test_texts_are_read_as_they_are_needed_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "WINDOW", 3)
    toy = load("toy")
    alive: list[weakref.ref[Source]] = []
    most = 0
    gc.collect()
    gc.freeze()  # what other tests have left need not be gone through at each text

    def sources() -> Iterator[Source]:
        nonlocal most
        for index in range(20):
            source = toy.prepare(Input(TEXTS[index % len(TEXTS)]))
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

    gather((toy.prepare(Input(text)) for text in TEXTS), collect, advance=advance, stopped=lambda: done >= 2)
    assert collect.texts == done == 2


def flat(collect: CollectHeads) -> list[float]:
    """All figures and scores of all heads."""
    return [
        getattr(one, name)
        for head in collect.result()
        for one, names in ((head.summary, SUMMED), *((score, ("score", "baseline", "rows")) for score in head.scores))
        for name in names
        if getattr(one, name) is not None
    ]


@pytest.mark.parametrize("name", ["toy", "minilm"])
def test_parts_of_whole_windows_merge_to_the_same(name: str, minilm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums of 7 texts in windows of 2, in one pass, in 3 parts, and window after window."""
    monkeypatch.setattr(corpus, "WINDOW", 2)
    model = load(minilm if name == "minilm" else name)
    sources = [None if text == "No." else model.prepare(Input(text)) for text in (*TEXTS, *TEXTS[:2])]
    whole = CollectHeads(Selection())
    tally = gather(sources, whole)
    assert (whole.texts, tally.texts) == (5, 5)

    in_order, shuffled = whole.fresh(), whole.fresh()
    for window in range(0, 7, 2):
        own = whole.fresh()
        gather(sources[window : window + 2], own)
        in_order.merge(own.state())
    assert flat(in_order) == flat(whole)

    parts = [whole.fresh() for _ in range(3)]
    for number, part in enumerate(parts, start=1):
        gather([source for _, source in share_of(sources, Shard(number, 3))], part)
    for part in reversed(parts):
        shuffled.merge(part.state())
    assert (shuffled.texts, shuffled.tokens, shuffled.kind) == (whole.texts, whole.tokens, whole.kind)
    assert flat(shuffled) == pytest.approx(flat(whole), abs=1e-12, nan_ok=True)
    assert [[role.name for role in one.roles] for one in shuffled.result()] == [
        [role.name for role in one.roles] for one in whole.result()
    ]


def test_sums_of_other_roles_or_heads_cannot_be_merged() -> None:
    toy = load("toy")
    collect = CollectHeads(Selection(layer="0"))
    gather([toy.prepare(Input(TEXTS[0]))], collect)
    state = collect.state()
    with pytest.raises(ValueError, match="other roles"):
        CollectHeads(Selection(layer="0"), roles=()).merge(state)
    for name, wrong in (
        ("encoder.0.entropy", np.zeros(3)),
        ("encoder.0.role.weight", np.zeros((8, 3))),
        ("encoder.0.role.offsets", np.zeros((8, 2), np.intp)),
    ):
        with pytest.raises(ValueError, match="shape"):
            collect.fresh().merge({**state, name: wrong})
    with pytest.raises(ValueError, match="links are of one text"):
        Summarize(NO_UNITS, NO_UNITS).merge(state)


def test_notes_of_some_texts_are_counted() -> None:
    toy = load("toy")
    texts = ["The cat sat on the mat.", "The qwertyish cat sat.", "The zxcvbish dog sat."]
    notes = gather([toy.prepare(Input(text)) for text in texts], CollectHeads(Selection())).report.notes
    assert len(notes) == 1
    assert notes[0].startswith("Some of the 3 texts have notes of their own (2 in all), such as: toy has hardly seen")
    assert "qwertyish" in gather([toy.prepare(Input(texts[1]))], CollectHeads(Selection())).report.notes[0]


@given(lengths=st.lists(st.integers(1, 600), max_size=60), heads=st.sampled_from([1, 72, 144]))
def test_groups_hold_every_text_once_and_not_too_many(lengths: list[int], heads: int) -> None:
    made = list(groups(lengths, lambda length: length, heads, MOST_TOKENS_CPU))
    assert [length for group in made for length in group] == sorted(lengths)
    for group in made:
        assert len(group) == 1 or len(group) * max(group) <= MOST_TOKENS_CPU
        assert len(group) == 1 or len(group) * heads * max(group) ** 2 <= MOST_WEIGHTS
