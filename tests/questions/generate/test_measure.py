"""Tests of a model's continuation, held against numbers worked out by hand and against transformers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from attn_cli.api import Inspector
from attn_cli.draw.screen import Screen, to_text
from attn_cli.errors import InputError, ModelError, SelectionError
from attn_cli.io.npz import from_npz
from attn_cli.io.records import from_json
from attn_cli.models import Translation, load
from attn_cli.models.hf.model import Pretrained
from attn_cli.models.spelled import joined
from attn_cli.models.toy.model import Toy
from attn_cli.models.toy.search import END, PAD
from attn_cli.questions.inspect.figures import AlignmentFigures, WrittenFigures
from attn_cli.questions.inspect.measure import look
from tests.golden_files import assert_golden
from tests.models import folders
from tests.models.families import spread
from tests.questions.ablate.models import smollm2
from tests.questions.generate.samples import FIRST, SAMPLES, generated, written_record
from tests.records import validated

FRANCE = "The capital of France is"
PROMPT = "the trophy was too big because"


@cache
def decoder() -> Pretrained:
    sizes: dict[str, Any] = {"vocab_size": 337, "n_embd": 24, "n_head": 3, "n_layer": 2, "n_positions": 97}
    return Pretrained("tiny", spread(folders.made("GPT2", "LMHeadModel", **sizes)), folders.byte_level())


def test_lookback_by_hand() -> None:
    figures = generated().figures
    assert isinstance(figures, WrittenFigures)
    for map_ in written_record().maps:
        for head in map_.heads:
            found = figures.lookback.ratios[map_.layer, head]
            assert np.isnan(found[0])
            for step in range(1, 6):
                row = map_.weights[head, step]
                prompt, own = row[:FIRST].mean(), row[FIRST : FIRST + step].mean()
                assert found[step] == pytest.approx(prompt / (prompt + own), rel=1e-5)
    means = {place: float(np.nanmean(one)) for place, one in figures.lookback.ratios.items()}
    layer, head, most = figures.lookback.result.heads[0]
    assert most == pytest.approx(max(means.values()), rel=1e-5)
    assert most == pytest.approx(means[layer, head], rel=1e-5)
    every = np.stack(list(figures.lookback.ratios.values()))
    np.testing.assert_allclose(figures.lookback.result.steps, every.mean(axis=0), rtol=1e-5)


def test_rows_are_the_words_written() -> None:
    plan = generated().figures.plan
    assert plan.queries.labels == ("'t", "fit", ".", "[SEP]", "[SEP]")
    assert plan.keys.labels == ("[CLS]", "The", "trophy", "didn", "'t", "fit", ".", "[SEP]")
    tokens = generated(unit="token", rows="input").figures.plan
    assert tokens.queries.labels == ("'", "t", "fit", ".", "[SEP]")
    with pytest.raises(SelectionError, match="'trophy' is not in what was written"):
        generated(query="trophy", view="query")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_record_holds_it_all(name: str) -> None:
    answer = SAMPLES[name]
    document = validated(answer.data(), "record")
    assert document["source"]["written"] == FIRST
    assert document["units"]["rows"].startswith("output row")
    assert [token["index"] for token in document["written"]["tokens"]] == list(range(FIRST, 11))
    expected = np.exp(-np.mean([token["log_probability"] for token in document["written"]["tokens"]]))
    assert document["written"]["perplexity"] == pytest.approx(expected, rel=1e-5)
    screen = Screen(width=100, color=False)
    for record in (from_json(answer.data(), "it"), from_npz(answer.archive(), "it")):
        again = look(record, record.selection, keep=True)
        assert to_text(again.draw(screen), screen) == to_text(answer.draw(screen), screen)
        assert again.data() == answer.data()


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("name", SAMPLES)
def test_screens(name: str, width: int) -> None:
    screen = Screen(width=width, color=False)
    assert_golden(f"{name}-{width}", to_text(SAMPLES[name].draw(screen), screen))


def test_a_screen_in_colour() -> None:
    screen = Screen(width=80)
    assert_golden("generate-80-color", to_text(SAMPLES["generate"].draw(screen), screen))


def test_what_is_written_is_scored_as_what_is_known() -> None:
    model = Inspector(decoder())
    answer = model.generate(PROMPT, max_tokens=9, unit="token", head="1.2")
    side = answer.source
    assert side.written is not None
    assert answer.chances is not None
    # A greedy search takes the likeliest token at each step.
    assert answer.chances.likeliest[:, 0].tolist() == [token.id for token in side.tokens[side.written :]]
    np.testing.assert_array_equal(answer.chances.log_likeliest[:, 0], answer.chances.log_probabilities)
    known = model.generate(PROMPT, continuation="he was too big")
    whole: Any = decoder()._saved
    ids = decoder().tokenizer(f"{PROMPT} he was too big", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logs = whole(ids).logits[0].log_softmax(dim=-1)
    first = known.source.written or 0
    own = logs[range(first - 1, ids.shape[1] - 1), ids[0, first:]]
    assert known.chances is not None
    np.testing.assert_allclose(known.chances.log_probabilities, own.numpy(), atol=1e-4)
    assert known.source.text == f"{PROMPT} he was too big"


def test_a_translator_writes_as_well() -> None:
    model = Inspector(load("toy"))
    answer = model.generate("The cat sat on the mat")
    assert answer.figures.plan.rows == "output"
    assert isinstance(answer.figures, AlignmentFigures)
    assert answer.target is not None
    assert answer.chances is not None
    assert len(answer.chances.entropies) == len(answer.target.tokens) - 1
    source = model.read("The cat sat on the mat", target=answer.target.text)
    ((_, outcome),) = model._model.run(source, [()])
    assert outcome.tokens is not None
    np.testing.assert_allclose(outcome.tokens, answer.chances.log_probabilities, atol=1e-5)
    same = model.generate("The cat sat on the mat", continuation=answer.target.text, verify=True)
    assert same.chances is not None
    np.testing.assert_allclose(same.chances.log_probabilities, outcome.tokens, atol=1e-5)
    assert validated(same.data(), "record")["written"]["tokens"][0]["index"] == 1
    cut = model.generate("The cat sat on the mat", without="cross:0.0,1.0,2.0", max_tokens=3)
    assert len(cut.target.tokens) <= 5  # type: ignore[union-attr]
    assert any("--max-tokens 6" in note for note in cut.notes)


def test_the_first_word_behind_spaces_is_a_row() -> None:
    answer = Inspector(decoder()).generate(f"{PROMPT} ", continuation="it was")
    assert answer.figures.plan.queries.labels == ("it", "was")
    assert answer.figures.plan.keys.labels == (*PROMPT.split(), " ", "it")
    assert "␣" in to_text(answer.draw(Screen(width=120)), Screen(width=120))


def test_rows_that_were_not_written_are_not_in_the_table() -> None:
    answer = Inspector(load("toy")).generate("The cat sat", rows="input")
    shown = to_text(answer.draw(Screen(width=80, color=False)), Screen(width=80, color=False))
    table, map_ = shown.split("\nWeights of head")
    assert "<start>" not in table
    assert "\nLe " in table
    assert "0 <start>" in map_
    with pytest.raises(InputError, match="no step reads it"):
        Inspector(decoder()).generate(PROMPT, rows="input", max_tokens=1)


def test_an_end_at_once_is_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "translate", lambda *_, **__: [Translation("", (PAD, END), ())])
    model = Inspector(load("toy"))
    shown = to_text(model.generate("The cat").draw(Screen(width=80, color=False)), Screen(width=80, color=False))
    assert "(The model wrote nothing.)" in shown
    assert "\n0 </s> " in shown
    assert "<start>" not in shown
    assert "<start>" in to_text(model.generate("The cat", rows="input").draw(Screen(width=80)), Screen(width=80))


@pytest.mark.parametrize(
    ("prompt", "text", "found"),
    [
        ("is", "Paris", " Paris"),
        ("is ", "Paris", "Paris"),
        ("is", " Paris", " Paris"),
        ("is", ", Paris", ", Paris"),
        ("“", "Paris", "Paris"),
        ("东京", "是", "是"),
        ("is", "是", "是"),
    ],
)
def test_a_space_stands_between_two_words(prompt: str, text: str, found: str) -> None:
    assert joined(prompt, text) == found


def test_what_writes_nothing_is_refused(minilm: str) -> None:
    with pytest.raises(ModelError, match="writes no text: it is an encoder"):
        Inspector(load(minilm)).generate(PROMPT)
    with pytest.raises(InputError, match="continuation"):
        Inspector(decoder()).generate(PROMPT, continuation="  ")
    with pytest.raises(ModelError, match="has no attention to show"):
        Inspector(load("toy-rnn")).generate(PROMPT)


@pytest.mark.unchecked
def test_the_capital_of_france() -> None:
    model = smollm2()
    answer = Inspector(model).generate(FRANCE, max_tokens=2)
    assert answer.source.text.startswith(f"{FRANCE} Paris")
    assert answer.chances is not None
    assert np.exp(answer.chances.log_probabilities[0]) == pytest.approx(0.773, abs=0.001)
    assert answer.chances.spelled[0][0] == " Paris"
    # Most weight is on the first token (the sink), which the table sets aside and says so.
    figures = answer.figures
    assert isinstance(figures, WrittenFigures)
    share = figures.mean.values[0, 0]
    screen = Screen(width=100, color=False)
    shown = to_text(answer.draw(screen), screen)
    assert share > 0.5
    assert f"{share:.2f}" in shown
    assert "aside: the row's share on the first token, where heads rest" in shown


def test_the_selection_is_as_everywhere() -> None:
    model = Inspector(decoder())
    written = model.generate(PROMPT, max_tokens=5, unit="token")
    chosen: list[Any] = [
        {"view": "grid"},
        {"sort": "focus"},
        {"measure": "rollout"},
        {"measure": "norms"},
        {"layer": 1},
    ]
    for selection in chosen:
        answer = model.generate(PROMPT, max_tokens=5, unit="token", **selection)
        assert answer.source == written.source
        assert "log-probability" in to_text(answer.draw(Screen(width=80)), Screen(width=80))
        again = look(answer, answer.selection, keep=True) if "measure" not in selection else answer
        assert again.to_dict()["maps"] == answer.to_dict()["maps"]
    row = written.figures.plan.positions[2]
    assert row == (written.source.written or 0) + 1


def test_relevance_is_for_what_was_written() -> None:
    """The gradients of the sum of its logits, taken by plain autograd on transformers' own eager attention."""
    model = Inspector(decoder())
    answer = model.generate(PROMPT, max_tokens=4, unit="token", measure="relevance", sink=True)
    assert answer.relevance is not None
    assert answer.relevance.output == "what was written"
    ids = [token.id for token in answer.source.tokens]
    first = answer.source.written or 0
    whole: Any = decoder()._saved
    whole.set_attn_implementation("eager")
    with torch.enable_grad():
        found = whole(torch.tensor([ids[:-1]]), output_attentions=True, use_cache=False)
        for map_ in found.attentions:
            map_.retain_grad()
        total = found.logits[0, range(first - 1, len(ids) - 1), ids[first:]].sum()
        total.backward()
    whole.set_attn_implementation("sdpa")
    whole.zero_grad()
    assert answer.relevance.value == pytest.approx(float(total.detach()), rel=1e-4)
    shares = (found.attentions[1] * found.attentions[1].grad).clamp(min=0)[0].detach().numpy()
    own = answer.maps[1].weights
    expected = shares[:, first - 1 :]
    sums = expected.sum(axis=2, keepdims=True)
    told = sums[..., 0] > 0  # a row without any is shown as even
    np.testing.assert_allclose(own[told], (expected / np.where(sums > 0, sums, 1))[told], atol=1e-3)
    assert "Relevance for what was written" in to_text(answer.draw(Screen(width=80)), Screen(width=80))
    again = from_json(answer.data(), "it")
    assert to_text(look(again, again.selection, keep=True).draw(Screen(width=80)), Screen(width=80))
    one = model.generate(PROMPT, continuation="he was big", measure="relevance", relevant_to="was")
    assert one.relevance is not None
    assert one.relevance.output == "was in what follows the prompt"
