"""`attn explain`: score, normalize, weighted sum, with the numbers of one query in one head, or with plain numbers."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attn_cli.cli.inputs import given, given_images
from attn_cli.cli.options import (
    DisplayOptions,
    FigureOptions,
    ImagesOption,
    KindOption,
    ModelOptions,
    PairOption,
    PromptOptions,
    RowsOption,
    TextArgument,
    WithoutOption,
    display_option,
    select_option,
)
from attn_cli.cli.texts import lines_of
from attn_cli.data.selection import Selection, check_syntax, check_without
from attn_cli.errors import InputError, UsageError, counted, quoted

if TYPE_CHECKING:
    from attn_cli.data.stream import Source
    from attn_cli.questions.explain.measure import Explained

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 30
HELP = """Explain one row in three steps: score, normalize, weighted sum.

For the query's row in one head, it shows what adds up to each key's score, how the softmax turns the scores into
weights, and how much each key's value contributes to the context vector. Every number is recomputed and compared with
the layer's own.

Where the query is a word of the translation, or --kind is cross or decoder, the text is translated first.
"""
EPILOG = """\b
Examples:
  attn explain "The cat sat on the mat" --query cat
  attn explain "The cat sat on the mat" --query chat --model toy-rnn-attention
  attn explain "The cat sat on the mat" --query cat --model FOLDER --head 2.5
  attn explain --scores 2.1,5.8,0.4,0.3,0.5,0.4 --labels The,cat,sat,on,the,mat
"""

BETWEEN = re.compile(r"[,;\s]+")
"""Separators between numbers."""

_numbers = functools.partial(typer.Option, rich_help_panel="Plain numbers instead of a text")


@dataclass(frozen=True)
class _RowOptions:
    """Options that select the row and the head."""

    query: Annotated[
        str | None,
        select_option(
            "--query",
            "-q",
            metavar="WORD",
            help="The attending word: it, it#2 for the second one, New York, or its position.",
        ),
    ] = None
    kind: KindOption = None
    layer: Annotated[
        str | None, select_option("--layer", "-l", metavar="LIST", help="The layers to choose a head from.")
    ] = None
    head: Annotated[
        str | None,
        select_option(metavar="LIST", help="The head, as layer.head (default: the one whose row shows most)."),
    ] = None
    tokens: Annotated[bool, select_option("--tokens", help="--query names one of the model's own pieces.")] = False
    rows: RowsOption = None

    def selection(self) -> Selection:
        """Return the options as a selection."""
        return Selection(
            view="query",
            kind=self.kind,
            layer=self.layer,
            head=self.head,
            query=self.query,
            unit="token" if self.tokens else "word",
            rows=self.rows,
        )


@dataclass(frozen=True)
class _NumberOptions:
    """Options for plain numbers instead of a text."""

    scores: Annotated[str | None, _numbers(metavar="LIST", help="A score for each key: 2.1,5.8,0.4.")] = None
    labels: Annotated[str | None, _numbers(metavar="LIST", help="The names of the keys: The,cat,sat.")] = None
    values: Annotated[
        Path | None, _numbers(metavar="PATH", help="A file with each key's value: numbers, one vector per line.")
    ] = None
    temperature: Annotated[float | None, _numbers(metavar="T", help="Divide the scores by T first (default: 1).")] = (
        None
    )


def run(
    *,
    text: TextArgument = None,
    image: ImagesOption = None,
    pair: PairOption = None,
    reading: PromptOptions,
    row: _RowOptions,
    without: WithoutOption = None,
    numbers: _NumberOptions,
    everything: Annotated[bool, display_option("--all", help="Show every key, even if they do not fit.")] = False,
    vectors: Annotated[
        bool, display_option("--vectors", help="Draw the weighted sum: each value times its weight, and their sum.")
    ] = False,
    display: DisplayOptions,
    output: FigureOptions,
    model: ModelOptions,
) -> None:
    """Run the command."""
    if numbers.scores is not None and image:
        raise UsageError("An image and --scores are both given", "Give one of them")
    if numbers.scores is not None:
        _refuse_text(text, (*reading.used, *(["--pair"] if pair is not None else []), *model.used), row, without)
        _explain_numbers(numbers, display, output, everything=everything, vectors=vectors)
        return
    for name, option in (("labels", numbers.labels), ("values", numbers.values), ("temperature", numbers.temperature)):
        if option is not None:
            raise UsageError(f"--{name} goes with plain numbers", "Give them with --scores, or leave it out")
    selection = row.selection()
    check_syntax(selection)
    check_without(without, selection)
    if image:
        found = given_images(image, text, reading, model, selection, pair=pair, without=without)
    else:
        found = given(
            text, reading, model, pair=pair, records=False, wanted=selection, without=without, kind=selection.kind
        )
    if selection.query is None:
        raise UsageError("There is no query to explain", "Name a word of the text, or its position, with --query")

    from attn_cli.cli.outputs import Output
    from attn_cli.questions.explain.measure import explain

    out = Output(display, output, maps=False)

    def ask(source: Source, _: Selection) -> Explained:
        return replace(explain(source, selection, verify=model.verify), everything=everything, vectors=vectors)

    out.write(found.each(out, ask))


def _refuse_text(text: str | None, used: Sequence[str], row: _RowOptions, without: str | None) -> None:
    if text is not None:
        raise UsageError("A text and --scores are both given", "Give one of them")
    if used:
        raise UsageError(f"--scores are plain numbers, so {used[0]} cannot be used with them", f"Leave {used[0]} out")
    if row != _RowOptions() or without is not None:
        raise UsageError("--scores explains plain numbers, which have no heads and queries", "Give a text instead")


def _explain_numbers(
    numbers: _NumberOptions, display: DisplayOptions, output: FigureOptions, *, everything: bool, vectors: bool
) -> None:
    assert numbers.scores is not None  # noqa: S101 - for the type checker: the caller has checked it
    scores = _parse_scores(numbers.scores)
    labels = _parse_labels(numbers.labels, len(scores))
    if vectors and numbers.values is None:
        raise UsageError("There are no values to draw", "Name a file with --values, or leave --vectors out")
    values = None if numbers.values is None else _read_values(numbers.values)

    import numpy as np

    from attn_cli.cli.outputs import Output
    from attn_cli.questions.explain.measure import ExplainedNumbers
    from attn_cli.questions.explain.steps import explain_numbers

    out = Output(display, output, maps=False)
    temperature = 1.0 if numbers.temperature is None else numbers.temperature
    found = explain_numbers(np.array(scores), None if values is None else np.array(values), temperature)
    out.write([ExplainedNumbers(found, labels, everything, vectors)])


def _parse_scores(text: str) -> list[float]:
    """Parse `2.1,5.8,-inf` as scores; minus infinity is the score of a masked key.

    Raises:
        UsageError: the text is not a list of this form.
    """
    parts = [part for part in BETWEEN.split(text.strip()) if part]
    if not parts:
        raise UsageError("--scores is empty", "Write it like --scores 2.1,5.8,0.4")
    return [_number(part, "--scores") for part in parts]


def _number(text: str, option: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number) or number == math.inf:
        raise UsageError(f"{option}: {quoted(text)} is not a number", f"Write it like {option} 2.1,5.8,-inf")
    return number


def _parse_labels(text: str | None, count: int) -> tuple[str, ...]:
    """Parse `The,cat,sat` as labels; without a text, return `k0`, `k1` and so on.

    Raises:
        UsageError: there are not as many labels as scores.
    """
    if text is None:
        return tuple(f"k{index}" for index in range(count))
    labels = tuple(label.strip() for label in text.split(","))
    if len(labels) != count:
        raise UsageError(
            f"There are {counted(count, 'score')} and {counted(len(labels), 'label')}", "Give one label for each score"
        )
    return labels


def _read_values(path: Path) -> list[list[float]]:
    """Read a vector from each line, its numbers separated by commas, semicolons, blanks or tabs.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    rows: list[list[float]] = []
    for line in lines_of(path, "Name a file with one vector on each line"):
        parts = [part for part in BETWEEN.split(line.text.strip()) if part]
        if not parts:
            continue
        try:
            row = [float(part) for part in parts]
        except ValueError as error:
            raise InputError(f"{line.where} is not a row of numbers", "Give one vector on each line") from error
        if rows and len(row) != len(rows[0]):
            raise InputError(
                f"{line.where} has {counted(len(row), 'number')}, and the lines before it have {len(rows[0])}",
                "Give every value the same number of numbers",
            )
        rows.append(row)
    if not rows:
        raise InputError(f"There are no values in {path}", "Give one vector on each line")
    return rows
