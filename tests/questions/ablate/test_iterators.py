"""`Inspector.ablate` of texts that come one by one, each with a text that its outputs are taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from typing import Any

import pytest

import attn_cli
from attn_cli.errors import UsageError

TEXTS = ["The cat sat", "A dog ran", "The boy ate"]
DONORS = ["The dog sat", "A cat ran", "The girl ate"]
GIVEN: dict[str, Callable[[list[str]], Any]] = {"list": list, "iterator": iter}


@pytest.mark.parametrize("texts", GIVEN)
@pytest.mark.parametrize("donors", GIVEN)
def test_each_text_needs_one(texts: str, donors: str) -> None:
    model = attn_cli.load("toy")

    def ablate(some: list[str], others: list[str]) -> Any:
        given, taken = GIVEN[texts](some), GIVEN[donors](others)
        return model.ablate(given, instead="resample", from_text=taken, by="heads", head="2.0")

    for some, others in ((TEXTS, DONORS[:2]), (TEXTS[:2], DONORS)):
        with pytest.raises(UsageError, match=r"texts need as many to take outputs from, not .*Give one for each"):
            ablate(some, others)
    assert ablate(TEXTS, DONORS).texts == 3


def test_no_more_is_read_than_is_needed() -> None:
    def counted(texts: Iterable[str]) -> Iterator[str]:
        for text in texts:
            read.append(text)
            yield text

    read: list[str] = []
    given: Any = {"instead": "resample", "by": "heads", "head": "2.0"}
    with pytest.raises(UsageError, match="2 texts need as many to take outputs from, not more"):
        attn_cli.load("toy").ablate(iter(TEXTS[:2]), from_text=counted(cycle(DONORS)), **given)
    assert len(read) == 3
