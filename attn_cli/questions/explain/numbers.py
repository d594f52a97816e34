"""Plain numbers from the command line and from files."""

from __future__ import annotations

import math
import re
from pathlib import Path

from attn_cli.cli.texts import lines_of
from attn_cli.errors import InputError, UsageError, counted, quoted

__all__ = ["parse_labels", "parse_scores", "read_values"]

BETWEEN = re.compile(r"[,;\s]+")
"""Separators between numbers."""


def parse_scores(text: str) -> list[float]:
    """Parse `2.1,5.8,-inf` as scores; minus infinity is the score of a masked key.

    Raises:
        UsageError: the text is not a list of this form.
    """
    parts = [part for part in BETWEEN.split(text.strip()) if part]
    if not parts:
        raise UsageError("--scores is empty", "Write it like --scores 2.1,5.8,0.4")
    return [_number(part, "--scores") for part in parts]


def _number(text: str, option: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number) or number == math.inf:
        raise UsageError(f"{option}: {quoted(text)} is not a number", f"Write it like {option} 2.1,5.8,-inf")
    return number


def parse_labels(text: str | None, count: int) -> tuple[str, ...]:
    """Parse `The,cat,sat` as labels; without a text, return `k0`, `k1` and so on.

    Raises:
        UsageError: there are not as many labels as scores.
    """
    if text is None:
        return tuple(f"k{index}" for index in range(count))
    labels = tuple(label.strip() for label in text.split(","))
    if len(labels) != count:
        raise UsageError(
            f"There are {counted(count, 'score')} and {counted(len(labels), 'label')}", "Give one label for each score"
        )
    return labels


def read_values(path: Path) -> list[list[float]]:
    """Read a vector from each line, its numbers separated by commas, semicolons, blanks or tabs.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    rows: list[list[float]] = []
    for line in lines_of(path, "Name a file with one vector on each line"):
        parts = [part for part in BETWEEN.split(line.text.strip()) if part]
        if not parts:
            continue
        try:
            row = [float(part) for part in parts]
        except ValueError as error:
            raise InputError(f"{line.where} is not a row of numbers", "Give one vector on each line") from error
        if rows and len(row) != len(rows[0]):
            raise InputError(
                f"{line.where} has {counted(len(row), 'number')}, and the lines before it have {len(rows[0])}",
                "Give every value as many numbers",
            )
        rows.append(row)
    if not rows:
        raise InputError(f"There are no values in {path}", "Give one vector on each line")
    return rows
