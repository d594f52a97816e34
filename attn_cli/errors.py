"""What can go wrong, as a person should hear it: one line that says what to do next, and an exit code.

Raise one of these where the fault is found; `attn_cli.cli.app` is the only place that catches them.

| exit code | kind                | meaning                                                            |
| --------- | ------------------- | ------------------------------------------------------------------ |
| 0         |                     | it worked                                                          |
| 1         |                     | a fault in attn itself (set `ATTN_DEBUG=1` to see the traceback)   |
|           |                     | or `attn diff --fail-above` found more                             |
| 2         | `UsageError`        | the command line says something that cannot be                     |
| 3         | `InputError`        | the text or the file given cannot be used                          |
| 4         | `SelectionError`    | a layer, head, kind or word that is not there                      |
| 5         | `ModelError`        | the model cannot be found, read or inspected                       |
| 6         | `OutputError`       | the result cannot be written                                       |
| 7         | `MemoryLimitError`  | the answer would not fit in memory                                 |
| 8         | `ExactnessError`    | the weights found are not attention weights, or the model's output |
|           |                     | or a layer's map is another one without attn: nothing can be shown |
| 130       |                     | interrupted with Ctrl-C                                            |
| 141       |                     | nobody reads the output any more (`head` has seen enough)          |
"""

from __future__ import annotations

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
    "counted",
    "is_panic",
    "quoted",
    "shortened",
]


NOT_NUMBERS = "Try --dtype float32, or get the model again: its weights may be damaged"
"""What to do where a model computes what are no numbers."""


def quoted(text: str) -> str:
    """What a user typed, as a message quotes it."""
    return repr(shortened(text))


def shortened(text: str, most: int = 60) -> str:
    """The text, or its start and its end: what a message quotes may be as long as a book."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def counted(number: int, thing: str) -> str:
    """`1 value`, `2 values`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def is_panic(fault: BaseException) -> bool:
    """Tell a panic in a library written in Rust from all else.

    Each library has a type of its own for it, which no module exports, so it is known by its name.
    """
    return type(fault).__name__ == "PanicException" and type(fault).__module__ == "pyo3_runtime"


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith("?") else f"{sentence}."


class AttnError(Exception):
    """A fault with a remedy.

    Args:
        problem: what is wrong, in one sentence without a full stop.
        remedy: what to do next, in one sentence without a full stop; empty where the problem says it all.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(" ".join(map(_ended, filter(None, (problem, remedy)))))


class UsageError(AttnError):
    """The command line says something that cannot be."""

    exit_code = 2


class InputError(AttnError):
    """The text or the file given cannot be used."""

    exit_code = 3


class SelectionError(AttnError):
    """A layer, head, kind or word that is not there."""

    exit_code = 4


class ModelError(AttnError):
    """The model cannot be found, read or inspected."""

    exit_code = 5


class OutputError(AttnError):
    """The result cannot be written."""

    exit_code = 6


class MemoryLimitError(AttnError):
    """The answer would not fit in memory."""

    exit_code = 7


class ExactnessError(AttnError):
    """The weights found are not attention weights, or not those that the model computes without attn."""

    exit_code = 8
