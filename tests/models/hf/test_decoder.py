"""Tests of the tokens that a decoder reads of its target, and of an encoder-decoder's three kinds of attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from attn_cli.data.stream import query_tokens
from attn_cli.errors import InputError, ModelError
from attn_cli.models import Input
from attn_cli.models.hf.model import Pretrained
from tests.models import folders

SIZES = {
    "vocab_size": 401,
    "d_model": 20,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 7,
    "decoder_ffn_dim": 7,
    "max_position_embeddings": 43,
}
TOKENIZERS = {"t5": folders.t5, "bart": folders.roberta, "mbart": folders.mbart}
T5 = {"vocab_size": 401, "d_model": 20, "d_kv": 5, "d_ff": 7, "num_layers": 1, "num_heads": 2}


def two_sided(folder: Path, family: str) -> tuple[Pretrained, Any]:
    """An encoder-decoder with its head: loaded by attn, and as transformers has it."""
    tokenizer = folders.marian(folder) if family == "marian" else TOKENIZERS[family]()
    start = {"pad_token_id": tokenizer.pad_token_id, "decoder_start_token_id": tokenizer.pad_token_id}
    whole = {
        "t5": lambda: folders.made("T5", "ForConditionalGeneration", **T5, **start),
        "bart": lambda: folders.made("Bart", "ForConditionalGeneration", **SIZES),
        "mbart": lambda: folders.made("MBart", "ForConditionalGeneration", **SIZES),
        "marian": lambda: folders.made("Marian", "MTModel", **SIZES, **start, eos_token_id=0),
    }[family]()
    return folders.opened(folders.save(folder, whole, tokenizer)), whole


@pytest.mark.parametrize(
    ("family", "sequence"),
    [
        ("t5", ("<pad>", "▁a", "▁b", "</s>")),
        ("bart", ("</s>", "<s>", "a", "Ġb", "</s>")),
        ("mbart", ("fr_XX", "▁a", "▁b", "</s>")),
        ("marian", ("<pad>", "▁a", "▁b", "</s>")),
    ],
)
def test_the_decoder_reads_its_target_one_step_late(tmp_path: Path, family: str, sequence: tuple[str, ...]) -> None:
    model, whole = two_sided(tmp_path, family)
    prepared = model.prepare(Input("the trophy", target="a b"))
    assert prepared.target is not None
    assert tuple(token.piece for token in prepared.target.tokens) == sequence
    assert [word.text for word in prepared.target.words] == ["a", "b"]
    assert [token.special for token in prepared.target.tokens] == [token[0] in "</f" for token in sequence]
    labels = model.tokenizer(text_target="a b", return_tensors="pt")["input_ids"]
    expected = whole.prepare_decoder_input_ids_from_labels(labels)
    if family == "mbart":  # whose tokenizer has the language again behind the end, where it is never written
        expected = expected[:, :-1]
    assert torch.equal(prepared.inputs["decoder_input_ids"], expected)
    assert [token.piece for token in query_tokens(prepared, "cross").tokens] == list(sequence[:-1])
    assert [token.piece for token in query_tokens(prepared, "cross", "output").tokens] == list(sequence[1:])


@pytest.mark.parametrize(
    ("family", "target"),
    [
        ("t5", "<pad> a b"),
        ("t5", "a b</s>"),
        ("bart", "<s>a b</s>"),
        ("bart", "</s><s>a b</s>"),
        ("mbart", "fr_XX a b"),
        ("marian", "a b</s>"),
    ],
)
def test_a_target_that_spells_its_special_tokens_has_them_once(tmp_path: Path, family: str, target: str) -> None:
    model, _ = two_sided(tmp_path, family)
    plain, spelled = model.prepare(Input("the trophy", target="a b")), model.prepare(Input("the trophy", target=target))
    assert plain.target is not None
    assert spelled.target is not None
    assert [token.piece for token in spelled.target.tokens] == [token.piece for token in plain.target.tokens]
    assert spelled.inputs["decoder_input_ids"].tolist() == plain.inputs["decoder_input_ids"].tolist()


@pytest.mark.parametrize("family", ["t5", "bart", "mbart", "marian"])
def test_the_three_kinds_are_those_of_the_whole_model(tmp_path: Path, family: str) -> None:
    model, whole = two_sided(tmp_path, family)
    whole.set_attn_implementation("eager")
    prepared = model.prepare(Input("the trophy was too big", target="le chat"))
    with torch.no_grad():
        expected = whole(**prepared.inputs, output_attentions=True)
    found = folders.everything(prepared)
    assert sorted(found) == [("cross", 0), ("decoder", 0), ("encoder", 0)]
    for kind in ("encoder", "decoder", "cross"):
        (maps,) = expected[f"{kind}_attentions"]
        weights = np.concatenate([block.weights for block in found[kind, 0]], axis=1)
        np.testing.assert_allclose(weights, maps[0].numpy(), atol=1e-5)


def test_without_a_target_the_encoder_can_be_seen(tmp_path: Path) -> None:
    model, _ = two_sided(tmp_path, "bart")
    prepared = model.prepare(Input("the trophy"))
    assert prepared.target is None
    assert list(folders.everything(prepared)) == [("encoder", 0)]


def test_a_target_that_is_too_long(tmp_path: Path) -> None:
    model, _ = two_sided(tmp_path, "bart")
    with pytest.raises(InputError, match=r"The target has .* more than the 43"):
        model.prepare(Input("a", target="le chat " * 20))
    cut = model.prepare(Input("a", target="le chat " * 20, truncate=True))
    assert cut.target is not None
    assert len(cut.target) == 44
    assert cut.notes[0].startswith("The target was cut to 43 of its")


def test_a_decoder_that_does_not_say_how_it_starts(tmp_path: Path) -> None:
    model = Pretrained("tiny", folders.made("T5", **T5), folders.t5())
    with pytest.raises(ModelError, match="does not say which token its decoder starts with") as raised:
        model.prepare(Input("a", target="b"))
    assert "decoder_start_token_id" in raised.value.remedy


def test_a_decoder_without_its_encoder_reads_the_text_itself(tmp_path: Path) -> None:
    whole = folders.made("Bart", "ForCausalLM", **SIZES)
    model = folders.opened(folders.save(tmp_path, whole, folders.roberta()))
    prepared = model.prepare(Input("the trophy"))
    whole.set_attn_implementation("eager")
    with torch.no_grad():
        (expected,) = whole(**prepared.inputs, output_attentions=True).attentions
    found = folders.everything(prepared)
    assert list(found) == [("decoder", 0)]
    weights = np.concatenate([block.weights for block in found["decoder", 0]], axis=1)
    np.testing.assert_allclose(weights, expected[0].numpy(), atol=1e-5)
    with pytest.raises(InputError, match="not an encoder-decoder"):
        model.prepare(Input("a", target="b"))


def test_two_models_put_together(tmp_path: Path) -> None:
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.BertConfig(**folders.BERT),
        transformers.BertConfig(**(folders.BERT | {"num_hidden_layers": 1, "max_position_embeddings": 29})),
        decoder_start_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    folders.save(tmp_path, transformers.EncoderDecoderModel(config), folders.wordpiece())
    model = folders.opened(tmp_path)
    prepared = model.prepare(Input("it was big", target="it"))
    assert prepared.target is not None
    assert [token.piece for token in prepared.target.tokens] == ["[CLS]", "[CLS]", "it", "[SEP]"]
    assert sorted(folders.everything(prepared)) == [("cross", 0), ("decoder", 0), ("encoder", 0), ("encoder", 1)]
    assert len(model.prepare(Input("it " * 39)).source) == 41
    with pytest.raises(InputError, match="The target has 30 tokens, 1 more than the 29"):
        model.prepare(Input("it", target="it " * 28))
