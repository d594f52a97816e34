"""Weights as a table in long form: one row for each query and key that can see each other, at the unit shown.

The texts of a model or a user are data, but a spreadsheet takes a text that begins with a sign for a formula, so those
get an apostrophe in front (OWASP, "CSV Injection"), which a spreadsheet hides. A sign alone is no formula and stays as
it is. Strip one apostrophe from texts that begin with an apostrophe and a sign, and the texts are exact again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Container
from typing import Protocol, runtime_checkable

import numpy as np
import orjson

from attn_cli.blocks import Block, Eat
from attn_cli.selection import Rows
from attn_cli.shapes import Float
from attn_cli.words import Units

__all__ = ["CsvTable", "Writable", "harmless"]

FORMULA = re.compile(r"'*[=+\-@＝＋－＠\t\r\n].", re.DOTALL)


@runtime_checkable
class Writable(Protocol):
    """A file open for writing bytes."""

    def write(self, data: bytes, /) -> object: ...


class CsvTable:
    """A CSV file in UTF-8 (RFC 4180, so its lines end with CR LF) that grows as blocks come.

    Args:
        file: where to write.
        rows: in cross-attention, which step a target word's row is; a column says so.
        scores: add a column of scores, to be had where the blocks hold them.
        sentences: begin with a column that counts the sentences.
    """

    def __init__(
        self, file: Writable, *, rows: Rows | None = None, scores: bool = False, sentences: bool = False
    ) -> None:
        self._file, self._rows, self._scores, self._sentences = file, rows, scores, sentences
        columns = ["kind", "layer", "head", "query", "query_text", "key", "key_text", "weight"]
        columns[1:1] = [] if rows is None else ["rows"]
        names = [*(["sentence"] if sentences else []), *columns, *(["score"] if scores else [])]
        file.write(f"{','.join(names)}\r\n".encode())

    def collector(self, queries: Units, keys: Units, sentence: int = 0, only: Container[int] | None = None) -> Eat:
        """What eats the blocks of one sentence and one kind.

        Rows come as blocks do: by layer, a run of queries at a time, then by head, query and key.

        Args:
            queries: the units along the rows; what it eats must be in those units (see `Regroup`).
            keys: the units along the columns.
            sentence: its number, from 0.
            only: the rows to write; all by default.
        """
        # Each text is quoted once and not for every row that it stands in, which is what takes the time.
        query_fields = [f"{index},{quoted(label)}" for index, label in enumerate(queries.labels)]
        key_fields = [f"{index},{quoted(label)}" for index, label in enumerate(keys.labels)]
        first = f"{sentence}," if self._sentences else ""

        def eat(block: Block) -> None:
            kind = block.kind if self._rows is None else f"{block.kind},{self._rows}"
            for index, head in enumerate(block.heads):
                for row, (start, stop) in enumerate(block.visible.tolist()):
                    query = block.start + row
                    if only is not None and query not in only:
                        continue
                    part = slice(start, min(stop, block.weights.shape[2]))
                    columns = [key_fields[part], shortest(block.weights[index, row, part])]
                    if self._scores:
                        masked = [""] * len(columns[0])
                        columns.append(masked if block.scores is None else shortest(block.scores[index, row, part]))
                    front = f"{first}{kind},{block.layer},{head},{query_fields[query]},"
                    lines = (f"{front}{','.join(fields)}\r\n" for fields in zip(*columns, strict=True))
                    self._file.write("".join(lines).encode())

        return eat


def quoted(text: str) -> str:
    """The text as one field, such that no spreadsheet takes it for a formula."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow([harmless(text), ""])
    return line.getvalue().removesuffix(",\r\n")


def harmless(text: str) -> str:
    """The text, such that no spreadsheet takes it for a formula."""
    return f"'{text}" if FORMULA.match(text) else text


def shortest(numbers: Float[np.ndarray, "key"]) -> list[str]:
    """Each float32 in the fewest digits that give it back; nothing where it is not finite, as a masked score is not."""
    # orjson writes them that way, and ten times faster than str() does.
    if not numbers.size:
        return []
    written = orjson.dumps(np.ascontiguousarray(numbers), option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1]
    return ["" if number == "null" else number for number in written.split(",")]
