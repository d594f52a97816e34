"""Tokenizers that raise: each of their faults must reach the user as one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from attn_cli.errors import ModelError
from attn_cli.models import Input, Languages
from attn_cli.models.hf.model import Pretrained
from tests.models import folders


class Strange(Exception):  # noqa: N818 - what a library may raise
    """No kind that attn knows."""


def _fail(*_: Any, **__: Any) -> Any:
    raise Strange("out of order\nand more")


@pytest.fixture(scope="module")
def model() -> Pretrained:
    return Pretrained("tiny", folders.made("Bert", **folders.BERT), folders.wordpiece())


@pytest.fixture(scope="module")
def two_sided() -> Pretrained:
    sizes = {"vocab_size": 401, "d_model": 20, "d_kv": 5, "d_ff": 7, "num_layers": 1, "num_heads": 2}
    whole = folders.made("T5", "ForConditionalGeneration", **sizes, decoder_start_token_id=0)
    return Pretrained("tiny", whole, folders.t5())


@pytest.mark.parametrize(
    ("method", "use"),
    [
        ("__call__", lambda model: model.prepare(Input("it was big"))),
        ("convert_ids_to_tokens", lambda model: model.plain_tokens()),
        ("convert_ids_to_tokens", lambda model: model.prepare_tokens([9, 10])),
        ("__len__", lambda model: model.plain_tokens()),
    ],
)
def test_a_fault_of_the_tokenizer_is_told(
    model: Pretrained, monkeypatch: pytest.MonkeyPatch, method: str, use: Callable[[Pretrained], Any]
) -> None:
    monkeypatch.setattr(type(model.tokenizer), method, _fail)
    with pytest.raises(ModelError, match=r"^The model's tokenizer could not .*: out of order\. ") as raised:
        use(model)
    assert raised.value.remedy
    assert isinstance(raised.value.__cause__, Strange)


@pytest.mark.parametrize(
    ("method", "use"),
    [
        ("convert_ids_to_tokens", lambda model: model.prepare(Input("a", target="b"))),
        ("decode", lambda model: model.translate(["a"])),
        ("get_vocab", lambda model: model.translate(["a"], languages=Languages("en", "fr"))),
    ],
)
def test_a_fault_of_the_tokenizer_is_told_on_the_decoders_side(
    two_sided: Pretrained, monkeypatch: pytest.MonkeyPatch, method: str, use: Callable[[Pretrained], Any]
) -> None:
    monkeypatch.setattr(type(two_sided.tokenizer), method, _fail)
    with pytest.raises(ModelError, match=r"^The model's tokenizer could not .*: out of order\. "):
        use(two_sided)


def test_a_model_that_cannot_make_its_decoders_input(two_sided: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(two_sided._whole), "prepare_decoder_input_ids_from_labels", _fail, raising=False)
    with pytest.raises(ModelError, match="could not make its decoder's input: out of order"):
        two_sided.prepare(Input("a", target="b"))
