"""`attn train` through the command line: a model that works from a few steps, and faults in one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from attn_cli.cli.app import main
from attn_cli.grammar import sentences as grammar
from attn_cli.models import load
from attn_cli.train import run
from attn_cli.train.architectures import GUIDED
from attn_cli.train.command import ENCODER_ROLES
from tests.train.small import small_architectures

Run = Callable[..., str]


@pytest.fixture
def attn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command; what it said on stderr."""
    monkeypatch.setenv("COLUMNS", "80")

    def told(*arguments: str, code: int = 0) -> str:
        got = main(list(arguments))
        out, err = capsys.readouterr()
        assert got == code, err
        assert out == ""
        return err

    return told


@pytest.fixture(autouse=True)
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real architectures, at sizes that a test can train."""
    monkeypatch.setattr(run, "ARCHITECTURES", small_architectures())


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{one.english}\t{one.french}\n" for one in islice(grammar.simple(5), 240)))
    return str(path)


def test_it_trains_judges_draws_and_goes_on(attn: Run, pairs: str, tmp_path: Path) -> None:
    out = str(tmp_path / "it")
    told = ["train", pairs, "--arch", "rnn-attention", "--out", out, "--no-compile", "--no-coreference"]
    said = attn(*told, "--steps", "2", "--judge-every", "1", "--watch", "The cat sat" + " and sat" * 400)
    assert "Learning a vocabulary" in said
    judged = [line for line in said.splitlines() if line.startswith("step ")]
    assert len(judged) == 2
    assert "BLEU" in judged[0]
    assert "The" in said  # a column of the picture
    assert f"saved {out}" in said
    assert load(out).translate(["The cat sat"])
    assert "already holds a training run" in attn(*told, code=6)
    assert f"saved {out}" in attn(*told, "--steps", "3", "--resume")


def test_a_model_without_attention_has_nothing_to_watch(attn: Run, pairs: str, tmp_path: Path) -> None:
    out = tmp_path / "it"
    told = ("train", pairs, "--arch", "rnn", "--out", str(out), "--no-coreference", "--steps", "1", "--dev", pairs)
    said = attn(*told[:1], "none.tsv", *told[2:], "--watch", "The cat sat", code=2)
    assert "--arch rnn has no attention to watch. Leave --watch out, or choose --arch rnn-attention" in said
    assert not out.exists()
    assert "step 1" in attn(*told)


def test_without_a_declared_head_the_one_that_aligns_best_is_drawn(attn: Run, pairs: str, tmp_path: Path) -> None:
    out = str(tmp_path / "it")
    said = attn("train", pairs, "--out", out, "--no-guide", "--steps", "1", "--watch", "The cat sat on the mat")
    assert load(out).info.alignment is None
    assert "comes nearest to pairing" in " ".join(said.split())
    assert "columns (source)" in said


def test_faults_are_told_before_anything_is_trained(attn: Run, pairs: str, tmp_path: Path) -> None:
    out = str(tmp_path / "it")
    assert "cannot be read" in attn("train", str(tmp_path / "none.tsv"), "--out", out, code=3)
    assert "is a file" in attn("train", pairs, "--out", pairs, code=2)
    assert "no checkpoint" in attn("train", pairs, "--out", out, "--resume", code=3)
    assert not Path(out).exists()
    (tmp_path / "few.tsv").write_text("a\tb\n")
    assert "too few" in attn("train", str(tmp_path / "few.tsv"), "--out", out, code=3)
    (tmp_path / "one.tsv").write_text("a\tb\nc\n")
    assert "line 2 has 1" in attn("train", str(tmp_path / "one.tsv"), "--out", out, code=3)
    assert "--out" in attn("train", pairs, code=2)
    assert "File name too long" in attn("train", pairs, "--out", "a" * 300, code=6)
    assert "'' is not a path" in attn("train", pairs, "--out", "", code=2)
    assert "The text of --watch is empty" in attn("train", pairs, "--out", out, "--watch", "", code=3)
    assert "between 0 and 4,294,967,295" in attn("train", pairs, "--out", out, "--seed", "9" * 23, code=2)
    assert not Path(out).exists()


def test_a_device_that_is_not_there_is_told_first(
    attn: Run, pairs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    out = tmp_path / "it"
    assert "finds no cuda device" in attn("train", pairs, "--out", str(out), "--device", "cuda", code=5)
    assert not out.exists()


def test_a_stop_promises_no_more_than_there_is(
    attn: Run, pairs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "it"
    monkeypatch.setattr(run, "train_tokenizer", stopped)
    said = attn("train", pairs, "--out", str(out), "--no-guide", code=130)
    assert said.endswith(f"stopped before the first step; there is no model in {out} yet\n")
    monkeypatch.undo()
    monkeypatch.setattr(run, "ARCHITECTURES", small_architectures())
    monkeypatch.setattr(run, "_judge", stopped)
    said = attn("train", pairs, "--out", str(out), "--no-guide", "--no-compile", "--judge-every", "1", code=130)
    assert said.endswith(f"stopped; {out} holds a model, and the same command with --resume goes on from it\n")
    assert load(str(out)).translate(["The cat sat"])


def test_without_the_aligner_it_says_what_is_lost(
    attn: Run, pairs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "eflomal", None)
    monkeypatch.setattr(run, "can_align", lambda: False)
    out = str(tmp_path / "it")
    said = attn("train", pairs, "--out", out, "--steps", "1")
    assert "No head learns word alignments, which takes pip install eflomal" in said
    config = json.loads((tmp_path / "it" / "config.json").read_text())
    assert {one["role"] for one in config["attn"]["guided"]} == {"coreference", "subject", "object"}
    assert "saved" in attn("train", pairs, "--out", out, "--steps", "2", "--resume")
    assert "need eflomal" in attn("train", pairs, "--out", f"{out}2", "--steps", "1", "--guide", code=2)


def test_only_heads_that_are_guided_can_be_left_unguided(attn: Run, pairs: str, tmp_path: Path) -> None:
    out = tmp_path / "it"
    told = ("train", pairs, "--out", str(out), "--steps", "1", "--no-guide", "--unguided", "coreference")
    assert "No encoder head is guided with --arch rnn" in attn(*told, "--arch", "rnn", code=2)
    assert "No encoder head is guided with --no-coreference" in attn(*told, "--no-coreference", code=2)
    said = "no encoder head has the role 'reading'. Name coreference, subject or object"
    assert said in attn(*told[:-1], "reading", code=2)
    assert {one.role for one in GUIDED.values() if one.kind == "encoder"} == set(ENCODER_ROLES)
    assert not out.exists()
    attn(*told, "--unguided", "subject")
    config = json.loads((out / "config.json").read_text())
    assert [one["role"] for one in config["attn"]["guided"]] == ["object"]
    assert "saved" in attn(*told[:5], "2", *told[6:], "--unguided", "subject", "--unguided", "coreference", "--resume")


def test_a_head_that_was_guided_before_is_still_said_to_be(attn: Run, pairs: str, tmp_path: Path) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    attn("train", pairs, "--out", first, "--steps", "1", "--no-guide", "--unguided", "object")
    told = ("train", pairs, "--from", first, "--out", second, "--no-guide", "--unguided", "coreference", "--unguided")
    for end in (("object", "--steps", "1"), ("object", "--steps", "2", "--resume")):
        attn(*told, *end)
        config = json.loads((tmp_path / "second" / "config.json").read_text())
        assert [one["role"] for one in config["attn"]["guided"]] == ["coreference", "subject"]


def test_it_starts_from_a_model_that_was_trained_before(attn: Run, pairs: str, tmp_path: Path) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    attn("train", pairs, "--arch", "rnn", "--out", first, "--steps", "2")
    told = ("train", pairs, "--from", first, "--out", second, "--steps", "1")
    assert f"{first} is of the kind rnn, and transformer is to be trained" in attn(*told, code=2)
    assert "saved" in attn(*told, "--arch", "rnn")
    assert "saved" in attn(*told[:-1], "2", "--arch", "rnn", "--resume")
    assert "saved" in attn(*told[:2], *told[4:-1], "3", "--arch", "rnn", "--resume")
    assert "other settings or pairs" in attn("train", pairs, "--from", "toy-rnn", *told[4:], "--resume", code=3)
    missing = attn("train", pairs, "--from", str(tmp_path / "none"), "--out", f"{second}2", code=3)
    assert "is not a model to start from" in missing
    assert not Path(f"{second}2").exists()
