"""Tests of continuing a prompt: transformers' own tokens, and the maps and chances of one pass over them."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from attn_cli.data.cuts import ZeroedHeads
from attn_cli.data.outcomes import Chances, Wanted
from attn_cli.data.selection import Selection
from attn_cli.data.stream import key_tokens, query_tokens
from attn_cli.errors import InputError, ModelError, UsageError
from attn_cli.models import Continuation, Decoding, Input
from attn_cli.models.hf.model import Pretrained
from attn_cli.questions.inspect.measure import look
from tests.models import folders
from tests.models.families import spread

PROMPT = "the trophy was too big because"
GPT: dict[str, Any] = {"vocab_size": 337, "n_embd": 24, "n_head": 3, "n_layer": 2, "n_positions": 41}
LLAMA: dict[str, Any] = {
    "vocab_size": 401,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
}


@cache
def model(name: str) -> Pretrained:
    if name == "bert":  # whose tokenizer puts [SEP] behind a text
        whole = folders.made("Bert", "LMHeadModel", **folders.BERT, is_decoder=True)
        return Pretrained("tiny", spread(whole), folders.wordpiece())
    if name == "llama":
        return Pretrained("tiny", spread(folders.made("Llama", "ForCausalLM", **LLAMA)), folders.llama())
    return Pretrained("tiny", spread(folders.made("GPT2", "LMHeadModel", **GPT)), folders.byte_level())


EVERY = pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])


def written(made: Input) -> Continuation:
    assert isinstance(made.continuation, Continuation)
    return made.continuation


def by_hand(name: str, **settings: Any) -> tuple[list[int], list[int]]:
    """The prompt's tokens and those that transformers alone writes behind them."""
    one = model(name)
    ids = one.tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    ids = ids[:, :-1] if name == "bert" else ids
    torch.manual_seed(settings.pop("seed", 0))
    whole: Any = one._saved
    found = whole.generate(ids, **{"do_sample": False, "max_new_tokens": 11, "pad_token_id": 0, **settings})
    return ids[0].tolist(), found[0, ids.shape[1] :].tolist()


@EVERY
@pytest.mark.parametrize(
    ("decoding", "settings"),
    [
        ({}, {}),
        ({"beam": 3}, {"num_beams": 3}),
        ({"temperature": 0.7, "seed": 3}, {"do_sample": True, "temperature": 0.7, "seed": 3, "top_k": 0}),
        ({"temperature": 1.3, "top_p": 0.5}, {"do_sample": True, "temperature": 1.3, "top_p": 0.5, "top_k": 0}),
    ],
)
def test_the_tokens_are_those_of_generate(name: str, decoding: Any, settings: Any) -> None:
    made = written(model(name).write(Input(PROMPT), Decoding(max_length=11, **decoding)))
    assert list(made.ids) == by_hand(name, **settings)[1]
    assert made.notes == ("Writing stopped after 11 tokens; --max-tokens 22 lets it go on",)


@EVERY
def test_the_maps_and_the_chances_are_those_of_one_pass(name: str) -> None:
    one = model(name)
    source = one.prepare(one.write(Input(PROMPT), Decoding(max_length=11)))
    prompt, own = by_hand(name)
    ids = [token.id for token in source.source.tokens]
    assert (ids, source.source.written) == (prompt + own, len(prompt))
    assert [token.id for token in query_tokens(source, "decoder", "output").tokens] == ids[1:]
    assert [token.id for token in key_tokens(source, "decoder").tokens] == ids[:-1]
    whole: Any = one._saved
    whole.set_attn_implementation("eager")
    with torch.no_grad():
        expected = whole(torch.tensor([ids]), output_attentions=True, use_cache=False)
    whole.set_attn_implementation("sdpa")
    answer = look(source, Selection(unit="token"), keep=True)
    first = len(prompt) - 1
    for map_ in answer.maps:
        assert map_.queries == tuple(range(first, len(ids) - 1))
        exact = expected.attentions[map_.layer][0, :, first:-1, :-1].numpy()
        np.testing.assert_allclose(map_.weights, exact, atol=1e-5)
    places = tuple(range(first, len(ids) - 1))
    wanted = Wanted("next", places, tokens=False, written=tuple(own))
    ((_, outcome),) = one.run(source, [()], wanted)
    logs = expected.logits[0, first:-1].log_softmax(dim=-1)
    chances = outcome.chances
    assert isinstance(chances, Chances)
    np.testing.assert_allclose(chances.log_probabilities, logs[range(11), own].numpy(), atol=1e-4)
    np.testing.assert_allclose(chances.entropies, -(logs.exp() * logs).sum(dim=-1).numpy(), atol=1e-4)
    best = logs.topk(4)
    assert chances.likeliest.tolist() == best.indices.tolist()
    np.testing.assert_allclose(chances.log_likeliest, best.values.numpy(), atol=1e-4)
    assert chances.perplexity == pytest.approx(float((-logs[range(11), own].mean()).exp()), rel=1e-4)


def test_writing_stops_at_a_text_at_the_end_token_and_where_told() -> None:
    one = model("llama")
    whole = written(one.write(Input(PROMPT), Decoding(max_length=11)))
    stop = re.findall(r"[ -~]{2,}", whole.text)[0][:2]
    cut = written(one.write(Input(PROMPT), Decoding(max_length=11, stop=(stop, "nowhere"))))
    settings = {"stop_strings": [stop], "tokenizer": one.tokenizer}
    assert list(cut.ids) == by_hand("llama", **settings)[1]
    assert stop in cut.text
    assert not cut.notes
    seen: list[str] = []

    def watch(text: str) -> bool:
        seen.append(text)
        return len(seen) < 4

    some = written(one.write(Input(PROMPT), Decoding(max_length=11), watch))
    assert some.ids == whole.ids[:4]
    assert seen[-1] == some.text == whole.text[: len(some.text)]
    own: Any = one._saved.generation_config
    before, own.eos_token_id = own.eos_token_id, whole.ids[0]
    try:
        nothing = written(one.write(Input(PROMPT), Decoding(max_length=11)))
    finally:
        own.eos_token_id = before
    assert nothing.ids == whole.ids[:1]
    assert "wrote nothing" in nothing.notes[0]


def test_writing_ends_with_the_positions() -> None:
    one = model("gpt2")
    long = f"{PROMPT} {PROMPT}"
    count = len(one.tokenizer(long)["input_ids"])
    made = one.write(Input(long), Decoding(max_length=400))
    assert len(written(made).ids) == 41 - count + 1
    assert "no more positions" in written(made).notes[0]
    assert len(one.prepare(made).source.tokens) == 42
    with pytest.raises(InputError, match="has positions for"):
        one.write(Input(long * 9))


def test_heads_cut_are_cut_while_it_writes() -> None:
    one = model("gpt2")
    cut = one.without({"decoder": {1: (0, 2)}})
    made = cut.write(Input(PROMPT), Decoding(max_length=11))
    whole: Any = one._saved

    def zero(_: Any, given: Any) -> None:
        given[0][..., :8] = 0
        given[0][..., 16:] = 0

    handle = whole.transformer.h[1].attn.c_proj.register_forward_pre_hook(zero)
    try:
        expected = by_hand("gpt2")[1]
    finally:
        handle.remove()
    assert list(written(made).ids) == expected
    assert expected != by_hand("gpt2")[1]
    ((_, own),) = one.run(one.prepare(made), [(ZeroedHeads("decoder", 1, (0, 2)),)])
    ((_, same),) = cut.run(cut.prepare(made), [()])
    assert own.logits is not None
    assert same.logits is not None
    np.testing.assert_allclose(own.logits, same.logits, atol=1e-5)


def test_a_known_text_keeps_the_tokens_of_the_prompt() -> None:
    one = model("llama")
    prompt = [token.id for token in one.prepare(Input("the trophy")).source.tokens]
    source = one.prepare(Input("the trophy", continuation=" was too big"))
    together = [token.id for token in one.prepare(Input("the trophy was too big")).source.tokens]
    assert [token.id for token in source.source.tokens] == together
    assert source.source.written == len(prompt)
    assert [word.text for word in source.source.words] == ["the", "trophy", "was", "too", "big"]
    apart = one.prepare(Input("the tro", continuation="phy"))
    words = apart.source.words
    assert [word.text for word in words] == ["the", "tro", "phy"]
    assert apart.source.written is not None
    assert apart.source.tokens[apart.source.written].word == 2


def test_what_cannot_be_written_is_refused() -> None:
    encoder = Pretrained("tiny", folders.made("Bert", "ForMaskedLM", **folders.BERT), folders.wordpiece())
    with pytest.raises(ModelError, match="writes no text: it is an encoder"):
        encoder.write(Input(PROMPT))
    with pytest.raises(InputError, match="continues no prompt"):
        encoder.prepare(Input(PROMPT, continuation="so"))
    with pytest.raises(InputError, match="continuation"):
        model("gpt2").prepare(Input(PROMPT, continuation=" "))
    bad: list[tuple[dict[str, Any], str]] = [
        ({"temperature": -1.0}, "--temperature must be"),
        ({"temperature": float("nan")}, "--temperature must be"),
        ({"temperature": 1.0, "beam": 2}, "--beam keeps"),
        ({"top_p": 0.5}, "--top-p narrows"),
        ({"max_length": 0, "most_option": "--max-tokens"}, "--max-tokens must be at least 1"),
        ({"stop": ("",)}, "--stop is empty"),
    ]
    for settings, fault in bad:
        with pytest.raises(UsageError, match=fault):
            Decoding(**settings)
