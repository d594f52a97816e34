"""A record as a compressed NumPy archive: exact, small, and read with `numpy.load` alone.

Arrays are named `kind.layer.part`: `weights` [head, query, key], `heads` and `queries` (their numbers along the first
two axes), `visible` [query, 2], and where there are any `scores` [head, query, key] and `sink` [head, query].
Everything else is in `record`, the bytes of the JSON document without maps.
"""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from io import BytesIO
from tokenize import TokenError
from typing import Any, cast

import numpy as np

from attn_cli.data.record import Record
from attn_cli.data.selection import KINDS, Kind
from attn_cli.errors import InputError
from attn_cli.io.document import make_map, restore
from attn_cli.io.records import decode, to_json
from attn_cli.io.schema import check, fault
from attn_cli.system.memory import require

__all__ = ["MAGIC", "from_npz", "to_npz"]

MAGIC = b"PK"
"""How every zip archive begins."""

DENSEST = 1032
"""How many bytes one byte can stand for (deflate's limit)."""

ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
    EOFError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError,
)  # fmt: skip
"""What comes out of `zipfile`, and of what it unpacks with, at an archive that is damaged."""

HEADER_ERRORS = (ArithmeticError, EOFError, LookupError, MemoryError, SyntaxError, TokenError, TypeError, ValueError)
"""What comes out of NumPy at a header that it did not write: it parses it as Python, and lets through what fails."""

WHOLE = ("heads", "queries", "visible")
PARTS = (*WHOLE, "weights", "scores", "sink")
NAME = re.compile(rf"({'|'.join(KINDS)})\.(0|[1-9]\d{{0,8}})\.({'|'.join(PARTS)})", re.ASCII)


def to_npz(record: Record, heads: Iterable[Mapping[str, Any]] | None = None) -> bytes:
    """A whole archive.

    Args:
        record: what was seen.
        heads: rows of the table of heads, as `attn_cli.questions.inspect.measure.head_rows` makes them.
    """
    arrays = {"record": np.frombuffer(to_json(replace(record, maps=()), heads), dtype=np.uint8)}
    for map_ in record.maps:
        for part in PARTS:
            value = getattr(map_, part)
            if value is not None:
                arrays[f"{map_.kind}.{map_.layer}.{part}"] = (
                    np.asarray(value, dtype=np.int64) if part in WHOLE else value
                )
    file = BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def from_npz(data: bytes, name: str = "the record") -> Record:
    """The record that `to_npz` wrote, equal in every bit.

    Args:
        data: the whole archive.
        name: what to call it in messages.

    Raises:
        InputError: it is damaged, from elsewhere, or contradicts itself.
        MemoryLimitError: it does not fit in memory once it is unpacked.
    """
    arrays = _arrays(data, name)
    if "record" not in arrays or arrays["record"].dtype != np.uint8:
        raise InputError(f"{name} is an .npz archive, but not a record of attn", "Make one with attn inspect --save")
    document = check(decode(arrays.pop("record").tobytes(), f"{name}: record"), name)
    frame = restore(document, name)
    layers: dict[tuple[Kind, int], dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        match = NAME.fullmatch(key)
        if match is None:
            raise fault(name, key, "is not an array that a record has")
        kind, layer, part = cast("Kind", match[1]), int(match[2]), match[3]
        expected = np.dtype(np.int64 if part in WHOLE else np.float32)
        if array.dtype != expected:
            raise fault(name, key, f"holds {array.dtype}, expected {expected}")
        layers.setdefault((kind, layer), {})[part] = array
    for (kind, layer), parts in layers.items():
        for part in PARTS[:4]:
            if part not in parts:
                raise fault(name, f"{kind}.{layer}.{part}", "is missing")
    return replace(
        frame,
        maps=tuple(make_map(frame, place, parts, f"{place[0]}.{place[1]}", name) for place, parts in layers.items()),
    )


def _arrays(data: bytes, name: str) -> dict[str, np.ndarray]:
    """Every array in the archive; nothing in it is ever unpickled."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > DENSEST * len(data):
                raise zipfile.BadZipFile("it says that more is in it than can be")
            require(2 * size, name, "Save it with fewer heads, through --layer and --head")
            # Read whole, so that the checksums are compared before anything is made of the contents.
            members = {entry: archive.read(entry) for entry in archive.namelist()}
    except ARCHIVE_ERRORS as error:
        raise InputError(f"{name} is damaged: {error}", "Save it again with attn inspect --save") from error
    try:
        return {
            entry.removesuffix(".npy"): np.lib.format.read_array(BytesIO(content), allow_pickle=False)
            for entry, content in members.items()
        }
    except HEADER_ERRORS as error:
        raise InputError(
            f"{name} is a zip archive, but not of NumPy arrays: {error}", "Make one with attn inspect --save"
        ) from error
