"""The experiments of `attn why`, on models whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import MarianMTModel

from attn_cli.api.inspector import Inspector
from attn_cli.data.text import Token
from attn_cli.grammar import sentences as grammar
from attn_cli.models import Translation
from attn_cli.models.toy import transformer
from attn_cli.models.toy.folder import ToyFolder
from attn_cli.models.toy.model import Toy
from attn_cli.questions.translate.align import Gold
from attn_cli.questions.why import aligning, causality, experiments, linking, reading, translating
from attn_cli.questions.why.command import Name
from attn_cli.questions.why.experiments import EXPERIMENTS, RunExperiment, load_built_in, run_experiment
from attn_cli.questions.why.measure import Experiment, ExperimentName, Point, kept, standard_error
from tests.models.toy.folders import toy_folder
from tests.models.toy.networks import RNN, RNN_ATTENTION, TRANSFORMER

LONG = replace(TRANSFORMER, positions=211)
"""A small Transformer that reads whole sentences of the grammar, in pieces of one or two letters."""
SHAPES = {"toy": LONG, "toy-rnn-attention": RNN_ATTENTION, "toy-rnn": RNN}


class Says(Toy):
    """A model with random weights that translates as it is told to."""

    def __init__(self, folder: ToyFolder, say: Callable[[str], str]) -> None:
        super().__init__(folder)
        self._say = say

    def translate(self, texts: Sequence[str], **_: Any) -> list[Translation]:
        return [Translation(self._say(text), (0,)) for text in texts]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ToyFolder]:
    root = tmp_path_factory.mktemp("models")
    return {
        name: ToyFolder(name, Path(toy_folder(root / name, shape)))  # type: ignore[arg-type]
        for name, shape in SHAPES.items()
    }


@cache
def references() -> dict[str, str]:
    known = dict(translating.texts())
    for pair in grammar.pairs(seed=11, held_out=True):
        known |= {one.english: one.french for one in pair}
        if len(known) > 9000:
            return known
    return known


def perfect(text: str) -> str:
    return references()[text]


def forgetful(text: str) -> str:
    """Translate a text by the first ten words of its reference alone."""
    return " ".join(references()[text].split()[:10])


def test_the_texts_are_of_all_lengths_and_each_has_a_translation() -> None:
    texts = translating.texts()
    lengths = [len(english.split()) for english, _ in texts]
    assert len({english for english, _ in texts}) == len(texts) == 48
    assert (min(lengths), max(lengths)) == (5, 53)
    assert all(0.5 < len(french.split()) / len(english.split()) < 1.6 for english, french in texts)
    groups = translating._by_length(texts)
    assert [len(group) for group in groups] == [8] * 6


@pytest.mark.unchecked
def test_what_is_forgotten_is_seen_in_long_texts_alone(folders: dict[str, ToyFolder]) -> None:
    says = {"toy": perfect, "toy-rnn-attention": perfect, "toy-rnn": forgetful}
    found = translating.run({name: Says(folder, says[name]) for name, folder in folders.items()})
    (measure,) = found.measures
    assert [round(point.value) for point in measure.of("toy").points] == [100] * 6
    forgotten = [point.value for point in measure.of("toy-rnn").points]
    assert round(forgotten[0]) == 100
    assert sorted(forgotten, reverse=True) == forgotten
    assert found.borne_out
    assert "toy +0%" in found.found


def test_a_claim_that_does_not_hold_is_not_borne_out(folders: dict[str, ToyFolder]) -> None:
    same = {name: Says(folder, forgetful) for name, folder in folders.items()}
    assert not translating.run(same).borne_out
    assert not linking.run({name: Says(folder, perfect) for name, folder in folders.items()}).borne_out


def test_half_of_the_pronouns_are_right_by_always_guessing_one(folders: dict[str, ToyFolder]) -> None:
    def guess(text: str) -> str:
        return references()[text].replace("elle", "il").replace("Elle", "Il")

    says = {"toy": perfect, "toy-rnn-attention": guess, "toy-rnn": guess}
    found = linking.run({name: Says(folder, says[name]) for name, folder in folders.items()})
    measure, _ = found.measures
    assert [point.value for point in measure.of("toy").points] == [100] * 4
    assert all(25 < point.value < 75 for point in measure.of("toy-rnn").points)
    distances = [point.at for point in measure.of("toy").points]
    assert all(low <= at <= high for at, (low, high) in zip(distances, linking.DISTANCES, strict=True))
    assert found.borne_out


def test_each_model_with_self_attention_has_a_verdict_of_its_own(folders: dict[str, ToyFolder], tmp_path: Path) -> None:
    def guess(text: str) -> str:
        return references()[text].replace("elle", "il").replace("Elle", "Il")

    taught = Path(toy_folder(tmp_path / "toy", LONG))
    config = json.loads((taught / "config.json").read_text())
    head = config["attn"]["guided"][1] | {"role": "coreference", "layer": 0, "head": 3}
    config["attn"]["guided"].append(head)
    config["attn"]["caveat"] = "It learned for a day."
    (taught / "config.json").write_text(json.dumps(config))
    models = {
        "toy": Says(ToyFolder("toy", taught), perfect),
        "untaught": Says(folders["toy"], guess),
        "toy-rnn-attention": Says(folders["toy-rnn-attention"], guess),
        "toy-rnn": Says(folders["toy-rnn"], guess),
    }
    found = linking.run(models, quick=True)
    assert [(one.claim, one.borne_out) for one in found.verdicts] == [
        ("With a head that was trained to link pronouns (toy)", True),
        ("With no head that was trained to link pronouns (untaught)", False),
    ]
    assert not found.borne_out
    assert [one.found.endswith("It learned for a day.") for one in found.verdicts] == [True, False]
    assert {name: [(one.layer, one.head) for one in heads] for name, heads in found.guidance.items()} == {
        "toy": [(0, 3)],
        "untaught": [],
        "toy-rnn-attention": [],
        "toy-rnn": [],
    }
    looked = found.measures[1]
    assert [one.absent for one in looked.series] == ["", "", "no self-attention", "no self-attention"]
    # Taught and untaught are the same weights, so the same head is looked at.
    assert [one.model.partition(", head ")[0] for one in looked.series[:2]] == ["toy", "untaught"]
    assert looked.series[0].points == looked.series[1].points


def test_the_noun_that_is_meant_is_found_by_hand() -> None:
    toy = load_built_in()["toy"]
    found = linking.run({"toy": toy}, quick=True)
    assert not found.borne_out  # with nothing to compare it with
    assert not linking.run({"toy-rnn": load_built_in()["toy-rnn"]}, quick=True).borne_out
    (series,) = found.measures[1].series
    assert series.model == "toy, head 2.0"
    examples = linking._by_distance()[-1][: linking.QUICK]
    right = 0
    for one in examples:
        record = Inspector(toy).inspect(one.english, kind="encoder", head="2.0")
        weights = record.maps[0].weights[0]

        def places(span: tuple[int, int], tokens: Sequence[Token] = record.source.tokens) -> list[int]:
            return [
                at
                for at, token in enumerate(tokens)
                if not token.special and span[0] < token.end and token.start < span[1]
            ]

        assert one.coreference is not None
        row = weights[places(one.coreference.pronoun)].mean(axis=0)
        right += row[places(one.coreference.meant)].sum() > row[places(one.coreference.other)].sum()
    assert series.points == (Point(0.0, 100 * right / len(examples), len(examples)),)


def test_what_guidance_does_is_asked_of_context_linking_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    models = load_built_in()
    asked: dict[str, list[str]] = {}

    def noted(name: ExperimentName) -> RunExperiment:
        def run(models: Mapping[str, Toy], *, quick: bool = False) -> Experiment:
            asked[name] = list(models)
            return Experiment(name, "", f"{quick}", (), borne_out=True, found="")

        return run

    monkeypatch.setattr(experiments, "EXPERIMENTS", {name: noted(name) for name in EXPERIMENTS})
    for name in EXPERIMENTS:
        assert run_experiment(name, models, quick=True).how == "True"
    usual = ["toy", "toy-rnn-attention", "toy-rnn"]
    assert asked.pop("context-linking") == [usual[0], "toy-no-coreference", *usual[1:]]
    assert all(names == usual for names in asked.values())


def test_alignment_errors_by_hand(folders: dict[str, ToyFolder]) -> None:
    # Of 3 words from 4: (0, 0), (2, 1), (3, 2); two of them are sure links, and one sure link is missing.
    gold = frozenset({(0, 0), (3, 2), (1, 1)})
    assert aligning.diagonal_error([("a b c d", "x y z", Gold(gold, gold))]) == pytest.approx(1 - (2 + 2) / (3 + 3))
    found = aligning.run({"toy-rnn": Toy(folders["toy-rnn"])})
    assert found.measures[0].of("toy-rnn").absent == "no map at all"
    assert not found.borne_out


def test_steps_are_counted_while_the_model_reads(folders: dict[str, ToyFolder]) -> None:
    ids = np.full((1, 17), 3)
    counts = {name: reading.waiting_steps(Toy(folder), ids) for name, folder in folders.items()}
    assert isinstance(SHAPES["toy"], transformer.TransformerShape)
    assert counts == {"toy": SHAPES["toy"].encoder_layers, "toy-rnn-attention": 17, "toy-rnn": 17}


def test_operations_are_those_that_torch_counts_in_the_marian_copy(folders: dict[str, ToyFolder]) -> None:
    copy = MarianMTModel.from_pretrained(folders["toy"].path, attn_implementation="eager")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy.get_encoder()(torch.full((1, 23), 3))
    assert reading.operations(Toy(folders["toy"]), 23) == counter.get_total_flops()


def test_operations_of_a_recurrent_model_by_hand(folders: dict[str, ToyFolder]) -> None:
    for name, shape in (("toy-rnn", RNN), ("toy-rnn-attention", RNN_ATTENTION)):
        each_token = 2 * 3 * shape.hidden * (shape.dim + shape.hidden)  # two directions, three gates
        each_token += shape.dim * 2 * shape.hidden * shape.attention  # its key
        assert reading.operations(Toy(folders[name]), 29) == 2 * 29 * each_token


def test_a_head_that_is_taken_away_leaves_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in model is known to link pronouns to their nouns in its encoder head 2.0."""
    monkeypatch.setattr(causality, "TRIED_ON", 20)
    toy = load_built_in()["toy"]
    (layer, linking_head), (_, other) = causality.linking_heads(toy, causality.twin_examples(seed=13, count=5))
    assert (layer, linking_head) == (2, 0)
    assert other != 0
    found = causality.run({"toy": toy})
    whole, without, another = (series.points[0].value for series in found.measures[0].series)
    assert whole >= 85
    assert 35 <= without <= 73
    assert another >= 85
    assert found.borne_out


def test_a_head_that_changes_nothing_bears_nothing_out() -> None:
    assert causality._bears_out((0.99, 0.53, 0.98), 120)
    assert causality._bears_out((0.99, 0.74, 0.98), 120)
    assert not causality._bears_out((0.99, 0.75, 0.98), 120)
    assert not causality._bears_out((0.99, 0.97, 0.98), 120)
    assert not causality._bears_out((0.99, 0.2, 0.98), 120)
    assert not causality._bears_out((0.99, 0.53, 0.55), 120)


def test_every_experiment_is_a_command(folders: dict[str, ToyFolder]) -> None:
    assert set(get_args(Name)) == set(EXPERIMENTS)


def test_figures_by_hand() -> None:
    assert kept([Point(5.0, 80.0, 3), Point(9.0, 20.0, 3)]) == 0.25
    assert kept([Point(5.0, 0.0, 3), Point(9.0, 20.0, 3)]) == 0.0
    assert standard_error(0.2, 100) == pytest.approx(0.04)
