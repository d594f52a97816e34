"""Tests of stdout while an answer is saved, and of titles in files."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from attn_cli.cli.app import main
from tests.conftest import Run

ASKED = ("explain", "--scores", "2.1,5.8,0.4", "--labels", "a,<b>,c")


@pytest.mark.parametrize("name", ["it.svg", "it.json", "it.txt"])
def test_what_is_saved_is_not_printed_into_a_pipe(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / name)
    assert main([*ASKED, "--save", place]) == 0
    assert capsys.readouterr() == ("", f"attn: saved {place}\n")
    assert main([*ASKED, "--save", place, "--force", "--json"]) == 0
    assert capsys.readouterr().out.startswith("{")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main([*ASKED, "--save", place, "--force"]) == 0
    assert "normalize" in capsys.readouterr().out
    assert main([*ASKED, "--save", place, "--force", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_quiet_needs_a_file(attn: Run) -> None:
    assert (
        attn(*ASKED, "--quiet", code=2)
        == "attn: --quiet prints nothing, so the answer must be saved. Name a file with --save.\n"
    )
    assert "--json prints JSON" in attn(*ASKED, "--quiet", "--json", "--save", "a.json", code=2)
    assert "so --quiet cannot be used" in attn("translate", "The cat", "--text-only", "--quiet", code=2)


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_the_title_of_a_file_says_what_it_is(suffix: str, attn: Run, tmp_path: Path) -> None:
    file = tmp_path / f"it.{suffix}"
    attn("inspect", "The <cat>", "--save", str(file))
    assert re.findall("<title>(.*)</title>", file.read_text()) == ["attn inspect: The &lt;cat&gt;"]
