"""Tables as Parquet: the rows that CSV has, with types for columns, and texts as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BufferedIOBase
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from attn_cli.io.csv import Cell, check_columns

__all__ = ["ParquetTable"]

BATCH = 2**16
"""Rows that are held as Python's objects at a time."""


class ParquetTable:
    """A table, added to row by row, and written at once.

    Args:
        columns: names of the columns of every row.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._parts: list[Any] = []

    def turn(self, columns: Sequence[str]) -> None:
        """Turn to the next sentence, whose rows have these columns.

        Raises:
            InputError: they are not those of the table.
        """
        check_columns(self._columns, columns)

    def add(self, rows: Iterable[Sequence[Cell]], front: Mapping[str, str | int]) -> None:
        """Add rows.

        Args:
            rows: rows with a cell for each column.
            front: columns before these, with what all these rows have in them.
        """
        rest = iter(rows)
        # A table without rows has columns, too.
        first = True
        while (batch := list(islice(rest, BATCH))) or first:
            first = False
            cells = list(zip(*batch, strict=True)) if batch else [()] * len(self._columns)
            arrays = [pa.array([value] * len(batch)) for value in front.values()]
            self._parts.append(pa.table([*arrays, *map(_array, cells)], names=[*front, *self._columns]))

    def write(self, file: BufferedIOBase) -> None:
        """Write the table to a file."""
        # A column that is empty in some rows, or holds whole numbers there, has the type of the others.
        whole = pa.concat_tables(self._parts, promote_options="permissive")
        pa.parquet.write_table(whole, file)


def _array(cells: Sequence[Cell]) -> Any:
    """Convert a column; numbers with a point are float32, as in CSV, and not-a-number is nothing."""
    if any(isinstance(cell, float | np.floating) for cell in cells):
        numbers = [None if cell is None or cell != cell else float(cell) for cell in cells]
        return pa.array(numbers, pa.float32())
    return pa.array(cells)
