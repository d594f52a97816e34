"""A model's output with its attention captured is held against what it computes without attn."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertForMaskedLM, BertModel

from attn_cli.data.selection import Selection
from attn_cli.data.stream import Request
from attn_cli.errors import ExactnessError
from attn_cli.measure.corpus import gather
from attn_cli.models import Input
from attn_cli.models.hf import plain, prepared
from attn_cli.models.hf.model import Pretrained
from attn_cli.models.hf.prepared import PretrainedSource
from attn_cli.questions.heads.measure import CollectHeads
from tests.models import folders
from tests.models.families import FAMILIES, LLAMA, build, everything, inputs_of, make, spread
from tests.models.folders import wordpiece

TEXT, OTHER = folders.TEXTS[0], "The suitcase was too big"


def is_watched(model: Any) -> bool:
    """Return whether attn has hooks in a BERT's attention."""
    return bool(model.encoder.layer[0].attention.self._forward_pre_hooks)


class OtherwiseWhileWatched(BertModel):  # type: ignore[no-untyped-call]
    """A model that hides its first tokens only where nobody looks."""

    def forward(self, input_ids: Any = None, attention_mask: Any = None, **rest: Any) -> Any:
        attention_mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.clone()
        if not is_watched(self):
            attention_mask[:, :2] = 0
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, **rest)


class Honest(BertModel):  # type: ignore[no-untyped-call]
    """A model that computes the same under every name, in a class that nobody has tested."""


class AnotherEachTime(BertModel):  # type: ignore[no-untyped-call]
    """A model that is not the same from run to run."""

    def forward(self, input_ids: Any = None, attention_mask: Any = None, **rest: Any) -> Any:
        result = super().forward(input_ids=input_ids, attention_mask=attention_mask, **rest)
        result.last_hidden_state = result.last_hidden_state + torch.randn(1)
        return result


class Head(BertForMaskedLM):  # type: ignore[no-untyped-call]
    """A head that hides tokens from its body."""

    def forward(self, input_ids: Any = None, **rest: Any) -> Any:
        return super().forward(input_ids=input_ids, **(rest | {"attention_mask": (input_ids != 5).long()}))


class Demanding(BertForMaskedLM):  # type: ignore[no-untyped-call]
    """A head that wants more than a text."""

    def forward(self, input_ids: Any = None, *, labels: Any = None, **rest: Any) -> Any:
        if labels is None:
            raise ValueError("labels must be given")
        return super().forward(input_ids=input_ids, labels=labels, **rest)


def opened(kind: Any, **settings: Any) -> Pretrained:
    """A random model of this class."""
    torch.manual_seed(0)
    config: Any = folders.made("Bert", **(folders.BERT | settings)).config
    config._attn_implementation = "eager"
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(10)  # attention far from even, so that what is hidden matters
    return Pretrained("made", model, wordpiece())


def asked(source: Any, **rest: Any) -> Request:
    heads = {kind: dict.fromkeys(stack.heads, (0,)) for kind, stack in source.model.stacks.items()}
    return Request(heads, **rest)


def stream(source: Any, **rest: Any) -> Any:
    return source.stream(asked(source, **rest), lambda _: None)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each run of a BERT from here on: captured or plain."""
    seen: list[str] = []
    forward: Any = BertModel.forward

    @wraps(forward)
    def count(self: Any, *given: Any, **named: Any) -> Any:
        seen.append("captured" if is_watched(self) else "plain")
        return forward(self, *given, **named)

    monkeypatch.setattr(BertModel, "forward", count)
    return seen


def test_a_model_that_computes_something_else_is_found_out_unasked() -> None:
    source = opened(OtherwiseWhileWatched).prepare(Input(TEXT))
    for verify in (False, True, False):  # it stays so
        with pytest.raises(ExactnessError, match=r"The last hidden state of made differs by .* without attn") as raised:
            stream(source, verify=verify)
        assert raised.value.exit_code == 8


def test_texts_side_by_side_are_guarded_too() -> None:
    model = opened(OtherwiseWhileWatched)
    sources = [model.prepare(Input(TEXT)), model.prepare(Input(OTHER))]
    with pytest.raises(ExactnessError, match=r"differs by .* without attn"):
        gather(sources, CollectHeads(Selection()))
    good = opened(Honest)
    assert gather([good.prepare(Input(TEXT)), good.prepare(Input(OTHER))], CollectHeads(Selection())).report.notes == ()


def test_what_was_left_out_is_found_out() -> None:
    model = opened(Honest)
    source = model.prepare(Input(TEXT, pair=OTHER))
    assert isinstance(source, PretrainedSource)
    ours = {name: value for name, value in source.inputs.items() if name != "token_type_ids"}
    with pytest.raises(ExactnessError, match=r"differs by .* without attn"):
        stream(replace(source, inputs=ours))
    assert stream(source, verify=True).output.difference < 1e-4


def test_a_head_that_gives_its_body_something_else_is_found_out() -> None:
    source = opened(Head).prepare(Input("big it was too"))
    assert isinstance(source, PretrainedSource)
    with pytest.raises(ExactnessError, match=r"differs by .* without attn"):
        stream(
            replace(source, inputs=dict(source.inputs) | {"input_ids": torch.tensor([[2, 5, 7, 5, 9, 3]])}), verify=True
        )


def test_a_head_that_wants_more_is_left_out() -> None:
    report = stream(opened(Demanding).prepare(Input(TEXT)), verify=True)
    assert report.output.compared == ("last hidden state",)
    assert report.notes == ()


def test_an_untested_family_is_held_against_a_plain_run_once(runs: list[str]) -> None:
    model = opened(Honest)
    runs.clear()  # when it was loaded, it was tried
    first = stream(model.prepare(Input(TEXT)))
    once = ["captured", "plain", "plain", "captured"]  # for the output, and for the maps
    assert runs == once
    assert (first.output, first.notes) == (None, ())
    stream(model.prepare(Input(TEXT)))
    stream(model.prepare(Input(OTHER)))
    assert runs == [*once, "captured", "captured"]
    stream(model.prepare(Input(OTHER)), verify=True)
    assert runs[6:] == once


def test_a_tested_family_is_held_against_a_plain_run_where_that_is_asked_for(runs: list[str]) -> None:
    model = opened(BertModel)
    stream(model.prepare(Input(TEXT)))
    assert runs == ["captured"]
    output = stream(model.prepare(Input(TEXT)), verify=True).output
    assert runs == ["captured", "captured", "plain", "plain", "captured"]
    assert (output.compared, output.attention) == (("last hidden state",), "sdpa")
    assert 0 < output.difference < 1e-4


def test_a_text_that_is_long_is_compared_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "UNASKED", 7)
    lengths: list[int] = []
    model = opened(Honest)
    model.model.register_forward_pre_hook(
        lambda _, __, named: lengths.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    source = model.prepare(Input(TEXT))
    report = stream(source)
    start = len(source.source)
    maps = [start, start]
    assert lengths == [start, 7, 7, *maps]
    assert report.notes == ()
    lengths.clear()
    assert stream(source, verify=True).notes == ()
    assert lengths == [start, start, *maps]
    monkeypatch.setattr(plain, "EAGER", 3 * 5**2)
    nn.Module.to(model.model, torch.bfloat16)
    assert stream(source, verify=True).notes == (
        "The model's output was compared with a plain run's for the first 5 tokens alone",
    )
    broken = opened(OtherwiseWhileWatched)
    with pytest.raises(ExactnessError):
        stream(broken.prepare(Input(TEXT)))


def test_what_cannot_be_compared_is_noted_once() -> None:
    model = opened(AnotherEachTime)
    source = model.prepare(Input(TEXT))
    assert stream(source).notes == (
        (
            "The output could not be compared with that of the model without attn: "
            "made gives a different output in each run"
        ),
    )
    assert stream(source).notes == ()
    assert stream(source, verify=True).output is None


def test_the_model_is_left_as_it_was(runs: list[str]) -> None:
    for kind in (Honest, OtherwiseWhileWatched, AnotherEachTime):
        model = opened(kind)
        model.model.train()
        before = copy.deepcopy(model.model.config.to_dict())
        try:
            stream(model.prepare(Input(TEXT)))
        except ExactnessError:
            assert kind is OtherwiseWhileWatched
        assert model.model.config.to_dict() == before
        assert model.model.config._attn_implementation == "eager"
        assert not model.model._forward_hooks
        assert all(module.training for module in model.model.modules())


def test_an_output_of_no_numbers_is_none_to_compare() -> None:
    model = opened(Honest)
    body: Any = model.model
    with torch.no_grad():
        body.encoder.layer[-1].output.dense.weight.fill_(torch.nan)
    with pytest.raises(ExactnessError, match="not numbers"):
        stream(model.prepare(Input(TEXT)), verify=True)


SAVED: Mapping[str, tuple[str, Any]] = {
    "Bert": ("ForSequenceClassification", wordpiece),
    "GPT2": ("LMHeadModel", folders.byte_level),
    "Llama": ("ForCausalLM", folders.llama),
    "T5": ("ForConditionalGeneration", folders.t5),
    "Bart": ("ForConditionalGeneration", folders.roberta),
}
SMALL: dict[str, Any] = {
    "vocab_size": 401,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "intermediate_size": 37,
    "d_model": 24,
    "d_kv": 8,
    "d_ff": 37,
    "num_layers": 2,
    "num_heads": 3,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 3,
    "decoder_start_token_id": 0,
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("family", SAVED)
def test_models_with_their_heads(family: str, dtype: str, tmp_path: Path) -> None:
    part, tokenizer = SAVED[family]
    names = vars(folders.made(family).config) if family == "GPT2" else {}
    settings = {name: value for name, value in SMALL.items() if family != "GPT2" or name in names}
    folder = folders.save(tmp_path / "model", folders.made(family, part, **settings), tokenizer())
    model = folders.opened(folder, dtype=dtype)
    source = model.prepare(Input(TEXT, target=OTHER if model.two_sided else None))
    output = stream(source, verify=True).output
    assert output.compared[0] in ("last hidden state", "encoder's last hidden state")
    assert output.difference < {"float32": 1e-5, "bfloat16": 0.1, "float16": 0.01}[dtype]
    assert len(output.compared) == (2 if model.two_sided else 1)


@pytest.mark.parametrize("family", list(FAMILIES.values())[::3], ids=str)  # test_capture holds the outputs of all
def test_every_family_gives_the_output_that_it_gives_without_attn(family: Any) -> None:
    """Also in half precision, where rounding is a tenth of the output."""
    for dtype in (torch.float32, torch.bfloat16):
        if dtype == torch.bfloat16 and family.name == "funnel":
            continue  # its softmax is rounded too far to be shown
        model = build.__wrapped__(family.name).to(dtype)  # its own: other tests ran the shared one
        inputs = inputs_of(model)
        request = replace(everything(model), verify=True)
        way = plain.Plain(model, lambda inputs=inputs: inputs)  # type: ignore[misc]
        report = plain.check_output(model, inputs, way, request, None, family.name)
        assert report.output is not None, report.notes
        if dtype == torch.float32:
            assert report.output.difference < 1e-5
            assert report.notes == ()


def test_the_guard_knows_no_model_that_was_not_run() -> None:
    model = opened(Honest)
    assert model.model not in prepared._checked


def test_a_family_that_is_not_the_same_under_both_attentions_is_shown_as_under_eager() -> None:
    """Gemma's option to read both ways reaches its modules, which SDPA asks, and not its masks, which eager uses."""
    model = spread(make("gemma", LLAMA | {"use_bidirectional_attention": True}))
    source = Pretrained("made", model, wordpiece()).prepare(Input(TEXT))
    report = stream(source, verify=True)
    assert (report.output.attention, report.output.difference < 1e-4) == ("eager", True)
    (note,) = [note for note in report.notes if "eager attention, which is shown" in note]
    assert "makes its masks" in note


def test_what_a_family_that_no_test_covers_makes_of_its_masks_is_told_unasked() -> None:
    """AIMv2's text part makes causal masks, and tells SDPA, for which these are left out, that it is not causal."""
    settings = folders.BERT | {"vocab_size": 113, "eos_token_id": 2}
    model = spread(folders.made("Aimv2Text", **settings))
    model.set_attn_implementation("eager")
    source = Pretrained("made", model, wordpiece()).prepare(Input(TEXT))
    for verify in (False, True):
        report = stream(source, verify=verify)
        (note,) = report.notes
        assert "By the way in which this family makes its masks, the last hidden state differs by" in note
    with torch.no_grad():
        expected = model(**source.inputs, output_attentions=True).attentions
    for (_, layer), (block,) in folders.everything(source).items():
        np.testing.assert_allclose(block.weights, expected[layer][0], atol=1e-6)
        assert not np.triu(block.weights, 1).any()


def test_a_model_of_several_parts_is_held_by_what_its_text_part_gives() -> None:
    """FLAVA's own output has an output of each part in it."""
    text = folders.BERT
    parts = {"text_config": text, "multimodal_config": text, "image_config": text | {"image_size": 8, "patch_size": 4}}
    made = folders.made("Flava", **parts, image_codebook_config={"hidden_size": 4, "num_groups": 4}, hidden_size=24)
    report = stream(Pretrained("made", spread(made), wordpiece()).prepare(Input(TEXT)), verify=True)
    assert report.output.compared == ("last hidden state",)
    assert report.output.difference < 1e-4
    assert not any("could not be compared" in note for note in report.notes)
