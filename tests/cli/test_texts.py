"""Sentences from the command line, pipes and files of every making."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from attn_cli.cli import texts
from attn_cli.cli.app import main
from attn_cli.cli.texts import Sentence, sentences
from attn_cli.errors import InputError, UsageError


def pipe(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input that holds this."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"one", [("one", 1)]),
        (b"one\ntwo\n", [("one", 1), ("two", 2)]),
        (b"\xef\xbb\xbfone\r\ntwo\r\n", [("one", 1), ("two", 2)]),
        (b"\n \n  indented \n\n", [("  indented ", 3)]),
        (b"a\0b\n", [("a\0b", 1)]),
        ("\u0085\u2028é\n".encode(), [("\u0085\u2028é", 1)]),
    ],
)
def test_lines(content: bytes, found: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "in.txt"
    file.write_bytes(content)
    assert list(sentences(None, file)) == [Sentence(text, f"line {number} of {file}") for text, number in found]
    for text, named in ((None, None), ("-", None), (None, Path("-"))):
        pipe(content, monkeypatch)
        piped = [Sentence(text, f"line {number} of standard input") for text, number in found]
        assert list(sentences(text, named)) == piped


@pytest.mark.parametrize(
    ("content", "problem", "remedy"),
    [
        (b"", "no text in", "one sentence a line"),
        (b" \n\t\n", "no text in", "one sentence a line"),
        (b"fine\ncaf\xe9\n", "line 2 of .* is not UTF-8 .byte 0xe9 at position 3", "iconv -f LATIN1 -t UTF-8"),
        ("fine\n".encode("utf-16"), "line 1 of .* is not UTF-8", "iconv -f UTF-16 -t UTF-8"),
        (b"fine\n" + b"x" * 101, "line 2 of .* is longer than 100 bytes", "one sentence a line"),
    ],
)
def test_what_cannot_be_read(
    content: bytes, problem: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "LONGEST", 100)
    file = tmp_path / "in.txt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=problem) as raised:
        list(sentences(None, file))
    assert remedy in raised.value.remedy


def test_a_line_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LONGEST", 100)
    with pytest.raises(InputError, match="longer than 100 bytes"):
        list(sentences(None, Path("/dev/zero")))


@pytest.mark.parametrize("place", ["missing.txt", "missing/one.txt"])
def test_a_file_that_cannot_be_opened(place: str) -> None:
    with pytest.raises(InputError, match="cannot be read: ") as raised:
        list(sentences(None, Path(place)))
    assert "text file" in raised.value.remedy


def test_an_input_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: object, /) -> int:
            raise OSError(5, "Input/output error")

    stdin = SimpleNamespace(buffer=io.BufferedReader(Failing()), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(InputError, match="standard input cannot be read: Input/output error"):
        list(sentences("-", None))


@pytest.mark.parametrize("text", ["", " \t\n\u3000", "\ud83d", "caf\udce9"])
@pytest.mark.parametrize("option", ["", "--pair", "--target"])
def test_every_text_is_looked_at_before_a_model_is_loaded(
    text: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["a cat", option, text] if option else [text]
    assert main(["inspect", *arguments, "--model", "no/such/model"]) == 3
    error = capsys.readouterr().err
    assert f"The text of {option} " in error if option else "The text " in error
    assert ("is empty" in error) == (not text.strip())
    assert error.count("\n") == 1


def test_two_texts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="A text and --file are both given"):
        sentences("text", tmp_path)


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(UsageError, match="no text to look at"):
        sentences(None, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["the", "cat"], "Unexpected argument 'cat'. Put the sentence in quotes."),
        (["the", "cat", "sat", "down", "there"], "Unexpected arguments 'cat', 'sat', 'down' and 1 more. Put the"),
        (["the cat", "--model", ""], "--model is empty"),
        (["the cat", "--model", " "], "--model is empty"),
        (["the cat", "--model", "x", "--top-k", "9" * 5000], "is not a whole number"),
        (["the cat", "--model", "x", "--query", "cat", "--top-k", "9" * 20], "must be a number of keys"),
        (["the cat", "--model", "x", "--layer", "9" * 5000], "is not a list of numbers"),
        (["the cat", "--model", "x", "--head", "0." + "9" * 5000], "is not a list of numbers"),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert len(error) < 300
