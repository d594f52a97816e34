"""Records as compressed NumPy archives: exact, small, and readable with `numpy.load` alone.

Arrays are named `kind.layer.part`: `weights` [head, query, key], `heads` and `queries` (their numbers along the first
two axes), `visible` [query, 2], and, if present, `scores` [head, query, key] and `sink` [head, query].
`unit` says what rows and columns are: always tokens. Everything else is in `record`, the bytes of the JSON document
without maps. An archive that is not attn's may hold a matrix of weights; see `attn_cli.io.arrays`.
"""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, cast

import numpy as np

from attn_cli.data.labelling import UNLABELLED, Labelling
from attn_cli.data.record import Record
from attn_cli.data.selection import KINDS, Kind
from attn_cli.errors import InputError
from attn_cli.io.arrays import HEADER_ERRORS, PICKLED, from_arrays
from attn_cli.io.records import decode, to_json
from attn_cli.io.restore import make_map, restore
from attn_cli.io.schema import check, fault
from attn_cli.system.memory import require

if TYPE_CHECKING:
    from attn_cli.data.outcomes import LookbackRatios
    from attn_cli.io.structs import ChosenHeadEntry, HeadEntry

__all__ = ["MAGIC", "PART", "from_npz", "read_archive", "to_npz"]

MAGIC = b"PK"
"""First bytes of every zip archive."""

DENSEST = 1032
"""Most bytes that one compressed byte can stand for (deflate's limit)."""

ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
    EOFError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError,
)  # fmt: skip
"""Exceptions that `zipfile` and its decompressors raise for a damaged archive."""

PART = "part"
"""Name of the array that an archive has if it is not a record, but a part of a corpus; see `attn_cli.io.parts`."""
UNIT, TOKEN = "unit", "token"
"""Name and content of the array that says what rows and columns are."""
WHOLE = ("heads", "queries", "visible")
PARTS = (*WHOLE, "weights", "scores", "sink")
NAME = re.compile(rf"({'|'.join(KINDS)})\.(0|[1-9]\d{{0,8}})\.({'|'.join(PARTS)})", re.ASCII)


def to_npz(
    record: Record,
    heads: Iterable[HeadEntry] | None = None,
    chosen: ChosenHeadEntry | None = None,
    lookback: LookbackRatios | None = None,
) -> bytes:
    """Write a record as an archive.

    Args:
        record: the record to write.
        heads: rows of the table of heads, as `attn_cli.questions.inspect.measure.head_rows` makes them.
        chosen: the head that is drawn, if one was chosen.
        lookback: what was looked back at while the text was written, if it was.
    """
    document = to_json(record, heads, chosen, lookback, maps=False)
    arrays = {"record": np.frombuffer(document, dtype=np.uint8), UNIT: np.array(TOKEN)}
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


def from_npz(data: bytes, name: str = "the record", labelling: Labelling = UNLABELLED) -> Record:
    """Read a record that `to_npz` wrote, equal in every bit, or a matrix of weights from elsewhere.

    Args:
        data: the bytes of the archive.
        name: name of the file in messages.
        labelling: what is said of a matrix.

    Raises:
        InputError: the archive is damaged, holds no weights, or contradicts itself.
        UsageError: labels are given for a record, or the kind asked for does not fit.
        MemoryLimitError: the unpacked archive does not fit in memory.
    """
    arrays = read_archive(data, name, labelling.array)
    if PART in arrays and "record" in arrays:
        raise InputError(f"{name} holds a part of a corpus, and no maps", "Give all its parts to attn heads")
    if "record" not in arrays and not any(NAME.fullmatch(key) for key in arrays):
        return from_arrays(arrays, name, labelling)
    labelling.check_unused(name)
    if "record" not in arrays or arrays["record"].dtype != np.uint8:
        raise InputError(f"{name} is an .npz archive, but not an attn record", "Make one with attn inspect --save")
    document = check(decode(arrays.pop("record").tobytes(), f"{name}: record"), name)
    frame = restore(document, name)
    if (unit := arrays.pop(UNIT, None)) is not None and (unit.shape != () or unit.item() != TOKEN):
        raise fault(name, UNIT, f"is not {TOKEN!r}")
    layers: dict[tuple[Kind, int], dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        match = NAME.fullmatch(key)
        if match is None:
            raise fault(name, key, "is not one of a record's arrays")
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


def read_archive(
    data: bytes, name: str, chosen: str | None = None, *, again: str = "attn inspect --save"
) -> dict[str, np.ndarray]:
    """Read every array in an archive; nothing is ever unpickled, nor is what holds objects beside a chosen array.

    Args:
        data: the bytes of the archive.
        name: name of the file in messages.
        chosen: name of the only array that is wanted.
        again: the command that writes such a file, for messages.

    Raises:
        InputError: the archive is damaged, or holds something else.
        MemoryLimitError: what it holds does not fit in memory.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > DENSEST * len(data):
                raise zipfile.BadZipFile("it claims to hold more than it can")
            require(2 * size, name, "Save it with fewer heads, through --layer and --head")
            # Members are read whole, so that their checksums are verified before the contents are used.
            members = {entry: archive.read(entry) for entry in archive.namelist()}
    except ARCHIVE_ERRORS as error:
        raise InputError(f"{name} is damaged: {error}", f"Save it again with {again}") from error
    arrays = {}
    for entry, content in members.items():
        key = entry.removesuffix(".npy")
        try:
            arrays[key] = np.lib.format.read_array(BytesIO(content), allow_pickle=False)
        except HEADER_ERRORS as error:
            if "Object arrays" not in str(error):
                raise InputError(
                    f"{name} is a zip archive, but not of NumPy arrays: {error}", f"Make one with {again}"
                ) from error
            if chosen in {None, key}:
                raise InputError(
                    f"{name} holds {PICKLED} ({key})", "Save it with array.astype('float32'), or labels as str"
                ) from error
    return arrays
