"""`attn generate` through the command line, on a small random decoder and the built-in model."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from attn_cli.cli.app import main
from tests.models import folders
from tests.models.families import spread

PROMPT = "the trophy was too big because"
GPT: dict[str, Any] = {"vocab_size": 337, "n_embd": 24, "n_head": 3, "n_layer": 2, "n_positions": 41}


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a random decoder."""
    folder = tmp_path_factory.mktemp("decoder")
    spread(folders.made("GPT2", "LMHeadModel", **GPT)).save_pretrained(folder)
    folders.byte_level().save_pretrained(folder)
    return str(folder)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    got = main(["generate", *arguments])
    out, err = capsys.readouterr()
    assert got == code, err
    assert "Traceback" not in err
    return out, err


def test_it_prints_what_was_written_and_saves_it(
    decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = (PROMPT, "--model", decoder, "--max-tokens", "6", "--width", "80", "--no-color")
    out, err = run(capsys, *asked)
    assert run(capsys, *asked, "--save", str(tmp_path / "it.npz"))[0] == ""
    assert "might have written" in out or "instead" in out
    assert "rows (words, when written) attend to columns (keys)" in out
    assert "Writing stopped after 6 tokens; --max-tokens 12 lets it go on" in err
    assert main(["view", str(tmp_path / "it.npz"), "--width", "80", "--no-color"]) == 0
    assert capsys.readouterr().out == out
    document = json.loads(run(capsys, *asked, "--json")[0])
    assert len(document["written"]["tokens"]) == 6
    run(capsys, *asked, "--save", str(tmp_path / "it.csv"))
    table = list(csv.DictReader(io.StringIO((tmp_path / "it.csv").read_text())))
    assert {row["rows"] for row in table} == {"output"}


def test_texts_come_as_lines_and_as_columns(decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    file.write_text("the trophy\twas big\nthe case\twas small\n")
    lines = run(capsys, "--file", str(file), "--model", decoder, "--json")[0].splitlines()
    assert [json.loads(line)["source"]["text"] for line in lines] == ["the trophy was big", "the case was small"]
    assert [json.loads(line)["source"]["written"] > 1 for line in lines] == [True, True]


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        (["  "], 3, "blank|empty"),
        (["a", "--temperature", "-1"], 2, "--temperature must be 0 or more"),
        (["a", "--beam", "2", "--temperature", "1"], 2, "--beam keeps"),
        (["a", "--continue", "b", "--stop", "c"], 2, "Nothing is written where --continue"),
        (["a", "--continue", "b", "--max-tokens", "40"], 2, "so --max-tokens cannot be used with it"),
        (["a", "--continue", "b", "--temperature", "1"], 2, "so --temperature cannot be used with it"),
        (["a", "--target", "b", "--beam", "5"], 2, "Nothing is written where --target says what follows, so --beam"),
        (["a", "--seed", "0"], 2, "--seed is the seed of draws, and nothing is drawn. Add --temperature"),
        (["a", "--temperature", "1", "--seed", "9" * 23], 2, "--seed"),
        (["a", "--top-p", "0.9"], 2, "--top-p"),
        (["a", "--continue", "b", "--target", "c"], 2, "both say what follows"),
        (["a", "--continue", " "], 3, "The text of --continue is empty"),
        (["a", "--kind", "encoder"], 2, "--kind encoder writes nothing"),
        (["a", "--max-tokens", "0"], 2, "--max-tokens"),
    ],
)
def test_faults_are_told_before_a_model_is_loaded(
    arguments: list[str], code: int, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, err = run(capsys, *arguments, "--model", "nowhere/at-all", code=code)
    assert re.search(fault, err)
    assert err.count("\n") == 1


def test_what_this_model_cannot_do_is_told(decoder: str, minilm: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, fault in (
        (["the trophy", "--model", minilm], 5, "writes no text: it is an encoder"),
        (["the trophy " * 40, "--model", decoder], 3, "has positions for"),
        (["the trophy", "--model", "toy", "--temperature", "1"], 2, "writes what is likeliest"),
        (["the trophy", "--model", decoder, "--query", "trophy"], 4, "is not in what was written"),
        (["the trophy", "--model", decoder, "--kind", "cross"], 4, "has no cross attention"),
    ):
        assert fault in run(capsys, *arguments, code=code)[1]
