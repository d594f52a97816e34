"""Names of files that are typed where a text is expected."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import attn_cli
from attn_cli.cli.app import main
from attn_cli.cli.file_names import check_typed, names_record

COMMANDS = [["inspect"], ["explore"], ["find"], ["explain", "--query", "0"], ["ablate"], ["generate"], ["translate"]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with some files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("attn_cli.questions.explore.command.check_terminal", lambda: None)
    os.mkfifo("pipe.txt")
    for name in (
        "bank.conllu",
        "plain.txt",
        "my notes.txt",
        "texts.jsonl.gz",
        "part.npz",
        "table.csv",
        "cat.PNG",
        "The cat sat",
    ):
        Path(name).write_text("The cat sat\n")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_no_command_takes_the_name_of_a_file_for_a_text(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    name, *options = command
    between = ["The", "cat"] if name == "find" else []
    assert main([name, "plain.txt", *between, *options]) == 2
    said = capsys.readouterr().err
    assert said == "attn: plain.txt is a file, and not taken for a text. Read its lines with --file plain.txt.\n"


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        (["heads", "plain.txt"], "Read its lines with --file plain.txt."),
        (["diff", "The cat sat", "plain.txt"], "Give the text itself, or pairs of texts in a table with --file."),
        (["heads", "bank.conllu"], "Read a treebank with attn heads --conllu bank.conllu."),
        (["tour", "plain.txt"], "Give one sentence in quotes."),
        (
            ["ablate", "The cat", "--with", "mean", "--from-text", "plain.txt"],
            "Give the text itself, or name a file of texts to take a mean over with --from-file.",
        ),
        (
            ["translate", "The cat", "--target", "plain.txt"],
            "Give the text itself, or texts with targets in a table with --file.",
        ),
        (
            ["inspect", "The cat", "--pair", "plain.txt"],
            "Give the text itself, or pairs of texts in a table with --file.",
        ),
        (
            ["ablate", "The cat", "--pair", "plain.txt"],
            "Give the text itself, or pairs of texts in a table with --file.",
        ),
        (["inspect", "part.npz"], "Show it with attn view part.npz."),
    ],
)
def test_each_command_says_what_it_reads(command: list[str], remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    assert capsys.readouterr().err.endswith(f" is a file, and not taken for a text. {remedy}\n")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("my notes.txt", "Read its lines with --file 'my notes.txt'."),
        ("texts.jsonl.gz", "Read its lines with --file texts.jsonl.gz."),
        (
            "table.csv",
            "Read its lines with --file table.csv, or show it with attn view table.csv if it is a record or a matrix.",
        ),
        ("cat.PNG", "Show an image with attn inspect --image cat.PNG."),
        ("pipe.txt", "Read its lines with --file pipe.txt."),
        ("/dev/fd/63", "Read its lines with --file /dev/fd/63."),
    ],
)
def test_names_of_files_say_how_they_are_read(name: str, remedy: str) -> None:
    with pytest.raises(attn_cli.UsageError) as raised:
        check_typed(name)
    assert str(raised.value) == f"{name} is a file, and not taken for a text. {remedy}"


@pytest.mark.parametrize("text", ["The cat sat", "no such.txt", "Read plain.txt", "word " * 300 + ".txt", "plain", "."])
def test_a_sentence_is_never_mistaken(text: str) -> None:
    assert check_typed(text) == text
    assert not names_record(text)


def test_a_long_sentence_that_ends_like_a_table_is_a_sentence() -> None:
    assert not names_record("word " * 300 + "table.csv")
