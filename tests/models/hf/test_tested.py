"""The list of tested families is that of the tests."""

from __future__ import annotations

from typing import Any

from transformers import BertModel

from attn_cli.models.hf.tested import TESTED, is_tested
from tests.models.families import BERT, FAMILIES, build, make


class OwnBert(BertModel):  # type: ignore[no-untyped-call]
    """Code that a model's folder might bring, under a name that is known."""


def test_it_lists_what_is_tested_and_nothing_else() -> None:
    assert set(FAMILIES) == TESTED


def test_code_of_ones_own_is_not_tested() -> None:
    config: Any = build("bert").config
    assert is_tested(build("bert"))
    assert not is_tested(OwnBert(config))
    assert not is_tested(make("lilt", BERT | {"hidden_size": 36, "channel_shrink_ratio": 3}))
