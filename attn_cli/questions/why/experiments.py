"""Registry of the experiments on the built-in models, each of which is one module with a `NAME` and a `run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attn_cli.models.toy.folder import BUILT_IN, find
from attn_cli.models.toy.model import Toy
from attn_cli.questions.why import aligning, causality, linking, reading, translating
from attn_cli.questions.why.measure import Experiment, ExperimentName

__all__ = ["EXPERIMENTS", "load_built_in"]

EXPERIMENTS: Mapping[ExperimentName, Callable[[Mapping[str, Toy]], Experiment]] = {
    translating.NAME: translating.run,
    linking.NAME: linking.run,
    aligning.NAME: aligning.run,
    reading.NAME: reading.run,
    causality.NAME: causality.run,
}
"""Name of an experiment -> function that runs it on models by name."""


def load_built_in() -> Mapping[str, Toy]:
    """Load the models that the experiments are run on, by name."""
    return {name: Toy(folder) for name in BUILT_IN if (folder := find(name)) is not None}
