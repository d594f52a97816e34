"""Saved records, shown and saved again: in one table, with the tool that saw them, and with another selection."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

import attn_cli
from attn_cli.data.selection import Selection
from attn_cli.io.read import read_records
from attn_cli.io.records import to_json
from tests.conftest import Run
from tests.samples import encoder_record, translation_record

TEXT = "The black cat"
INPUT = "input row: the step that reads the token"


def test_records_with_other_columns_do_not_share_a_table(attn: Run, tmp_path: Path) -> None:
    scores = attn("inspect", TEXT, "--head", "0.0", "--scores", "--json")
    crossed = attn("translate", TEXT, "--head", "1.0", "--json")
    plain = attn("inspect", TEXT, "--head", "0.0", "--tokens", "--json")
    file = tmp_path / "mixed.jsonl"
    for number, (documents, named) in enumerate(
        [(crossed + scores, "(rows, score)"), (scores + plain, "(score)"), (plain + crossed, "(rows)")]
    ):
        file.write_text(documents)
        for suffix in ("csv", "parquet"):
            saved = tmp_path / f"{number}.{suffix}"
            error = attn("view", str(file), "--save", str(saved), code=3)
            assert f"has other columns than that of the first {named}. Save them in files of their own" in error
            assert not saved.exists()
        attn("view", str(file), "--save", str(tmp_path / f"{number}.jsonl"))
    file.write_text(plain + plain)
    attn("view", str(file), "--save", str(tmp_path / "same.csv"))
    assert (tmp_path / "same.csv").read_text().startswith("sentence,kind,layer,head,query,")


def test_an_archive_says_the_step_that_its_rows_are(attn: Run, tmp_path: Path) -> None:
    for options in ([], ["--head", "1.0"], ["--head", "1.0", "--rows", "output"], ["--layer", "1"]):
        saved = str(tmp_path / "it.npz")
        attn("translate", TEXT, *options, "--save", saved, "--force")
        printed = orjson.loads(attn("translate", TEXT, *options, "--json"))
        with np.load(saved) as archive:
            held = orjson.loads(archive["record"].tobytes())
        assert held["units"] == printed["units"] == orjson.loads(attn("view", saved, "--json"))["units"]
        assert held["maps"] == []
        if options == ["--head", "1.0"]:
            assert held["units"]["rows"] == INPUT


@pytest.mark.parametrize("record", [encoder_record(), translation_record()], ids=["encoder", "translation"])
def test_a_copy_names_the_tool_that_saw_it(record: Any, attn: Run, tmp_path: Path) -> None:
    first, archive, last = (tmp_path / name for name in ("a.json", "b.npz", "c.jsonl"))
    first.write_bytes(to_json(replace(record, tool_version="0.0.1")))
    for one, other in ((first, archive), (archive, last)):
        attn("view", str(one), "--save", str(other))
        assert [read.tool_version for read in read_records(other)] == ["0.0.1"]
    assert orjson.loads(attn("view", str(last), "--json"))["tool"] == {"name": "attn", "version": "0.0.1"}
    assert attn_cli.view(archive).to_dict()["tool"]["version"] == "0.0.1"


def test_what_is_derived_from_a_record_names_this_tool(attn: Run, tmp_path: Path) -> None:
    saved = tmp_path / "a.json"
    (record,) = read_records(io.BytesIO(attn("inspect", TEXT, "--kind", "encoder", "--json").encode()))
    saved.write_bytes(to_json(replace(record, tool_version="0.0.1")))
    assert attn_cli.view(saved).tool_version == "0.0.1"
    assert attn_cli.view(saved, measure="rollout").tool_version == attn_cli.__version__


@pytest.mark.parametrize(
    ("saved", "chosen"),
    [
        (["--head", "1.0,2.1"], {"head": "2.1"}),
        (["--head", "1.0,2.1"], {"layer": 2, "head": 1}),
        (["--layer", "1,2"], {"head": "2.0"}),
        (["--query", "cat", "--layer", "2"], {"top_k": 2}),
        (["--query", "cat"], {}),
        (["--query", "cat"], {"query": "cat", "layer": 1}),
        (["--grid"], {}),
        (["--grid"], {"query": "cat"}),
        ([], {"query": "black"}),
        (["--tokens"], {"head": "0.1"}),
        (["--scores"], {"measure": "weights"}),
    ],
)
def test_a_choice_from_python_is_that_of_the_command(
    saved: list[str], chosen: dict[str, Any], attn: Run, tmp_path: Path
) -> None:
    file = str(tmp_path / "it.json")
    attn("inspect", TEXT, *saved, "--save", file)
    options = [part for name, value in chosen.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    document = orjson.loads(attn("view", file, *options, "--json"))
    assert attn_cli.view(file, **chosen).to_dict() == document


@pytest.mark.parametrize("chosen", [{"layer": 1}, {"head": 0}, {"head": "0.0"}])
def test_a_layer_or_a_head_replaces_both_that_were_saved(chosen: dict[str, Any], attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "it.json"
    file.write_bytes(to_json(replace(translation_record(), selection=Selection(kind="cross", head="1.1"))))
    options = [part for name, value in chosen.items() for part in (f"--{name}", str(value))]
    shown = attn_cli.view(file, **chosen)
    named: dict[str, Any] = {name: str(value) for name, value in chosen.items()}
    assert shown.to_dict() == orjson.loads(attn("view", str(file), *options, "--json"))
    assert shown.selection == Selection(kind="cross", **named)


def test_a_kind_that_was_saved_is_kept(attn: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "it.json")
    attn("inspect", TEXT, "--target", "Le chat noir", "--kind", "decoder", "--save", file)
    assert attn_cli.view(file).selection.kind == "decoder"
    assert attn_cli.view(file, layer=1).selection == Selection(kind="decoder", layer="1")


def test_scores_of_a_record_are_of_tokens(attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "it.json"
    (record,) = read_records(io.BytesIO(attn("inspect", TEXT, "--scores", "--head", "0.1", "--json").encode()))
    file.write_bytes(to_json(replace(record, selection=Selection(head="0.1"))))
    assert attn_cli.view(file, measure="scores").selection.unit == "token"
