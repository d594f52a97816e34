"""Answers in Python show, save and describe themselves as their commands do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attn_cli
from attn_cli.answer import Answer
from attn_cli.api import Inspector
from attn_cli.cli.app import main
from attn_cli.questions.why import aligning
from tests.questions.samples import ASKED
from tests.readme import ROOT

EVERY = pytest.mark.parametrize("name", ASKED)


@pytest.fixture(scope="module", autouse=True)
def few_sentences() -> Iterator[None]:
    """Let the experiment take a moment, here and in the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aligning, "SENTENCES", 2)
        yield


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    model = attn_cli.load("toy")
    return {name: make(model) for name, (make, _) in ASKED.items()}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


@EVERY
def test_what_is_shown_is_what_the_command_prints(
    name: str, answers: dict[str, Answer], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    answers[name].show(width=80, color=False)
    shown = capsys.readouterr().out
    assert shown.endswith(printed(capsys, *ASKED[name][1], "--width", "80", "--no-color"))


@EVERY
def test_the_document_is_the_one_that_the_command_prints(
    name: str, answers: dict[str, Answer], capsys: pytest.CaptureFixture[str]
) -> None:
    assert answers[name].to_dict() == json.loads(printed(capsys, *ASKED[name][1], "--json"))


def test_a_query_is_described_as_the_command_describes_it(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = "The cat sat on the mat", "The dog sat on the mat"
    answer = attn_cli.load("toy").diff(one, other, query="sat")
    assert answer.to_dict() == json.loads(printed(capsys, "diff", one, other, "--query", "sat", "--json"))


@EVERY
@pytest.mark.parametrize("suffix", ["json", "csv", "svg", "txt"])
def test_what_is_saved_is_what_the_command_saves(
    name: str, suffix: str, answers: dict[str, Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    ours, theirs = tmp_path / f"ours.{suffix}", tmp_path / f"theirs.{suffix}"
    answers[name].save(ours)
    assert main([*ASKED[name][1], "--save", str(theirs), "--width", "100"]) == 0
    if suffix in {"json", "csv"}:
        assert ours.read_bytes() == theirs.read_bytes()
    else:
        assert ours.stat().st_size > 100
    with pytest.raises(attn_cli.OutputError, match="exists"):
        answers[name].save(ours)
    answers[name].save(ours, force=True)


@EVERY
def test_a_notebook_draws_it_and_its_name_is_one_line(name: str, answers: dict[str, Answer]) -> None:
    answer: Any = answers[name]
    assert answer._repr_html_().startswith("<iframe" if answer.plays else "<pre")
    assert len(repr(answer)) < 200
    assert "\n" not in repr(answer)


@EVERY
def test_rows_for_pandas(name: str, answers: dict[str, Answer], tmp_path: Path) -> None:
    table = answers[name].to_pandas()
    answers[name].save(tmp_path / "it.csv")
    header, *rows = (tmp_path / "it.csv").read_text(encoding="utf-8").splitlines()
    assert header.split(",") == list(table.columns)
    assert len(table) == len(rows)


def test_the_weights_for_pandas_are_the_models_own() -> None:
    model = attn_cli.load("toy")
    record = model.inspect("nan sat on null", layer=1, head=2, unit="token")
    weights = record.maps[0].weights[0]
    table = record.to_pandas()
    assert len(table) == weights.size
    assert np.array_equal(table["weight"].to_numpy(np.float32).reshape(weights.shape), weights)
    words = model.inspect("nan sat on null", layer=1, head=2).to_pandas()
    assert list(words["key_text"][:4]) == ["nan", "sat", "on", "null"]


def test_the_texts_for_pandas_are_the_texts_themselves() -> None:
    words = attn_cli.load("toy").inspect("The \x1bcat sat", layer=1, head=2).to_pandas()
    assert "\x1b" in set(words["key_text"])  # a file that a terminal shows has it escaped


def test_the_reference_lists_what_is_public() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    internal = {"add_rows", "data", "document", "draw", "page", "plays"}  # for those who add a question
    public = {name for kind in (Inspector, Answer) for name in vars(kind) if not name.startswith("_")} - internal
    listed = set(re.findall(r"`(\w+)(?:\(.*?\))?`", page))
    assert {*attn_cli.__all__, *public} <= listed
