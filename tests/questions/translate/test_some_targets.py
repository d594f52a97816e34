"""A file in which some texts have a target, and others are translated."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from attn_cli.cli.app import main

NOTE = "note: 1 of 2 texts had no target and was translated"


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "She reads."}\n{"text": "The cat sat.", "target": "Tapis le noir."}\n')
    return str(file)


def test_json_holds_the_targets_that_are_given(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", "--file", mixed, "--json"]) == 0
    out, err = capsys.readouterr()
    first, second = map(orjson.loads, out.splitlines())
    assert first["target"]["text"].startswith("Elle lit")
    assert second["target"]["text"] == "Tapis le noir."
    assert err.count(NOTE) == 1


def test_links_are_those_of_the_targets_that_are_given(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", "--file", mixed, "--align-score"]) == 0
    out, err = capsys.readouterr()
    assert err.count(NOTE) == 1
    assert main(["translate", "The cat sat.", "--target", "Tapis le noir.", "--align-score"]) == 0
    alone, err = capsys.readouterr()
    assert out.splitlines()[1:] == alone.splitlines()
    assert "no target" not in err
