"""Corpora as people have them: folders and patterns of files, compressed files, Parquet, and data sets on the hub.

All of them are read lazily: of a file no more than some rows are in memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from attn_cli.cli.tables import AS_USUAL, TABLE_FORMATS, FieldNames, named
from attn_cli.errors import InputError, counted, quoted, shortened

__all__ = [
    "COMPRESSED",
    "PARQUET",
    "PLAIN",
    "READABLE",
    "REMEDY",
    "Files",
    "Unpacked",
    "files_in",
    "hub_name",
    "hub_rows",
    "parquet_rows",
    "suffix_of",
    "unreadable",
]

Row = tuple[dict[str, Any], str]
"""A row by column, and its name in messages."""

PARQUET = ".parquet"
PLAIN = ".txt"
"""Suffix of files that are read as plain text, whatever their first line is."""
READABLE = (PLAIN, *TABLE_FORMATS, PARQUET)
"""Suffixes of the files of a folder that are read, below that of their compression."""
_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
COMPRESSED: Mapping[str, tuple[str, tuple[str, str]]] = {
    ".gz": ("gzip", ("zlib", "error")),
    ".bz2": ("bz2", ("builtins", "EOFError")),
    ".xz": ("lzma", ("lzma", "LZMAError")),
    ".zst": (_ZSTD, (_ZSTD, "ZstdError")),
}
"""Suffix of compressed files -> the module that opens them, and the exception that means that they are damaged.

An `OSError` without a number means that too.
"""
HUB = "hf:"
"""The first part of the path of a data set on the hub; the `//` behind it is one slash in a `Path`."""
REMEDY = "Name a text file with one sentence a line"
ROWS = 1024
"""Most rows of a Parquet file to hold in memory at a time."""


def _needed(module: str, name: str) -> Any:
    """Import a module that only some corpora need.

    Args:
        module: the module.
        name: name of the corpus in messages.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as fault:
        package = module if module.startswith("backports") else module.partition(".")[0]
        raise InputError(
            f"{name} needs the package {package} to be read",
            "Run `pip install 'attn-cli[corpus]'`, then try again",
        ) from fault


def suffix_of(path: Path) -> str:
    """Return the suffix that tells a file's format, in small letters: `.jsonl` of `texts.jsonl.gz`."""
    before, last = ["", "", *(suffix.lower() for suffix in path.suffixes)][-2:]
    return before if last in COMPRESSED else last


def unreadable(name: str, error: OSError, remedy: str) -> InputError:
    """Return the error for a file that the system does not let be read."""
    return InputError(f"{name} cannot be read: {error.strerror or error}", remedy)


class Unpacked:
    """A file that is open for reading bytes, and decompressed on the way where its name says so.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be opened.
        InputError: a package is missing that it needs.
    """

    def __init__(self, path: Path) -> None:
        self._name, self._suffix = str(path), path.suffix.lower()
        self._faults: tuple[type[Exception], ...] = ()
        if self._suffix not in COMPRESSED:
            self._file: BinaryIO = path.open("rb")
            return
        module, (owner, fault) = COMPRESSED[self._suffix]
        self._file = _needed(module, self._name).open(path)
        self._faults = (getattr(import_module(owner), fault), OSError)

    def __enter__(self) -> Unpacked:  # noqa: PYI034 - the tests check types, and cannot check Self
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def readline(self, size: int, /) -> bytes:
        """Read a line of at most so many bytes.

        Raises:
            OSError: the file cannot be read.
            InputError: it is not compressed as its name says, or damaged.
        """
        try:
            return self._file.readline(size)
        except EOFError as error:
            raise InputError(f"{self._name} is cut off: its compressed data has no end", "Copy it again") from error
        except self._faults as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(
                f"{self._name} is damaged, or not compressed as {self._suffix}", "Check its name, or copy it again"
            ) from error


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a corpus, by name."""

    files: tuple[Path, ...]
    left_out: int = 0
    """Files of the folder in other formats."""

    def note(self, path: Path) -> str:
        """Return a note on the files that are left out; nothing if there are none."""
        if not self.left_out:
            return ""
        what = f"{counted(self.left_out, 'file')} of {path} {'is' if self.left_out == 1 else 'are'} left out"
        return f"note: {what}: only names that end in {', '.join(READABLE)} are read, also compressed"


def files_in(path: Path) -> Files | None:
    """Return the files of a folder with texts, or those that a pattern names; None for anything else.

    Raises:
        InputError: there are none, or the folder cannot be read.
    """
    try:
        if path.is_dir():
            return _in_folder(path)
        if str(path).startswith(f"{HUB}/") or path.exists() or not set("*?[") & set(str(path)):
            return None
    except OSError as error:
        raise unreadable(str(path), error, REMEDY) from error
    from glob import glob  # few commands need it

    # A Path's own glob can follow no pattern that begins at the root.
    named_so = tuple(file for name in sorted(glob(str(path), recursive=True)) if (file := Path(name)).is_file())  # noqa: PTH207
    if not named_so:
        raise InputError(f"No file is named like {path}", "Check the pattern, and put it in quotes")
    return Files(named_so)


def _in_folder(folder: Path) -> Files:
    def fail(error: OSError) -> None:
        raise error

    found = []
    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    files = tuple(sorted(file for file in found if suffix_of(file) in READABLE and file.is_file()))
    if not files:
        suffixes = ", ".join(READABLE)
        raise InputError(f"There are no texts in the folder {folder}", f"Name files so that they end in {suffixes}")
    return Files(files, len(found) - len(files))


def parquet_rows(path: Path, chosen: FieldNames = AS_USUAL) -> Iterator[Row]:
    """Yield each row of a Parquet file, of which only the columns that are wanted are read.

    Args:
        path: the file.
        chosen: the names of the columns, as far as the user gives them.

    Raises:
        InputError: the file cannot be read, is compressed as a whole, has no such column of texts, or pyarrow is
            missing.
    """
    if (suffix := path.suffix.lower()) in COMPRESSED:
        raise InputError(f"{path} is Parquet behind {suffix}, of which no rows can be read alone", "Decompress it")
    arrow, parquet = (_needed(module, str(path)) for module in ("pyarrow", "pyarrow.parquet"))
    number = 0
    try:
        with path.open("rb") as stream, parquet.ParquetFile(stream) as file:
            texts = [field.name for field in file.schema_arrow if _is_text(arrow.types, field.type)]
            if not texts:
                raise InputError(f"{path} has no column of texts", "Name a file that has one")
            others = set(file.schema_arrow.names).difference(texts)
            if (other := next((name for name in chosen.chosen if name in others), None)) is not None:
                raise InputError(
                    f"The column {quoted(other)} of {path} holds no texts",
                    f"Name one of these: {', '.join(texts[:12])}",
                )
            columns = named(texts, chosen, str(path))
            wanted = [str(name) for name in (columns.text, columns.target, columns.pair) if name is not None]
            for batch in file.iter_batches(ROWS, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield row, f"row {number} of {path}"
    except (OSError, arrow.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(str(path), error, REMEDY) from error
        raise InputError(f"{path} is damaged, or not a Parquet file", "Check its name, or copy it again") from error


def _is_text(types: Any, kind: Any) -> bool:
    """Return whether values of a type of Arrow are texts."""
    plain = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(plain or (types.is_dictionary(kind) and _is_text(types, kind.value_type)))


def hub_name(path: Path) -> str | None:
    """Return the name of a data set on the hub, as `hf://datasets/OWNER/NAME`; None for the path of a file."""
    return f"{HUB}//{'/'.join(path.parts[1:])}" if path.parts[:1] == (HUB,) else None


def hub_rows(name: str) -> Iterator[Row]:
    """Yield each row of a data set on the hub; no more is fetched than is read.

    Args:
        name: `hf://datasets/OWNER/NAME`, and behind it `/CONFIG` and `:SPLIT` (default: train).

    Raises:
        InputError: it has another form, cannot be fetched, or the package datasets is missing.
    """
    place, _, split = name.removeprefix(f"{HUB}//").partition(":")
    kind, *parts = place.split("/")
    if kind != "datasets" or not 2 <= len(parts) <= 3 or not all(parts):
        raise InputError(
            f"{name} is not the name of a data set", "Write it like hf://datasets/OWNER/NAME, then /CONFIG and :SPLIT"
        )
    datasets = _needed("datasets", name)
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    datasets.disable_progress_bars()
    number = 0
    try:
        rows = datasets.load_dataset("/".join(parts[:2]), *parts[2:], split=split or "train", streaming=True)
        for row in rows:
            number += 1
            yield row, f"row {number} of {name}"
    except (OSError, ValueError, datasets.exceptions.DatasetsError, httpx.HTTPError) as error:
        problem = shortened(" ".join(str(error).split()) or type(error).__name__, 200).rstrip(".")
        raise InputError(f"{name} cannot be read: {problem}", "Check its name, its config and its split") from error
