"""Outputs of a text with a second segment, held against the model itself on the same two texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attn_cli.data.selection import Selection
from attn_cli.errors import InputError, UsageError
from attn_cli.models import Input, Model
from attn_cli.models.hf.model import Pretrained
from attn_cli.models.relevant import with_output
from attn_cli.models.spelled import follow, hide
from attn_cli.questions.ablate.choices import CutChoice, OutputChoice
from attn_cli.questions.ablate.measure import ablate
from attn_cli.questions.ablate.reader import read_like, read_output
from attn_cli.questions.ablate.trials import Ablation
from tests.models import folders
from tests.models.families import spread
from tests.questions.ablate.models import decoder, masked, toy

TEXT, PAIR = "the trophy was it", "it was too big"
PAIRED = Input(TEXT, pair=PAIR)


def roberta() -> Pretrained:
    """A masked encoder that writes its mask in a way of its own."""
    sizes = {**folders.BERT, "vocab_size": 337, "max_position_embeddings": 64, "pad_token_id": 1}
    return Pretrained("tiny", spread(folders.made("Roberta", "ForMaskedLM", **sizes)), folders.roberta())


def ended() -> Pretrained:
    """A decoder whose tokenizer puts an end token behind each text, and between two."""
    return Pretrained("tiny", decoder()._saved, folders.roberta())


def at_masks(model: Pretrained, text: str, pair: str) -> torch.Tensor:
    """Compute the model's own log-probabilities at the masks of two texts, `[mask, vocabulary]`."""
    given = model.tokenizer(text, pair, return_tensors="pt")
    with torch.no_grad():
        logits: torch.Tensor = model._saved(**given).logits[0]
    return logits[given["input_ids"][0] == model.tokenizer.mask_token_id].log_softmax(dim=-1)


def cut(model: Model, given: Input, output: OutputChoice) -> Ablation:
    return ablate(model, given, Selection(head="1.0"), output)


def test_a_word_of_the_pair_is_masked_there() -> None:
    model = masked()
    chances = at_masks(model, TEXT, "it was too [MASK]")
    ids: Any = model.tokenizer.convert_tokens_to_ids(["big", "was"])
    big, was = ids
    found = cut(model, PAIRED, OutputChoice(mask="big"))
    source = found.record.source
    assert (source.text, source.pair, found.output.words[0].label) == (TEXT, "it was too [MASK]", "big")
    assert found.before.whole == pytest.approx(float(chances[0, big]), abs=1e-5)
    against = cut(model, PAIRED, OutputChoice(mask="big", against="was"))
    assert against.before.whole == pytest.approx(float(chances[0, big] - chances[0, was]), abs=1e-5)
    both = at_masks(model, TEXT, "it was too [MASK][MASK]")
    several = cut(model, Input(TEXT, pair="it was too suitcase"), OutputChoice(mask="suitcase"))
    ids = model.tokenizer.convert_tokens_to_ids(["suit", "##case"])
    assert several.before.whole == pytest.approx(float(both[[0, 1], ids].sum()), abs=1e-5)
    second = cut(model, PAIRED, OutputChoice(mask="it#2"))
    assert (second.record.source.text, second.record.source.pair) == (TEXT, "[MASK] was too big")


@pytest.mark.parametrize("load", [masked, roberta])
def test_a_mask_may_stand_in_the_pair(load: object) -> None:
    model = load()  # type: ignore[operator]
    own = model.tokenizer.mask_token
    given = Input(TEXT, pair="it was [MASK] big")
    chances = at_masks(model, TEXT, f"it was {own} big")
    found = cut(model, given, OutputChoice())
    assert (found.output.kind, found.record.source.pair) == ("mask", f"it was {own} big")
    assert found.before.whole == pytest.approx(float(chances.max()), abs=1e-5)
    relevant = with_output(model, given)
    assert relevant.relevant_to is not None
    assert relevant.relevant_to.masks == found.output.wanted.places
    states = read_output(model, given, OutputChoice(output="states"))
    assert states.states
    assert states.source.source.pair == f"it was {own} big"


def test_outputs_come_from_a_text_with_its_pair_masked_alike() -> None:
    choice = OutputChoice(mask="big")
    read = read_output(masked(), PAIRED, choice)
    like = read_like(read, Input("the big was too", pair=PAIR), choice)
    assert (like.source.text, like.source.pair) == ("the big was too", "it was too [MASK]")
    found = ablate(masked(), PAIRED, Selection(head="1.0"), choice, CutChoice("resample"), donor="the big was too")
    assert found.other is not None
    there = at_masks(masked(), "the big was too", "it was too [MASK]")
    big = masked().tokenizer.convert_tokens_to_ids("big")
    assert found.other.figures.whole == pytest.approx(float(there[0, big]), abs=1e-5)


@pytest.mark.parametrize("pair", [None, "a man"])
def test_a_target_is_its_own_tokens_behind_all_that_is_read(pair: str | None) -> None:
    model = ended()
    given = Input("all", pair=pair, target=" you need")
    read = model.tokenizer("all you need") if pair is None else model.tokenizer("all", f"{pair} you need")
    ids = torch.tensor(read["input_ids"])
    count = len(model.tokenizer(" you need", add_special_tokens=False)["input_ids"])
    assert ids[-1] == model.tokenizer.eos_token_id
    with torch.no_grad():
        chances = model._saved(ids[None]).logits[0].log_softmax(dim=-1)
    expected = chances[torch.arange(len(ids) - count - 2, len(ids) - 2), ids[-count - 1 : -1]].numpy()
    found = ablate(model, given, Selection(head="1.0", unit="token"), OutputChoice(continues=True))
    np.testing.assert_allclose(found.before.words, expected, atol=1e-5)
    words = ablate(model, given, Selection(head="1.0"))
    assert [word.label for word in words.output.words] == ["you", "need"]
    assert not any(label.endswith("</s>") for label in words.output.place_labels)
    _, places = follow(model, given, " you need")
    assert list(places) == list(range(len(ids) - count - 1, len(ids) - 1))


def test_what_cannot_be_masked_or_translated_is_refused() -> None:
    model = masked()
    unplaced = model.prepare(PAIRED).source.tokens[:1]
    with pytest.raises(InputError, match="does not say where"):
        hide(PAIRED, unplaced, "[MASK]")
    with pytest.raises(UsageError, match="--pair is a second"):
        ablate(toy(), PAIRED, Selection())
