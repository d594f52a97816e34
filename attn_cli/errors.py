"""Errors with a message for the user: one line that says what to do next, and an exit code.

Raise one of these where the fault is detected; `attn_cli.cli.app` turns them into a message and an exit code.

| exit code | kind                | meaning                                                            |
| --------- | ------------------- | ------------------------------------------------------------------ |
| 0         |                     | success                                                            |
| 1         |                     | a fault in attn itself (set `ATTN_DEBUG=1` to see the traceback)   |
|           |                     | or a difference above `attn diff --fail-above`                     |
| 2         | `UsageError`        | the command line is invalid                                        |
| 3         | `InputError`        | the text or the file cannot be used                                |
| 4         | `SelectionError`    | a layer, head, kind or word does not exist                         |
| 5         | `ModelError`        | the model cannot be found, read or inspected                       |
| 6         | `OutputError`       | the result cannot be written                                       |
| 7         | `MemoryLimitError`  | the result would not fit in memory                                 |
| 8         | `ExactnessError`    | the weights captured are not attention weights, or the model's     |
|           |                     | output or a layer's map differs without attn: nothing can be shown |
| 130       |                     | interrupted with Ctrl-C                                            |
| 141       |                     | the reader of the output has closed the pipe (`| head`)            |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

__all__ = [
    "NOT_NUMBERS",
    "AttnError",
    "ExactnessError",
    "InputError",
    "MemoryLimitError",
    "ModelError",
    "OutputError",
    "SelectionError",
    "UsageError",
    "check_range",
    "counted",
    "enumerated",
    "is_panic",
    "left_out",
    "noted",
    "quoted",
    "shortened",
]


NOT_NUMBERS = "Try --dtype float32, or download the model again: its weights may be damaged"
"""Remedy if a model computes values that are not numbers."""


def quoted(text: str) -> str:
    """Quote a user's input for a message."""
    return repr(shortened(text))


def shortened(text: str, most: int = 60) -> str:
    """Shorten a text for a message to its start and its end if it is longer than `most` characters."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def counted(number: int, thing: str) -> str:
    """Format a count with its noun: `1 value`, `2 values`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def enumerated(things: Iterable[str]) -> str:
    """Format names, one at least, as a sentence lists them: `a`, `a and b`, `a, b and c`."""
    *most, last = things
    return f"{', '.join(most)} and {last}" if most else last


def left_out(faults: Sequence[AttnError], of: str = "", *, count: int | None = None) -> tuple[str, ...]:
    """Return a note that counts the texts that were left out, with the first reason; none if there are none.

    Args:
        faults: the fault of each text.
        of: what they are texts of, ` of corpus.txt`.
        count: how many texts were left out, if only the first fault is at hand.
    """
    count = len(faults) if count is None else count
    if not faults:
        return ()
    how = " was left out: " if count == 1 else " were left out; the first: "
    return (counted(count, "text") + of + how + faults[0].problem,)


def noted(notes: Mapping[str, int], texts: int) -> tuple[str, ...]:
    """Return one line about notes that hold for some of several texts; none if there are none.

    Args:
        notes: the number of texts that have each note.
        texts: the number of all texts.
    """
    if not notes:
        return ()
    count = sum(notes.values())
    return (f"Some of the {texts:,} texts have notes of their own ({count:,} in all), such as: {next(iter(notes))}",)


def is_panic(fault: BaseException) -> bool:
    """Return whether an exception is a panic in a library written in Rust.

    Each library has its own type of panic, which no module exports, so it is recognized by its name.
    """
    return type(fault).__name__ == "PanicException" and type(fault).__module__ == "pyo3_runtime"


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith("?") else f"{sentence}."


class AttnError(Exception):
    """An error with a remedy; the base class of all errors here.

    Args:
        problem: what is wrong, in one sentence without a full stop.
        remedy: what to do next, in one sentence without a full stop; empty if the problem makes it clear.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(" ".join(map(_ended, filter(None, (problem, remedy)))))

    def __reduce__(self) -> tuple[type[AttnError], tuple[str, str]]:
        """Be pickled as what it was made of, on the way from one process to another."""
        return type(self), (self.problem, self.remedy)


class UsageError(AttnError):
    """The command line is invalid."""

    exit_code = 2


class InputError(AttnError):
    """The text or the file cannot be used."""

    exit_code = 3


class SelectionError(AttnError):
    """A layer, head, kind or word does not exist."""

    exit_code = 4


class ModelError(AttnError):
    """The model cannot be found, read or inspected."""

    exit_code = 5


class OutputError(AttnError):
    """The result cannot be written."""

    exit_code = 6


class MemoryLimitError(AttnError):
    """The result would not fit in memory."""

    exit_code = 7


class ExactnessError(AttnError):
    """The weights captured are not attention weights, or not those that the model computes without attn."""

    exit_code = 8


Number: TypeAlias = int | float


def check_range(name: str, value: Number, least: Number | None = None, most: Number | None = None) -> None:
    """Check that an option's number is within bounds, which belong to the range; no range holds NaN.

    Raises:
        UsageError: it is not.
    """
    if (least is None or value >= least) and (most is None or value <= most):
        return
    low, high = (None if bound is None else _written(bound) for bound in (least, most))
    bounds = f"at most {high}" if low is None else f"at least {low}" if high is None else f"between {low} and {high}"
    raise UsageError(f"{name} must be {bounds}, and {_written(value)} is not")


def _written(number: Number) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"
