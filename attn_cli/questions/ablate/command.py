"""`attn ablate`: cut attention, and see what becomes of the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from attn_cli.cli import texts
from attn_cli.cli.inputs import input_of, names_record
from attn_cli.cli.loading import check_named, loaded
from attn_cli.cli.options import (
    AllOption,
    DisplayOptions,
    HeadOption,
    KindOption,
    LayerOption,
    ModelOptions,
    OutputOptions,
    PairOption,
    RowsOption,
    TextArgument,
    TextOptions,
    UnitOption,
    select_option,
    text_option,
)
from attn_cli.data.selection import Selection, check_syntax
from attn_cli.errors import AttnError, UsageError
from attn_cli.questions.ablate.choices import CutChoice, OutputChoice, check_attribution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attn_cli.models import Model
    from attn_cli.questions.ablate.attribution import Attributed
    from attn_cli.questions.ablate.trials import Ablation

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 65
HELP = """Cut attention, and see what becomes of the output.

Every head of the model in turn, or with --head and --layer these at once: its output is set to zero (--with says what
else), and the output of the model measured: the log-probability of a decoder's text or of what --target says, of a
translation, of the word at [MASK], or else how far the last states turn. --edge it:trophy cuts one link alone: the
query cannot see the key any more (attention knockout). --query it cuts what a word looks at, one key after another,
and holds each effect beside the weight; with
--file, in each head by itself, over all lines that have the word. --attribution cuts nothing: it takes the logit of a
decoder's next token apart into what each head adds to it by itself.
"""
EPILOG = """\b
Examples:
  attn ablate "The trophy didn't fit in the suitcase because it was too big"
  attn ablate "The trophy didn't fit because it was big" --head 2.0 --with even
  attn ablate "The trophy didn't fit because it was big" --edge it:trophy --head 2.0
  attn ablate "The trophy didn't fit because it was big" --edge it:trophy --by layers
  attn ablate "The trophy didn't fit because it was big" --query it
"""


@dataclass(frozen=True)
class CutOptions:
    """Options that say what is cut."""

    kind: KindOption = None
    layer: LayerOption = None
    head: HeadOption = None
    edge: Annotated[
        list[str] | None,
        select_option(
            metavar="FROM:TO", help="Cut this link: it:trophy, it: (all it looks at), :trophy; may be given again."
        ),
    ] = None
    by: Annotated[Literal["layers"] | None, select_option(help="Cut --edge in each band of layers in turn.")] = None
    query: Annotated[
        str | None, select_option("--query", "-q", metavar="WORD", help="Cut each key of this word in turn.")
    ] = None
    instead: Annotated[
        Literal["zero", "mean", "even"] | None,
        select_option("--with", help="In a head's place: nothing (default), its mean over the text, or even weights."),
    ] = None
    attribution: Annotated[
        bool,
        select_option(
            "--attribution",
            help="Cut nothing: what each head adds to the logit by itself; with --with, beside the effect of its cut.",
        ),
    ] = False
    tokens: UnitOption = None
    rows: RowsOption = None
    all: AllOption = None

    @property
    def selection(self) -> Selection:
        """The heads and the query."""
        return Selection(
            kind=self.kind,
            layer=self.layer,
            head=self.head,
            query=self.query,
            unit="token" if self.tokens else "word",
            rows=self.rows,
            all=bool(self.all),
        )


@dataclass(frozen=True)
class MeasuredOptions:
    """Options that say which output is measured."""

    output: Annotated[
        Literal["words", "states"] | None,
        text_option(help="Measure words (default, where the model has them) or its last states."),
    ] = None
    against: Annotated[
        str | None, text_option(metavar="TEXT", help="Measure the logit of --target less that of this.")
    ] = None
    mask: Annotated[str | None, text_option(metavar="WORD", help="Mask this word of the text, and measure it.")] = None
    target_tokens: Annotated[
        Literal["first", "all"] | None,
        text_option(help="What to measure of a target of several tokens."),
    ] = None


def run(
    *,
    text: TextArgument = None,
    pair: PairOption = None,
    reading: TextOptions,
    measured: MeasuredOptions,
    cutting: CutOptions,
    display: DisplayOptions,
    saving: OutputOptions,
    model: ModelOptions,
) -> None:
    """Run the command."""
    selection = cutting.selection
    check_syntax(selection)
    if text is not None and names_record(text):
        raise UsageError("A record holds no model to cut", "Give the text itself, and its model with --model")
    cut = CutChoice(cutting.instead, tuple(cutting.edge or ()), cutting.by)
    cut.check(selection)
    choice = OutputChoice(measured.output, measured.against, measured.mask, measured.target_tokens)
    choice.check(reading.target)
    if cutting.attribution:
        check_attribution(selection, choice, cut)
    sentences = texts.sentences(text, reading.file, target=reading.target, column=reading.column)
    check_named(model)

    from attn_cli.cli.outputs import Output
    from attn_cli.cli.progress import working
    from attn_cli.questions.ablate.attribution import attribute
    from attn_cli.questions.ablate.measure import ablate

    ask = attribute if cutting.attribution else ablate
    doing = "Running" if cutting.attribution and cut.instead is None else "Cutting"
    out = Output(display, saving, maps=False)

    if selection.query is not None and reading.file is not None:
        from attn_cli.cli.progress import watched
        from attn_cli.questions.ablate.corpus import Correlate

        known = loaded(model)
        collect = Correlate(known, selection, choice)
        for sentence in watched(sentences, "Cutting", texts.count_lines(reading.file, blanks=False)):
            try:
                collect.add(input_of(known, sentence, reading, pair))
            except AttnError as error:
                raise texts.located(error, sentence.where) from error
        out.write([collect.found(str(reading.file))])
        return

    def answers() -> Iterator[Ablation | Attributed]:
        known: Model | None = None
        for sentence in out.as_many_as_fit(sentences):
            known = known or loaded(model)
            try:
                with working(doing, model.model):
                    given = input_of(known, sentence, reading, pair)
                    answer = ask(known, given, selection, choice, cut, verify=model.verify)
            except AttnError as error:
                raise texts.located(error, sentence.where) from error
            yield answer

    out.write(answers())
