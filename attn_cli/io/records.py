"""Conversion between records and lines of JSON.

Maps come one per head, so that `jq '.maps[] | select(.layer == 3 and .head == 1) | .weights[11][2]'` is one weight.
float32 is written in the shortest digits that give it back, so nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.stream import Kind
from attn_cli.errors import InputError
from attn_cli.io.restore import make_map, restore
from attn_cli.io.schema import check, fault
from attn_cli.system.encoding import decode_text

if TYPE_CHECKING:
    from attn_cli.data.outcomes import LookbackRatios
    from attn_cli.io.structs import ChosenHeadEntry, HeadEntry

__all__ = ["NOT_A_RECORD", "decode", "from_json", "not_json", "restore_maps", "to_json"]

ARRAYS = ("queries", "visible", "weights", "scores", "sink")
"""Parts that NumPy checks, which the declaration sees empty: as Python's numbers they take the most memory."""
PER_HEAD = {"weights", "scores", "sink"}
"""Parts that have a head axis in a record."""

NOT_A_RECORD = "Give what attn inspect has saved as .json, .jsonl or .npz, or a matrix as .npy, .npz, .csv or .tsv"

TWICE_ROUNDED = 7.038531e-26
"""The only positive float32 whose shortest digits, rounded to a double and then to float32, give its neighbour.
Established by trying them all."""
TWICE_ROUNDED_AS_FLOAT32 = np.uint32(0x15AE43FD).view(np.float32)


def to_json(
    record: Record,
    heads: Iterable[HeadEntry] | None = None,
    chosen: ChosenHeadEntry | None = None,
    lookback: LookbackRatios | None = None,
    *,
    maps: bool = True,
) -> bytes:
    """Write a record as one line of UTF-8 that ends with a newline.

    Args:
        record: the record to write.
        heads: rows of the table of heads, as `head_rows` makes them.
        chosen: the head that is drawn, if one was chosen.
        lookback: what was looked back at while the text was written, if it was.
        maps: write its maps too; otherwise the list of them is empty.

    Raises:
        ExactnessError: a score is not a number, which JSON could not tell from a masked one.
    """
    from attn_cli.io.document import describe, encode

    return encode(describe(record, heads, chosen, lookback, maps=maps))


def decode(data: bytes | str, name: str) -> object:
    """Parse one JSON text.

    Raises:
        InputError: the text is not UTF-8, or not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if isinstance(data, bytes):
            decode_text(data, name, NOT_A_RECORD)
        raise not_json(name, error.msg, error.lineno, error.colno) from error


def not_json(name: str, problem: str, line: int, column: int) -> InputError:
    """Make the error for a text that is not JSON; lines and columns count from 1."""
    return InputError(f"{name} is not JSON: {problem} (line {line}, column {column})", NOT_A_RECORD)


def from_json(data: bytes, name: str = "the record") -> Record:
    """Read a record that `to_json` wrote, equal in every bit.

    Args:
        data: one JSON object.
        name: name of the record in messages.

    Raises:
        InputError: the data is not JSON, not a record, or contradicts itself.
    """
    return restore_maps(decode(data, name), name)


def restore_maps(document: object, name: str) -> Record:
    """Make a record from a JSON object, which is emptied on the way to save memory.

    Raises:
        InputError: the object is not a record, or contradicts itself.
    """
    lifted = _lift_arrays(document)
    checked = check(document, name)
    frame = restore(checked, name)
    layers: dict[tuple[Kind, int], list[AttentionMap]] = {}
    for index, (entry, values) in enumerate(zip(checked.maps, lifted, strict=True)):
        path = f"$.maps[{index}]"
        arrays = {part: _numbers(value, part, f"{path}.{part}", name) for part, value in values.items()}
        values.clear()
        for part in PER_HEAD & arrays.keys():
            arrays[part] = arrays[part][None]
        arrays["heads"] = np.array([entry.head])
        place = (entry.kind, entry.layer)
        map_ = make_map(frame, place, arrays, path, name)
        layer = layers.setdefault(place, [])
        _check_fellows(map_, layer, path, name)
        layer.append(map_)
    return replace(frame, maps=tuple(_join(layer) for layer in layers.values()))


def _lift_arrays(document: object) -> list[dict[str, list[Any]]]:
    """Take the long lists out of each map and leave empty lists, which the check of the declaration is quick with."""
    maps = document.get("maps") if isinstance(document, dict) else None
    lifted = []
    for entry in maps if isinstance(maps, list) else ():
        values = {}
        if isinstance(entry, dict):
            values = {part: entry[part] for part in ARRAYS if isinstance(entry.get(part), list)}
            entry.update({part: [] for part in values})
        lifted.append(values)
    return lifted


def _numbers(value: list[Any], part: str, path: str, name: str) -> np.ndarray:
    """Convert nested lists to an array of whole numbers or float32, of any shape; null is a masked score."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise fault(name, path, "has rows of different lengths") from error
    if part == "scores" and array.dtype == object and {type(item) for item in array.flat} <= {int, float, NoneType}:
        array = np.where(array == None, -np.inf, array).astype(np.float64)  # noqa: E711 (element by element)
    kinds = "iu" if part in {"queries", "visible"} else "iuf"
    if array.dtype.kind not in kinds and array.size:
        raise fault(name, path, f"holds something that is not a {'whole ' if kinds == 'iu' else ''}number")
    if kinds == "iu":
        return array.astype(np.intp)
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if (np.isinf(single) & np.isfinite(array)).any():
        raise fault(name, path, "holds a number too large for float32")
    alone = np.abs(array) == TWICE_ROUNDED
    single[alone] = np.copysign(TWICE_ROUNDED_AS_FLOAT32, single[alone])
    return single


def _check_fellows(map_: AttentionMap, layer: list[AttentionMap], path: str, name: str) -> None:
    """Check that a map has the same rows and parts as the other heads of its layer, and another head.

    Raises:
        InputError: it does not.
    """
    if any(map_.heads == other.heads for other in layer):
        raise fault(name, path, f"is a second map of {map_.kind} head {map_.layer}.{map_.heads[0]}")
    for other in layer[:1]:
        if map_.queries != other.queries or not np.array_equal(map_.visible, other.visible):
            raise fault(name, path, f"has other queries or visible keys than head {other.layer}.{other.heads[0]}")
        for part in ("scores", "sink"):
            if (getattr(map_, part) is None) != (getattr(other, part) is None):
                raise fault(name, path, f"and head {other.layer}.{other.heads[0]} do not both have {part}")


def _join(layer: list[AttentionMap]) -> AttentionMap:
    first = layer[0]
    return replace(
        first,
        heads=tuple(head for map_ in layer for head in map_.heads),
        weights=np.concatenate([map_.weights for map_ in layer]),
        scores=None
        if first.scores is None
        else np.concatenate([map_.scores for map_ in layer if map_.scores is not None]),
        sink=None if first.sink is None else np.concatenate([map_.sink for map_ in layer if map_.sink is not None]),
    )
