"""Why attention matters: experiments on the built-in models, each one file with a `run`. A new one is one new file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attn_cli.models.toy.model import Toy
from attn_cli.questions.why import aligning, linking, reading, translating
from attn_cli.questions.why.measure import Experiment

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: Mapping[str, Callable[[Mapping[str, Toy]], Experiment]] = {
    part.NAME: part.run for part in (translating, linking, aligning, reading)
}
"""name -> what runs it on models, given by name."""
