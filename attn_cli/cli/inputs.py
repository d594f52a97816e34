"""Inputs of commands: texts for a model, or saved records, processed one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from attn_cli.cli import texts
from attn_cli.cli.file_names import check_typed, names_image, names_record
from attn_cli.cli.images import files_of_images, images
from attn_cli.cli.loading import check_named, loaded
from attn_cli.cli.options import DEFAULT_MODEL, ModelOptions, PromptOptions, TextOptions
from attn_cli.cli.prompts import named_parts_of, prompts, split_of
from attn_cli.cli.texts import Sentence
from attn_cli.data.labelling import UNLABELLED, Labelling
from attn_cli.data.selection import HOLDS_NO_MODEL, Kind, Selection, fields_of_texts
from attn_cli.errors import AttnError, UsageError

if TYPE_CHECKING:
    from attn_cli.answer import Answer
    from attn_cli.cli.outputs import Output
    from attn_cli.data.patches import ImagePixels
    from attn_cli.data.record import Record
    from attn_cli.data.stream import Source
    from attn_cli.models import Input, Model

__all__ = [
    "Given",
    "check_pair",
    "check_record",
    "given",
    "given_image",
    "given_images",
    "input_of",
    "prepared",
    "saved_with",
]


@dataclass(frozen=True)
class Given:
    """Input of a command: sentences for a model, or a file of records."""

    sentences: Iterator[Sentence]
    record: Path | None
    """A file of records to use instead of sentences."""
    pair: str | None
    reading: TextOptions
    model: ModelOptions
    wanted: Selection | None = None
    """The selection that the text is read for; if it needs the decoder's side, the text is translated first."""
    without: str | None = None
    """The heads that the model is to run without, as they were typed."""
    kind: Kind | None = None
    """The kind of attention of those whose kind is not named."""
    labelling: Labelling = UNLABELLED
    """The labels and kind given for a matrix, if the file holds one."""
    image: ImagePixels | None = None
    """The first of the images that the sentences are, if they are no texts."""

    @property
    def read_as(self) -> dict[str, str]:
        """The options, as they were typed, by which the same texts would be read in another way."""
        given = {"--from": self.reading.source_language, "--to": self.reading.target_language}
        if isinstance(self.reading, PromptOptions):
            given["--split"] = self.reading.split
        return {option: value for option, value in given.items() if value is not None}

    def load(self) -> Model:
        """Load the model.

        Raises:
            AttnError: the model cannot be loaded, or does not have a head that it is to run without.
        """
        return loaded(self.model, self.without, self.kind, images=self.image is not None)

    def each(self, out: Output, ask: Callable[[Source, Selection], Answer]) -> Iterator[Answer]:
        """Yield the answer for each text or record, one at a time.

        Args:
            out: the output of the command.
            ask: a function that makes the answer from a source and the selection to start from.

        Raises:
            AttnError: a text or record cannot be used; for a text the message says which.
        """
        if self.record is not None:
            from attn_cli.io.read import read_records

            for record in out.as_many_as_fit(read_records(self.record, self.labelling)):
                yield ask(record, saved_with(record))
            return

        from attn_cli.cli.progress import working

        model = None
        for sentence in out.as_many_as_fit(self.sentences):
            model = model or self.load()
            try:
                with working("Running", self.model.model):
                    answer = ask(self.prepared(model, sentence), Selection())
            except AttnError as error:
                raise texts.located(error, sentence.where) from error
            yield answer

    def prepared(self, model: Model, sentence: Sentence) -> Source:
        """Prepare the attention of a sentence as a source, translating it first if the selection needs it.

        Raises:
            AttnError: the model cannot read it, or cannot translate it.
        """
        return prepared(model, sentence, self.reading, self.pair, self.wanted)


def prepared(
    model: Model,
    sentence: Sentence,
    reading: TextOptions,
    pair: str | None = None,
    wanted: Selection | None = None,
) -> Source:
    """Prepare the attention of a sentence as a source, translating it first if `wanted` needs it.

    Raises:
        AttnError: the model cannot read it, or cannot translate it.
    """
    from attn_cli.models.prepare import read

    return read(model, input_of(model, sentence, reading, pair), wanted)


def input_of(
    model: Model, sentence: Sentence, reading: TextOptions, pair: str | None = None, *, answers: bool = False
) -> Input:
    """Return what a model is to read of a sentence.

    Args:
        model: the model.
        sentence: the sentence, or a chat.
        reading: options for reading it.
        pair: a second segment.
        answers: of a chat, also begin the turn that the model is to write.

    Raises:
        UsageError: there are two second segments, or one beside a chat.
        InputError: the text has no such parts.
        ModelError: the model has no chat template, or it fails at these turns.
    """
    from attn_cli.data.parts import split_parts
    from attn_cli.models import Input, Languages

    if sentence.image is not None:
        return Input("", image=sentence.image)
    beside, target = sentence.pair, sentence.target
    if sentence.column and model.info.one_sided:
        beside, target = target, None
    if beside is not None and pair is not None:
        raise UsageError("The file has a column of second texts, so --pair cannot be used with it", "Give one of them")
    made = Input(
        sentence.text,
        pair=pair if beside is None else beside,
        target=target,
        languages=Languages(reading.source_language, reading.target_language),
        truncate=reading.truncate,
        split=split_of(reading),
    )
    if sentence.turns:
        if made.pair is not None:
            raise UsageError("A chat is one text, so --pair cannot be used with it", "Leave --pair out")
        made = model.converse(sentence.turns, made, answers=answers)
    how = named_parts_of(reading)
    if how is None or (how == "turns" and sentence.turns):
        return made
    return replace(made, parts=split_parts(made.text, how))


def given(
    text: str | None,
    reading: TextOptions,
    model: ModelOptions,
    *,
    pair: str | None = None,
    records: bool = True,
    wanted: Selection | None = None,
    without: str | None = None,
    kind: Kind | None = None,
    labelling: Labelling = UNLABELLED,
) -> Given:
    """Collect a command's input; faults of the command line are raised before anything heavy is imported.

    Args:
        text: the argument: a sentence, `-`, or with `records` the name of a file of records.
        reading: options for reading the text.
        model: options for the model.
        pair: a second segment.
        records: True if the argument may name a file of records.
        wanted: the selection that the text is read for; if it needs the decoder's side, the text is translated first.
        without: the heads that the model is to run without, as they were typed.
        kind: the kind of attention of those whose kind is not named.
        labelling: what is said of a matrix.

    Raises:
        UsageError: there is no text, more than one source of text, or no model, or a record is to run without heads.
        InputError: the text cannot be used.
    """
    check_pair(pair)
    if records and text is not None and reading.file is None and names_record(text):
        if without is not None:
            raise UsageError(HOLDS_NO_MODEL, "Give the text itself, and its model with --model")
        check_record(text, (*reading.used, *(["--pair"] if pair is not None else []), *model.used))
        return Given(iter(()), Path(text), pair, reading, model, wanted, labelling=labelling)
    sentences = prompts(text, reading)
    check_named(model)
    return Given(sentences, None, pair, reading, model, wanted, without, kind)


def given_image(
    path: Path,
    text: str | None,
    reading: TextOptions,
    model: ModelOptions,
    selection: Selection,
    *,
    pair: str | None = None,
    without: str | None = None,
) -> Given:
    """Read an image as a command's input; see `given_images`.

    Raises:
        UsageError: something is given that an image has not, or no model is named.
        InputError: the file is not an image, or cannot be read.
    """
    return given_images([path], text, reading, model, selection, pair=pair, without=without)


def given_images(
    paths: Sequence[str | Path],
    text: str | None,
    reading: TextOptions,
    model: ModelOptions,
    selection: Selection,
    *,
    pair: str | None = None,
    without: str | None = None,
) -> Given:
    """Collect images as a command's input, and read the first of them before the model is loaded.

    Args:
        paths: files, or folders of images; `-` means standard input.
        text: the argument, which must be none.
        reading: options for reading a text, which must be none.
        model: options for the model.
        selection: the selection to show.
        pair: a second segment, which must be none.
        without: the heads that the model is to run without, as they were typed.

    Raises:
        UsageError: something is given that an image has not, or no model is named.
        InputError: a file is not an image, or cannot be read, or a folder has none.
    """
    if text is not None:
        several = names_image(text)
        remedy = "Give each image with --image, or name their folder" if several else "Give one of them"
        raise UsageError("A text and --image are both given", remedy)
    chosen = [f"--{name.replace('_', '-')}" for name in fields_of_texts(selection)]
    typed = (*reading.used, *(["--pair"] if pair is not None else []), *chosen)
    if typed:
        raise UsageError(f"--image is not a text, so {typed[0]} cannot be used with it", f"Leave {typed[0]} out")
    check_named(model)
    if model.model == DEFAULT_MODEL:
        raise UsageError(
            f"The built-in model {DEFAULT_MODEL} reads text, not images",
            "Name a vision encoder (ViT, DINOv2, CLIP, …) with --model",
        )

    sentences = images(files_of_images(paths))
    first = next(sentences)
    rest = chain([first], sentences)
    return Given(rest, None, None, reading, model, None, without, selection.kind, image=first.image)


def check_pair(pair: str | None) -> None:
    """Check the text of `--pair`, if it is given.

    Raises:
        UsageError: it is the name of a file that can be read.
        InputError: it is not a text.
    """
    if pair is not None:
        check_typed(pair, "Give the text itself, or pairs of texts in a table with --file", called="The text of --pair")


def check_record(name: str, used: Sequence[str]) -> None:
    """Check that no options for reading a text, or for its model, are given with a record, which has been read already.

    Args:
        name: name of the record's file.
        used: the options that are given.

    Raises:
        UsageError: there is one.
    """
    if used:
        raise UsageError(
            f"{name} is a record, so {used[0]} cannot be used with it", f"Leave {used[0]} out, or give a text"
        )


def saved_with(record: Record) -> Selection:
    """Return the selection of a record's heads and units, with the default view, query, segments, order and measure.

    A measure other than scores is kept.
    """
    default = Selection()
    return replace(
        record.selection,
        view=default.view,
        query=default.query,
        measure=default.measure if record.selection.scores else record.selection.measure,
        sort=default.sort,
        translation=default.translation,
        from_segment=default.from_segment,
        to_segment=default.to_segment,
    )
