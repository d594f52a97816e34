"""`--measure` through the command line, on the built-in model and MiniLM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from attn_cli.render.schema import schema
from tests.cli.conftest import Run
from tests.golden_files import assert_golden
from tests.models.toy.folders import toy_folder
from tests.models.toy.networks import RNN_ATTENTION

TEXT = "The cat sat on the mat"
DERIVED = ("norms", "rollout", "flow")


def record(text: str) -> dict[str, Any]:
    (line,) = text.splitlines()
    found: dict[str, Any] = json.loads(line)
    jsonschema.validate(found, json.loads(schema()))
    return found


@pytest.mark.parametrize("measure", DERIVED)
@pytest.mark.parametrize("view", [[], ["--grid"], ["--query", "cat"], ["--layer", "1"], ["--tokens", "--no-special"]])
def test_every_view(view: list[str], measure: str, attn: Run) -> None:
    shown = attn("inspect", TEXT, "--measure", measure, *view)
    assert measure.capitalize() in shown
    if view != ["--query", "cat"]:
        assert measure.removesuffix("s") in shown.splitlines()[-2 if "--grid" not in view else -1] + shown


@pytest.mark.parametrize("measure", DERIVED)
def test_saved_and_shown_again(measure: str, attn: Run, tmp_path: Path) -> None:
    for suffix in ("json", "npz"):
        file = str(tmp_path / f"record.{suffix}")
        shown = attn("inspect", TEXT, "--measure", measure, "--save", file)
        assert attn("view", file) == shown
        again = attn("view", file, "--measure", "weights", code=4)
        assert f"This record holds {measure} in the place of weights" in again
    found = record((tmp_path / "record.json").read_text())
    assert found["selection"]["measure"] == measure
    assert found["units"]["weight"] != "share of 1"
    for map_ in found["maps"]:
        assert np.allclose(np.sum(map_["weights"], axis=1), 1, atol=1e-5)


def test_rollout_of_a_saved_record(attn: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "record.npz")
    attn("inspect", TEXT, "--save", file)
    assert attn("view", file, "--measure", "rollout") == attn("inspect", TEXT, "--measure", "rollout")
    assert "holds no values" in attn("view", file, "--measure", "norms", code=4)


def test_known_answers_on_real_weights(attn: Run) -> None:
    """In the first layer, rollout is half the mean of the heads and half the identity, and flow is the same."""
    weights, rolled, flowed = (
        record(attn("inspect", TEXT, "--layer", "0", "--model", "MODEL", "--json", "--measure", measure))["maps"]
        for measure in ("weights", "rollout", "flow")
    )
    mean = np.mean([map_["weights"] for map_ in weights], axis=0)
    assert len(rolled) == len(flowed) == 1
    assert np.allclose(rolled[0]["weights"], 0.5 * mean + 0.5 * np.eye(len(mean)), atol=1e-6)
    assert np.allclose(flowed[0]["weights"], rolled[0]["weights"], atol=1e-6)


def test_norms_of_real_weights(attn: Run) -> None:
    """`[CLS]` has a short value in head 3.1, so that it falls back behind those with as much weight."""
    sentence = "The trophy didn't fit in the suitcase because it was too big"
    asked = ("inspect", sentence, "--head", "3.1", "--query", "it", "--model", "MODEL", "--json")
    weights, norms = (
        record(attn(*asked, "--measure", measure))["maps"][0]["weights"][0] for measure in ("weights", "norms")
    )
    assert round(weights[0], 2) == 0.10
    assert norms[0] < 0.02
    assert np.argmax(norms) == np.argmax(weights) == 2


@pytest.mark.parametrize("measure", DERIVED)
def test_translations_and_links(measure: str, attn: Run) -> None:
    shown = attn("translate", TEXT, "--measure", measure)
    assert shown.startswith("Le chat était assis sur le tapis\n")
    assert measure.capitalize() in shown
    assert "cat" in attn("find", TEXT, "sat", "cat", "--measure", measure)
    changed = attn("diff", TEXT, "The dog sat on the mat", "--measure", measure, "--kind", "encoder")
    assert measure.capitalize() in changed


@pytest.mark.parametrize("measure", DERIVED)
def test_heads_of_texts_and_corpora(measure: str, attn: Run, tmp_path: Path) -> None:
    assert measure.capitalize() in attn("heads", TEXT, "--measure", measure)
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("The cat sat on the mat.\nThe dog sat.\n")
    found = json.loads(attn("heads", "--file", str(corpus), "--measure", measure, "--json"))
    assert found["selection"]["measure"] == measure
    assert measure.capitalize() in attn("heads", "--file", str(corpus), "--measure", measure)
    assert f"--probe looks at weights, and not at {measure}" in attn("heads", "--probe", "--measure", measure, code=2)


def test_an_encoder_without_attention(attn: Run, tmp_path: Path) -> None:
    """There is nothing to go on through, so rollout is the weights; and rows are those that the model declares."""
    asked = ("The cat", "--target", "Le chat", "--model", toy_folder(tmp_path, RNN_ATTENTION))
    shown = attn("translate", *asked, "--measure", "rollout")
    assert "has no attention to go on through" in " ".join(shown.split())
    rolled, weights = (record(attn("inspect", *asked, "--json", "--measure", one)) for one in ("rollout", "weights"))
    assert np.allclose(rolled["maps"][0]["weights"], weights["maps"][0]["weights"], atol=1e-6)
    assert rolled["units"]["rows"] == weights["units"]["rows"]


def test_golden(attn: Run) -> None:
    text = "".join(attn("inspect", TEXT, "--layer", "2", "--measure", measure) for measure in DERIVED)
    assert_golden("measures", text + attn("translate", TEXT, "--measure", "rollout"))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--measure", "weight"], 2, "'weight' is none of weights, scores, norms, rollout, flow"),
        (["--measure", "norms", "--scores"], 2, "--measure says already what to show"),
        (["--measure", "scores", "--words"], 2, "has no single score"),
        (["--measure", "rollout", "--head", "1.2"], 2, "--measure rollout averages the heads of each layer"),
        (["--measure", "flow", "--layer", "9"], 4, "There is no layer 9"),
    ],
)
def test_what_cannot_be(arguments: list[str], code: int, said: str, attn: Run) -> None:
    assert said in attn("inspect", TEXT, *arguments, code=code)


def test_flow_that_would_take_hours_is_refused(attn: Run) -> None:
    text = "cat " * 400
    said = attn("inspect", text, "--measure", "flow", code=3)
    assert "Flow through 402 tokens would take about" in said
    assert "choose --measure rollout" in said
    assert "rollout" in attn("inspect", text, "--measure", "rollout", "--layer", "0", "--query", "7").lower()


def test_scores_have_two_names(attn: Run) -> None:
    assert attn("inspect", TEXT, "--measure", "scores") == attn("inspect", TEXT, "--scores")
    assert attn("inspect", TEXT, "--measure", "weights") == attn("inspect", TEXT, "--weights") == attn("inspect", TEXT)
    for other in (("find", TEXT, "sat", "cat"), ("diff", TEXT, "The dog sat on the mat"), ("heads", TEXT)):
        assert "Scores are no shares of a row" in attn(*other, "--measure", "scores", code=2)
