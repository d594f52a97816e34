"""Corpora of many files, compressed files, Parquet and data sets on the hub."""

from __future__ import annotations

import bz2
import gzip
import importlib
import json
import lzma
import os
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attn_cli.cli import files, tables
from attn_cli.cli.tables import FieldNames
from attn_cli.cli.texts import count_lines, lines_of, name_of, sentences
from attn_cli.errors import InputError
from tests.conftest import Run

zstd = importlib.import_module(files.COMPRESSED[".zst"][0])
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}
LINES = b"The cat sat.\n\nThe dog ran.\n"
REAL_IMPORT = importlib.import_module


def read(path: str | Path, **chosen: str) -> list[str]:
    return [one.text for one in sentences(None, Path(path), chosen=FieldNames(**chosen))]


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("suffix", PACK)
def test_compressed_files(suffix: str, tmp_path: Path) -> None:
    plain, table = tmp_path / f"a.txt{suffix}", tmp_path / f"b.jsonl{suffix.upper()}"
    pack = PACK[suffix]
    plain.write_bytes(pack(LINES[:13]) + pack(LINES[13:]))  # in two parts, as `cat a.gz b.gz` makes them
    table.write_bytes(pack(b'{"id": 1, "review": "A house."}\n'))
    assert read(plain) == ["The cat sat.", "The dog ran."]
    assert read(table, text="review") == ["A house."]
    assert count_lines(plain) is None
    assert [one.where for one in sentences(None, plain)][1] == f"line 3 of {plain}"


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-9], "is cut off: its compressed data has no end. Copy it again"),
        (lambda _: LINES, r"is damaged, or not compressed as \.\w+\. Check its name"),
    ],
    ids=["cut", "plain"],
)
def test_damaged_archives(suffix: str, spoil: Callable[[bytes], bytes], message: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.txt{suffix}"
    file.write_bytes(spoil(PACK[suffix](os.urandom(2000).hex().encode() + b"\n")))
    with pytest.raises(InputError, match=message):
        read(file)


@pytest.mark.parametrize("suffix", PACK)
def test_a_compressed_file_without_such_a_name(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(PACK[suffix](LINES))
    with pytest.raises(InputError, match=r"is compressed, and holds .*let its name end in \.gz, \.bz2, \.xz, \.zst"):
        read(file)


def test_a_folder_and_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "c/b.txt": b"Two.\nThree.",
        "c/deep/c.jsonl": b'{"text": "Four."}\n',
        "c/a.txt.gz": gzip.compress(b"One."),
        "c/empty.txt": b"\n",
        "c/cat.png": b"\x89PNG",
        "c/.hidden.txt": b"no",
        "c/.git/x.txt": b"no",
    }.items():
        Path(name).parent.mkdir(exist_ok=True, parents=True)
        Path(name).write_bytes(content)
    parquet(Path("c/d.parquet"), text=["Five."])
    assert read("c") == ["One.", "Two.", "Three.", "Five.", "Four."]
    said = capsys.readouterr().err
    assert "note: 1 file of c is left out: only names that end in .txt, .tsv, .csv, .jsonl, .ndjson, .json, " in said
    assert read("c/*.txt*") == ["One.", "Two.", "Three."]
    assert read(tmp_path / "**" / "[bc].*") == ["Two.", "Three.", "Four."]
    assert [one.where for one in sentences(None, Path("c/b*"))] == ["line 1 of c/b.txt", "line 2 of c/b.txt"]
    assert [count_lines(Path(name), blanks=False) for name in ("c", "c/*.txt", "c/*.jsonl")] == [None, 2, None]
    Path("odd[1].txt").write_text("A file whose name is a pattern.")
    assert read("odd[1].txt") == ["A file whose name is a pattern."]


def test_folders_and_patterns_without_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("bare", "pictures"):
        Path(folder).mkdir()
    Path("pictures/cat.png").write_bytes(b"")
    for folder in ("bare", "pictures"):
        with pytest.raises(InputError, match=f"no texts in the folder {folder}. Name files so that they end in .txt, "):
            read(folder)
    for pattern in ("*.txt", "ba*e", "missing/**"):
        with pytest.raises(InputError, match=r"No file is named like .*put it in quotes"):
            read(pattern)
    Path("bare/a.txt").write_text(" \n")
    with pytest.raises(InputError, match="There is no text in bare"):
        read("bare")


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, whom nothing is denied."""

    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", deny)
        with pytest.raises(InputError, match="cannot be read: Permission denied"):
            read(tmp_path)
    monkeypatch.setattr(Path, "is_dir", deny)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read(tmp_path / "a.txt")
    assert count_lines(tmp_path / "a.txt") is None


def test_parquet(tmp_path: Path) -> None:
    file = parquet(tmp_path / "a.parquet", id=[1, 2], text=["One.", "Two."], target=["Un.", "Deux."], body=["x", "y"])
    assert [(one.text, one.target) for one in sentences(None, file)] == [("One.", "Un."), ("Two.", "Deux.")]
    assert [one.where for one in sentences(None, file)] == [f"row {number} of {file}" for number in (1, 2)]
    assert read(file, text="body") == ["x", "y"]
    assert count_lines(file) is None
    coded = pa.array(["A.", "A.", "B."]).dictionary_encode()
    assert read(parquet(tmp_path / "b.parquet", text=coded)) == ["A.", "A.", "B."]
    assert read(parquet(tmp_path / "c.parquet", text=pa.array(["C."], pa.large_string()))) == ["C."]
    assert read(parquet(tmp_path / "d.parquet", text=["D.", None, "", "E."])) == ["D.", "E."]


def test_parquet_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LONGEST", 9)
    whole = parquet(tmp_path / "a.parquet", text=["One.", "Ten letters"], label=[1, 2])
    packed = tmp_path / "a.parquet.gz"
    packed.write_bytes(gzip.compress(whole.read_bytes()))
    cases = [
        (whole, "text", r"row 2 of .*a\.parquet is longer than 9 characters. Give a text with one sentence a row"),
        (whole, "label", r"The column 'label' of .*a\.parquet holds no texts. Name one of these: text"),
        (whole, "body", r"a\.parquet has no column 'body'. Name one of these: text"),
        (packed, None, r"a\.parquet\.gz is Parquet behind \.gz, of which no rows can be read alone. Decompress it"),
        (parquet(tmp_path / "b.parquet", body=["x"], note=["y"]), None, "does not say which column is the text"),
        (parquet(tmp_path / "c.parquet", label=[1]), None, r"c\.parquet has no column of texts"),
        (tmp_path / "no.parquet", None, "cannot be read: No such file"),
        (tmp_path / "d.parquet", None, "is damaged, or not a Parquet file. Check its name"),
        (tmp_path / "e.parquet", None, "is damaged, or not a Parquet file"),
        (tmp_path / "f.txt", None, r"is a Parquet file, and holds no lines of text. Let its name end in \.parquet"),
    ]
    (tmp_path / "d.parquet").write_bytes(LINES)
    (tmp_path / "e.parquet").write_bytes(whole.read_bytes()[:-20])
    (tmp_path / "f.txt").write_bytes(whole.read_bytes())
    for file, field, message in cases:
        with pytest.raises(InputError, match=message):
            list(sentences(None, file, chosen=FieldNames(field)))
    with pytest.raises(InputError, match=r"is a Parquet file, and holds no lines of text\. Save what it holds as"):
        next(lines_of(whole))


@pytest.mark.unchecked
def test_no_file_is_read_whole(tmp_path: Path) -> None:
    line = "The cat sat on the mat. " * 40
    (tmp_path / "a.txt.zst").write_bytes(zstd.compress(f"{line}\n".encode() * 4_000))
    with gzip.open(tmp_path / "b.jsonl.gz", "wb", 1) as packed:
        for _ in range(4_000):
            packed.write(json.dumps({"text": line}).encode() + b"\n")
    for name in ("a.txt.zst", "b.jsonl.gz"):
        tracemalloc.start()
        assert sum(1 for _ in sentences(None, tmp_path / name)) == 4_000
        assert tracemalloc.get_traced_memory()[1] < 1.5e6  # of 4 MB
        tracemalloc.stop()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set where the library datasets looks first: in a folder of its name."""
    monkeypatch.chdir(tmp_path)
    for split, texts in {"train": ["One.", "Two."], "test": ["Three."]}.items():
        Path("we/texts").mkdir(parents=True, exist_ok=True)
        rows = (json.dumps({"id": number, "sentence": text}) for number, text in enumerate(texts))
        Path(f"we/texts/{split}.jsonl").write_text("\n".join(rows))
    return tmp_path


def test_a_data_set_on_the_hub(hub: Path) -> None:
    assert read("hf://datasets/we/texts") == ["One.", "Two."]
    assert read("hf://datasets/we/texts:test", text="sentence") == ["Three."]
    assert read("hf://datasets/we/texts/default:test") == ["Three."]
    name = "hf://datasets/we/texts:test"
    assert name_of(Path(name)) == name
    assert [one.where for one in sentences(None, Path(name))] == [f"row 1 of {name}"]
    assert count_lines(Path(name)) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf://datasets/we", "is not the name of a data set. Write it like hf://datasets/OWNER/NAME"),
        ("hf://models/we/texts", "is not the name of a data set"),
        ("hf://", "hf:// is not the name of a data set"),
        ("hf://datasets/a/b/c/d", "is not the name of a data set"),
        ("hf://datasets/we/texts:dev", "dev.* cannot be read: .*Bad split: dev.*Check its name, its config"),
        ("hf://datasets/we/missing", "hf://datasets/we/missing cannot be read: .*Check its name"),
    ],
)
def test_data_sets_that_cannot_be_read(name: str, message: str, hub: Path) -> None:
    with pytest.raises(InputError, match=message) as raised:
        read(name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "package"),
    [("a.txt.zst", "backports.zstd"), ("a.parquet", "pyarrow"), ("hf://datasets/we/texts", "datasets")],
)
def test_a_package_that_is_missing(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attn: Run
) -> None:
    if package == "backports.zstd" and sys.version_info >= (3, 14):
        pytest.skip("part of Python")

    def missing(module: str) -> Any:
        if module.startswith(package):
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return REAL_IMPORT(module)

    monkeypatch.chdir(tmp_path)
    Path(name.replace("/", "_")).write_bytes(b"")
    monkeypatch.setattr(files, "import_module", missing)
    for command in ("inspect", "heads"):
        error = attn(command, "--file", name, "--model", "no/such/model", code=3)
        assert error == (
            f"attn: {name} needs the package {package} to be read. "
            "Run `pip install 'attn-cli[corpus]'`, then try again.\n"
        )


def test_all_commands_take_them(attn: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c").mkdir()
    Path("c/a.txt").write_text("The cat sat.\n")
    Path("c/b.txt.gz").write_bytes(gzip.compress(b"The dog ran.\n"))
    Path("one.txt").write_text("The cat sat.\nThe dog ran.\n")
    assert attn("heads", "--layer", "2", "--file", "c") == attn("heads", "--layer", "2", "--file", "one.txt")
    assert attn("translate", "--text-only", "--file", "c/*") == attn("translate", "--text-only", "--file", "one.txt")
    assert attn("heads", "--file", "c/b.txt.gz", "--whole") == attn("heads", "The dog ran.")
    assert "c cannot be read: Is a directory" in attn("inspect", "--file", "c", "--whole", code=3)
