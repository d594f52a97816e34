"""The samples of each question for the tests that all share, from the `samples.py` in its folder of tests."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from attn_cli.answer import Answer
from attn_cli.api import Inspector

_SAMPLES: dict[str, Any] = {
    path.parent.name: import_module(f"tests.questions.{path.parent.name}.samples")
    for path in sorted(Path(__file__).parent.glob("*/samples.py"))
}
ANSWERS: dict[str, Answer] = {
    name: answer for samples in _SAMPLES.values() for name, answer in getattr(samples, "ANSWERS", {}).items()
}
"""Answers about samples of records and texts, by the question's name and, after a hyphen, what is special."""
ASKED: dict[str, tuple[Callable[[Inspector], Answer], list[str]]] = {
    name: (samples.ask, samples.COMMAND) for name, samples in _SAMPLES.items()
}
"""Question -> the same asked in Python and as a command."""
