"""Matrices of weights in NumPy files, which anything may have written: `.npy`, and `.npz` that is not attn's.

An archive holds one array of weights, or one for each layer, whose names then say the order; of others, the user says
which to show. Texts in arrays of one axis are labels: `rows` and `columns`, or `labels` for both.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from io import BytesIO
from tokenize import TokenError

import numpy as np

from attn_cli.data.labelling import Labelling
from attn_cli.data.matrix import Layer, matrix_record, split_layers
from attn_cli.data.record import Record
from attn_cli.errors import InputError, quoted
from attn_cli.system.memory import require

__all__ = ["HEADER_ERRORS", "NPY", "PICKLED", "array_dtype", "from_arrays", "from_npy"]

NPY = b"\x93NUMPY"
"""First bytes of every `.npy` file."""

HEADER_ERRORS = (ArithmeticError, EOFError, LookupError, MemoryError, SyntaxError, TokenError, TypeError, ValueError)
"""Exceptions that NumPy raises for a foreign header, which it parses as Python without catching failures."""

PICKLED = "Python objects, which are never unpickled"
AS_NUMBERS = "Save it with numpy.save(path, array.astype('float32'))"
ROWS, COLUMNS, BOTH = {"rows", "queries", "query"}, {"columns", "keys", "key"}, {"labels", "tokens", "words"}
"""Names of arrays of labels."""
DIGITS = re.compile(r"(\d+)")


def from_npy(data: bytes, name: str, labelling: Labelling) -> Record:
    """Read a matrix of weights; nothing is ever unpickled.

    Args:
        data: the bytes of the file.
        name: name of the file in messages.
        labelling: what is said of the matrix.

    Raises:
        InputError: the file is damaged, or holds something that is not weights.
        UsageError: the kind asked for does not fit.
        MemoryLimitError: the matrix does not fit in memory.
    """
    labelling.check_alone(name)
    require(4 * len(data), name, "Save fewer layers or heads of it")
    try:
        array = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    except HEADER_ERRORS as error:
        if "Object arrays" in str(error):
            raise InputError(f"{name} holds {PICKLED}", AS_NUMBERS) from error
        raise InputError(f"{name} is damaged: {error}", AS_NUMBERS) from error
    return matrix_record(split_layers(array, name), name, labelling, dtype=array_dtype(array))


def array_dtype(array: np.ndarray) -> str:
    """Return the number type that weights were computed in: whole numbers and wider types count as float32."""
    return "float16" if array.dtype == np.float16 else "float32"


def from_arrays(arrays: Mapping[str, np.ndarray], name: str, labelling: Labelling) -> Record:
    """Make a record of an archive's arrays.

    Args:
        arrays: the arrays by name.
        name: name of the file in messages.
        labelling: what is said of the matrix.

    Raises:
        InputError: the arrays are not weights and labels.
        UsageError: the kind asked for does not fit.
    """
    texts = {key.lower(): array for key, array in arrays.items() if array.dtype.kind in "US" and array.ndim == 1}
    found = {
        side: next((_texts(array) for key, array in texts.items() if key in names), None)
        for side, names in (("rows", ROWS), ("columns", COLUMNS), ("both", BOTH))
    }
    labelling = labelling.beside(found["rows"] or found["both"], found["columns"] or found["both"])
    weights = {key: array for key, array in arrays.items() if array.dtype.kind in "biuf" and array.ndim >= 2}
    if labelling.array is not None:
        if labelling.array not in arrays:
            raise InputError(
                f"{name} holds no array {quoted(labelling.array)} (it has {', '.join(arrays) or 'none'})",
                "Name one of them",
            )
        weights = {labelling.array: arrays[labelling.array]}
    if not weights:
        raise InputError(
            f"{name} holds no array of weights (it has {', '.join(arrays) or 'none'})",
            "Save one with numpy.savez(path, weights=…, rows=…, columns=…)",
        )
    layers: list[Layer] = []
    for key in sorted(weights, key=_in_order):
        layers += split_layers(weights[key], f"{name}: {key}")
    if len(weights) > 1 and (len(layers) > len(weights) or len({layer.shape[1:] for layer in layers}) > 1):
        said = ", ".join(f"{key} {' × '.join(map(str, array.shape))}" for key, array in weights.items())
        first = next(iter(weights))
        raise InputError(
            f"{name} holds {len(weights)} arrays, which are not a layer each of one text ({said})",
            f"Choose one with --array {shlex.quote(first)}, or array={first!r} in Python",
        )
    dtypes = {array_dtype(array) for array in weights.values()}
    return matrix_record(layers, name, labelling, dtype="float16" if "float16" in dtypes else "float32")


def _texts(labels: np.ndarray) -> tuple[str, ...]:
    """Return labels as texts; bytes are UTF-8."""
    return tuple(label.decode(errors="replace") if isinstance(label, bytes) else str(label) for label in labels)


def _in_order(key: str) -> list[tuple[int, str]]:
    """Return a sort key by which `arr_2` comes before `arr_10`."""
    return [(int(part) if part.isdecimal() else -1, part) for part in DIGITS.split(key)]
