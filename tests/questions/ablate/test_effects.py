"""Effects over a corpus, held against those of its texts one by one."""

from __future__ import annotations

import csv
import io
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

import attn_cli
from attn_cli.api import Inspector
from attn_cli.cli.progress import Corpus
from attn_cli.data.selection import Selection
from attn_cli.draw.page import to_text
from attn_cli.draw.screen import Screen
from attn_cli.errors import InputError, ModelError, SelectionError, UsageError
from attn_cli.models import Input, Model
from attn_cli.questions.ablate.choices import HEADS, ITS_OWN, CutChoice, OutputChoice
from attn_cli.questions.ablate.corpus import Correlate, Correlations
from attn_cli.questions.ablate.draw import draw
from attn_cli.questions.ablate.effects import CollectEffects, HeadEffects
from attn_cli.questions.ablate.measure import ablate
from tests.conftest import Run
from tests.questions.ablate.models import decoder, masked, minilm, toy
from tests.records import validated

TEXTS = [
    "The trophy didn't fit because it was big",
    "The cat slept because it was tired",
    "The dog saw the house because it was small",
]


def over(
    model: Model, texts: Iterable[str], kind: Any = None, output: OutputChoice = ITS_OWN, cut: CutChoice = HEADS
) -> HeadEffects:
    collect = CollectEffects(model, Selection(kind=kind, unit="token"), output, cut)
    for text in texts:
        collect.add(Input(text))
    return collect.found("texts")


@pytest.mark.parametrize(("load", "kind"), [(toy, "encoder"), (minilm, None), (decoder, None)])
def test_effects_are_the_means_of_those_of_the_texts(load: Any, kind: Any) -> None:
    model = load()
    found = over(model, TEXTS, kind)
    alone = [ablate(model, Input(text), Selection(kind=kind, unit="token")) for text in TEXTS]
    states = alone[0].output.states
    effects = np.array(
        [[trial.effect / (1 if states else len(one.output.words)) for trial in one.trials] for one in alone]
    )
    np.testing.assert_allclose([one.mean for one in found.heads], effects.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose([one.spread for one in found.heads], effects.std(axis=0), atol=1e-6)
    np.testing.assert_allclose([one.size for one in found.heads], np.abs(effects).mean(axis=0), atol=1e-6)
    changed = [
        sum(one.changed_place(one.trials[index].after) is not None for one in alone) for index in range(len(effects[0]))
    ]
    assert [one.changed for one in found.heads] == changed
    focus = np.mean([[trial.summary.focus for trial in one.trials if trial.summary] for one in alone], axis=0)
    np.testing.assert_allclose([one.focus for one in found.heads], focus, atol=1e-6)
    size = np.abs(effects.mean(axis=0))
    assert found.correlation == pytest.approx(spearmanr(focus, size).statistic, abs=0.05)
    halves = spearmanr(np.abs(effects[::2].sum(axis=0)), np.abs(effects[1::2].sum(axis=0))).statistic
    assert found.halves == pytest.approx(halves, abs=0.05)
    before = np.nan if states else np.mean([one.before.whole / len(one.output.words) for one in alone])
    assert found.before == pytest.approx(before, abs=1e-5, nan_ok=True)
    assert found.ranked[0].mean == pytest.approx(effects.mean(axis=0)[size.argmax()], abs=1e-6)
    assert (found.texts, found.title) == (3, "texts")


def test_texts_that_have_nothing_to_measure_are_counted() -> None:
    found = over(decoder(), ["a", "all you need", "b"])
    assert found.texts == 1
    assert found.notes == ("2 texts were left out; the first: The text is one token, so no token follows another",)
    assert found.halves is None
    with pytest.raises(InputError, match="one token"):
        over(decoder(), ["a"])
    with pytest.raises(InputError, match="There are no texts"):
        over(decoder(), [])
    with pytest.raises(SelectionError, match="no encoder attention"):
        over(decoder(), ["all you need"], "encoder")
    with pytest.raises(ModelError, match="saved without the layer"):
        over(minilm(), TEXTS, output=OutputChoice(mask="it"))
    masks = over(masked(), ["the trophy was big", "it was", "the suitcase was big"], output=OutputChoice(mask="big"))
    assert masks.texts == 2
    assert "'big' is not in the text" in masks.notes[-1]


def test_texts_in_which_links_cannot_be_measured_are_counted() -> None:
    links = Correlate(decoder(), Selection(query="you"), ITS_OWN)
    for line, text in enumerate(["a", "all you need", "all need", "b"], 1):
        links.add(Input(text), f"few.txt, line {line}")
    found = links.found("few.txt")
    assert (found.texts, found.left_out) == (1, 3)
    assert found.notes == (
        "2 texts were left out; the first: few.txt, line 1: The text is one token, so no token follows another",
        "Left out: 1 text in which 'you' does not stand exactly once",
    )
    single = Correlate(decoder(), Selection(query="a"), ITS_OWN)
    single.add(Input("a"))
    with pytest.raises(InputError, match="one token"):
        single.found("texts")


def test_texts_whose_word_reaches_nothing_measured_are_counted() -> None:
    links = Correlate(decoder(), Selection(query="y", unit="token"), ITS_OWN)
    for line, text in enumerate(["an y b", "an y"], 1):
        links.add(Input(text), f"few.txt, line {line}")
    found = links.found("few.txt")
    assert (found.texts, found.left_out) == (1, 1)
    (note,) = found.notes
    assert note.startswith("1 text was left out: few.txt, line 2: Nothing that is measured comes after the row of 'y'")
    last = Correlate(decoder(), Selection(query="y", unit="token"), ITS_OWN)
    last.add(Input("an y"))
    with pytest.raises(SelectionError, match="Nothing that is measured"):
        last.found("texts")


def document_of(attn: Run, *arguments: str) -> dict[str, Any]:
    return validated(attn("ablate", *arguments, "--json").encode(), "ablate")


def test_from_the_command_line_and_from_python(attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"{text}\n" for text in TEXTS[:2]))
    arguments = ["--file", str(file), "--kind", "encoder"]
    document = document_of(attn, *arguments)
    assert (document["view"], document["texts"], len(document["effects"])) == ("effects", 2, 24)
    model = attn_cli.load("toy")
    found = model.ablate(TEXTS[:2], kind="encoder")
    assert isinstance(found, HeadEffects)
    assert document["effects"] == found.to_dict()["effects"]
    attn("ablate", *arguments, "--save", str(tmp_path / "out.csv"))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(), newline="")))
    assert [float(row["mean"]) for row in rows] == pytest.approx([one.mean for one in found.heads], abs=1e-5)
    links = model.ablate(iter(TEXTS[:2]), query="it", layer=2)
    assert isinstance(links, Correlations)
    assert links.texts == 2


def test_pairs_of_texts(attn: Run, tmp_path: Path) -> None:
    """Each text has its twin beside it, whose pronoun stands for the other noun."""
    twins = [text.replace("big", "small").replace("tired", "old") for text in TEXTS[:2]]
    file = tmp_path / "pairs.tsv"
    file.write_text("".join(f"{text}\t{twin}\n" for text, twin in zip(TEXTS, twins, strict=False)))
    document = document_of(attn, "--file", str(file), "--with", "resample", "--kind", "encoder")
    found = attn_cli.load("toy").ablate(TEXTS[:2], instead="resample", from_text=twins, kind="encoder")
    assert document["effects"] == found.to_dict()["effects"]
    assert document["donor"] is None
    alone = attn_cli.load("toy").ablate(TEXTS[0], instead="resample", from_text=twins[0], kind="encoder")
    moved = [one["moved"] for one in document["effects"]]
    assert any(value is not None for value in moved)
    assert len(alone.trials) == len(moved)
    file.write_text(f"{TEXTS[0]}\n")
    assert "line 1 of" in attn("ablate", "--file", str(file), "--with", "resample", code=3)


def test_a_target_stays_beside_a_text_that_outputs_are_taken_from(attn: Run, tmp_path: Path) -> None:
    """The model's output is that of the text alone, with its target, whatever text outputs are taken from."""
    text, target, donor = "The cat sat on the mat", "Le chat dort", "The dog sat on the mat"
    named = attn_cli.load("toy").ablate([text], kind="encoder", target=target)
    own = attn_cli.load("toy").ablate([text], kind="encoder")
    assert named.to_dict()["output"]["value"] != pytest.approx(own.to_dict()["output"]["value"], abs=0.1)
    table = tmp_path / "tri.csv"
    table.write_text(f"text,fr,other\n{text},{target},{donor}\n")
    columns = ["--file", str(table), "--field", "text", "--target-field", "fr", "--pair-field", "other"]
    two = tmp_path / "two.tsv"
    two.write_text(f"{text}\t{donor}\n")
    for asked in (columns, ["--file", str(two), "--target", target]):
        document = document_of(attn, *asked, "--with", "resample", "--kind", "encoder")
        assert document["output"] == named.to_dict()["output"]
        assert any(one["moved"] is not None for one in document["effects"])
    plain = document_of(attn, "--file", str(two), "--with", "resample", "--kind", "encoder")
    assert plain["output"] == own.to_dict()["output"]
    both = attn("ablate", *columns, "--with", "resample", "--target", target, code=3)
    assert "line 2 of" in both
    assert "It has a target, and --target is given as well" in both


@pytest.mark.parametrize("query", [[], ["--query", "it"]])
def test_a_column_of_targets_that_is_not_measured_is_refused(query: list[str], attn: Run, tmp_path: Path) -> None:
    table = tmp_path / "bt.csv"
    table.write_text("text,t\nthe trophy was too big as it fit,it\n")
    asked = ["--file", str(table), "--field", "text", "--target-field", "t", "--mask", "trophy"]
    assert "--target cannot be used with it" in attn("ablate", *asked, *query, code=2)
    asks: list[dict[str, Any]] = [{}, {"query": "it"}]
    for given in asks:
        with pytest.raises(UsageError, match="--target cannot be used with it"):
            Inspector(masked()).ablate(["the trophy was too big as it fit"], mask="trophy", target="it", **given)


def drawn(found: HeadEffects | Correlations) -> str:
    """Draw an answer on a screen, and return its text on one line."""
    screen = Screen(width=100)
    return " ".join(to_text(draw(found, screen), screen).split())


@pytest.mark.parametrize(
    ("targets", "origin", "named", "said"),
    [
        ([" y", " y"], "named", "y", "Output: “y” after each text, log-probability"),
        ([" y", " n"], "named", None, "Output: what follows each text, log-probability"),
        ([" y", None], "mixed", None, "Output: what follows each text, or else each next token, log-probability"),
        ([None, None], "own", None, "Output: each next token, log-probability"),
    ],
)
def test_what_is_measured_over_a_corpus_is_named(
    targets: list[str | None], origin: str, named: str | None, said: str
) -> None:
    collect = CollectEffects(decoder(), Selection(), OutputChoice(), HEADS)
    givens = [Input(text, target=target) for text, target in zip(("all you", "need a"), targets, strict=True)]
    for given in givens:
        collect.add(given)
    found = collect.found("texts")
    assert said in drawn(found)
    output = found.to_dict()["output"]
    assert (output["kind"], output["origin"], output["named"]) == ("next", origin, named)
    alone = [ablate(decoder(), given, Selection()) for given in givens]
    before = np.mean([one.before.whole / sum(len(word.places) for word in one.output.words) for one in alone])
    assert output["value"] == pytest.approx(before, abs=1e-5)


def test_differences_of_logits_stay_what_they_are_where_texts_compare_other_tokens() -> None:
    collect = CollectEffects(decoder(), Selection(), OutputChoice(against="i"), HEADS)
    givens = [Input("all", target="y"), Input("all", target="n")]
    for given in givens:
        collect.add(given)
    found = collect.found("texts")
    assert (found.compared, found.against) == (True, None)
    alone = [ablate(decoder(), given, Selection(), OutputChoice(against="i")) for given in givens]
    assert found.before == pytest.approx(np.mean([one.before.whole for one in alone]), abs=1e-5)
    assert "Output: logit of one token less that of another, not the same two in all texts" in drawn(found)
    assert "effect: difference of the logits" in drawn(found)
    assert "log-probability" not in drawn(found)
    output = found.to_dict()["output"]
    assert (output["compared"], output["against"]) == (True, None)


def test_outputs_of_two_units_have_no_mean() -> None:
    found = over(masked(), ["the trophy was [MASK]", "the trophy was big", "it was [MASK]"])
    assert (found.output, found.texts) == ("mask", 2)
    (note,) = found.notes
    assert note.endswith("Its last states would be measured, and the first text's word at the mask")
    assert "the word in place of [MASK], the likeliest" in drawn(found)


def test_the_only_text_that_outputs_are_taken_from_is_named(attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "same.txt"
    file.write_text("The cat slept, it was old\nThe dog slept, it was small\n")
    other = "The horse slept, it was new"
    asked = ["--file", str(file), "--with", "resample", "--from-text", other, "--kind", "encoder"]
    assert document_of(attn, *asked)["donor"] == {"name": other, "several": False, "texts": 1, "tokens": 8}
    assert f"its output in “{other}”" in " ".join(attn("ablate", *asked).split())


def test_links_over_a_corpus_are_verified(attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"{text}\n" for text in TEXTS[:2]))
    asked = ["--query", "it", "--kind", "encoder", "--layer", "2", "--verify"]
    alone = [document_of(attn, text, *asked)["verified"] for text in TEXTS[:2]]
    assert all(value is not None for value in alone)
    assert document_of(attn, "--file", str(file), *asked)["verified"] == max(alone)
    links = attn_cli.load("toy").ablate(TEXTS[:2], query="it", kind="encoder", layer=2, verify=True)
    assert links.record.verified == pytest.approx(max(alone), rel=1e-6)
    effects = attn_cli.load("toy").ablate(TEXTS[:2], kind="encoder", verify=True)
    for found in (links, effects):
        assert "Verified: softmax(scores)·values is what the layers computed" in drawn(found)


def test_the_kind_of_a_query_is_that_of_the_first_text_of_all() -> None:
    """The query is a word of the first and the last text, and of the second's translation alone."""
    selection = Selection(query="a", head="2.0")
    givens = [
        Input("The dog saw a cat", target="Le chien a vu un chat"),
        Input("The cat slept", target="Le chat a dormi"),
        Input("The cat saw a dog", target="Le chat a vu un chien"),
    ]
    alone, merged = (Correlate(toy(), selection, ITS_OWN) for _ in range(2))
    for given in givens:
        alone.add(given)
    for chunk in (givens[:1], givens[1:]):
        worker = Correlate(toy(), selection, ITS_OWN)
        for given in chunk:
            one = worker.measure(given)
            worker.take(one)
            merged.take(one)
    for found in (alone.found("texts"), merged.found("texts")):
        assert (found.kind, found.texts, found.left_out) == ("encoder", 2, 1)
        assert found.notes == ("Left out: 1 text in which 'a' is not in encoder attention, as it is in the first",)


def test_a_first_text_without_the_query_may_have_numbers() -> None:
    links = Correlate(toy(), Selection(query="it"), ITS_OWN)
    for text in ("Is it 0 or 0, or is it 1", *TEXTS[:1]):
        links.add(Input(text))
    assert links.found("texts").texts == 1
    absent = Correlate(toy(), Selection(query="it", layer="7"), ITS_OWN)
    with pytest.raises(SelectionError, match="7"):
        absent.add(Input("The cat slept"))


def test_ctrl_c_ends_a_corpus_after_the_text_at_hand() -> None:
    with Corpus(["a", "b", "c"], "Cutting", 3) as corpus:
        seen = []
        for text in corpus:
            seen.append(text)
            if text == "b":
                os.kill(os.getpid(), signal.SIGINT)
    assert seen == ["a", "b"]
    assert corpus.stopped
    assert corpus.notes == ("Stopped with Ctrl-C after 2 texts: the figures are of these",)
