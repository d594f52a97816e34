"""Reading what was saved, in every form it may have by then."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from attn_cli.data.record import Record
from attn_cli.errors import InputError
from attn_cli.io.npz import to_npz
from attn_cli.io.read import read_records
from attn_cli.io.records import to_json
from tests.records import same
from tests.samples import decoder_record, encoder_record, translation_record

ALL = tuple(
    replace(record, tool_version=str(number))
    for number, record in enumerate((encoder_record(), decoder_record(), translation_record()))
)
LINES = b"".join(to_json(record) for record in ALL)


def jq(*options: str, data: bytes = LINES) -> bytes:
    return subprocess.run(["jq", *options], input=data, capture_output=True, check=True).stdout


def read(data: bytes) -> list[Record]:
    return list(read_records(io.BytesIO(data)))


def equal(found: list[Record], expected: tuple[Record, ...]) -> bool:
    return all(same(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    "data",
    [
        LINES,
        LINES.strip(),
        LINES.replace(b"\n", b"\n\n \n"),
        LINES.replace(b"\n", b"\r\n"),
        b"\n" + LINES,
        b"\xef\xbb\xbf" + LINES,
        LINES.replace(b"\n", b""),
        jq("."),
        jq("--tab", "."),
        to_json(ALL[0]) + jq(".", data=b"".join(to_json(record) for record in ALL[1:])),
    ],
    ids=["lines", "no last newline", "blank lines", "CR LF", "blank first", "mark", "no lines", "jq", "tabs", "mixed"],
)
def test_several(data: bytes) -> None:
    assert equal(read(data), ALL)


@pytest.mark.parametrize("record", ALL)
def test_one(tmp_path: Path, record: Record) -> None:
    saved = {
        "a.json": to_json(record),
        "b.json": jq(".", data=to_json(record)),
        "c.npz": to_npz(record),
        "the name does not matter": to_npz(record),
    }
    for name, data in saved.items():
        (tmp_path / name).write_bytes(data)
        assert equal(list(read_records(tmp_path / name)), (record,))
        assert equal(read(data), (record,))


def test_lines_are_read_as_they_come() -> None:
    found = read_records(io.BytesIO(to_json(ALL[0]) + b"interrupted"))
    assert same(next(found), ALL[0])
    with pytest.raises(InputError, match=r"^standard input is not JSON: Expecting value \(line 2, column 1\)"):
        next(found)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "standard input is empty. Make a record"),
        (b" \n\n", "standard input is empty. Make a record"),
        (b"The cat sat.\n", "standard input is not JSON: Expecting value (line 1, column 1). Give what attn"),
        (b"{}\n{}", "standard input is JSON, but not an attn record"),
        (LINES + b"{}", "line 4 of standard input is JSON, but not an attn record"),
        (LINES + b'{\n"a":\n1}', "standard input is JSON, but not an attn record"),
        (LINES + b'{\n"a":\n1}\n{}', "record 1 of standard input is JSON, but not an attn record"),
        (jq(".") + b"\xff", "standard input is not UTF-8 (byte 0xff at position "),
        (LINES + b'{"a":\n\xff', "standard input is not UTF-8 (byte 0xff at position 6)"),
        (jq(".") + b'{\n"a": 1 2}', "standard input is not JSON: Expecting ',' delimiter (line "),
        (jq(".") + b'{\n"schema_version": NaN}', "record 4 of standard input is not JSON: "),
        (b"{\n" + b"[" * 100_000, "standard input is not JSON: "),
        (b'{\n"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "standard input is nested too deeply to be a record"),
        (
            b"[" + to_json(ALL[0]).strip() + b"]",
            "standard input is JSON, but not an attn record. Write its records one",
        ),
        (b'{"schema_version": ' + b"9" * 5000 + b"}", "standard input is not JSON: it has a number with thousands of"),
        (b"PK\x03\x04", "standard input is damaged: "),
        (LINES.replace(b'"schema_version":1', b'"schema_version":2'), "standard input was written by a newer attn"),
        (LINES[: len(LINES) // 2], "standard input is not JSON: "),
    ],
)
def test_something_else(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(data)
    assert str(error.value).startswith(message)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.json", "nothing.json cannot be read: No such file or directory. Name a file"),
        (".", " cannot be read: Is a directory. Name a file"),
    ],
)
def test_no_file(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        list(read_records(tmp_path / name))
    assert message in str(error.value)
