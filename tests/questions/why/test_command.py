"""`attn why` through the command line, on the built-in models."""

from __future__ import annotations

from pathlib import Path

import pytest

from attn_cli.cli.app import main
from attn_cli.questions.why.experiments import load_built_in
from attn_cli.questions.why.reading import LENGTHS, operations
from tests.records import validated


@pytest.mark.unchecked
def test_attention_finds_the_word_that_was_translated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "interpretability", "--json"]) == 0
    document = validated(capsys.readouterr().out.encode(), "why")
    assert document["borne_out"]
    rates = {
        series["model"]: series["points"][0]["value"]
        for series in document["measures"][0]["series"]
        if series["points"]
    }
    assert set(rates) == {"toy", "toy-rnn-attention", "the diagonal"}
    assert rates["toy"] < rates["toy-rnn-attention"] < rates["the diagonal"]


@pytest.mark.unchecked
def test_one_experiment_is_drawn_and_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "why.json"
    assert main(["why", "parallelization", "--save", str(saved), "--width", "80"]) == 0
    assert capsys.readouterr().out == ""
    document = validated(saved.read_bytes(), "why")
    counts, times, rates = (
        {series["model"]: [point["value"] for point in series["points"]] for series in measure["series"]}
        for measure in document["measures"]
    )
    assert counts == {
        "toy": [3.0] * 6,
        "toy-rnn-attention": [8.0, 16.0, 32.0, 64.0, 128.0, 256.0],
        "toy-rnn": [8.0, 16.0, 32.0, 64.0, 128.0, 256.0],
    }
    models = {name: model for name, model in load_built_in().items() if name in counts}
    for name, model in models.items():
        for length, milliseconds, billions in zip(LENGTHS, times[name], rates[name], strict=True):
            assert billions * 1e9 * milliseconds / 1e3 == pytest.approx(operations(model, length), rel=1e-5)
    steps, in_time = document["verdicts"]
    assert steps["borne_out"]
    assert (
        in_time["borne_out"]
        == document["borne_out"]
        == all(times["toy"][-1] < times[other][-1] for other in models if other != "toy")
    )
    assert f"for {operations(models['toy'], 256) / 1e9:.2f} billion operations" in in_time["found"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing"], 2, "is not one of long-sequences, context-linking, interpretability, parallelization"),
        (["--save", "why.npz"], 6, "npz"),
        (["--save", "why.json"], 6, "Use why.jsonl"),
        (["--save", "missing/why.csv"], 6, "There is no folder"),
    ],
)
def test_faults_are_found_before_anything_is_measured(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", *arguments]) == code
    out, err = capsys.readouterr()
    assert not out
    assert said in err
    assert err.count("\n") == 1
