"""Long texts: a map is made small while it streams, and nobody sees it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from attn_cli.cli.progress import Layers
from attn_cli.data.plan import make_plan
from attn_cli.data.pooling import Pooled
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.statistics import EatStatistics, LayerStatistics, StatisticsRequest
from attn_cli.data.stream import Source
from attn_cli.draw.heatmap import SMALL, cuts, heatmap
from attn_cli.draw.labels import Labels
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen, to_text
from attn_cli.errors import MemoryLimitError
from attn_cli.io.document import encode
from attn_cli.models import Input
from attn_cli.models.capture import summing, tile_sums
from attn_cli.models.capture.footprint import held_bytes
from attn_cli.models.hf import prepared
from attn_cli.models.hf.model import Pretrained
from attn_cli.models.hf.prepared import PretrainedSource
from attn_cli.questions.inspect import figures, measure
from attn_cli.questions.inspect.figures import Figures, choose_figures
from attn_cli.questions.inspect.measure import look
from tests.conftest import Run
from tests.measure.test_spread import Expected
from tests.models.families import GPT, VOCABULARY, make, spread
from tests.questions.inspect.long_texts import COUNT, Long, cut_for

SCREENS = (
    Screen(color=False),
    Screen(height=24),
    Screen(width=61, height=33, color=False, unicode=False),
    Screen(width=167, height=53),
    Screen(width=90, height=7),
)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("kind", "selection"),
    [
        ("decoder", Selection()),
        ("encoder", Selection(head="1.2", unit="token")),
        ("decoder", Selection(layer="0", special=False, sink=False)),
        ("encoder", Selection(layer="0-1", special=False)),
        ("decoder", Selection(head="0.1", unit="token", measure="scores")),
        ("decoder", Selection(layer="0-1", unit="token", measure="scores")),
    ],
    ids=str,
)
def test_the_screen_is_that_of_the_whole_map(kind: Kind, selection: Selection) -> None:
    source = Long(kind=kind, count=1289 if selection.unit == "word" else COUNT)
    whole, pooled = (look(source, selection, keep=False, cut=cut) for cut in (None, partial(cut_for, SCREENS)))
    assert len(whole.figures.plan.keys) ** 2 > SMALL
    for screen in SCREENS:
        assert to_text(pooled.draw(screen), screen) == to_text(whole.draw(screen), screen)


def test_other_screens_are_refused() -> None:
    seen = look(Long(), Selection(unit="token"), keep=False, cut=partial(cut_for, [Screen(height=24)]))
    with pytest.raises(ValueError, match="not cut into parts"):
        seen.draw(Screen(width=240))


@pytest.mark.parametrize("selection", [Selection(), Selection(head="1.2")], ids=str)
def test_memory_does_not_grow_with_the_square_of_the_text(selection: Selection) -> None:
    script = f"""
from attn_cli.data.selection import Kind, Selection
from tests.questions.inspect.long_texts import most_memory
print(*(most_memory(count, {selection!r}) for count in (1031, 1031, 2063)))
"""
    # (In a process of its own, where no call is checked against its signature, which takes far longer when traced.)
    environment = {name: value for name, value in os.environ.items() if name != "ATTN_CHECK_SHAPES"}
    done = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, env=environment)
    _, small, large = map(int, done.stdout.split())
    assert large < 2.5 * small
    assert large < 2063**2 * 4 / 2  # half of one map


def reading(**options: int) -> Pretrained:
    """A tiny decoder whose every word is a token."""
    torch.manual_seed(3)
    words = [f"w{number}" for number in range(VOCABULARY)]
    own = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, "w0"))
    own.pre_tokenizer = WhitespaceSplit()
    model = spread(make("gpt2", GPT | {"n_positions": 512} | options))
    wrapped: Any = PreTrainedTokenizerFast
    return Pretrained("tiny", model, wrapped(tokenizer_object=own))


@pytest.fixture(scope="module")
def reader() -> Pretrained:
    return reading()


@pytest.fixture(scope="module")
def wide_reader() -> Pretrained:
    """A decoder in which, as in large ones, the feed-forward layers take most memory."""
    return reading(n_inner=2048)


def read(reader: Pretrained, count: int = 331, *, truncate: bool = False) -> Source:
    words = " ".join(f"w{number}" for number in np.random.default_rng(2).integers(3, 97, count))
    return reader.prepare(Input(words, truncate=truncate))


@pytest.mark.parametrize("selection", [Selection(), Selection(head="1.2"), Selection(view="grid")], ids=str)
def test_a_long_text_is_summed_up_without_its_weights(
    selection: Selection, reader: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed = look(read(reader), replace(selection, unit="token"), keep=False)
    monkeypatch.setattr(measure, "FEWEST_SUMMED", 300)
    monkeypatch.setattr(measure, "MOST_IN_WORDS", 320)
    monkeypatch.setattr(PretrainedSource, "stream", lambda *_: pytest.fail("weights are streamed"))
    summed = look(read(reader), selection, keep=False)
    assert summed.notes[-1] == "A text of more than 320 tokens is shown in tokens"
    for own, other in zip(summed.heads, streamed.heads, strict=True):
        assert (own.kind, own.layer, own.head) == (other.kind, other.layer, other.head)
        for name in ("focus", "entropy", "distance", "first", "itself", "previous"):
            assert getattr(own, name) == pytest.approx(getattr(other, name), rel=1e-4, abs=1e-6)
        assert [(link.query, link.key) for link in own.links] == [(link.query, link.key) for link in other.links]
    chosen, expected = summed.figures.chosen, streamed.figures.chosen
    assert (chosen is None) == (expected is None)
    if chosen is not None and expected is not None:
        assert (chosen.layer, chosen.head) == (expected.layer, expected.head)
    screen = Screen(width=80, height=24, color=False)
    assert to_text(summed.draw(screen), screen) == to_text(streamed.draw(screen), screen)


def test_fewer_tokens_are_summed_up_on_another_device(reader: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, weights would have to be copied to be seen."""
    monkeypatch.setattr(PretrainedSource, "stream", lambda *_: pytest.fail("weights are streamed"))
    monkeypatch.setattr(reader, "info", replace(reader.info, device="cuda"))
    assert look(read(reader), Selection(unit="token"), keep=False).heads


@pytest.mark.parametrize(
    ("selection", "fewest"),
    [(Selection(), 300), (Selection(head="1.2"), 300), (Selection(layer="0-1"), 10**6), (Selection(head="1.2"), 10**6)],
    ids=str,
)
def test_where_the_weight_of_a_long_text_lies(
    selection: Selection, fewest: int, reader: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "FEWEST_SUMMED", fewest)
    assert look(read(reader), selection, keep=False).spread is None
    monkeypatch.setattr(figures, "LONG", 300)
    source = read(reader)
    seen = look(source, replace(selection, unit="token"), keep=fewest > len(source.source))
    assert seen.spread is not None
    chosen = seen.figures.chosen
    layers = [1] if selection.head else [0, 1] if selection.layer else [0 if chosen is None else chosen.layer]
    heads = [2] if selection.head else range(3) if selection.layer else [0 if chosen is None else chosen.head]
    ids = torch.tensor([[token.id for token in source.source.tokens]])
    reader.model.set_attn_implementation("eager")
    with torch.no_grad():
        kept = reader.model(ids, output_attentions=True).attentions
    mean = torch.stack([kept[layer][0, head] for layer in layers for head in heads]).mean(0).numpy()
    count = len(mean)
    first = np.arange(count) == 0
    expected = Expected(mean, np.tri(count, dtype=np.bool_), np.full(count, True), first)
    expected.check(seen.spread, exact=False)
    if not seen.maps:
        return
    entry = orjson.loads(encode(seen.document()))["spread"]
    assert (entry["layers"], entry["head"]) == (layers, 2 if selection.head else None)
    assert [one["share"] for one in entry["tenths"]] == pytest.approx([one.share for one in seen.spread.tenths])
    assert [one["start"] for one in entry["tenths"]] == [one.start for one in seen.spread.tenths]
    assert [(one["query"], one["key"], one["weight"]) for one in entry["links"]] == [
        (link.query, link.key, pytest.approx(link.weight)) for link in seen.spread.links
    ]


def test_what_is_said_of_where_the_weight_of_a_long_text_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "LONG", 300)
    seen = look(Long(count=601), Selection(head="1.2", unit="token"), keep=False)
    tall, low = (Screen(height=height, color=False) for height in (60, 30))
    said = to_text(seen.draw(tall), tall)
    assert "Its weight by tenths of the text\nfrom token     0    60   120   180" in said
    assert re.search(
        r"Without the 0\.0\d that rests on the first token and special tokens; even: if rows\nwere even\.", said
    )
    assert "far links, 61 tokens or more:  ab#" in said
    assert "No room here for its weight by tenths of the text." in to_text(seen.draw(low), low)
    narrow = Screen(width=40, color=False, unicode=False)
    said = to_text(seen.draw(narrow), narrow)
    assert "Not shown for lack of width: 120, 240, " in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= narrow.width


def test_what_was_summed_up_before_a_layer_that_must_be_streamed_is_forgotten(
    reader: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed = look(read(reader), Selection(unit="token"), keep=False)
    monkeypatch.setattr(measure, "FEWEST_SUMMED", 300)
    whole = PretrainedSource.sum_up

    def some(source: PretrainedSource, request: StatisticsRequest, eat: EatStatistics) -> None:
        whole(source, replace(request, heads={0: request.heads[0]}), eat)

    monkeypatch.setattr(PretrainedSource, "sum_up", some)
    assert look(read(reader), Selection(unit="token"), keep=False).heads == streamed.heads


@pytest.mark.parametrize("count", [150, 230, 331, 420, 512])
@pytest.mark.parametrize("cpu", [True, False])
def test_memory_is_predicted(count: int, cpu: bool, wide_reader: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for another device, where tiles are larger."""
    for module in (prepared, summing):
        monkeypatch.setattr(module, "on_cpu", lambda _: cpu)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # what is held in other threads is not counted
    if not cpu:
        monkeypatch.setattr(tile_sums, "ROWS", tile_sums.ELSEWHERE[0])
        monkeypatch.setattr(tile_sums, "COLUMNS", tile_sums.ELSEWHERE[1])
    source = read(wide_reader, count)
    assert isinstance(source, PretrainedSource)
    plan = make_plan(source, Selection(unit="token"))
    request = choose_figures(plan)(plan).statistics
    predicted = source.predict_bytes(request)
    with held_bytes() as held:
        assert source.sum_up(request, lambda _: None) is not None
    assert predicted == pytest.approx(held.most, rel=0.25)


def test_what_does_not_fit_on_another_device_is_not_run(reader: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "info", replace(reader.info, device="cuda:1"))
    monkeypatch.setattr(PretrainedSource, "predict_bytes", lambda *_: 3 * 10**9)
    monkeypatch.setattr(PretrainedSource, "free_bytes", lambda _: 2 * 10**9)
    monkeypatch.setattr(PretrainedSource, "sum_up", lambda *_: pytest.fail("the text is read"))
    expected = r"Reading 331 tokens takes 3\.0 GB of memory on cuda:1, and 2\.0 GB is free there"
    with pytest.raises(MemoryLimitError, match=expected):
        look(read(reader), Selection(unit="token"), keep=False)


def test_blocks_that_do_not_fit_on_another_device_are_not_run(
    reader: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are streamed are reduced there as well."""
    monkeypatch.setattr(reader, "info", replace(reader.info, device="cuda:1"))
    monkeypatch.setattr(measure, "layer_bytes", lambda _: 3 * 10**9)
    monkeypatch.setattr(PretrainedSource, "free_bytes", lambda _: 2 * 10**9)
    monkeypatch.setattr(PretrainedSource, "stream", lambda *_: pytest.fail("the text is read"))
    expected = r"weights takes 3\.0 GB of memory on cuda:1, and 2\.0 GB is free there"
    with pytest.raises(MemoryLimitError, match=expected):
        look(read(reader), Selection(), keep=False, verify=True)


def test_the_memory_that_a_text_will_take_is_said_before(
    reader: Pretrained, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "FEWEST_SUMMED", 300)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "80")
    with Layers() as layers:
        look(read(reader), Selection(unit="token"), keep=False, tick=layers, expect=layers.expect)
    assert "Reading layers, in 0.0 GB of memory" in capsys.readouterr().err


def test_what_does_not_fit_in_memory_is_not_run(reader: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "FEWEST_SUMMED", 300)
    monkeypatch.setattr(PretrainedSource, "predict_bytes", lambda *_: 10**15)
    monkeypatch.setattr(PretrainedSource, "sum_up", lambda *_: pytest.fail("the text is read"))
    with pytest.raises(MemoryLimitError, match=r"Reading 331 tokens takes 1,000,000\.0 GB of memory.* Cut the text"):
        look(read(reader), Selection(unit="token"), keep=False)


@pytest.mark.parametrize("summed", [True, False])
@pytest.mark.parametrize("selection", [Selection(), Selection(layer="0-2"), Selection(view="grid")], ids=str)
def test_a_run_may_stop_behind_a_layer(
    summed: bool, selection: Selection, reader: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "FEWEST_SUMMED", 300 if summed else 10**6)
    seen: list[tuple[int, int]] = []

    def tick(done: int, total: int) -> bool:
        seen.append((done, total))
        return done < 2

    source = read(reader, 520, truncate=True)
    found = look(source, replace(selection, unit="token"), keep=False, tick=tick)
    assert seen == [(1, 3), (2, 3)]
    assert found.notes == (
        "The text was cut to 512 of its 520 tokens",
        "Stopped with Ctrl-C after 2 of 3 layers: the figures are of these",
    )
    assert [(head.layer, head.head) for head in found.heads] == [(layer, head) for layer in (0, 1) for head in range(3)]
    whole = look(source, replace(selection, unit="token", layer="0-1"), keep=False)
    assert [head.focus for head in found.heads] == pytest.approx([head.focus for head in whole.heads], rel=1e-5)
    screen = Screen(width=80, height=24, color=False)
    assert "w" in to_text(found.draw(screen), screen)


def test_ctrl_c_shows_the_layers_that_are_done(
    attn: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat " * 9)
    monkeypatch.setattr(measure, "FEWEST_SUMMED", 30)
    add = Figures.add

    def interrupted(collected: Figures, layer: LayerStatistics) -> None:
        add(collected, layer)
        if layer.layer == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Figures, "add", interrupted)
    said = attn("inspect", "--file", str(text), "--tokens", "--model", "MODEL", code=130)
    assert "Stopped with Ctrl-C after 2 of 6 layers: the figures are of these" in said


@pytest.mark.unchecked
@pytest.mark.parametrize("height", [None, 9, 24, 71])
@pytest.mark.parametrize("width", [40, 81, 160])
@pytest.mark.parametrize("measure", ["weight", "score"])
def test_a_pooled_map_is_drawn_as_the_whole(
    height: int | None, width: int, measure: Literal["weight", "score"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attn_cli.draw.heatmap.SMALL", 0)
    for seed, (queries, keys) in enumerate([(127, 127), (251, 131), (131, 509), (397, 397)]):
        values = np.random.default_rng(seed).random((queries, keys)).astype(np.float32) ** (3 + 7 * seed)
        query, key = Labels([f"q{i}" for i in range(queries)]), Labels([f"k{i}" for i in range(keys)])
        visible = np.stack([np.zeros(queries, np.intp), np.minimum(np.arange(queries) + 1, keys)], axis=1)
        screen = Screen(width=width, height=height)
        parts = cuts(query, key, [screen])
        assert parts is not None
        pooled = Pooled(parts)
        for start in range(0, queries, 11):
            pooled.add(start, values[start : start + 11], visible[start : start + 11])
        for room in (None,) if height is None else (None, height - 2, height - 7):
            drawn = [
                to_text(
                    heatmap(MapView(given, query, key, "decoder", measure, visible=seen), screen, room=room), screen
                )
                for given, seen in ((values, visible), (pooled, None))
            ]
            assert drawn[0] == drawn[1]


def test_what_is_kept_whole() -> None:
    many, few = Labels(["w"] * 2003), Labels(["w"] * 89)
    screen = Screen(height=24)
    assert cuts(many, many, [screen]) is not None
    assert cuts(few, many, [screen]) is None  # rows that may all be named
    assert cuts(many, Labels(["w"] * 40), [screen]) is None
    assert cuts(Labels(["w"] * 1024), Labels(["w"] * 1024), [screen]) is None
    nowhere = cuts(many, many, [])
    assert nowhere is not None
    assert nowhere.parts == (1, 1)
