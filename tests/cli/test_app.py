"""The command line itself: help, errors, exit codes, and nothing heavy imported for them."""

from __future__ import annotations

import ast
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from attn_cli import __version__
from attn_cli.cli.app import Commands, main
from attn_cli.questions.why import aligning, causality, linking, reading, translating
from tests.cli.examples import examples, run_example
from tests.questions.heads.test_treebank import GOOD
from tests.readme import DECODER, needs_decoder
from tests.smollm2 import smollm2_file

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "numpy", "tokenizers", "scipy", "pydantic", "msgspec")
INTERRUPT = """
import os, signal, sys
import attn_cli.models
from attn_cli.cli.app import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
attn_cli.models.load = lambda *_: os.kill(os.getpid(), signal.SIGINT) or signal.pause()
sys.exit(main(sys.argv[1:]))
"""
"""The command line, with a Ctrl-C where a model is loaded."""
COMMANDS = tuple(Commands.modules)
TRIED_ELSEWHERE = (
    "attn train",
    "attn translate",
    "attn heads --needle",
    "attn explore",
    "cat sentences.txt | attn explore",
)
"""Examples that have tests of their own."""


def is_whole_tour(example: str) -> bool:
    """Return whether an example is all chapters of the tour, each of which has golden screens."""
    return example.startswith("attn tour") and "--" not in example


def attn(*arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The installed command, as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "attn_cli", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, "COLUMNS": "80", **environment},
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        *([command, "--help"] for command in COMMANDS),
        ["--version"],
        [],
        ["nonsense"],
        ["inspect", "--nonsense"],
        ["inspect", "a cat", "--model", ""],
        ["inspect", "a cat", "--model", "x", "--layer", "1..2"],
        ["inspect", "a cat", "--model", "x", "--head", "2.5,3"],
        ["inspect", "a cat", "--model", "x", "--grid", "--query", "cat"],
        ["inspect", "a cat", "--model", "x", "--top-k", "0"],
        ["inspect", "a cat", "--model", "x", "--width", "wide"],
        ["inspect", "a cat", "--model", "x", "--device", "abacus"],
        ["inspect", "a cat", "--file", "x", "--model", "x"],
        ["inspect", " ", "--model", "x"],
        ["find", "a cat", "a"],
        ["find", "a cat", "a", "cat", "--min", "2"],
        ["find", "a cat", "a", "cat", "--model", ""],
        ["diff", "a cat"],
        ["diff", "a cat", "a dog", "--against", "x"],
        ["diff", "a cat", "a dog", "--fail-above", "x"],
        ["view"],
    ],
    ids=" ".join,
)
def test_help_and_usage_errors_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import json, sys\n"
        "from attn_cli.cli.app import main\n"
        f"code = main({arguments!r})\n"
        f"print(json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]), file=sys.stderr)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in {"ATTN_CHECK_SHAPES", "ATTN_MODEL"}}
    result = subprocess.run(
        [sys.executable, "-c", program], input=b"", capture_output=True, check=True, env=environment
    )
    code, imported = json.loads(result.stderr.splitlines()[-1])
    assert imported == []
    helps = not arguments or "--help" in arguments or "--version" in arguments
    assert code == (0 if helps else 3 if " " in arguments else 2)


@pytest.mark.parametrize("arguments", [["schema"], ["schema", "--hed", "3"]], ids=" ".join)
def test_only_the_command_that_is_named_is_imported(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from attn_cli.cli.app import main\n"
        f"main({arguments!r})\n"
        "print(sorted(name for name in sys.modules if name.endswith('.command')), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert ast.literal_eval(result.stderr.splitlines()[-1]) == ["attn_cli.questions.schema.command"]


def test_attn_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    expected = capsys.readouterr()
    assert main([]) == 0
    assert capsys.readouterr() == expected


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"attn {__version__}\n"


HELP = [["--help"], *([command, "--help"] for command in COMMANDS)]


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_help_shows_every_option_and_examples(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "Example" in text
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the experiments of `attn why` take a moment each: what they find has tests of its own."""
    monkeypatch.setattr(aligning, "SENTENCES", 2)
    monkeypatch.setattr(causality, "CHOSEN_BY", 2)
    monkeypatch.setattr(causality, "TRIED_ON", 2)
    monkeypatch.setattr(linking, "EACH", 2)
    monkeypatch.setattr(reading, "TURNS", 1)
    texts = translating.texts()[:2]
    monkeypatch.setattr(translating, "texts", lambda: texts)


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
@pytest.mark.usefixtures("few")
@pytest.mark.unchecked
def test_the_examples_in_the_help_pages_work(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    minilm: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = examples(arguments, capsys)
    assert shown
    monkeypatch.chdir(tmp_path)
    Path("sentences.txt").write_text("The cat sat.\nThe mat.\n")
    Path("corpus.txt").write_text("The cat sat.\nThe mat.\n")
    Path("treebank.conllu").write_text(GOOD)
    Path("tokens.txt").write_text("The\ncat\nsat\n")
    np.save("weights.npy", np.full((2, 3, 3, 3), 1 / 3))
    np.savetxt("weights.csv", np.full((3, 3), 0.5), delimiter=",")
    for suffix in ("json", "npz"):
        main(["inspect", "The cat sat", "--model", minilm, "--save", f"record.{suffix}"])
    capsys.readouterr()
    capsys.readouterr()
    decoder = smollm2_file()
    if decoder is not None:
        Path(DECODER).symlink_to(decoder)
    for line in shown:
        if not (line.startswith(TRIED_ELSEWHERE) or is_whole_tour(line)) and (
            decoder is not None or not needs_decoder([line])
        ):
            run_example(line.replace("FOLDER", shlex.quote(minilm)), capsys)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["inspect", "--layer"], 2, "--layer"),
        (["inspect", "a cat", "--model", ""], 2, "--model"),
        (["inspect", "a cat", "--model", "no/such/folder/here"], 5, "no/such/folder/here"),
        (["inspect", "", "--model", "x"], 3, "empty"),
        (["inspect", "--file", "missing.txt", "--model", "x"], 3, "missing.txt"),
        (["view", "missing.json"], 3, "missing.json"),
        (["inspect", "a", "--model", "x", "--save", "a.docx"], 6, ".json"),
        (["inspect", "a", "--model", "x", "--save", "no/such/place/a.json"], 6, "no/such/place"),
        (["inspekt"], 2, "inspekt"),
        (["inspect", "a", "--device", "abacus"], 2, "no device 'abacus'. Choose from auto, cpu, cuda, mps, balanced"),
        (["inspect", "a", "--kind", "Encoder"], 2, "'Encoder' is not one of encoder, decoder, cross"),
        (["inspect", "a", "--top-k", "0"], 2, "--top-k must be at least 1, and 0 is not"),
        (["inspect", "a", "--width", "wide"], 2, "'wide' is not a whole number"),
        (["view"], 2, "Missing argument FILE"),
        (["schema", "record", "find"], 2, "'find'. 'attn schema' takes NAME: put one that has spaces in quotes."),
        (["models", "toy"], 2, "Unexpected argument 'toy'. 'attn models' takes only options."),
    ],
)
def test_errors_are_one_line_with_a_code(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("attn: ")
    assert err.count("\n") == 1
    assert message in err
    assert "Traceback" not in err


def test_a_traceback_is_one_variable_away() -> None:
    result = attn("view", "missing.json", ATTN_DEBUG="1")
    assert b"Traceback" in result.stderr


def test_control_characters_in_an_error_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "a\x1b]0;title\x07\x1b[31mred"]) == 3
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.json", "a.npz"])
def test_a_file_for_one_sentence_is_refused_before_a_model_is_loaded(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("The cat sat.\nIt was big.\n")
    saved = tmp_path / name
    saved.write_bytes(b"old")
    arguments = ["inspect", "--file", str(tmp_path / "in.txt"), "--model", "no/such/model", "--force"]
    assert main([*arguments, "--save", str(saved)]) == 6
    assert "a.jsonl" in capsys.readouterr().err
    assert saved.read_bytes() == b"old"
    assert main([*arguments, "--save", str(saved.with_suffix(".jsonl"))]) == 5  # now the model is looked for


def test_ctrl_c_while_attn_itself_is_imported() -> None:
    script = (
        "import signal, sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from attn_cli.__main__ import main\n"
        "main()"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (130, b"", b"")


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (b"", "no text in standard input"),
        (b"\n \n", "no text"),
        (b"caf\xe9\n", "line 1 of standard input is not UTF-8"),
    ],
)
def test_what_is_piped_in(stdin: bytes, message: str) -> None:
    result = attn("inspect", "--model", "x", stdin=stdin)
    assert result.returncode == 3
    assert message in result.stderr.decode()


def test_ctrl_c_exits_130_and_leaves_nothing(tmp_path: Path) -> None:
    saved = tmp_path / "out.json"
    command = [sys.executable, "-c", INTERRUPT, "inspect", "a cat", "--model", "x", "--save", str(saved)]
    result = subprocess.run(command, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (130, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f'{shlex.quote(sys.executable)} -m attn_cli schema | head -c 5; echo " ${{PIPESTATUS[0]}}"'
    result = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert result.stderr == b""
    assert result.stdout.split()[-1] in {b"0", b"141"}


COMPLETE = """
eval "$(attn --show-completion)"
COMP_WORDS=({words}) COMP_CWORD={last}
_attn_completion attn
echo "${{COMPREPLY[@]}}"
"""
"""The commands that bash runs when the tab key is pressed."""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("attn in", "inspect"),
        ("attn inspect --que", "--query"),
        ("attn view --sort f", "focus first"),
        ("attn inspect --device cu", "cuda"),
    ],
)
def test_bash_completes(words: str, completed: str, tmp_path: Path) -> None:
    command = tmp_path / "attn"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m attn_cli "$@"\n')
    command.chmod(0o755)
    script = COMPLETE.format(words=words, last=len(words.split()) - 1)
    result = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        check=True,
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
    )
    assert (result.stdout.decode(), result.stderr) == (f"{completed}\n", b"")


def test_each_command_has_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(COMMANDS)
    assert not [line for line in lines if line.endswith("...")]
