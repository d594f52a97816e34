"""Chapter 7: four claims of textbooks, measured."""

from __future__ import annotations

from typing import Final

from attn_cli.questions.tour.measure import Chapter, Figure, Lesson, command_line
from attn_cli.questions.why.experiments import run_experiment
from attn_cli.questions.why.measure import ExperimentName

__all__ = ["CLAIMS", "NAME", "chapter"]

NAME: Final = "why-it-matters"
CLAIMS: tuple[ExperimentName, ...] = ("long-sequences", "context-linking", "interpretability", "parallelization")


def chapter(lesson: Lesson) -> Chapter:
    """Run the experiment of each claim on few texts."""
    experiments = [run_experiment(name, lesson.models, quick=True) for name in CLAIMS]
    borne_out = sum(one.borne_out for one in experiments)
    return Chapter(
        name=NAME,
        title="Why it matters",
        about=(
            f"Textbooks claim {len(CLAIMS)} things for attention. Each is measured here on a few texts, with "
            "models that attend and one that does not."
        ),
        pictures=tuple(experiments),
        found=(
            f"{borne_out} of the {len(CLAIMS)} claims are borne out here. attn why measures them on more texts, and a "
            "fifth: that the model needs what it attends to."
        ),
        figures=(
            Figure("claims borne out", float(borne_out), "claims"),
            *(
                Figure(f"{measure.name}: {series.model}", series.points[-1].value, measure.unit)
                for one in experiments
                for measure in one.measures
                for series in measure.series
                if series.points
            ),
        ),
        commands=tuple(command_line("why", name, "--quick") for name in CLAIMS),
    )
