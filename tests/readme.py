"""The commands of the README and of the documentation, run as they say, and held against what they say is printed.

`python tests/readme.py` needs nothing but attn itself on the PATH, so that an installation without the test extra can
be tried: it runs every command that needs neither a network nor a file of the reader's own.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
CONSOLE = re.compile(r"(?<=```console\n)(?:(?!```).*\n)+(?=```)")
COMMAND = re.compile(r"^\$ (.+)\n", re.MULTILINE)
PYTHON = re.compile(r"(?<=```pycon\n)(?:(?!```).*\n)+(?=```)")
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DECODER = "smollm2.gguf"
"""The name on the pages of a decoder that needs the extra `gguf`; it is tried where the tests have their extras."""
ELSEWHERE = re.compile(r"--model \w[\w-]*/|\b(?!constraints)\w+\.(tsv|txt|conllu)\b|--index-url|\[test\]|\[train\]")
"""A model on the hub, a reader's own file, and what needs more than attn."""


def commands_in(session: str) -> tuple[str, ...]:
    """The commands of what a page shows of a terminal, which are run one after the other in one folder."""
    return tuple(COMMAND.findall(session))


def shown() -> dict[tuple[str, ...], list[tuple[Path, str]]]:
    """The commands of each session of all pages, with what each page shows of it."""
    found: dict[tuple[str, ...], list[tuple[Path, str]]] = {}
    for page in PAGES:
        for session in CONSOLE.findall(page.read_text(encoding="utf-8")):
            found.setdefault(commands_in(session), []).append((page, session))
    return found


def offline(text: str) -> list[str]:
    """The lines of the README's scripts that need neither a network nor a file of the reader's own."""
    return [line for block in SHELL.findall(text) for line in block.splitlines() if not ELSEWHERE.search(line)]


def run(commands: Sequence[str], folder: Path, environment: Mapping[str, str], before: str = "") -> str:
    """Show commands and what they print on a terminal of 80 columns, as a page does.

    Args:
        commands: lines for the shell, which are run in one shell.
        folder: where to run them.
        environment: variables beside those that are set.
        before: what to run first, unseen.

    Raises:
        CalledProcessError: one of them failed.
    """
    script = [f"printf %s {shlex.quote(f'$ {command}{os.linesep}')}\n{command}" for command in commands]
    result = subprocess.run(
        ["bash", "-c", "\n".join(["set -eo pipefail", before, *script])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", **environment},
    )
    return result.stdout.decode().replace("\r\n", "\n")


def named_folder(folder: Path, model: str, decoder: Path | None = None) -> Path:
    """A folder in which a model's name on the hub is also a path, so that no hub is needed."""
    (folder / MODEL).parent.mkdir()
    (folder / MODEL).symlink_to(model)
    if decoder is not None:
        (folder / DECODER).symlink_to(decoder)
    return folder


def needs_decoder(commands: Sequence[str]) -> bool:
    """Return whether the commands run the decoder in GGUF."""
    return any(DECODER in command for command in commands)


def needs_figures(commands: Sequence[str]) -> bool:
    """Return whether the commands draw figures, which takes the extra `figures`."""
    return any("--figure" in command for command in commands)


def main() -> int:
    """Do as the README and the documentation say, and tell where they are wrong."""
    text = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as place:
        _, model = run([*offline(text), 'echo "$ATTN_MODEL"'], README.parent, {}).rstrip("\n").rsplit("\n", 1)
        sessions = {
            commands: {session for _, session in pages}
            for commands, pages in shown().items()
            if not (needs_decoder(commands) or needs_figures(commands))
            and (shutil.which("jq") or not any("jq" in command for command in commands))
        }

        def printed_by(commands: tuple[str, ...]) -> str:
            folder = named_folder(Path(tempfile.mkdtemp(dir=place)), model)
            try:
                return run(commands, folder, {"ATTN_MODEL": MODEL})
            except subprocess.CalledProcessError as fault:
                return str(fault.stdout.decode())

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            printed = dict(zip(sessions, pool.map(printed_by, sessions), strict=True))
    wrong = [text for commands, text in printed.items() if sessions[commands] != {text}]
    sys.stderr.write("".join(wrong))
    sys.stderr.write(f"{len(sessions)} sessions on the pages, {len(wrong)} of which go otherwise\n")
    return min(len(wrong), 1)


if __name__ == "__main__":
    sys.exit(main())
