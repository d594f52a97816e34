"""`attn inspect`: from a sentence to tables and heatmaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from attn_cli.cli.inputs import Given, given, given_images
from attn_cli.cli.loading import described, loaded_once
from attn_cli.cli.options import (
    DisplayOptions,
    ImagesOption,
    ModelOptions,
    PageOptions,
    PairOption,
    PartsOptions,
    SegmentOptions,
    TextArgument,
    WithoutOption,
)
from attn_cli.cli.prompts import is_single
from attn_cli.cli.texts import Sentence, located
from attn_cli.cli.workers import Workers, WorkersOption
from attn_cli.data.selection import GRID_OF_TEXT, Selection, check_syntax, check_without
from attn_cli.errors import AttnError, UsageError

if TYPE_CHECKING:
    from attn_cli.data.stream import Source
    from attn_cli.questions.inspect.measure import Inspection

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 20
HELP = """Show what a model attends to in a text.

Without a selection, it shows a line about each head and the map of the most telling one; with one --layer and one
--head, that head's whole map; with --query, where a word attends in each head; and with --grid, every head at once.
"""
TEXTS = 16
"""Texts to give a worker at a time."""
EPILOG = """\b
Examples:
  attn inspect "The cat sat on the mat"
  attn inspect "The cat sat on the mat" --query cat
  attn inspect "The cat sat on the mat" --model FOLDER --head 2.5
  attn inspect "The cat sat on the mat" --model FOLDER --without 0.1
  cat sentences.txt | attn inspect --model FOLDER --json > maps.jsonl
"""


def run(
    *,
    text: TextArgument = None,
    image: ImagesOption = None,
    pair: PairOption = None,
    reading: PartsOptions,
    choice: SegmentOptions,
    without: WithoutOption = None,
    display: DisplayOptions,
    output: PageOptions,
    model: ModelOptions,
    workers: WorkersOption = None,
) -> None:
    """Run the command."""
    selection = choice.over(Selection())
    check_syntax(selection)
    check_without(without, selection)
    if not image and selection.view == "grid" and selection.query is not None:
        raise UsageError(*GRID_OF_TEXT)
    if not image and selection.view == "map":
        raise UsageError("--map shows the map of an image, and a text's is shown in any case", "Leave --map out")
    if not image and selection.segmented and pair is None and reading.file is None and text not in (None, "-"):
        raise UsageError(
            "The text has no second segment, so --from-segment and --to-segment cannot be used",
            "Give a second text with --pair",
        )
    shared = output.json and not image and not is_single(text, reading)
    farm = Workers.parse(workers, shared=shared, instead="Name one with --file, and add --json")
    wanted = selection if selection.relevance else None  # which is for an output, such as the translation
    if not image:
        texts = given(
            text, reading, model, pair=pair, records=False, wanted=wanted, without=without, kind=selection.kind
        )
    else:
        texts = given_images(image, text, reading, model, selection, pair=pair, without=without)

    from attn_cli.cli.outputs import Output
    from attn_cli.cli.progress import Layers
    from attn_cli.questions.inspect.measure import FEWEST_SUMMED, look

    out = Output(display, output, browse=output.browse)
    if farm is not None:
        out.write(_shared_out(farm, texts, selection, out.as_many_as_fit(texts.sentences), page=out.plays))
        return
    layers = Layers()

    def ask(source: Source, _: Selection) -> Inspection:
        watched = layers if not out.keeps(selection) and len(source.source) > FEWEST_SUMMED else None
        with nullcontext() if watched is None else watched:
            return look(
                source,
                selection,
                keep=out.keeps(selection),
                page=out.plays,
                verify=model.verify,
                cut=out.cut,
                tick=watched,
                expect=None if watched is None else watched.expect,
            )

    out.write(layers.until_stopped(texts.each(out, ask)))
    if layers.stopped:
        raise KeyboardInterrupt


def _shared_out(
    workers: Workers, texts: Given, selection: Selection, sentences: Iterator[Sentence], *, page: bool
) -> Iterator[Inspection]:
    """Yield the answer about each text, in their order, as some worker gives it."""
    from attn_cli.cli.farm import chunks_of, each_text

    texts = replace(texts, sentences=iter(()))
    load = partial(described, texts.model, texts.without, texts.kind)
    yield from each_text(workers, load, partial(_looked_at, texts, selection, page), chunks_of(sentences, TEXTS))


def _looked_at(texts: Given, selection: Selection, page: bool, sentences: Sequence[Sentence]) -> Iterator[Inspection]:
    """Yield the answer about each of some texts, on a worker."""
    from attn_cli.questions.inspect.measure import look

    model = loaded_once(texts.model, texts.without, texts.kind)
    for sentence in sentences:
        try:
            yield look(texts.prepared(model, sentence), selection, keep=True, page=page, verify=texts.model.verify)
        except AttnError as error:
            raise located(error, sentence.where) from error
