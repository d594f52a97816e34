"""The explorer in a real terminal, which tmux is, and where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import attn_cli
from attn_cli.cli.app import main
from attn_cli.questions.explore import opening
from attn_cli.questions.explore.app import Explorer
from attn_cli.questions.explore.walk import Walk
from tests.questions.explore.screens import typed

ROOT = Path(__file__).parents[3]
Press = Callable[..., str]


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Callable[[str], Press]]:
    """A terminal of 90 columns and 26 lines.

    Yields:
        A function that runs a shell's command in it, and returns one that presses keys and waits for a text.
    """
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not on this machine")
    server = ["tmux", "-L", f"attn-{uuid.uuid4().hex[:8]}", "-f", os.devnull]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATTN_CHECK_SHAPES": "0", "TERM": "xterm-256color"}
    attn = f'attn() {{ {sys.executable} -m attn_cli "$@"; }}'

    def start(command: str) -> Press:
        script = tmp_path / "run.sh"
        script.write_text(f"{attn}\n{command}\necho left with $?\nexec sleep 60\n")
        subprocess.run(
            [*server, "new-session", "-d", "-x", "90", "-y", "26", f"bash {script}"], check=True, env=environment
        )
        return press

    def press(*keys: str, until: str) -> str:
        if keys:
            subprocess.run([*server, "send-keys", *keys], check=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done = subprocess.run([*server, "capture-pane", "-p"], check=True, capture_output=True, text=True)
            if until in done.stdout:
                return done.stdout
            time.sleep(0.05)
        raise AssertionError(f"{until!r} is not on the screen:\n{done.stdout}")

    yield start
    subprocess.run([*server, "kill-server"], check=False, capture_output=True)


def test_a_walk_in_a_real_terminal(tmux: Callable[[str], Press]) -> None:
    press = tmux('printf "The cat sat because it was tired\\nThe dog ran\\n" | attn explore -')
    first = press(until="? help")
    assert "text 1 of 2" in first
    assert "it → cat" in first
    press("Tab", "Down", until="was → cat")
    press(">", until="The dog ran")
    press("x", until="zeroed")
    press("Escape", until="? help")
    press("q", until="left with 0")


def test_without_a_terminal_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "The cat sat"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "The explorer draws on the whole terminal, and there is none. Use attn inspect" in said


def test_texts_and_records_are_read_before_the_walk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[Walk] = []
    monkeypatch.setattr("attn_cli.questions.explore.command.check_terminal", lambda: None)
    monkeypatch.setattr("attn_cli.questions.explore.command.take_keys_from_terminal", lambda: None)
    monkeypatch.setattr("attn_cli.questions.explore.command.MOST_TEXTS", 2)
    monkeypatch.setattr(Explorer, "run", lambda self: walks.append(self.walk))
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("The cat sat\nThe dog ran\nThe bird sang\n")
    assert main(["explore", "--file", "texts.txt", "--tokens", "--measure", "norms"]) == 0
    assert "Only the first 2 texts are walked through" in capsys.readouterr().err
    assert [one.text for one in walks[0].subjects] == ["The cat sat", "The dog ran"]
    assert (walks[0].spot.unit, walks[0].spot.measure) == ("token", "norms")
    walks[0].answer.save("record.json")
    assert main(["explore", "record.json"]) == 0
    assert walks[1].spot.measure == "norms"
    assert typed(walks[1].command).startswith("attn view record.json --head ")
    assert "Only the first" not in capsys.readouterr().err
    walks[0].answer.save("records.jsonl")
    Path("records.jsonl").write_text(Path("records.jsonl").read_text() * 3)
    assert main(["explore", "records.jsonl"]) == 0
    assert "Only the first 2 records are walked through" in capsys.readouterr().err
    assert len(walks[2].subjects) == 2
    assert main(["inspect", "The cat sat", "--query", "cat", "--save", "row.json", "--quiet"]) == 0
    assert main(["explore", "row.json"]) == 4
    assert "Show it with attn view and the --query it was saved with" in capsys.readouterr().err
    monkeypatch.setattr(Explorer, "return_code", 1)
    assert main(["explore", "The cat sat"]) == 1
    assert "The explorer has stopped" in capsys.readouterr().err


def test_keys_come_from_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "TERMINAL", "/no/such/terminal")
    with pytest.raises(attn_cli.UsageError, match="there is none"):
        opening.take_keys_from_terminal()


def test_without_textual_it_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attn_cli.questions.explore.opening.find_spec", lambda _: None)
    assert main(["explore", "The cat sat"]) == 2
    assert "Run pip install 'attn-cli[explore]'" in capsys.readouterr().err


def test_python_says_so_too() -> None:
    with pytest.raises(attn_cli.UsageError, match="there is none"):
        attn_cli.load("toy").explore("The cat sat")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--measure", "weight"], "'weight' is not one of"), (["--verify"], "--verify prints what it finds")],
)
def test_what_cannot_be_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "The cat sat", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_neither_torch_nor_transformers_is_imported() -> None:
    program = (
        "import sys\n"
        "import attn_cli.questions.explore.command\n"
        "assert not {'numpy', 'textual'} & set(sys.modules)\n"
        "from attn_cli.data.selection import Selection\n"
        "from attn_cli.models import Input, load\n"
        "from attn_cli.questions.explore.subject import Subject\n"
        "from attn_cli.questions.explore.walk import Walk\n"
        "walk = Walk([Subject(load('toy'), Input('The cat sat'))], Selection())\n"
        "import attn_cli.questions.explore.app\n"
        "assert not {'torch', 'transformers', 'scipy'} & set(sys.modules)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ATTN_CHECK_SHAPES"}
    subprocess.run([sys.executable, "-c", program], check=True, env={**environment, "PYTHONPATH": str(ROOT)})
