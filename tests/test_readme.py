"""The README's commands print what the README says they print."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attn_cli.cli.app import main

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"```console\n\$ ([^\n]+)\n(.*?)```", re.DOTALL)
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def example_folder(tmp_path: Path, minilm: str) -> Path:
    """A folder in which the model's hub name is also a path, so that no hub is needed."""
    (tmp_path / MODEL).parent.mkdir()
    (tmp_path / MODEL).symlink_to(minilm)
    return tmp_path


@pytest.mark.parametrize("command", [command for command, _ in BLOCK.findall(README.read_text())])
def test_readme_commands_print_what_it_says(command: str, example_folder: Path) -> None:
    if "jq" in command and not shutil.which("jq"):
        pytest.skip("jq is not on this machine")
    shell = f'attn() {{ {shlex.quote(sys.executable)} -m attn_cli "$@"; }}; set -o pipefail\n'
    result = subprocess.run(
        ["bash", "-c", shell + command],
        capture_output=True,
        check=True,
        cwd=example_folder,
        env={**os.environ, "COLUMNS": "80", "ATTN_MODEL": MODEL, "PYTHONPATH": str(README.parent)},
    )
    printed = result.stdout.decode()
    text = README.read_text()
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        text = BLOCK.sub(
            lambda match: f"```console\n$ {match[1]}\n{printed}```" if match[1] == command else match[0], text
        )
        README.write_text(text)
    assert (command, printed) in BLOCK.findall(text)


def test_readme_names_every_option_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = README.read_text()
    for command in ("inspect", "view", "schema"):
        assert f"attn {command}" in text
    main(["inspect", "--help"])
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", capsys.readouterr().out))
    assert {option for option in options - {"--help"} if option not in text} == set()
