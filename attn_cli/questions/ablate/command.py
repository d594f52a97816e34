"""`attn ablate`: cut attention, and see what becomes of the output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from attn_cli.cli import texts
from attn_cli.cli.file_names import check_typed, names_record
from attn_cli.cli.inputs import check_pair, given_images, input_of
from attn_cli.cli.loading import check_named, described, loaded, loaded_once
from attn_cli.cli.options import (
    AllOption,
    DisplayOptions,
    FigureOptions,
    HeadOption,
    ImagesOption,
    LayerOption,
    ModelOptions,
    PairOption,
    PromptOptions,
    RowsOption,
    TextArgument,
    TextOptions,
    UnitOption,
    select_option,
    text_option,
)
from attn_cli.cli.prompts import in_lines, prompts
from attn_cli.cli.texts import Sentence
from attn_cli.cli.workers import Workers, WorkersOption
from attn_cli.data.selection import Kind, Selection, check_syntax
from attn_cli.errors import AttnError, InputError, UsageError, counted
from attn_cli.questions.ablate.choices import (
    CutChoice,
    DonorChoice,
    OutputChoice,
    check_attribution,
    check_of_image,
)

if TYPE_CHECKING:
    from attn_cli.answer import Answer
    from attn_cli.cli.farm import Farm
    from attn_cli.data.model import ModelInfo
    from attn_cli.data.stream import Source
    from attn_cli.models import Input, Model
    from attn_cli.questions.ablate.attribution import Attributed
    from attn_cli.questions.ablate.corpus import Correlate
    from attn_cli.questions.ablate.donors import Means, SumsOfOutputs
    from attn_cli.questions.ablate.effects import CollectEffects
    from attn_cli.questions.ablate.trials import Ablation

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 65
HELP = """Cut attention, and see what becomes of the output.

Every head of the model in turn, or with --head and --layer these at once (--by heads: each of them in turn): its output
is set to zero (--with says what else), and the output of the model measured: the log-probability of a decoder's text or
of what --target says, of a translation, of the word at [MASK], or else how far the last states turn. --edge it:trophy
cuts one link alone: the query cannot see the key any more (attention knockout); --by heads and --by layers cut it in
one head or band of layers after another. --query it cuts what a word looks at, one key after another, and holds each
effect beside the weight.

--with mean puts a head's mean output in its place, over the text or over others (--from-text, --from-file,
--from-probe); --with resample its output in the text of --from-text, position by position (activation patching).

With --file, each head is cut in turn in every line (--by heads: each of those chosen), and its mean effect and spread
are shown; with --query, how weights and effects go together in each head, over all lines that have the word; with
--workers 4, over processes, here or on a cluster.

Of an image (--image), the last states of its patches are measured.

--attribution cuts nothing: it takes the logit of a decoder's next token apart into what each head adds to it by itself.
"""
EPILOG = """\b
Examples:
  attn ablate "The trophy didn't fit in the suitcase because it was too big"
  attn ablate "The trophy didn't fit because it was big" --head 2.0 --with even
  attn ablate "The trophy didn't fit because it was big" --layer 1-2 --by heads
  attn ablate "The trophy didn't fit because it was big" --edge it:trophy --head 2.0
  attn ablate "The trophy didn't fit because it was big" --edge it:trophy --by layers
  attn ablate "The trophy didn't fit because it was big" --query it
  attn ablate "The cat slept, it was old" --with resample --from-text "The dog slept, it was old"
  attn ablate "The capital of France is" --target " Paris" --head 23.4 --model smollm2.gguf
  attn ablate "The capital of France is" --target " Paris" --attribution --model smollm2.gguf
  attn ablate --file corpus.txt
"""


CHUNK = 8
"""Texts to give a worker at a time."""
PAIRS = "a text, a tab and the text that outputs are taken from"
"""Content of a table's lines for --with resample."""


@dataclass(frozen=True)
class CutOptions:
    """Options that say what is cut."""

    kind: Annotated[
        Kind | None,
        select_option(help="Which attention to cut: by default all, and with --head or --layer the model's first."),
    ] = None
    layer: LayerOption = None
    head: HeadOption = None
    edge: Annotated[
        list[str] | None,
        select_option(
            metavar="FROM:TO",
            help="Cut this link: it:trophy, it#2:8, it: (all it looks at), :trophy; may be given again.",
        ),
    ] = None
    by: Annotated[
        Literal["heads", "layers"] | None,
        select_option(
            help="Cut each head chosen in turn, or --edge in each; or --edge in each band of layers: a sixth of them, "
            "or one if there are fewer than 12."
        ),
    ] = None
    query: Annotated[
        str | None, select_option("--query", "-q", metavar="WORD", help="Cut each key of this word in turn.")
    ] = None
    instead: Annotated[
        Literal["zero", "mean", "even", "resample"] | None,
        select_option(
            "--with",
            help="In a head's place: zero (default), its mean, the sum of an even row, or its output in another text.",
        ),
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
class DonorOptions:
    """Options that name the texts that heads' outputs are taken from."""

    from_text: Annotated[
        str | None, text_option("--from-text", metavar="TEXT", help="Take the output of --with from this text.")
    ] = None
    from_file: Annotated[
        Path | None, text_option("--from-file", metavar="PATH", help="Take the mean over these texts, one per line.")
    ] = None
    from_probe: Annotated[
        bool, text_option("--from-probe", help="Take the mean over the texts that attn heads --probe makes.")
    ] = False
    seed: Annotated[
        int | None, text_option(min=0, metavar="N", help="The seed of the texts of --from-probe (default: 0).")
    ] = None

    @property
    def choice(self) -> DonorChoice:
        """The texts."""
        return DonorChoice(self.from_text, None if self.from_file is None else str(self.from_file), self.from_probe)

    @property
    def of_probe(self) -> int:
        """The seed of the probe's texts."""
        return self.seed or 0


@dataclass(frozen=True)
class TargetOptions(PromptOptions):
    """Options for the text, whose target is what is measured."""

    target: Annotated[
        str | None,
        text_option(
            metavar="TEXT", help="Measure this: what follows a decoder's text, a translation, or the word at [MASK]."
        ),
    ] = None


@dataclass(frozen=True)
class MeasuredOptions:
    """Options that say which output is measured."""

    output: Annotated[
        Literal["words", "states"] | None,
        text_option(
            help="Measure words (default, if the model chooses any) or the last states; a translator has words only."
        ),
    ] = None
    against: Annotated[
        str | None, text_option(metavar="TEXT", help="Measure the logit of --target less that of this.")
    ] = None
    mask: Annotated[str | None, text_option(metavar="WORD", help="Mask this word of the text, and measure it.")] = None
    continuation: Annotated[
        str | None,
        text_option("--continue", metavar="TEXT", help="Measure all of this, which goes on from a decoder's text."),
    ] = None
    target_tokens: Annotated[
        Literal["first", "all"] | None,
        text_option(help="What to measure if a decoder's --target is several tokens: all by default."),
    ] = None


def run(
    *,
    text: TextArgument = None,
    image: ImagesOption = None,
    pair: PairOption = None,
    reading: TargetOptions,
    measured: MeasuredOptions,
    cutting: CutOptions,
    donor: DonorOptions,
    display: DisplayOptions,
    saving: FigureOptions,
    model: ModelOptions,
    workers: WorkersOption = None,
) -> None:
    """Run the command."""
    selection = cutting.selection
    check_syntax(selection)
    if text is not None and names_record(text):
        raise UsageError("A record holds no model to cut", "Give the text itself, and its model with --model")
    cut = CutChoice(cutting.instead, tuple(cutting.edge or ()), cutting.by)
    cut.check(selection)
    continued = measured.continuation is not None
    if continued and reading.target is not None:
        raise UsageError("--continue and --target both say what is measured", "Give one of them")
    reading = replace(reading, target=measured.continuation) if continued else reading
    choice = OutputChoice(measured.output, measured.against, measured.mask, measured.target_tokens, continues=continued)
    if image:
        check_of_image(choice, cut, donor.choice, attribution=cutting.attribution)
    choice.check(reading.target, in_lines=in_lines(reading))
    if cutting.attribution:
        check_attribution(selection, choice, cut, donor.choice)
    if donor.seed is not None and not donor.from_probe:
        raise UsageError("--seed is for the texts of --from-probe", "Add --with mean --from-probe, or leave it out")
    paired = cutting.instead == "resample" and in_lines(reading) and not donor.choice.options
    if not paired:
        donor.choice.check(cutting.instead)
    if cutting.instead == "resample" and (reading.chat is not None or reading.system is not None):
        raise UsageError(
            "--with resample takes outputs from a text of the same words, so a chat cannot be used with it",
            "Choose another --with, or give the text itself",
        )
    check_pair(pair)
    if donor.from_text is not None:
        several = "or name a file of texts to take a mean over with --from-file"
        check_typed(donor.from_text, f"Give the text itself, {several}", called="The text of --from-text")
    if str(donor.from_file) == "-" and (text in {None, "-"} or str(reading.file) == "-"):
        raise UsageError("The text and --from-file are both standard input", "Name a file for one of them")
    sweeps = cut.sweeps(selection) and not cutting.attribution
    over_corpus = reading.file is not None and in_lines(reading) and (sweeps or selection.query is not None)
    farm = Workers.parse(
        workers,
        shared=over_corpus,
        instead="Name one with --file, with heads cut in turn or --query",
    )
    if image:
        sentences = given_images(image, text, reading, model, selection, pair=pair).sentences
    else:
        sentences = _paired(text, reading) if paired else prompts(text, reading)
        check_named(model)

    from attn_cli.cli.outputs import Output

    asked = _Texts(
        reading,
        pair,
        selection,
        choice,
        cut,
        donor,
        model,
        paired=paired,
        attribution=cutting.attribution,
        images=bool(image),
    )
    out = Output(display, saving, maps=False)
    if reading.file is None or not over_corpus:
        out.write(asked.each(out.as_many_as_fit(sentences)))
        return
    answer, ended = asked.corpus(sentences, reading.file, farm)
    out.write([answer])
    if ended is not None:
        raise ended


def _paired(text: str | None, reading: TextOptions) -> Iterator[Sentence]:
    """Read lines of a text and the text that outputs are taken from, whose column `--target` leaves alone.

    Raises:
        UsageError: `--target` is the name of a file.
        InputError: the input is blank, unreadable, not UTF-8, or not of its format.
    """
    if reading.target is not None:
        remedy = "Give the text itself, or texts with targets in a table with --target-field and --pair-field"
        check_typed(reading.target, remedy, called="The text of --target")
    return prompts(text, replace(reading, target=None), holds=PAIRS)


@dataclass(frozen=True)
class _Texts:
    """The texts of a command, and what is asked of them."""

    reading: TextOptions
    pair: str | None
    selection: Selection
    output: OutputChoice
    cut: CutChoice
    donor: DonorOptions
    options: ModelOptions
    paired: bool
    """True if the second text of each line is the one that heads' outputs are taken from."""
    attribution: bool
    """True to take a logit apart."""
    images: bool = False
    """True if images are read, and no texts."""

    @cached_property
    def model(self) -> Model:
        """The model, loaded on first use."""
        return loaded(self.options, images=self.images)

    def each(self, sentences: Iterable[Sentence]) -> Iterator[Ablation | Attributed]:
        """Yield the answer about each text.

        Raises:
            AttnError: a text cannot be used; the message says which.
        """
        from attn_cli.cli.progress import working
        from attn_cli.questions.ablate.attribution import attribute
        from attn_cli.questions.ablate.measure import ablate

        doing = "Running" if self.attribution and self.cut.instead is None else "Cutting"
        for sentence in sentences:
            model, means = self.model, self.means
            try:
                with working(doing, self.options.model):
                    given, other = self._input(sentence)
                    asked = model, given, self.selection, self.output, self.cut
                    verify = self.options.verify
                    answer = (
                        attribute(*asked, verify=verify)
                        if self.attribution
                        else ablate(*asked, donor=means if other is None else other, verify=verify)
                    )
            except AttnError as error:
                raise texts.located(error, sentence.where) from error
            yield answer

    def corpus(
        self, sentences: Iterator[Sentence], file: Path, workers: Workers | None
    ) -> tuple[Answer, BaseException | None]:
        """Return the answer over all texts, and what ended it before the last: Ctrl-C, or workers that are gone.

        Raises:
            AttnError: a text cannot be used; the message says which.
            KeyboardInterrupt: Ctrl-C was pressed before any text was measured.
        """
        from attn_cli.cli.progress import Corpus

        sentences = texts.ready(sentences)
        if workers is not None:
            return self._on(workers, sentences, file)
        collect = self._collector(self.model, self.means)
        with Corpus(sentences, "Cutting", texts.count_lines(file, blanks=False)) as corpus:
            for sentence in corpus:
                collect.take(self.measured(collect, sentence))
            if corpus.stopped and not collect.texts:
                raise KeyboardInterrupt
            return collect.found(texts.name_of(file), corpus.notes), KeyboardInterrupt() if corpus.stopped else None

    def _on(self, workers: Workers, sentences: Iterator[Sentence], file: Path) -> tuple[Answer, BaseException | None]:
        """Return the same, with the texts measured on workers and taken in their order."""
        from attn_cli.cli.farm import Farm, LostError, chunks_of
        from attn_cli.cli.progress import Corpus

        name = texts.name_of(file)
        with Farm(workers) as farm:
            info, _ = farm.the_same(partial(described, self.options))
            vars(self)["means"] = self._means_on(farm, info)
            collect = self._collector(None, self.means)
            found = farm.in_turn(self.measured_here, chunks_of(sentences, CHUNK))
            with Corpus(found, "Cutting", texts.count_lines(file, blanks=False)) as corpus:
                try:
                    for one in corpus:
                        collect.take(one)
                except LostError as fault:
                    if not collect.texts:
                        raise
                    gone = f"{fault.problem}: the figures are of the {counted(collect.texts, 'text')} measured before"
                    return collect.found(name, (gone,)), fault
                if corpus.stopped and not collect.texts:
                    raise KeyboardInterrupt
                return collect.found(name, corpus.notes), KeyboardInterrupt() if corpus.stopped else None

    def _means_on(self, farm: Farm, info: ModelInfo) -> Means | None:
        """Return the means of the heads' outputs over other texts, measured on workers, if there are any.

        Raises:
            AttnError: no text can be read, or the workers are gone.
        """
        if self.cut.instead != "mean" or not self.donor.choice.options:
            return None
        from attn_cli.cli.farm import chunks_of
        from attn_cli.cli.progress import ProgressBar
        from attn_cli.questions.ablate.donors import CHUNK, CollectMeans, cut_kinds, probe_name, probe_size

        donor = self.donor
        chunks: Iterator[list[Sentence] | range]
        if donor.from_text is not None:
            name, chunks = donor.from_text, iter([[Sentence(donor.from_text)]])
        elif donor.from_file is not None:
            name, chunks = texts.name_of(donor.from_file), chunks_of(texts.sentences(None, donor.from_file), CHUNK)
        else:
            name, size = probe_name(donor.of_probe), probe_size(info, donor.of_probe)
            chunks = (range(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK))
        collect = CollectMeans(None, cut_kinds(info, self.selection))
        with ProgressBar("Averaging") as bar:
            for sums in farm.each(self.sums_here, chunks):
                collect.merge(sums)
                bar.advance(sums.texts + len(sums.left_out))
        return collect.found(name, several=donor.from_text is None)

    def sums_here(self, chunk: Sequence[Sentence] | range) -> SumsOfOutputs:
        """Return the sums of the heads' outputs over some texts, or over those of the probe with these numbers."""
        from attn_cli.questions.ablate.donors import CollectMeans, cut_kinds, probe_texts

        model = loaded_once(self.options)
        plain = replace(self.reading, target=None)
        given: Iterable[Input | Source]
        if isinstance(chunk, range):
            every = probe_texts(model, input_of(model, Sentence(""), plain), self.donor.of_probe)
            given = islice(every, chunk.start, chunk.stop)
        else:
            given = (input_of(model, sentence, plain) for sentence in chunk)
        collect = CollectMeans(model, cut_kinds(model.info, self.selection))
        for text in given:
            collect.add(text)
        return collect.sums()

    def _collector(self, model: Model | None, means: Means | None) -> CollectEffects | Correlate:
        """Return a collector of what is asked; without a model, of what was measured elsewhere."""
        from attn_cli.questions.ablate.corpus import Correlate
        from attn_cli.questions.ablate.effects import CollectEffects

        if self.selection.query is not None:
            return Correlate(model, self.selection, self.output, verify=self.options.verify)
        return CollectEffects(model, self.selection, self.output, self.cut, means, verify=self.options.verify)

    def measured(self, collect: CollectEffects | Correlate, sentence: Sentence) -> Any:
        """Return what a collector measures of a text, for it to take.

        Raises:
            AttnError: the text cannot be used; the message says which.
        """
        from attn_cli.questions.ablate.effects import CollectEffects

        try:
            given, other = self._input(sentence)
            if isinstance(collect, CollectEffects):
                return collect.measure(given, other, sentence.where)
            return collect.measure(given, sentence.where)
        except AttnError as error:
            raise texts.located(error, sentence.where) from error

    def measured_here(self, sentences: Iterable[Sentence]) -> Iterator[Any]:
        """Yield what is measured of each of some texts, with the model that this worker keeps."""
        vars(self)["model"] = loaded_once(self.options)
        collect = self._collector(self.model, self.means)
        for sentence in sentences:
            yield self.measured(collect, sentence)

    def _input(self, sentence: Sentence) -> tuple[Input, str | None]:
        """Return what the model is to read, and the text that heads' outputs are taken from.

        Raises:
            InputError: a line has no second text.
        """
        other = self.donor.from_text if self.cut.instead == "resample" else None
        if self.paired:
            other = sentence.target if sentence.pair is None else sentence.pair
            if other is None:
                raise InputError("There is no second text to take outputs from", f"Give every line {PAIRS}")
            own = None if sentence.pair is None else sentence.target
            if own is not None and self.reading.target is not None:
                raise InputError("It has a target, and --target is given as well", "Give one of them")
            sentence = Sentence(sentence.text, sentence.where, self.reading.target if own is None else own)
        return input_of(self.model, sentence, self.reading, self.pair, answers=True), other

    @cached_property
    def means(self) -> Means | None:
        """The means of the heads' outputs over other texts, if there are any.

        Raises:
            AttnError: no text can be read.
        """
        if self.cut.instead != "mean" or not self.donor.choice.options:
            return None
        from attn_cli.cli.progress import ProgressBar
        from attn_cli.questions.ablate.donors import mean_outputs, probe_name, probe_texts

        model, donor, total = self.model, self.donor, None
        plain = replace(self.reading, target=None)
        given: Iterable[Input | Source]
        if donor.from_text is not None:
            name, given = donor.from_text, [input_of(model, Sentence(donor.from_text), plain)]
        elif donor.from_file is not None:
            name, total = texts.name_of(donor.from_file), texts.count_lines(donor.from_file, blanks=False)
            given = (input_of(model, sentence, plain) for sentence in texts.sentences(None, donor.from_file))
        else:
            name, given = (
                probe_name(donor.of_probe),
                probe_texts(model, input_of(model, Sentence(""), plain), donor.of_probe),
            )
        with ProgressBar("Averaging", total) as bar:
            return mean_outputs(
                model, given, self.selection, name, several=donor.from_text is None, advance=bar.advance
            )
