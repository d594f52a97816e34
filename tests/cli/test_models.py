"""`attn models`, as a person runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PROGRAM = (
    "import sys\n"
    "from attn_cli.cli.app import main\n"
    "code = main(sys.argv[1:])\n"
    "print([name for name in ('torch', 'transformers') if name in sys.modules], file=sys.stderr)\n"
    "sys.exit(code)"
)


def attn(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "ATTN_CHECK_SHAPES"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "models", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "HF_HOME": str(home), "COLUMNS": "80"},
    )


@pytest.fixture
def home(minilm: str, tmp_path: Path) -> Path:
    """A hub's cache with MiniLM, half a model, and a data set."""
    hub = tmp_path / "hub"
    for name, files in (
        ("models--some--minilm", sorted(path.name for path in Path(minilm).iterdir() if path.is_file())),
        ("models--some--half", ["config.json"]),
        ("datasets--some--data", ["config.json"]),
    ):
        snapshot = hub / name / "snapshots" / COMMIT
        snapshot.mkdir(parents=True)
        (hub / name / "refs").mkdir()
        (hub / name / "refs" / "main").write_text(COMMIT)
        for file in files:
            shutil.copy(Path(minilm) / file, snapshot / file)
    return tmp_path


def test_it_lists_what_the_cache_holds(home: Path) -> None:
    result = attn(home, "--json")
    listed = {one["name"]: one for one in json.loads(result.stdout) if not one["built_in"]}
    assert list(listed) == ["some/minilm"]
    found = listed["some/minilm"]
    assert (found["family"], found["layers"], found["heads"]) == ("bert", [6], 12)
    assert found["parameters"] == 22_713_216
    assert found["bytes"] == 4 * 22_713_216
    assert result.stderr == "[]\n"  # neither torch nor transformers


def test_the_table_says_the_same(home: Path) -> None:
    lines = attn(home).stdout.splitlines()
    assert lines[0].split() == ["model", "family", "layers", "heads", "parameters", "on", "disk"]
    (row,) = (line for line in lines if "some/minilm" in line)
    assert row.split() == ["some/minilm", "bert", "6", "12", "22.7", "M", "91", "MB"]


def test_an_empty_cache_is_no_fault(tmp_path: Path) -> None:
    assert "The hub's cache holds no models" in attn(tmp_path).stdout
