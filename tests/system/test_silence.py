"""Tests of the silence of compiled libraries: what they print reaches neither stdout nor stderr of a command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import folders

TAKEN = """
import logging, os, sys, warnings
from concurrent.futures import ThreadPoolExecutor
from attn_cli.system.silence import compiled_unheard, mute_logs, take_streams
take_streams()
mute_logs()
def heard(text):
    os.write(1, f"raw {text} out\\n".encode())
    os.write(2, f"raw {text} err\\n".encode())
def run(number):
    with compiled_unheard():
        heard("unheard")
        print("ours", flush=True)
        print("talk", file=sys.stderr, flush=True)
with ThreadPoolExecutor(4) as pool:
    list(pool.map(run, range(32)))
with compiled_unheard(), compiled_unheard():
    heard("unheard")
heard("before and after")
logging.getLogger("some_package").critical("unheard")
warnings.warn("unheard")
"""


def test_ours_are_heard_and_theirs_are_not() -> None:
    done = subprocess.run([sys.executable, "-c", TAKEN], capture_output=True, check=True, text=True)
    assert sorted(done.stdout.splitlines()) == ["ours"] * 32 + ["raw before and after out"]
    assert sorted(done.stderr.splitlines()) == ["raw before and after err"] + ["talk"] * 32


@pytest.mark.parametrize("closed", ["", ">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_are_closed(closed: str) -> None:
    script = "from attn_cli.system.silence import *; take_streams()\nwith compiled_unheard(): pass"
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {closed}', sys.executable, script], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_tokenizer_whose_library_prints(tmp_path: Path) -> None:
    """tokenizers prints "Ignored unknown kwarg option" from Rust, straight to the process's standard output."""
    folder = folders.bert(tmp_path / "model")
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    settings["pad_token"] = {"__type": "AddedToken", "content": "[PAD]", "unheard_of": True}
    file.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "attn_cli", "inspect", "the trophy", "--json", "--model", str(folder)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert json.loads(done.stdout)["source"]["text"] == "the trophy"
    assert done.stderr == ""
