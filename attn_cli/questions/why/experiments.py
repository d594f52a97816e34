"""Registry of the experiments on the built-in models, each of which is one module with a `NAME` and a `run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attn_cli.models.toy.model import Toy
from attn_cli.questions.why import aligning, linking, reading, translating
from attn_cli.questions.why.measure import Experiment

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: Mapping[str, Callable[[Mapping[str, Toy]], Experiment]] = {
    part.NAME: part.run for part in (translating, linking, aligning, reading)
}
"""Name of an experiment -> function that runs it on models by name."""
