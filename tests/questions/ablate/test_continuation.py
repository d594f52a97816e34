"""`--continue` measures all that follows a decoder's text, under each cut: held against plain transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attn_cli.api import Inspector
from attn_cli.cli.app import main
from attn_cli.errors import UsageError
from tests.questions.ablate.models import decoder, toy

PROMPT = "the trophy was too big because"


def test_the_continuation_is_measured_under_each_cut() -> None:
    found = Inspector(decoder()).ablate(PROMPT, continuation="he was too big", head="1.2")
    whole: Any = decoder()._saved
    ids = decoder().tokenizer(f"{PROMPT} he was too big", return_tensors="pt")["input_ids"]
    first = len(decoder().tokenizer(PROMPT)["input_ids"])

    def chance() -> float:
        with torch.no_grad():
            logs = whole(ids).logits[0].log_softmax(dim=-1)
        return float(logs[range(first - 1, ids.shape[1] - 1), ids[0, first:]].sum())

    def zero(_: Any, given: Any) -> None:
        given[0][..., 16:24] = 0

    plain = chance()
    handle = whole.transformer.h[1].attn.c_proj.register_forward_pre_hook(zero)
    cut = chance()
    handle.remove()
    assert found.before.whole == pytest.approx(plain, abs=1e-4)
    assert found.trials[0].effect == pytest.approx(cut - plain, abs=1e-4)
    assert not any("tokens here" in note for note in found.notes)
    assert np.isfinite(found.before.words).all()


def test_it_is_one_of_two_ways_to_say_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="both say what is measured"):
        Inspector(decoder()).ablate(PROMPT, continuation="he", target=" he")
    for arguments, fault in (
        (["--target", "b"], "--continue and --target both say"),
        (["--target-tokens", "first"], "--continue measures all"),
        (["--output", "states"], "--continue is about words"),
    ):
        assert main(["ablate", "a", "--continue", "c", *arguments]) == 2
        assert fault in capsys.readouterr().err
    target = Inspector(toy()).ablate("The cat sat", target="Le chat était assis", head="2.0", kind="cross")
    same = Inspector(toy()).ablate("The cat sat", continuation="Le chat était assis", head="2.0", kind="cross")
    assert same.before.whole == target.before.whole
