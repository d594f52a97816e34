"""A question, a format, a measure and a role are added as the documentation says, and nothing else is touched."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.readme import ROOT

PAGE = ROOT / "docs" / "adding-a-question.md"
BLOCK = re.compile(
    r"```python\n# (?:(In|At the end of|Among the imports of)(?: (\w+) of)? )?(\S+)\n(.*?)```\n", re.DOTALL
)
SENTENCE = "The cat sat on the mat."


def in_table(source: str, name: str, entry: str) -> str:
    """A module's source with one more entry at the end of a table, or one more method at the end of a class."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return after(source, node, f"\n{indent(entry, '    ')}")
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                before = ast.get_source_segment(source, node.value) or ""
                longer = f"{before[:-1].rstrip().removesuffix(',')}, {entry}{before[-1]}"
                return source.replace(before, longer)
    raise AssertionError(f"there is no {name}")


def after(source: str, node: ast.stmt, code: str) -> str:
    """A module's source with code on the lines after a statement."""
    lines = source.splitlines(keepends=True)
    lines.insert(node.end_lineno or 0, code)
    return "".join(lines)


def changed(source: str, where: str, name: str, code: str) -> str:
    """A module's source with a block of the page where that says."""
    if where == "In":
        return in_table(source, name, code)
    if where == "Among the imports of":
        imports = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
        return after(source, imports[-1], code)
    return f"{source}\n\n{code}"


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds attn with the blocks of the page, and otherwise the files that are here."""
    folder = tmp_path_factory.mktemp("grown")
    for name in ("attn_cli", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for where, table, name, code in BLOCK.findall(PAGE.read_text()):
        path = folder / name
        if where:
            path.write_text(changed(path.read_text(), where, table, code))
        else:
            path.parent.mkdir(exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(code)
    return folder


def python(grown: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=grown,
        env={**os.environ, "PYTHONPATH": str(grown), "COLUMNS": "80", **environment},
    )


def run(grown: Path, *arguments: str, code: int = 0) -> str:
    """Run attn with the blocks added; return its stdout, or its stderr where it must fail with a code."""
    done = python(grown, "-m", "attn_cli", *arguments)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def passes(grown: Path, *arguments: str, **environment: str) -> None:
    """Run a check that must find nothing to complain of."""
    done = python(grown, *arguments, **environment)
    assert done.returncode == 0, done.stdout + done.stderr


def document(grown: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(grown, *arguments, "--json"))
    return found


def test_the_page_has_a_block_for_each_place() -> None:
    assert [(table, Path(name).stem) for where, table, name, _ in BLOCK.findall(PAGE.read_text()) if where] == [
        ("", "inspector"),
        ("Inspector", "inspector"),
        ("", "formats"),
        ("Measure", "selection"),
        ("", "measures"),
        ("ROLES", "roles"),
    ]


def test_a_question(grown: Path) -> None:
    assert "\n  count      Count the weights of each head above a bound.\n" in run(grown, "--help")
    assert "--above X" in run(grown, "count", "--help")
    assert run(grown, "count", SENTENCE, "--save", "counts.csv") == ""
    assert (grown / "counts.csv").read_text().startswith("kind,layer,head,above,visible\n")
    run(grown, "count", SENTENCE, "--above", "0.3", "--save", "counts.txt")
    assert "weights above 0.3" in (grown / "counts.txt").read_text()
    schema = json.loads(run(grown, "schema", "count"))
    Draft202012Validator(schema).validate(document(grown, "count", SENTENCE))
    assert "--above must be between 0 and 1" in run(grown, "count", SENTENCE, "--above", "2", code=2)


def test_the_tests_of_a_question(grown: Path) -> None:
    """The page's own tests pass, and those that every question is put to."""
    shared = "tests/test_answer.py", "tests/test_answers.py", "tests/cli/test_app.py", "tests/test_reference.py"
    chosen = "tests/questions/count", *shared, "-k", "count or every_finding or test_reference"
    passes(grown, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", *chosen, ATTN_WRITE_GOLDEN="1")
    reference = grown / "docs" / "reference"
    assert "\n## attn count\n" in (reference / "commands.md").read_text()
    assert "| `heads[].above` | integer |" in (reference / "documents.md").read_text()
    assert "| `count(text, ...)` | Count " in (reference / "python.md").read_text()


def test_the_style_of_a_question(grown: Path) -> None:
    files = [name for where, _, name, _ in BLOCK.findall(PAGE.read_text()) if not where]
    passes(grown, "-m", "ruff", "check", "--no-cache", *files)
    passes(grown, "-m", "ruff", "format", "--check", "--no-cache", *files)
    passes(grown, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))")


def test_a_format(grown: Path) -> None:
    run(grown, "inspect", SENTENCE, "--save", "first.md")
    fence, *lines, end = (grown / "first.md").read_text().splitlines()
    assert (fence, end) == ("```", "```")
    assert lines[0].startswith("toy")
    assert any("█" in line for line in lines)
    assert ".txt, .pdf, .png, .tex or .md." in " ".join(run(grown, "find", "--help").split())
    assert "Use .json, .jsonl, .csv, .npz, .parquet, .svg, .html, .txt, .pdf, .png, .tex or .md." in run(
        grown, "inspect", SENTENCE, "--save", "first.doc", code=6
    )
    script = f"import attn_cli; attn_cli.load('toy').heads({SENTENCE!r}).save('heads.md')"
    passes(grown, "-c", script)
    assert (grown / "heads.md").read_text().startswith("```\ntoy")


def test_a_measure(grown: Path) -> None:
    record = document(grown, "inspect", SENTENCE, "--measure", "uniform", "--tokens")
    assert record["units"]["weight"] == "1 / visible keys"
    rows = record["maps"][0]["weights"]
    assert rows == [[pytest.approx(1 / len(rows))] * len(rows)] * len(rows)
    run(grown, "inspect", SENTENCE, "--measure", "uniform", "--head", "0.0", "--save", "uniform.npz")
    drawn = run(grown, "view", "uniform.npz")
    assert "Uniform: an even share of each key that the row can see." in drawn
    assert "is not one of weights, scores, norms, relevance, rollout, flow, uniform" in run(
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
