"""Running a command as a person would, in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attn_cli.cli.app import main

Run = Callable[..., str]


@pytest.fixture
def attn(minilm: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in which `MODEL` stands for MiniLM; its stdout, or where it fails its stderr."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str, code: int = 0) -> str:
        got = main([minilm if argument == "MODEL" else argument for argument in arguments])
        out, err = capsys.readouterr()
        assert got == code, err
        return out if code == 0 else err

    return run
