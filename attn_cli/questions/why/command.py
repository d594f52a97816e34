"""`attn why`: experiments on why attention matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from attn_cli.cli.options import DisplayOptions, OutputOptions

if TYPE_CHECKING:
    from attn_cli.models.toy.model import Toy
    from attn_cli.questions.why.measure import Experiment

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 70
HELP = """Measure why attention matters, on the built-in models.

These are toy, toy-rnn-attention, and toy-rnn, which has no attention; context-linking adds toy-no-coreference, none of
whose heads was trained to link pronouns. Each experiment takes some seconds, draws its result, and says whether it
bears out what textbooks claim. Without a name, all of them run.
"""
EPILOG = """\b
Examples:
  attn why
  attn why long-sequences --quick
  attn why interpretability --json | jq -r .found
  attn why parallelization --save why.csv
"""

Name = Literal["long-sequences", "context-linking", "interpretability", "parallelization", "causality"]


def run(
    *,
    experiment: Annotated[
        Name | None,
        typer.Argument(
            metavar="EXPERIMENT",
            help="long-sequences, context-linking, interpretability, parallelization or causality.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Take few texts, and draw the last figures alone.")] = False,
    display: DisplayOptions,
    output: OutputOptions,
) -> None:
    """Run the command."""
    from attn_cli.cli.outputs import Output
    from attn_cli.cli.progress import working
    from attn_cli.questions.why.experiments import EXPERIMENTS, load_built_in, run_experiment

    out = Output(display, output, maps=False)
    names = list(EXPERIMENTS) if experiment is None else [experiment]

    def measured() -> Iterator[Experiment]:
        models: Mapping[str, Toy] = {}
        for name in out.as_many_as_fit(names):
            with working("Measuring", name):
                models = models or load_built_in()
                one = run_experiment(name, models, quick=quick)
            yield one

    out.write(measured())
