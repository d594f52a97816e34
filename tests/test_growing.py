"""A format, a measure and a role are added as the documentation says, and nothing else is touched for them to work."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.readme import ROOT

PAGE = ROOT / "docs" / "adding-a-question.md"
ENTRY = re.compile(r"```python\n# (?:At the end|In (\w+)) of (\S+)\n(.*?)```\n", re.DOTALL)
SENTENCE = "The cat sat on the mat."


def added(source: str, table: str, entry: str) -> str:
    """A module's source with one more entry at the end of a table."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and target.id == table:
                before = ast.get_source_segment(source, node.value) or ""
                after = f"{before[:-1].rstrip().removesuffix(',')}, {entry}{before[-1]}"
                return source.replace(before, after)
    raise AssertionError(f"there is no {table}")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds attn with the entries of the page, and otherwise the files that are here."""
    folder = tmp_path_factory.mktemp("grown")
    shutil.copytree(
        ROOT / "attn_cli",
        folder / "attn_cli",
        copy_function=os.symlink,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for table, name, code in ENTRY.findall(PAGE.read_text()):
        path = folder / name
        source = path.read_text()
        path.unlink()
        path.write_text(added(source, table, code) if table else f"{source}\n\n{code}")
    return folder


def run(grown: Path, *arguments: str, code: int = 0) -> str:
    """What attn prints, with the entries."""
    done = subprocess.run(
        [sys.executable, "-m", "attn_cli", *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=grown,
        env={**os.environ, "PYTHONPATH": str(grown), "COLUMNS": "80"},
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def document(grown: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(grown, *arguments, "--json"))
    return found


def test_the_page_has_an_entry_for_each_table() -> None:
    assert [(table, Path(name).stem) for table, name, _ in ENTRY.findall(PAGE.read_text())] == [
        ("", "formats"),
        ("Measure", "selection"),
        ("", "measures"),
        ("ROLES", "roles"),
    ]


def test_a_format(grown: Path) -> None:
    printed = run(grown, "inspect", SENTENCE, "--no-color", "--save", "first.md")
    fence, *lines, end = (grown / "first.md").read_text().splitlines()
    assert (fence, end) == ("```", "```")
    assert lines[0] == printed.splitlines()[0]
    assert any("█" in line for line in lines)
    assert ".html, .txt or .md." in " ".join(run(grown, "find", "--help").split())
    assert "Use .json, .jsonl, .csv, .npz, .svg, .html, .txt or .md." in run(
        grown, "inspect", SENTENCE, "--save", "first.doc", code=6
    )
    script = f"import attn_cli; attn_cli.load('toy').heads({SENTENCE!r}).save('heads.md')"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=grown, env={**os.environ, "PYTHONPATH": str(grown)})
    assert (grown / "heads.md").read_text().startswith("```\ntoy")


def test_a_measure(grown: Path) -> None:
    record = document(grown, "inspect", SENTENCE, "--measure", "uniform", "--tokens")
    assert record["units"]["weight"] == "1 / visible keys"
    rows = record["maps"][0]["weights"]
    assert rows == [[pytest.approx(1 / len(rows))] * len(rows)] * len(rows)
    run(grown, "inspect", SENTENCE, "--measure", "uniform", "--head", "0.0", "--save", "uniform.npz")
    drawn = run(grown, "view", "uniform.npz")
    assert "Uniform: an even share of each key that the row can see." in drawn
    assert "is not one of weights, scores, norms, rollout, flow, uniform" in run(
        grown, "find", SENTENCE, "cat", "sat", "--measure", "unifrom", code=2
    )


def test_a_role(grown: Path) -> None:
    found = document(grown, "heads", SENTENCE, "--by", "second-before")
    role = next(role for role in found["roles"] if role["name"] == "second before")
    assert role["formula"] == "mean over i of w[i, i-2]"
    scores = [score for head in found["heads"] for score in head["scores"] if score["role"] == "second before"]
    assert len(scores) == len(found["heads"])
    assert all(0 <= score["score"] <= 1 and score["rows"] for score in scores)
    assert "second before: the word two places before it." in " ".join(
        run(grown, "heads", SENTENCE, "--by", "second-before").split()
    )
    assert "heads --by second-before" in run(grown, "terms", "second before")
