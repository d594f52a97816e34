"""The commands of the README and of the documentation, run as they say, and held against what they say is printed.

`python tests/readme.py` needs nothing but attn itself on the PATH, so that an installation without the test extra can
be tried: it runs every command that needs neither a network nor a file of the reader's own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
CONSOLE = re.compile(r"```console\n\$ ([^\n]+)\n(.*?)```", re.DOTALL)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
ELSEWHERE = re.compile(r"--model \w[\w-]*/|\b(?!constraints)\w+\.(tsv|txt|conllu)\b|--index-url|\[test\]|\[train\]")
"""A model on the hub, a reader's own file, and what needs more than attn."""


def blocks(text: str) -> list[tuple[str, str]]:
    """The commands that a page shows, and what it says that they print."""
    return CONSOLE.findall(text)


def shown() -> dict[str, list[tuple[Path, str]]]:
    """Each command of all pages, with what each page says that it prints."""
    found: dict[str, list[tuple[Path, str]]] = {}
    for page in PAGES:
        for command, printed in blocks(page.read_text(encoding="utf-8")):
            found.setdefault(command, []).append((page, printed))
    return found


def offline(text: str) -> list[str]:
    """The lines of the README's scripts that need neither a network nor a file of the reader's own."""
    return [line for block in SHELL.findall(text) for line in block.splitlines() if not ELSEWHERE.search(line)]


def run(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What a command prints on a terminal of 80 columns.

    Args:
        command: a line for the shell.
        folder: where to run it.
        environment: variables beside those that are set.

    Raises:
        CalledProcessError: it failed.
    """
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail\n{command}"],
        capture_output=True,
        check=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", **environment},
    )
    return result.stdout.decode()


def named_folder(folder: Path, model: str) -> Path:
    """A folder in which a model's name on the hub is also a path, so that no hub is needed."""
    (folder / MODEL).parent.mkdir()
    (folder / MODEL).symlink_to(model)
    return folder


def main() -> int:
    """Do as the README and the documentation say, and tell where they are wrong."""
    text = README.read_text(encoding="utf-8")
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        script = "\n".join(["set -eo pipefail", *offline(text), 'echo "$ATTN_MODEL"'])
        *_, model = run(script, README.parent, {}).splitlines()
        folder = named_folder(Path(place), model)
        commands = {
            command: [printed for _, printed in pages]
            for command, pages in shown().items()
            if "jq" not in command or shutil.which("jq")
        }

        def printed_by(command: str) -> str:
            try:
                return run(command, folder, {"ATTN_MODEL": MODEL})
            except subprocess.CalledProcessError as fault:
                return str(fault.stderr.decode())

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for (command, expected), printed in zip(commands.items(), pool.map(printed_by, commands), strict=True):
                if set(expected) != {printed}:
                    wrong += 1
                    sys.stderr.write(f"$ {command}\n{printed}")
    sys.stderr.write(
        f"{len(commands)} commands of the README and the documentation, {wrong} of which print something else\n"
    )
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
