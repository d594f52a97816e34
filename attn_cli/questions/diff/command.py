"""`attn diff`: changes between two texts, two models, or two saved records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from attn_cli.cli import texts
from attn_cli.cli.file_names import check_typed, names_record
from attn_cli.cli.inputs import check_record, given_images, prepared, saved_with
from attn_cli.cli.labels import MatrixOptions
from attn_cli.cli.loading import check_named, loaded
from attn_cli.cli.options import (
    DisplayOptions,
    FigureOptions,
    ImagesOption,
    ModelOptions,
    PromptOptions,
    QueryOptions,
    display_option,
    model_option,
    output_option,
    select_option,
    text_option,
)
from attn_cli.cli.prompts import as_chat, prompts
from attn_cli.cli.streams import say
from attn_cli.cli.tables import TABLE_FORMATS
from attn_cli.cli.texts import Sentence
from attn_cli.data.labelling import Labelling
from attn_cli.data.selection import HOLDS_NO_MODEL, Selection, check_syntax, check_without
from attn_cli.errors import AttnError, InputError, UsageError, check_range

if TYPE_CHECKING:
    from attn_cli.data.record import Record
    from attn_cli.data.stream import Source
    from attn_cli.models import Model
    from attn_cli.questions.diff.measure import Differences

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 60
A_TEXT = "Give the text itself, or pairs of texts in a table with --file"
HELP = """Compare two texts or models: which heads look elsewhere.

A and B are two texts on one model, or records that --save or --json has written (.json, .jsonl or .npz), or matrices
of weights (.npy, .npz, .csv or .tsv). With --against, A is one text and B the same on a second model; with --without, B
is run without some heads, and is A's text if it is left out. --image A --image B compares two images of one grid. Texts
are aligned word by word; heads are ranked by the Jensen-Shannon divergence of their rows, or with --measure scores by
how much their scores changed.
"""
EPILOG = """\b
Examples:
  attn diff "The cat sat on the mat" "The dog sat on the mat"
  attn diff "The cat sat because it was tired" "The cat sat because it was big" --query it
  attn diff "The cat sat on the mat" --model FOLDER --against FOLDER
  attn diff "The cat sat on the mat" --model FOLDER --without 0.1
  attn diff record.json record.npz --fail-above 0.1
"""

FAILED = 1
"""Exit status if a head changed more than `--fail-above` allows."""

Pair: TypeAlias = "tuple[Sentence | Record, Sentence | Record, str]"
"""A, B, and their location for messages."""


@dataclass(frozen=True)
class SidesOptions(PromptOptions):
    """Options for two texts, each of which may be a chat."""

    chat: Annotated[
        list[str] | None,
        text_option(
            metavar="PATH",
            help="Read A as a chat, as JSON messages or lines like `user: …`, with the model's own template; given "
            "again, B.",
        ),
    ] = None  # type: ignore[assignment] # two chats in the place of one

    @property
    def sides(self) -> tuple[PromptOptions, ...]:
        """The options for each chat, or for a whole file."""
        common = {field.name: getattr(self, field.name) for field in fields(PromptOptions)}
        paths = [Path(path) for path in self.chat or ()]
        return tuple(PromptOptions(**{**common, "chat": path}) for path in paths or (None,))


def run(
    *,
    a: Annotated[str | None, typer.Argument(metavar="A", help="A text, or a record's file.")] = None,
    b: Annotated[str | None, typer.Argument(metavar="B", help="Another.")] = None,
    image: ImagesOption = None,
    reading: SidesOptions,
    matrix: MatrixOptions,
    choice: QueryOptions,
    without: Annotated[
        str | None,
        select_option(
            "--without",
            metavar="LIST",
            help="Run B without these heads, their output zero: 2.0,1.3 or cross:1.0, or a layer's: 2.",
        ),
    ] = None,
    sort: Annotated[Literal["divergence", "layer"], display_option(help="Order of the heads.")] = "divergence",
    display: DisplayOptions,
    output: FigureOptions,
    fail_above: Annotated[
        float | None,
        output_option(
            "--fail-above", metavar="X", min=0, help="Exit with 1 if a head changed more, in bits (scores: nats)."
        ),
    ] = None,
    against: Annotated[
        str | None, model_option("--against", metavar="NAME", help="A second model, for one text.")
    ] = None,
    model: ModelOptions,
) -> None:
    """Run the command."""
    selection = choice.over(Selection())
    check_syntax(selection)
    check_without(without, selection)
    if fail_above is not None and not selection.scores:
        check_range("--fail-above", fail_above, 0, 1)
    labelling = matrix.labelling(selection.kind)
    records = [side for side in (a, b) if side is not None and names_record(side)]
    matrix.check_matrix(given=bool(records))
    if records and b is not None and len(records) == 2:
        check_record(records[0], model.used)
    if image:
        sides = given_images(image, a, reading, model, selection).sentences
        pairs = _images(sides, against, without)
    else:
        pairs = _pairs(a, b, reading, against, without, labelling)
        check_named(model)

    from attn_cli.cli.outputs import Output
    from attn_cli.cli.progress import working
    from attn_cli.questions.diff.measure import diff

    out = Output(display, output, maps=False)
    failed: list[Differences] = []

    def answers() -> Iterator[Differences]:
        read = _Reading(reading, model, against, without)
        for one, other, where in out.as_many_as_fit(pairs):
            try:
                with working("Running", model.model):
                    asked = choice.over(Selection() if isinstance(one, Sentence) else saved_with(one))
                    sources = read.source(one, "a", asked), read.source(other, "b", asked)
                    found = replace(diff(*sources, asked, verify=model.verify), sort=sort, fail_above=fail_above)
            except AttnError as error:
                raise texts.located(error, where) from error
            if fail_above is not None and found.most > fail_above:
                failed.append(found)
            yield found

    out.write(answers())
    if failed:
        from attn_cli.data.plan import name_head

        worst = max(failed, key=lambda found: found.most).heads[0]
        unit = "nats" if selection.scores else "bits"
        say(
            f"head {name_head(worst.layer, worst.head)} changed by {worst.divergence:.4g} {unit}, "
            f"which is above {fail_above:g}"
        )
        raise typer.Exit(FAILED)


class _Reading:
    """Preparation of texts for the models, each of which is loaded when it is first needed."""

    def __init__(self, reading: SidesOptions, model: ModelOptions, against: str | None, without: str | None) -> None:
        self._reading = reading
        self._without = {"a": None, "b": without}
        other = model if against is None else replace(model, model=against, revision=None, base=None)
        self._options = {"a": model, "b": other}
        self._loaded: dict[ModelOptions, Model] = {}

    def source(self, side: Sentence | Record, name: Literal["a", "b"], asked: Selection) -> Source:
        """Prepare a text for A's or B's model; return a record as it is.

        Raises:
            AttnError: the model cannot be loaded, or cannot read the text.
        """
        if not isinstance(side, Sentence):
            return side
        options = self._options[name]
        if options not in self._loaded:
            self._loaded[options] = loaded(options, images=side.image is not None)
        from attn_cli.models.prepare import run_without

        model = run_without(self._loaded[options], self._without[name], asked.kind)
        return prepared(model, side, self._reading, wanted=asked)


def _pairs(
    a: str | None,
    b: str | None,
    reading: SidesOptions,
    against: str | None,
    without: str | None,
    labelling: Labelling,
) -> Iterator[Pair]:
    """Check the arguments and return the pairs to compare, with their locations.

    Raises:
        UsageError: the arguments name too little or too much to compare, or contradict each other.
        InputError: a text is blank or cannot be read.
    """
    for blank, option in ((against, "--against"), (reading.target, "--target")):
        if blank is not None and not blank.strip():
            raise UsageError(f"{option} is empty", "Leave it out, or give it something")
    if reading.chat or reading.whole:
        return _prompted(a, reading, against, without)
    if reading.file is not None:
        if a is not None or against is not None:
            raise UsageError(
                f"--file holds A and B, so {'--against' if a is None else 'a text'} cannot be used with it"
            )
        return _lines(reading.file, reading)
    if a is None or (b is None and against is None and without is None):
        what = "There is nothing to compare" if a is None else "There is nothing to compare A with"
        raise UsageError(what, "Give two texts or two records, or one text and --against a second model, or --without")
    if b is not None and against is not None:
        raise UsageError("--against compares one text on two models", "Leave out the second text, or --against")
    if without is not None and names_record(a if b is None else b):
        raise UsageError(HOLDS_NO_MODEL, "Give B as a text, and its model with --model")
    if against is not None and names_record(a):
        raise UsageError("--against compares a text on two models, and A is a record", "Give the text itself")
    if "-" in {a, b}:
        raise UsageError("attn diff reads nothing from standard input", "Name files, or write <(attn …) in your shell")
    return _sides(a, a if b is None else b, reading, labelling)


def _images(sides: Iterator[Sentence], against: str | None, without: str | None) -> Iterator[Pair]:
    """Pair two images, or one with itself.

    Raises:
        UsageError: they are too few or too many to compare.
        InputError: one of them cannot be read.
    """
    read = list(islice(sides, 3))
    if len(read) > 2 or (len(read) == 2 and against is not None):
        raise UsageError(
            f"--image names {'A and B' if against is None else 'one image, to compare it on two models'}, and "
            f"{'more' if len(read) > 2 else 'two'} are given",
            "Leave the others out" if against is None else "Leave out the second image, or --against",
        )
    if len(read) == 1 and against is None and without is None:
        raise UsageError(
            "--image gives A, and there is nothing to compare it with",
            "Give --image twice, or --against a second model, or --without",
        )
    return iter([(read[0], read[-1], "")])


def _prompted(a: str | None, reading: SidesOptions, against: str | None, without: str | None) -> Iterator[Pair]:
    """Pair two chats, or each chat or a whole file with itself.

    Raises:
        UsageError: they are too few or too many to compare.
    """
    what = "--chat" if reading.chat else "--whole"
    if len(reading.sides) > 2 or (len(reading.sides) == 2 and against is not None):
        raise UsageError(
            f"--chat names {'A and B' if against is None else 'one chat, to compare it on two models'}, and "
            f"{len(reading.sides)} are given",
            "Leave the others out" if against is None else "Leave out the second chat, or --against",
        )
    if len(reading.sides) == 1 and against is None and without is None:
        raise UsageError(
            f"{what} gives A, and there is nothing to compare it with",
            f"Give {'--chat twice' if reading.chat else 'two texts'}, or --against a second model, or --without",
        )
    one, *others = (prompts(a, side) for side in reading.sides)
    if not others:
        return ((sentence, sentence, sentence.where) for sentence in one)
    return _paired(one, others[0], tuple(map(str, reading.chat or ())), "chats")


def _lines(file: Path, reading: SidesOptions) -> Iterator[Pair]:
    """Read the pairs from a table of two columns."""
    if file.suffix.lower() not in TABLE_FORMATS:
        raise UsageError(f"{file} is not a table", "Give a .tsv: A, a tab and B on each line; or .csv, .jsonl or .json")

    def pairs() -> Iterator[Pair]:
        for line in texts.sentences(None, file, chosen=reading.field_names, holds="A, a tab and B"):
            other = line.target if line.pair is None else line.pair
            if other is None:
                raise InputError(f"{line.where} has no B", "Give every line A, a tab and B")
            own = None if line.pair is None else line.target
            if own is not None and reading.target is not None:
                raise InputError(f"{line.where} has a target, and --target is given as well", "Give one of them")
            target = reading.target if own is None else own
            one, second = (as_chat(Sentence(text, line.where, target), reading.system) for text in (line.text, other))
            yield one, second, line.where

    return pairs()


def _sides(a: str, b: str, reading: SidesOptions, labelling: Labelling) -> Iterator[Pair]:
    """Pair two texts, the records of two files in their order, or each record of one file with the same text."""
    one, other = _side(a, reading, labelling), _side(b, reading, labelling)
    if isinstance(one, Sentence):
        others = iter([other]) if isinstance(other, Sentence) else other
        return ((one, side, "") for side in others)
    if isinstance(other, Sentence):
        return ((side, other, "") for side in one)
    return _paired(one, other, (a, b), "records")


def _paired(
    one: Iterator[Sentence | Record],
    other: Iterator[Sentence | Record],
    names: tuple[str, ...],
    what: str,
) -> Iterator[Pair]:
    """Pair the chats or records of two files, which must be as many."""
    for number, (left, right) in enumerate(zip_longest(one, other), start=1):
        if left is None or right is None:
            more, fewer = names if right is None else names[::-1]
            raise InputError(
                f"{more} holds more {what} than {fewer}", f"Give files with as many {what}, in the same order"
            )
        yield left, right, f"pair {number}" if number > 1 else ""


def _side(text: str, reading: SidesOptions, labelling: Labelling) -> Sentence | Iterator[Record]:
    if not names_record(text):
        return as_chat(Sentence(check_typed(text, A_TEXT), target=reading.target), reading.system)
    check_record(text, reading.used)
    from attn_cli.io.read import read_records

    return read_records(Path(text), labelling)
