"""Lessons with the built-in models: the experiments, the tour, and the terms explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attn_cli.api.options import nearest
from attn_cli.errors import UsageError, quoted

if TYPE_CHECKING:
    from attn_cli.questions.terms.glossary import Glossary
    from attn_cli.questions.tour.measure import Tour
    from attn_cli.questions.why.measure import Experiment, ExperimentName

__all__ = ["terms", "tour", "why"]


def why(experiment: ExperimentName, *, quick: bool = False) -> Experiment:
    """Measure why attention matters in one experiment on the built-in models, as `attn why` shows it.

    Args:
        experiment: name of the experiment.
        quick: take few texts.

    Returns:
        The answer; its `measures` hold each model's points, and `borne_out` says whether they bear out its `claim`.

    Raises:
        UsageError: there is no such experiment.
    """
    # Imported late: the experiments need the grammar and the measures of translations, which nothing else here does.
    from attn_cli.questions.why.experiments import EXPERIMENTS, load_built_in, run_experiment

    if experiment not in EXPERIMENTS:
        raise UsageError(f"There is no experiment {quoted(experiment)}", nearest(experiment, EXPERIMENTS))
    return run_experiment(experiment, load_built_in(), quick=quick)


def tour(text: str | None = None, *, chapter: int | None = None) -> Tour:
    """Walk through the lesson on attention with the built-in models, as `attn tour` prints it.

    Args:
        text: a sentence to show it on; by default those of the lesson.
        chapter: the only chapter to make, from 1; by default all.

    Returns:
        The answer; its `chapters` hold each chapter's words, pictures, `figures` and `commands`.

    Raises:
        InputError: the sentence is empty, or the models make no tokens of it.
        UsageError: it has too many words, or there is no such chapter.
    """
    # Imported late: the chapters need the grammar and the measures of translations, which nothing else here does.
    from attn_cli.questions.tour.chapters import tour as make_tour

    return make_tour(text, chapter)


def terms(*words: str) -> Glossary:
    """Explain terms that the tables use, as `attn terms` shows them.

    Args:
        words: the terms, or parts of some; all terms by default.

    Returns:
        The answer; its `terms` hold each term's `name`, `meaning` and `formula`.

    Raises:
        SelectionError: there is no term of one of these names.
    """
    from attn_cli.questions.terms.glossary import find_terms

    return find_terms(*words)
