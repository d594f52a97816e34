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


def test_the_built_in_models_say_what_they_are(tmp_path: Path) -> None:
    listed = {one["name"]: one for one in json.loads(attn(tmp_path, "--json").stdout)}
    shapes = {name: (one["family"], one["layers"], one["heads"], one["parameters"]) for name, one in listed.items()}
    # One layer of attention has 4 matrices of 256 x 256, with biases; feed-forward layers of 1,024 units follow.
    attention, feed_forward, norm = 4 * (256 + 1) * 256, (256 + 1) * 1024 + (1024 + 1) * 256, 2 * 256
    encoder, decoder = (3 * (many * (attention + norm) + feed_forward + norm) for many in (1, 2))
    assert shapes == {
        "toy": ("marian", [3, 3], 8, listed["toy"]["parameters"]),
        "toy-no-coreference": ("transformer", [3, 3], 8, 8000 * (256 + 1) + encoder + decoder),
        "toy-rnn-attention": ("recurrent", [1, 1], 1, 5_670_208),
        "toy-rnn": ("recurrent", [1, 1], 0, 5_407_296),
    }
    guided = [note.partition(":")[0] for note in listed["toy-no-coreference"]["notes"]]
    assert guided[:4] == ["cross 1.0", "cross 2.0", "encoder 1.0", "encoder 1.1"]


def test_an_empty_cache_is_no_fault(tmp_path: Path) -> None:
    assert "The hub's cache holds no models" in attn(tmp_path).stdout
