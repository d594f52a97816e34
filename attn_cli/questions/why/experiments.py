"""Registry of the experiments on the built-in models, each of which is one module with a `NAME` and a `run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from attn_cli.models.toy.folder import BUILT_IN, find
from attn_cli.models.toy.model import Toy
from attn_cli.questions.why import aligning, causality, linking, reading, translating
from attn_cli.questions.why.measure import Experiment, ExperimentName

__all__ = ["EXPERIMENTS", "RunExperiment", "load_built_in", "run_experiment"]


UNLINKED = "toy-no-coreference"
"""The model none of whose heads was trained to link pronouns; only context linking asks what that does."""


class RunExperiment(Protocol):
    """An experiment."""

    def __call__(self, models: Mapping[str, Toy], *, quick: bool = False) -> Experiment:
        """Run it on models by name; `quick` takes few texts."""


EXPERIMENTS: Mapping[ExperimentName, RunExperiment] = {
    translating.NAME: translating.run,
    linking.NAME: linking.run,
    aligning.NAME: aligning.run,
    reading.NAME: reading.run,
    causality.NAME: causality.run,
}
"""Name of an experiment -> function that runs it on models by name."""


def run_experiment(name: ExperimentName, models: Mapping[str, Toy], *, quick: bool = False) -> Experiment:
    """Run an experiment.

    Args:
        name: its name.
        models: the built-in models, by name.
        quick: take few texts.
    """
    asked = {one: model for one, model in models.items() if name == linking.NAME or one != UNLINKED}
    return replace(EXPERIMENTS[name](asked, quick=quick), quick=quick)


def load_built_in() -> Mapping[str, Toy]:
    """Load the models that the experiments are run on, by name."""
    return {name: Toy(folder) for name in BUILT_IN if (folder := find(name)) is not None}
