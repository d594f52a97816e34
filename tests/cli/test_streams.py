"""Streams that are closed, full, or that nobody reads any more: one line or none, and never a traceback."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from attn_cli.cli import app
from attn_cli.cli.app import main
from attn_cli.cli.streams import standard_streams

ATTN = f"{shlex.quote(sys.executable)} -m attn_cli"
FULL = Path("/dev/full")


def shell(command: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a line in which `attn` is ours."""
    result = subprocess.run(
        ["bash", "-c", command.replace("attn ", f"{ATTN} ")],
        input="",
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "", **environment},
    )
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize("command", ["attn inspect --model x", "attn inspect - --model x", "attn view -"])
def test_a_closed_input_is_an_empty_one(command: str) -> None:
    code, out, err = shell(f"{command} <&-")
    assert (code, out) == (3, "")
    assert "standard input" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["attn schema", "attn --help"])
@pytest.mark.parametrize(
    "place",
    [
        pytest.param(">&-", id="closed"),
        pytest.param(">/dev/full", id="full", marks=pytest.mark.skipif(not FULL.exists(), reason="no such device")),
    ],
)
def test_an_output_that_cannot_be_written(command: str, place: str, unbuffered: str) -> None:
    code, _, err = shell(f"{command} {place}", PYTHONUNBUFFERED=unbuffered)
    assert code == 6
    assert err.startswith("attn: Standard output cannot be written: ")
    assert err.count("\n") == 1


def test_a_closed_errors_stream_does_not_spill_into_the_output() -> None:
    assert shell("attn view nowhere.json 2>&-") == (3, "", "")


@pytest.mark.skipif(not FULL.exists(), reason="no such device")
def test_errors_that_cannot_be_told_still_have_their_code() -> None:
    assert shell("attn view nowhere.json 2>/dev/full") == (3, "", "")


@pytest.mark.parametrize("command", ["attn schema", "attn inspect --help", "attn --version"])
def test_a_reader_that_goes_away_is_no_error(command: str) -> None:
    code, _, err = shell(f'{command} | true; exit "${{PIPESTATUS[0]}}"')
    # What fits in the pipe may be out before the reader is gone.
    assert code in {0, app.READER_GONE}
    assert err == ""


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = f'attn schema > {fifo} & pid=$!; head -c 5 < {fifo}; wait "$pid"; echo " $?"'
    # The schema is larger than what a pipe of one page holds, so that its writer waits for the reader.
    code, out, err = shell(command)
    assert (code, err) == (0, "")
    assert out.split()[-1] in {"0", str(app.READER_GONE)}


def test_the_output_is_utf_8_whatever_the_terminal_shows() -> None:
    _, expected, _ = shell("attn schema")
    assert "·" in expected
    assert shell("attn schema", PYTHONIOENCODING="utf-8:strict", PYTHONUTF8="1") == (0, expected, "")
    assert shell("attn schema", PYTHONIOENCODING="ascii", PYTHONUTF8="1") == (0, expected, "")


def test_streams_are_left_as_they_were() -> None:
    before = sys.stdin, sys.stdout, sys.stderr
    with standard_streams():
        pass
    assert (sys.stdin, sys.stdout, sys.stderr) == before


class _Gone(io.RawIOBase):
    """A pipe whose reader has gone."""

    def writable(self) -> bool:
        return True

    def write(self, _: object, /) -> int:
        raise BrokenPipeError


def test_a_broken_pipe_has_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(_Gone()), "utf-8"))
    assert main(["schema"]) == app.READER_GONE == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("two\nlines"), 1, "attn: This is a fault in attn itself (ValueError: two␊lines). Set ATTN_DEBUG=1"),
        (RecursionError("x" * 999), 1, "xxx…xxx"),
        (MemoryError(), 7, "attn: Memory ran out. Choose fewer heads"),
        (ImportError("libtorch.so: failed to map segment from shared object"), 7, "attn: Memory ran out. Choose fewer"),
        (ImportError("No module named 'torch'"), 1, "cannot be imported: No module named 'torch'. Install attn again"),
    ],
)
def test_whatever_happens_is_one_line(
    error: Exception, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("attn_cli.questions.schema.measure.schema", fail)
    monkeypatch.delenv("ATTN_DEBUG", raising=False)
    assert main(["schema"]) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    monkeypatch.setenv("ATTN_DEBUG", "1")
    assert main(["schema"]) == code
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert message in err.splitlines()[-1]
