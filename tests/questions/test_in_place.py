"""On another device, what is reduced is reduced there: the same figures, and no block of weights is copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from attn_cli.answer import Answer
from attn_cli.data.plan import make_plan
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Block, Source
from attn_cli.draw import heatmap
from attn_cli.draw.screen import Screen, to_text
from attn_cli.io.document import encode
from attn_cli.measure.corpus import gather
from attn_cli.models import Input
from attn_cli.models.capture import batch, delivery
from attn_cli.models.capture.device_array import DeviceArray
from attn_cli.models.hf.model import Pretrained
from attn_cli.questions.find.measure import find
from attn_cli.questions.heads.measure import CollectHeads, find_heads
from attn_cli.questions.heads.probe import LENGTH as PROBED
from attn_cli.questions.heads.probe import TEXTS, CollectProbe, Pronoun, probe
from attn_cli.questions.inspect import figures
from attn_cli.questions.inspect.measure import look
from tests.models.boundary import Boundary
from tests.models.families import BART, BERT, GPT, SPECIAL, make, spread
from tests.questions.inspect.long_texts import cut_for

SIDE, COUNT = 20, 160
"""Side of the maps of a grid, and number of words read."""
HEADS = 3 * 3
SCREEN = Screen(width=80, height=24, color=False)
ROOM = {"n_positions": 512, "max_position_embeddings": 512, "vocab_size": 34}


def reading(name: str, options: dict[str, Any]) -> Pretrained:
    """A tiny model that reads words of one piece or of two."""
    pieces = [
        "[PAD]",
        "[CLS]",
        "[SEP]",
        "[UNK]",
        *(f"w{number}" for number in range(20)),
        *(f"##{one}" for one in range(10)),
    ]
    own = Tokenizer(WordPiece({piece: number for number, piece in enumerate(pieces)}))
    own.pre_tokenizer = WhitespaceSplit()
    special = {"pad_token": pieces[0], "cls_token": pieces[1], "sep_token": pieces[2]}
    wrapped: Any = PreTrainedTokenizerFast
    tokenizer = wrapped(tokenizer_object=own, **special)
    model = Pretrained("tiny", spread(make(name, options | SPECIAL | ROOM)), tokenizer)
    look(read(model, 9), Selection(), keep=False)  # what is done once for a model is done
    return model


@pytest.fixture(autouse=True)
def small_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let maps of a short text be pooled, as those of a long one are."""
    monkeypatch.setattr(figures, "SIDE", SIDE)
    monkeypatch.setattr(heatmap, "SMALL", 2 * SIDE**2)


@pytest.fixture(scope="module")
def decoder() -> Pretrained:
    return reading("gpt2", GPT)


@pytest.fixture(scope="module")
def encoder() -> Pretrained:
    return reading("bert", BERT)


def words(count: int, seed: int = 2) -> str:
    """Some words that recur."""
    ones, others = np.random.default_rng(seed).integers(0, 12, (2, count)).tolist()
    return " ".join(f"w{1 + one % 2}{other if other < 8 else ''}" for one, other in zip(ones, others, strict=True))


def read(model: Pretrained, count: int, seed: int = 2) -> Source:
    return model.prepare(Input(words(count, seed)))


@contextmanager
def elsewhere(model: Pretrained) -> Iterator[Boundary]:
    """Let a model be on a device of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "stays", lambda _: True)
        patch.setattr(batch, "stays", lambda _: True)
        patch.setattr(torch, "get_num_threads", lambda: 1)  # what other threads compute is not seen
        with Boundary(*model.model.parameters(), *model.model.buffers()) as boundary:
            yield boundary


def document(answer: Answer) -> Any:
    return orjson.loads(encode(answer.document()))


def same(one: Any, other: Any) -> None:
    """Check that two documents are equal, numbers but for rounding."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for own, theirs in zip(one, other, strict=True):
            same(own, theirs)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    else:
        assert one == other


def seen(source: Source, selection: Selection) -> Answer:
    """Inspect a text, as it is drawn."""
    return look(source, selection, keep=False, cut=partial(cut_for, [SCREEN]))


def pronouns(model: Pretrained, count: int) -> Answer:
    text = words(count)
    source = model.prepare(Input(text))
    asked = [Pronoun(text, text.index(" ", -6) + 1, 0, text.index(" ") + 1)] * 2
    collect = CollectProbe(Selection(), 0)
    collect.measure_pronouns(asked, lambda one: model.prepare(Input(one)))
    return collect.added_to(find_heads(source, Selection()))


def corpus(model: Pretrained, counts: list[int]) -> Answer:
    """Measure the heads over several texts, in one batch."""
    collect = CollectHeads(Selection())
    report = gather([read(model, count, seed) for seed, count in enumerate(counts)], collect).report
    return collect.found(model.info, report, "texts")


QUESTIONS: dict[str, Callable[[Pretrained, int], Answer]] = {
    "inspect": lambda model, count: seen(read(model, count), Selection()),
    "inspect --head": lambda model, count: seen(read(model, count), Selection(head="1.2")),
    "inspect --grid": lambda model, count: seen(read(model, count), Selection(view="grid")),
    "inspect --query": lambda model, count: seen(read(model, count), Selection(query="#7")),
    "inspect --layer": lambda model, count: seen(read(model, count), Selection(layer="0-1")),
    "inspect --no-special --no-sink": lambda model, count: seen(
        read(model, count), Selection(special=False, sink=False)
    ),
    "inspect --tokens --measure scores": lambda model, count: seen(
        read(model, count), Selection(unit="token", measure="scores")
    ),
    "heads": lambda model, count: find_heads(read(model, count), Selection()),
    "heads --file": lambda model, count: corpus(model, [count // 8] * 8),
    "heads --file, longer texts": lambda model, count: corpus(model, [count // 2] * 2),
    "heads --probe": lambda model, _: probe(model, Selection(), 1),
    "heads, pronouns": pronouns,
    "find": lambda model, count: find(read(model, count), Selection(), "#7", "#3"),
    "find --tokens --measure scores": lambda model, count: find(
        read(model, count), Selection(unit="token", measure="scores"), "#7", "#3"
    ),
}
TOKENS = {"heads --probe": 2 * TEXTS * 2 * min(PROBED, 30), "heads, pronouns": 3 * COUNT}
"""Numbers of tokens that are read in all, where they are not those of the text."""
EACH = 50
"""Most bytes that a head may copy for each token: some figures of its row and of its column."""
CELLS = 4 * 100**2
"""Bytes of the parts that a map is cut into to fit the screen; those of a grid have fewer."""


@pytest.mark.parametrize(
    ("name", "question"),
    [
        *(("decoder", question) for question in QUESTIONS),
        *(("encoder", question) for question in ("inspect", "inspect --query", "heads --file", "find")),
    ],
)
def test_figures_are_those_of_the_processor(name: str, question: str, request: pytest.FixtureRequest) -> None:
    """The numbers copied grow with the tokens, and with the cells of a drawing, not with the square of the tokens."""
    model = request.getfixturevalue(name)
    expected = QUESTIONS[question](model, COUNT)
    with elsewhere(model) as boundary:
        answer = QUESTIONS[question](model, COUNT)
        screen, described = to_text(answer.draw(SCREEN), SCREEN), document(answer)
    same(described, document(expected))
    assert screen == to_text(expected.draw(SCREEN), SCREEN)
    tokens = TOKENS.get(question, len(read(model, COUNT).source))
    drawn = HEADS if "grid" in question else "inspect" in question
    assert 0 < sum(boundary.copied) < HEADS * EACH * tokens + drawn * CELLS
    assert max(boundary.copied) < 4 * tokens * HEADS + CELLS


def test_words_are_those_of_transformers_weights(decoder: Pretrained) -> None:
    """A word's column is the sum of those of its pieces, and its row the mean of theirs."""
    source = read(decoder, 40)
    plan = make_plan(source, Selection())
    found: list[Block] = []
    with elsewhere(decoder):
        ours = read(decoder, 40)
        ours.stream(plan.request(in_place=True), Regroup(plan.queries, plan.keys, found.append))
        on_device: set[type] = {type(block.weights) for block in found}
        assert on_device == {DeviceArray}
        maps = {block.layer: np.asarray(block.weights) for block in found}
    eager = decoder.model(**source.inputs, output_attentions=True).attentions  # type: ignore[attr-defined]
    pieces = [list(plan.keys.token_positions(unit)) for unit in range(len(plan.keys))]
    assert {len(own) for own in pieces} == {1, 2}
    for layer, weights in maps.items():
        whole = eager[layer][0].detach().double().numpy()
        for row, queries in enumerate(pieces):
            for column, keys in enumerate(pieces):
                expected = whole[:, queries][:, :, keys].sum(2).mean(1)
                np.testing.assert_allclose(weights[:, row, column], expected, atol=1e-6)


def test_a_translation_is_shown_as_on_the_processor() -> None:
    model = reading("bart", BART)
    given = Input(words(20), target=words(15, 5))
    selection = Selection(translation=True)
    expected = look(model.prepare(given), selection, keep=False)
    with elsewhere(model):
        answer = look(model.prepare(given), selection, keep=False)
    same(document(answer), document(expected))
    assert to_text(answer.draw(SCREEN), SCREEN) == to_text(expected.draw(SCREEN), SCREEN)


def test_a_record_is_of_arrays_on_the_host(decoder: Pretrained) -> None:
    source = read(decoder, 30)
    expected = look(source, Selection(), keep=True)
    with elsewhere(decoder):
        answer = look(read(decoder, 30), Selection(), keep=True)
    for one, other in zip(answer.maps, expected.maps, strict=True):
        assert type(one.weights) is np.ndarray
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-6)


def test_other_consumers_get_arrays_on_the_host(decoder: Pretrained) -> None:
    source = read(decoder, 30)
    blocks: list[Block] = []
    with elsewhere(decoder):
        read(decoder, 30).stream(make_plan(source, Selection()).request(), blocks.append)
        look(read(decoder, 30), Selection(measure="norms"), keep=False)
    assert {type(block.weights) for block in blocks} == {np.ndarray}
