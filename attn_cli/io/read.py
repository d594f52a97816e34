"""Reading of records and matrices of weights from files and pipes, in any format."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Protocol, runtime_checkable

import orjson

from attn_cli.data.labelling import UNLABELLED, Labelling
from attn_cli.data.record import Record
from attn_cli.errors import InputError
from attn_cli.io.arrays import NPY, from_npy
from attn_cli.io.npz import MAGIC, from_npz
from attn_cli.io.records import NOT_A_RECORD, decode, not_json, restore_maps
from attn_cli.io.sheets import MARKS, from_csv, is_number
from attn_cli.system.encoding import decode_text
from attn_cli.system.memory import require

__all__ = ["Readable", "read_records"]

EXPANSION = 5
"""Bytes that a number takes as a Python object and in an array, for each byte of its text."""
GRIDS = (".csv", ".tsv")
SMALLER = "Save it as .npz, or with fewer heads through --layer and --head"


@runtime_checkable
class Readable(Protocol):
    """A file open for reading bytes, such as standard input."""

    def readline(self) -> bytes: ...

    def read(self) -> bytes: ...


def read_records(source: Path | Readable, labelling: Labelling = UNLABELLED) -> Iterator[Record]:
    """Yield the records of a file in order: one `.npz`, one JSON object on any number of lines, or several in a row.

    A matrix of weights, as `.npy`, `.npz` or CSV, is a record too. The content decides the format, and not the file's
    name, unless that ends in `.csv` or `.tsv`. JSON Lines are read lazily.

    Args:
        source: the path of a file, or an open file such as standard input.
        labelling: what is said of a matrix.

    Raises:
        InputError: the file cannot be read, holds no record, or holds something else.
        UsageError: labels are given for a record, or a matrix cannot have the kind asked for.
        MemoryLimitError: a record does not fit in memory.
    """
    if not isinstance(source, Path):
        yield from _records(source, "standard input", labelling)
        return
    try:
        with source.open("rb") as file:
            yield from _records(file, str(source), labelling)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}", "Name a file that attn has saved") from error


def _records(file: Readable, name: str, labelling: Labelling) -> Iterator[Record]:
    first = file.readline()
    if first.startswith(MAGIC):
        yield from_npz(first + file.read(), name, labelling)
        return
    if first.startswith(NPY):
        yield from_npy(_whole(first, file, name), name, labelling)
        return
    if name.lower().endswith(GRIDS) or any(_separates(first, mark) for mark in f"{MARKS} "):
        yield from from_csv(_whole(first, file, name), name, labelling)
        return
    labelling.check_unused(name)
    empty = True
    for document, where in _documents(first.removeprefix(b"\xef\xbb\xbf"), file, name):
        empty = False
        yield restore_maps(document, where)
    if empty:
        raise InputError(f"{name} is empty", "Make a record with attn inspect --json")


def _whole(first: bytes, file: Readable, name: str) -> bytes:
    """Read the rest of a matrix, if it fits in memory together with what is made of it.

    Raises:
        MemoryLimitError: it does not.
    """
    if isinstance(file, BufferedReader):
        with suppress(OSError):  # of a pipe, the size is not known
            require(3 * os.fstat(file.fileno()).st_size, name, "Save fewer layers or heads of it")
    return first + file.read()


def _separates(line: bytes, mark: str) -> bool:
    """Return whether a first line is one of CSV: cells between marks, of numbers or below a header, and no JSON."""
    cells = [cell.strip() for cell in line.rstrip(b"\r\n").split(mark.encode())]
    if len(cells) < 2 or not line.strip() or line.lstrip().startswith(b"{"):
        return False
    named = {b"kind", b"sentence", b"query"} & set(cells)
    return bool(named) or not cells[0] or all(is_number(cell.decode(errors="replace")) for cell in cells[1:])


def _documents(line: bytes, file: Readable, name: str) -> Iterator[tuple[object, str]]:
    """Yield each JSON object and its name in messages."""
    number = 1
    while line:
        if line.strip():
            require(EXPANSION * len(line), f"{name} (line {number})", SMALLER)
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError:
                # An object over several lines, as jq writes it, or not JSON at all: read everything to find out.
                yield from _spread(line + file.read(), number, name)
                return
            yield document, name if number == 1 else f"line {number} of {name}"
        number, line = number + 1, file.readline()


def _spread(data: bytes, first_line: int, name: str) -> Iterator[tuple[object, str]]:
    """Yield JSON objects with any white space inside and between them, each with its name in messages."""
    text = decode_text(data, name, NOT_A_RECORD)
    find = json.JSONDecoder().raw_decode
    count, position = 0, _after_space(text, 0)
    while position < len(text):
        try:
            _, end = find(text, position)
        except json.JSONDecodeError as error:
            raise not_json(name, error.msg, error.lineno + first_line - 1, error.colno) from error
        except ValueError as error:  # Python limits the digits of a number
            raise InputError(f"{name} is not JSON: it has a number with thousands of digits", NOT_A_RECORD) from error
        except RecursionError as error:
            raise InputError(
                f"{name} is nested too deeply to be a record", "Make one with attn inspect --json"
            ) from error
        count += 1
        where = f"record {count} of {name}" if count > 1 or _after_space(text, end) < len(text) else name
        # `json` can find an object's end within a text; orjson, which is strict, reads the object.
        yield decode(text[position:end], where), where
        position = _after_space(text, end)


def _after_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position
