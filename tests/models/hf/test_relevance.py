"""The outputs that relevance is measured for, held against transformers' own under autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attn_cli.data.relevance import Relevance
from attn_cli.data.selection import Selection
from attn_cli.errors import AttnError, InputError, ModelError, SelectionError, UsageError
from attn_cli.models import Input, Model
from attn_cli.models.capture.stream import set_attention
from attn_cli.models.hf.wrapping import wrap
from attn_cli.models.prepare import read
from attn_cli.questions.inspect.measure import look
from tests.models import folders
from tests.models.families import spread
from tests.questions.ablate.models import FRANCE, TROPHY, decoder, masked, minilm, smollm2, toy

EXACT = 2e-5


def relevance(model: Model, text: str, word: str | None = None, **options: Any) -> Relevance:
    choice = Selection(measure="relevance", relevant_to=word, **options)
    found = look(read(model, Input(text), choice), choice, keep=False).relevance
    assert found is not None
    return found


def eager(model: Any, inputs: Any) -> Any:
    """Run a model with transformers' eager attention, whose maps it returns."""
    before = model.config._attn_implementation
    set_attention(model, "eager")
    try:
        return model(**inputs, output_attentions=True)
    finally:
        set_attention(model, before)


def rolled(output: torch.Tensor, maps: Any, rows: dict[int, float]) -> np.ndarray:
    """The full rule: rows of R - I, from whole maps and their gradients."""
    slopes = torch.autograd.grad(output, maps)
    matrix = torch.eye(maps[0].shape[2])
    for weights, slope in zip(maps, slopes, strict=True):
        matrix = matrix + (weights * slope).clamp(min=0)[0].mean(dim=0) @ matrix
    matrix -= torch.eye(len(matrix))
    return sum(share * matrix[row] for row, share in rows.items()).detach().numpy()  # type: ignore[union-attr]


@pytest.mark.parametrize("word", [None, " by"])
def test_the_next_token_of_a_decoder(word: str | None) -> None:
    model = decoder()
    inputs = model.prepare(Input(FRANCE)).inputs
    whole = model._with_head()
    result = eager(whole, inputs)
    row = result.logits[0, -1]
    token = (
        int(row.argmax())
        if word is None
        else model.prepare(Input(FRANCE + word)).inputs["input_ids"][0, row_of(inputs)]
    )
    found = relevance(model, FRANCE, word)
    assert found.value == pytest.approx(float(row[token].detach()), abs=1e-4)
    assert found.output.endswith("as the next token" + ", the likeliest" * (word is None))
    assert found.unit == "logit"
    last = inputs["input_ids"].shape[1] - 1
    np.testing.assert_allclose(found.source, rolled(row[token], result.attentions, {last: 1.0}), atol=EXACT)


def row_of(inputs: Any) -> int:
    """The place of the first token after a text."""
    return int(inputs["input_ids"].shape[1])


def test_smollm2_and_the_capital_of_france() -> None:
    model: Any = smollm2()
    inputs = model.prepare(Input(FRANCE)).inputs
    result = eager(model._with_head(), inputs)
    row = result.logits[0, -1]
    found = relevance(model, FRANCE)
    assert found.output == "Paris as the next token, the likeliest"
    expected = rolled(row.max(), result.attentions, {len(inputs["input_ids"][0]) - 1: 1.0})
    np.testing.assert_allclose(found.source, expected, rtol=1e-3, atol=EXACT)
    assert found.source[0] > found.source[1:].sum()


def test_the_words_at_masks() -> None:
    model = masked()
    for text, word, count in (("the [MASK] was too [MASK]", None, 2), ("the trophy was too [MASK]", "big", 1)):
        inputs = model.prepare(Input(text)).inputs
        whole: Any = model._with_head()
        result = eager(whole, inputs)
        places = (inputs["input_ids"][0] == model.tokenizer.mask_token_id).nonzero()[:, 0].tolist()
        assert len(places) == count
        rows = result.logits[0, places]
        number = rows.max(dim=1).values.sum() if word is None else rows[0, model.tokenizer.convert_tokens_to_ids(word)]
        found = relevance(model, text, word)
        assert found.value == pytest.approx(float(number.detach()), abs=1e-4)
        assert found.unit == ("sum of logits" if count > 1 else "logit")
        expected = rolled(number, result.attentions, dict.fromkeys(places, 1.0))
        np.testing.assert_allclose(found.source, expected, atol=EXACT)


def test_similarity_to_another_text() -> None:
    model: Any = minilm()
    other = "A dog lay on the rug"
    one, two = (model.prepare(Input(text)).inputs for text in (TROPHY, other))
    result = eager(model.model, one)
    with torch.no_grad():
        beside = model.model(**two).last_hidden_state[0].mean(dim=0)
    number = torch.cosine_similarity(result.last_hidden_state[0].mean(dim=0), beside, dim=0)
    found = relevance(model, TROPHY, other)
    assert found.output == f"similarity to “{other}”"
    assert found.unit == "cosine"
    assert found.value == pytest.approx(float(number.detach()), abs=1e-5)
    count = len(found.source)
    expected = rolled(number, result.attentions, dict.fromkeys(range(count), 1 / count))
    np.testing.assert_allclose(found.source, expected, atol=EXACT)


@pytest.mark.parametrize("training", [False, True])
def test_a_text_is_as_similar_to_itself_as_can_be(training: bool) -> None:
    dropout = {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5}
    body = spread(folders.made("Bert", **folders.BERT, **dropout)).train(training)
    found = relevance(wrap(body, folders.wordpiece()), "the trophy was big", "the trophy was big")
    assert found.unit == "cosine"
    assert found.value == pytest.approx(1, abs=1e-6)
    assert all(module.training == training for module in body.modules())


def test_a_word_of_a_translation() -> None:
    """The built-in model runs as MarianMT; the words of a translation add up to the whole, in their logits."""
    model = toy()
    whole = relevance(model, TROPHY)
    assert (whole.output, whole.unit) == ("its translation", "sum of logits")
    parts = [relevance(model, TROPHY, str(place)).value for place in range(1, 15)]
    assert sum(parts) == pytest.approx(whole.value, abs=1e-3)
    pronoun = relevance(model, TROPHY, "qu'il", kind="cross")
    assert pronoun.output == "qu'il in its translation"
    assert pronoun.target is not None
    after = np.flatnonzero(pronoun.target)
    assert after.max() < 12, "steps after the word cannot speak for it"


@pytest.mark.parametrize(
    ("model", "text", "word", "kind", "said"),
    [
        (minilm, "It is here", None, ModelError, "chooses no words"),
        (minilm, "It is [MASK]", None, ModelError, "saved without the layer that chooses words, so nothing"),
        (masked, "it was big", None, InputError, "no mask, so there is no word to measure relevance for"),
        (masked, "[MASK] was [MASK]", "it", UsageError, "several masks"),
        (masked, "[MASK] was", "¤", InputError, "tiny has no token for '¤'"),
        (toy, "The cat sat", "chien", SelectionError, "its translation, which is what relevance is measured for"),
        (toy, "The cat sat", "0", SelectionError, "is given to the decoder"),
    ],
)
def test_outputs_that_are_not_there(model: Any, text: str, word: str | None, kind: type[AttnError], said: str) -> None:
    with pytest.raises(kind, match=said):
        relevance(model(), text, word)


def test_the_first_token_of_a_decoder_is_hidden() -> None:
    """By default, and not of a decoder's weights or an encoder's relevance."""
    model = decoder()
    choice = Selection(measure="relevance", unit="token")
    hidden = look(read(model, Input(FRANCE), choice), choice, keep=False)
    assert hidden.figures.plan.keys.hides
    shown = Selection(measure="relevance", unit="token", sink=True)
    assert not look(read(model, Input(FRANCE), shown), shown, keep=False).figures.plan.keys.hides
    assert not Selection(unit="token").hides_first("decoder")
    assert not choice.hides_first("encoder")
    assert Selection(sink=False).hides_first("encoder")


def test_a_text_that_was_read_for_no_output() -> None:
    for model in (minilm(), toy()):
        with pytest.raises(ModelError, match="was not read for an output"):
            look(model.prepare(Input("The cat sat")), Selection(measure="relevance"), keep=False)
