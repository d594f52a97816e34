"""The examples in the help pages, run as a shell would run them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from attn_cli.cli.app import main

__all__ = ["examples", "run_example"]

ROOT = Path(__file__).parents[2]
SHELL = f'attn() {{ {shlex.quote(sys.executable)} -m attn_cli "$@"; }}; set -eo pipefail\n'
SIMPLE = re.compile(r"attn (?P<arguments>[^|<>]+?)(?: \| (?P<reader>jq) .+| > (?P<file>\S+))?")
"""A command whose output goes to the terminal, to jq or to a file."""


def examples(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The examples of a help page."""
    main(arguments)
    _, _, shown = capsys.readouterr().out.partition("Example")
    return [
        line.partition("xample: ")[2] or line.strip() for line in ("Example" + shown).splitlines() if "attn " in line
    ]


def run_example(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command in the current folder: in this process where it can be, since a new one imports torch anew.

    Returns:
        What it prints; jq, which is not on every machine, is given only a check that it is given JSON.
    """
    simple = SIMPLE.fullmatch(line)
    if simple is None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", "-c", SHELL + line], capture_output=True, check=False, env=environment, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
    code = main(shlex.split(simple["arguments"]))
    out, err = capsys.readouterr()
    assert code == 0, err
    if simple["reader"]:
        json.loads(out)
    if simple["file"]:
        Path(simple["file"]).write_text(out)
    return str(out)
