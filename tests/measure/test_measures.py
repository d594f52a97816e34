"""`--measure` through the command line, on the built-in model and MiniLM."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from attn_cli.data.shapes import Float
from attn_cli.questions.schema.measure import schema
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.models.folders import byte_level, made, save
from tests.models.toy.folders import toy_folder
from tests.models.toy.networks import RNN_ATTENTION
from tests.records import validated

TEXT = "The cat sat on the mat"
DERIVED = ("norms", "relevance", "rollout", "flow")


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
        shown = attn("inspect", TEXT, "--measure", measure)
        attn("inspect", TEXT, "--measure", measure, "--save", file)
        assert attn("view", file) == shown
        again = attn("view", file, "--measure", "weights", code=4)
        assert f"This record holds {measure} instead of weights" in again
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
    assert f"--probe looks at weights, not at {measure}" in attn("heads", "--probe", "--measure", measure, code=2)


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
        (["--measure", "weight"], 2, "'weight' is not one of weights, scores, norms, relevance, rollout, flow"),
        (["--measure", "norms", "--scores"], 2, "--measure already says what to show"),
        (["--measure", "scores", "--words"], 2, "has no single score"),
        (["--measure", "rollout", "--head", "1.2"], 2, "--measure rollout averages the heads of each layer"),
        (["--measure", "flow", "--layer", "9"], 4, "There is no layer 9"),
        (
            ["--relevant-to", "tapis"],
            2,
            "--relevant-to names an output for --measure relevance. Add --measure relevance",
        ),
        (["--measure", "relevance", "--relevant-to", " "], 2, "--relevant-to is empty"),
        (["--measure", "relevance", "--relevant-to", "chien"], 4, "chien"),
        (
            ["--measure", "relevance", "--model", "MODEL"],
            5,
            "chooses no words, so there is no output to measure relevance for",
        ),
        (["--measure", "relevance", "--model", "toy-rnn-attention"], 5, "is recurrent, and relevance goes from layer"),
    ],
)
def test_what_cannot_be(arguments: list[str], code: int, said: str, attn: Run) -> None:
    assert said in attn("inspect", TEXT, *arguments, code=code)


def test_flow_that_would_take_hours_is_refused(attn: Run) -> None:
    text = "cat " * 400
    said = attn("inspect", text, "--measure", "flow", code=3)
    assert "Flow through 401 tokens would take about" in said
    assert "choose --measure rollout" in said
    assert "rollout" in attn("inspect", text, "--measure", "rollout", "--layer", "0", "--query", "7").lower()


def test_scores_have_two_names(attn: Run) -> None:
    assert attn("inspect", TEXT, "--measure", "scores") == attn("inspect", TEXT, "--scores")
    assert attn("inspect", TEXT, "--measure", "weights") == attn("inspect", TEXT, "--weights") == attn("inspect", TEXT)


def centred_scores(attn: Run, text: str, place: str) -> Float[np.ndarray, "query key"]:
    """A head's scores less the mean of each row, of what `inspect` prints."""
    (map_,) = record(attn("inspect", text, "--scores", "--json", "--head", place, "--model", "MODEL"))["maps"]
    scores = np.array(map_["scores"])
    centred: Float[np.ndarray, "query key"] = scores - scores.mean(axis=1, keepdims=True)
    return centred


def finding(attn: Run, *arguments: str) -> dict[str, Any]:
    printed = attn(*arguments, "--measure", "scores", "--json", "--model", "MODEL")
    found = validated(printed.encode(), arguments[0])
    assert found["selection"]["unit"] == "token"
    return found


def test_scores_are_found_above_the_mean_of_their_row(attn: Run) -> None:
    scores = centred_scores(attn, TEXT, "3.1")
    found = finding(attn, "find", TEXT, "sat", "cat", "--head", "3.1")
    (link,) = found["links"]
    assert (link["weight"], link["even"]) == (pytest.approx(scores[3, 2], abs=1e-4), 0)
    # Of words one apart: The-cat aside, the pairs on-sat, the-on, mat-the and cat-The.
    assert link["usual"] == pytest.approx(np.mean([scores[i, i - 1] for i in (2, 4, 5, 6)]), abs=1e-4)
    assert found["units"]["weight"].startswith("nats")
    shown = attn("find", TEXT, "sat", "cat", "--measure", "scores", "--model", "MODEL")
    (row,) = (line.split() for line in shown.splitlines() if line.startswith(" 3.1 "))
    assert row[1:3] == [f"{link['weight']:+.2f}", f"{link['usual']:+.2f}"]
    assert "Score in each head" in shown
    assert "the most is" in attn("find", TEXT, "sat", "cat", "--measure", "scores", "--min", "99", "--model", "MODEL")
    assert "--min must be a number" in attn("find", TEXT, "sat", "cat", "--measure", "scores", "--min", "nan", code=2)


@pytest.mark.unchecked
def test_roles_by_scores(attn: Run) -> None:
    scores = centred_scores(attn, TEXT, "0.2")
    (head,) = finding(attn, "heads", TEXT, "--head", "0.2")["heads"]
    by = {score["role"]: score for score in head["scores"]}
    assert by["previous"]["score"] == pytest.approx(np.mean(np.diagonal(scores, -1)), abs=1e-4)
    assert (by["previous"]["baseline"], by["previous"]["margin"], by["previous"]["given"]) == (0, 1, True)
    assert by["separator"]["score"] == pytest.approx(scores[:, 7].mean(), abs=1e-4)
    assert by["previous"]["share"] is by["previous"]["rest"] is None
    assert by["offset"]["score"] <= 1
    shown = " ".join(attn("heads", TEXT, "--measure", "scores").split())
    assert "an offset is a share of rows, and the role is given from 0.9 up." in shown
    separator = " ".join(attn("heads", TEXT, "--measure", "scores", "--by", "separator").split())
    assert (
        "score: mean of c[i, j] over i and such j. baseline: 0, as in an even row. The role is given from 1"
        in separator
    )
    offset = " ".join(attn("heads", TEXT, "--measure", "scores", "--by", "offset").split())
    assert "The role is given from 0.9 up" in offset
    assert "in nats" not in offset
    roles = {role["name"]: role for role in finding(attn, "heads", TEXT, "--head", "0.2")["roles"]}
    assert (roles["previous"]["threshold"], roles["offset"]["threshold"]) == (1, 0.9)
    assert roles["previous"]["formula"] == "mean over i of c[i, i-1]"
    picture = attn("heads", TEXT, "--measure", "scores", "--by", "next", "--model", "MODEL").splitlines()
    assert any(re.match(r"layer 0( +-?\d+\.\d){12}$", line) for line in picture)


@pytest.mark.unchecked
def test_changes_of_scores(attn: Run) -> None:
    other = "The dog sat on the mat"
    change = centred_scores(attn, other, "0.2") - centred_scores(attn, TEXT, "0.2")
    found = finding(attn, "diff", TEXT, other, "--head", "0.2")
    (head,) = found["heads"]
    rows = np.sqrt(np.square(change).mean(axis=1))
    assert np.allclose(head["rows"], rows, atol=1e-4)
    assert head["divergence"] == found["most"] == pytest.approx(rows.mean(), abs=1e-4)
    row, key = np.unravel_index(np.abs(change).argmax(), change.shape)
    assert (head["largest"]["query"], head["largest"]["key"]) == (row, key)
    shown = attn("diff", TEXT, other, "--head", "0.2", "--measure", "scores", "--query", "dog", "--model", "MODEL")
    assert f"{rows[2]:.3f} nats" in shown
    a, b = (centred_scores(attn, text, "0.2") for text in (TEXT, other))
    ranked = attn("diff", TEXT, other, "--layer", "0", "--measure", "scores", "--query", "on", "--model", "MODEL")
    (line,) = (line for line in ranked.splitlines() if line.startswith(" 0.2 "))
    assert [float(found) for found in re.findall(r"sat ([+-]\d+\.\d\d)", line)] == [
        pytest.approx(side[4, 3], abs=0.006) for side in (a, b)
    ]
    asked = ("diff", TEXT, other, "--measure", "scores", "--model", "MODEL")
    assert "nats, which is above 0.01" in attn(*asked, "--fail-above", "0.01", code=1)
    attn(*asked, "--fail-above", "99")
    longer = finding(attn, "diff", TEXT, TEXT + " again", "--head", "0.2", "--query", "on")["heads"][0]
    missing = [place for place, score in enumerate(longer["a"][0]) if score is None]
    assert len(missing) == 1
    assert longer["b"][0][missing[0]] is not None
    assert longer["largest"]["key"] != missing[0]
    assert "--fail-above must be between 0 and 1" in attn("diff", TEXT, other, "--fail-above", "1.5", code=2)


def test_a_table_of_changes_of_scores_names_the_key_that_changed_most_where_both_see_it(
    attn: Run, tmp_path: Path
) -> None:
    file = tmp_path / "out.csv"
    texts = (TEXT, TEXT + " again")
    attn("diff", *texts, "--head", "0.2", "--measure", "scores", "--model", "MODEL", "--save", str(file))
    rows = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
    a, b = (centred_scores(attn, text, "0.2") for text in texts)
    assert len(rows) == len(a) == len(b) - 1
    for row, (one, other) in zip(rows, zip(a, np.delete(b, 7, axis=0), strict=True), strict=True):
        other = np.delete(other, 7)  # "again" is only in B, and its score no part of the mean
        other = other - other.mean()
        key = int(np.abs(other - one).argmax())
        assert row["key_text"] == ["[CLS]", *TEXT.split(), "[SEP]"][key]
        assert row["measure"] == "scores"
        assert float(row["a"]) == pytest.approx(one[key], abs=1e-4)
        assert float(row["b"]) == pytest.approx(other[key], abs=1e-4)


def test_scores_that_did_not_change_are_no_change(attn: Run, tmp_path: Path) -> None:
    gpt2 = made("GPT2", vocab_size=337, n_embd=30, n_layer=2, n_head=3, n_positions=64)
    causal = str(save(tmp_path, gpt2, byte_level()))
    asked = ("--measure", "scores", "--model", causal)
    assert "Nothing changed." in attn("diff", "a cat sat", "a cat sat on the mat", *asked)  # but the last digits
    assert "Nothing changed." not in attn("diff", "a cat sat", "a dog sat", *asked)


def test_a_word_of_several_pieces_has_no_single_score(attn: Run) -> None:
    asked = ("The trophy didn't fit", "--measure", "scores", "--model", "MODEL")
    for arguments in (("inspect", *asked, "--query", "didn't"), ("find", asked[0], "trophy", "didn't", *asked[1:])):
        said = attn(*arguments, code=4)
        assert '"didn\'t" is made of several pieces here, which have no single score' in said
        assert "Name one of them (didn, ', t), or choose another measure" in said
    assert "Its pieces are: [CLS], the" in attn("inspect", *asked, "--query", "nowhere", code=4)


@pytest.mark.unchecked
def test_without_special_tokens_scores_stay_as_they_are(attn: Run) -> None:
    shown = attn("inspect", TEXT, "--scores", "--no-special", "--model", "MODEL")
    assert "scores stay as they are" in " ".join(shown.split())
    assert "renormalized" not in shown
    assert "The table shows the weights that the scores give." in shown
