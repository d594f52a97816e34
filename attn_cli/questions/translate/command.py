"""`attn translate`: the translation of a sentence, and the source words that each of its words attends to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from attn_cli.cli import texts
from attn_cli.cli.loading import check_named, described, loaded, loaded_once
from attn_cli.cli.options import (
    DisplayOptions,
    ModelOptions,
    PageOptions,
    SelectionOptions,
    TextArgument,
    TextOptions,
    WithoutOption,
    output_option,
)
from attn_cli.cli.streams import say
from attn_cli.cli.texts import Sentence
from attn_cli.cli.workers import Workers, WorkersOption
from attn_cli.data.selection import Selection, check_syntax, check_without
from attn_cli.errors import AttnError, InputError, UsageError, counted
from attn_cli.questions.translate.choices import AlignMethod, LinkChoice

if TYPE_CHECKING:
    from attn_cli.data.model import ModelInfo
    from attn_cli.data.stream import Source
    from attn_cli.models import Decoding, Languages, Model, Translation
    from attn_cli.questions.inspect.measure import Inspection
    from attn_cli.questions.translate.align import Aligned

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 10
HELP = """Translate, and show which words each word comes from.

Each word of the translation attends to words of the sentence. Rows are the words of the output, columns those of the
input; the weights are those of the heads that align words best, or that --layer and --head name. With --grid, --query,
--kind or --sort, it shows what attn inspect shows.
"""
EPILOG = """\b
Examples:
  attn translate "The cat sat on the mat"
  attn translate "The cat sat on the mat" --target "Le chat était assis" --head 1.0
  attn translate "The cat sat" --model facebook/nllb-200-distilled-600M --from en --to fr
  attn translate "The cat sat on the mat" --without cross:1.0
  attn translate --file english.txt --text-only > french.txt
  attn translate --file pairs.tsv --align > links.txt
  attn translate --file pairs.tsv --align --align-method itermax --min 0.2
  attn translate --file pairs.tsv --align --gold gold.tsv
"""

Result = TypeVar("Result")

FIRST_BATCH, LARGEST_BATCH = 4, 64
"""Numbers of texts that are translated side by side: few at first, so that output appears soon."""

LINKING = ("--layer", "--head", "--rows")
"""The only options of the selection that word links depend on."""

_search = functools.partial(typer.Option, rich_help_panel="Translation")


@dataclass(frozen=True)
class SearchOptions:
    """Options of the search for a translation."""

    beam: Annotated[
        int | None,
        _search(
            metavar="N",
            min=1,
            max=100,
            help="Hypotheses to keep at each step; 1 is greedy (default: 4 for one text, 1 for many).",
        ),
    ] = None
    max_length: Annotated[
        int | None,
        _search(metavar="N", min=1, help="The most tokens to write (default: 50 more than twice the text's)."),
    ] = None


@dataclass(frozen=True)
class PlainOptions:
    """Options for plain text on stdout in the place of a drawing."""

    text_only: Annotated[bool, output_option("--text-only", help="Print only the translations, one per line.")] = False
    align: Annotated[
        bool, output_option("--align", help="Print only word links (0-0 1-2: source-target), one line per text.")
    ] = False
    align_score: Annotated[bool, output_option("--align-score", help="The same with weights: 0-0:0.93.")] = False
    align_method: Annotated[
        AlignMethod | None,
        output_option(
            metavar="METHOD",
            help="With --align, link each word written (argmax, the default), only words that are each other's "
            "strongest (mutual), or these and then those left over (itermax).",
        ),
    ] = None
    least: Annotated[
        float | None, output_option("--min", metavar="X", help="With --align, leave out links with less weight.")
    ] = None
    gold: Annotated[
        Path | None,
        output_option(
            metavar="PATH",
            help="With --align, score against these links (lines of 0-0 0p1, a .tsv, or NAACL's format).",
        ),
    ] = None
    one_based: Annotated[
        bool, output_option("--one-based", help="Count the words of --gold from 1 (default: from 0).")
    ] = False

    @property
    def links(self) -> bool:
        """True if word links are wanted."""
        return self.align or self.align_score

    @property
    def choice(self) -> LinkChoice:
        """The word links that are wanted.

        Raises:
            UsageError: --min is not between 0 and 1.
        """
        return LinkChoice(self.align_method or "argmax", self.least or 0.0)

    @property
    def any(self) -> bool:
        """True if any plain text is wanted."""
        return self.text_only or self.links

    def check(self, choice: SelectionOptions, output: PageOptions, *, forced: bool, verify: bool) -> None:
        """Check that these options go together, and with the others: nothing else may go to stdout.

        Raises:
            UsageError: two options conflict, or one needs another.
        """
        for name, value in (("--align-method", self.align_method), ("--min", self.least)):
            if value is not None and not self.links:
                raise UsageError(f"{name} chooses among word links", "Add --align")
        if self.gold is not None and not self.links:
            raise UsageError("--gold scores word links", "Add --align")
        if self.one_based and self.gold is None:
            raise UsageError("--one-based says how the words of --gold are counted", "Name a file with --gold")
        if not self.any:
            return
        own = next(name for name, given in (("--text-only", self.text_only), ("--align", self.links)) if given)
        clashing = [
            *(["--align"] if self.text_only and self.links else []),
            *(one for one in _options(choice) if self.text_only or one not in LINKING),
            *_options(output),
            *(["--target"] if forced and self.text_only else []),
            *(["--verify"] if verify else []),
        ]
        if clashing:
            raise UsageError(
                f"{own} prints only text, so {clashing[0]} cannot be used with it", "Leave one of them out"
            )


def _options(group: SelectionOptions | PageOptions) -> Iterator[str]:
    """Yield the options of a group that are given, as they are typed."""
    for field in fields(group):
        if getattr(group, field.name) != field.default:
            yield "--open" if field.name == "browse" else f"--{field.name.replace('_', '-')}"


def run(
    *,
    text: TextArgument = None,
    reading: TextOptions,
    searching: SearchOptions,
    choice: SelectionOptions,
    without: WithoutOption = None,
    display: DisplayOptions,
    output: PageOptions,
    plain: PlainOptions,
    model: ModelOptions,
    workers: WorkersOption = None,
) -> None:
    """Run the command."""
    selection = choice.over(Selection(translation=True))
    check_syntax(selection)
    check_without(without, selection)
    plain.check(choice, output, forced=reading.target is not None, verify=model.verify)
    linking = plain.choice
    single = reading.file is None and text not in {None, "-"}
    shared = not single and (plain.any or output.json)
    farm = Workers.parse(workers, shared=shared, instead="Name one with --file, and add --json, --text-only or --align")
    searched = [
        name
        for name, value in (("--beam", searching.beam), ("--max-length", searching.max_length))
        if value is not None
    ]
    if reading.target is not None and searched:
        raise UsageError(
            f"Nothing is searched for where --target is the translation, so {searched[0]} cannot be used with it",
            "Leave one of them out",
        )
    sentences = _noted(
        texts.sentences(text, reading.file, target=reading.target, chosen=reading.field_names, blanks=plain.any)
    )
    check_named(model)

    from attn_cli.cli.outputs import Output
    from attn_cli.cli.progress import watched, working
    from attn_cli.models import FOR_ONE, GREEDY, Decoding, Languages

    total = None if reading.file is None else texts.count_lines(reading.file, reading.field_names, blanks=plain.any)
    worker = Translator(
        functools.partial(loaded if farm is None else loaded_once, model, without, selection.kind),
        Decoding(searching.beam or (FOR_ONE if single else GREEDY).beam, searching.max_length),
        Languages(reading.source_language, reading.target_language),
        truncate=reading.truncate,
        wanted=selection,
    )
    load = functools.partial(described, model, without, selection.kind)
    if plain.any:
        from attn_cli.questions.translate import links
        from attn_cli.questions.translate.gold import GoldFile

        gold = (
            None
            if plain.gold is None
            else GoldFile(plain.gold, total, chosen=reading.field_names, one_based=plain.one_based)
        )
        if plain.text_only:
            pairs = _each(farm, load, worker.pairs_of, sentences)
            links.write_texts(pairs if single else watched(pairs, "Translating", total))
        else:
            found = _each(farm, load, functools.partial(_aligned, worker, selection, linking), sentences)
            found = found if single else watched(found, "Translating", total)
            links.write_links(found, scores=plain.align_score, gold=gold, choice=linking)
        return

    from attn_cli.questions.inspect.measure import look

    out = Output(display, output, browse=output.browse)
    if farm is not None:
        looked = functools.partial(_looked_at, worker, selection, model.verify, out.plays)
        out.write(watched(_each(farm, load, looked, out.as_many_as_fit(sentences)), "Translating", total))
        return
    keep = out.keeps(selection)

    def answers() -> Iterator[Inspection]:
        sources = worker.sources(worker.pairs(out.as_many_as_fit(sentences)))
        if single:
            worker.load()
        for _ in range(1) if single else count():
            with working("Translating", model.model) if single else nullcontext():
                sentence, source = next(sources, (None, None))
                if sentence is None or source is None:
                    return
                try:
                    answer = look(source, selection, keep=keep, page=out.plays, verify=model.verify, cut=out.cut)
                except AttnError as error:
                    raise texts.located(error, sentence.where) from error
            yield answer

    out.write(answers() if single else watched(answers(), "Translating", total))


def _noted(sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    """Yield the sentences, and at their end note how many have no target, and are translated, if others have one."""
    given = missing = 0
    for sentence in sentences:
        given += sentence.target is not None
        missing += sentence.target is None and bool(sentence.text)
        yield sentence
    if given and missing:
        verb = "was" if missing == 1 else "were"
        say(f"note: {missing:,} of {counted(given + missing, 'text')} had no target and {verb} translated")


def _each(
    workers: Workers | None,
    load: Callable[[], tuple[ModelInfo, str]],
    function: Callable[[Sequence[Sentence]], Iterator[Result]],
    sentences: Iterable[Sentence],
) -> Iterator[Result]:
    """Yield what a function yields of each batch of sentences, here or on workers, which load the model."""
    batches = _batches(sentences)
    if workers is None:
        yield from chain.from_iterable(map(function, batches))
        return
    from attn_cli.cli.farm import each_text

    yield from each_text(workers, load, function, batches)


def _aligned(
    worker: Translator, selection: Selection, choice: LinkChoice, batch: Sequence[Sentence]
) -> Iterator[Aligned]:
    """Yield the links of each sentence of a batch."""
    from attn_cli.questions.translate.links import aligned_texts

    return aligned_texts(worker.sources(worker.pairs_of(batch)), selection, choice)


def _looked_at(
    worker: Translator, selection: Selection, verify: bool, page: bool, batch: Sequence[Sentence]
) -> Iterator[Inspection]:
    """Yield the answer about each sentence of a batch."""
    from attn_cli.questions.inspect.measure import look

    for sentence, source in worker.sources(worker.pairs_of(batch)):
        if source is None:
            continue
        try:
            yield look(source, selection, keep=True, page=page, verify=verify)
        except AttnError as error:
            raise texts.located(error, sentence.where) from error


class Translator:
    """A translator of sentences as they come, several side by side, in their order.

    Args:
        load: function that loads the model; called when the first sentence has come.
        decoding: the options of the search.
        languages: the source and target languages.
        truncate: cut texts that are too long.
        wanted: the selection that they are read for.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        decoding: Decoding,
        languages: Languages,
        *,
        truncate: bool,
        wanted: Selection | None = None,
    ) -> None:
        self._load, self._decoding, self._languages, self._truncate = load, decoding, languages, truncate
        self._wanted = wanted
        self._model: Model | None = None

    def load(self) -> Model:
        """Load the model, once.

        Raises:
            ModelError: the model cannot be found, read or inspected.
            MemoryLimitError: the model does not fit in memory.
        """
        self._model = self._model or self._load()
        return self._model

    def pairs(self, sentences: Iterable[Sentence]) -> Iterator[tuple[Sentence, str | Translation | None]]:
        """Yield each sentence with its target: the one it came with, or a translation; None for a blank line.

        Raises:
            AttnError: a sentence cannot be translated; those before it have been yielded.
        """
        return chain.from_iterable(map(self.pairs_of, _batches(sentences)))

    def pairs_of(self, batch: Sequence[Sentence]) -> Iterator[tuple[Sentence, str | Translation | None]]:
        """Yield the sentences of one batch, as `pairs` does."""
        for one in batch:
            if one.pair is not None:
                raise InputError(
                    f"{one.where} has a second text beside the first, and only one can be translated",
                    "Name the columns of the text and its target with --field and --target-field",
                )
        self.load()
        made = self._translations([one for one in batch if one.target is None and one.text])
        for one in batch:
            yield one, one.target if one.target is not None or not one.text else next(made)

    def sources(
        self, pairs: Iterable[tuple[Sentence, str | Translation | None]]
    ) -> Iterator[tuple[Sentence, Source | None]]:
        """Yield the same sentences, given to the model together with their targets; None for a blank line.

        Raises:
            AttnError: a sentence or its target cannot be used.
        """
        from attn_cli.models import Input
        from attn_cli.models.prepare import read

        for sentence, target in pairs:
            if target is None:
                yield sentence, None
                continue
            try:
                given = Input(sentence.text, target=target, languages=self._languages, truncate=self._truncate)
                source = read(self.load(), given, self._wanted)
            except AttnError as error:
                raise texts.located(error, sentence.where) from error
            yield sentence, source

    def _translations(self, batch: Sequence[Sentence]) -> Iterator[Translation]:
        if not batch:
            return
        try:
            yield from self._translate([one.text for one in batch])
        except AttnError as error:
            if len(batch) == 1:
                raise texts.located(error, batch[0].where) from error
            # One sentence is at fault, or the batch is too large for the memory.
            for one in batch:
                try:
                    yield from self._translate([one.text])
                except AttnError as error:
                    raise texts.located(error, one.where) from error

    def _translate(self, batch: Sequence[str]) -> list[Translation]:
        return self.load().translate(batch, decoding=self._decoding, languages=self._languages, truncate=self._truncate)


def _batches(sentences: Iterable[Sentence]) -> Iterator[list[Sentence]]:
    """Yield batches of sentences of growing size; an error is raised after the sentences before it."""
    size, batch = FIRST_BATCH, []
    try:
        for sentence in sentences:
            batch.append(sentence)
            if len(batch) == size:
                yield batch
                size, batch = min(2 * size, LARGEST_BATCH), []
    except AttnError:
        yield batch
        raise
    yield batch
