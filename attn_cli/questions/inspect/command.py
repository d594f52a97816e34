"""`attn inspect`: from a sentence to tables and heatmaps."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from attn_cli.cli.inputs import given
from attn_cli.cli.options import (
    DisplayOptions,
    ModelOptions,
    PageOptions,
    PairOption,
    PartsOptions,
    SegmentOptions,
    TextArgument,
    WithoutOption,
)
from attn_cli.data.selection import Selection, check_syntax, check_without
from attn_cli.errors import UsageError

if TYPE_CHECKING:
    from attn_cli.data.stream import Source
    from attn_cli.questions.inspect.measure import Inspection

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 20
HELP = """Show what a model attends to in a text.

Without a selection, it shows a line about each head and the map of the most telling one; with one --layer and one
--head, that head's whole map; with --query, where a word attends in each head; and with --grid, every head at once.
"""
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
    pair: PairOption = None,
    reading: PartsOptions,
    choice: SegmentOptions,
    without: WithoutOption = None,
    display: DisplayOptions,
    output: PageOptions,
    model: ModelOptions,
) -> None:
    """Run the command."""
    selection = choice.over(Selection())
    check_syntax(selection)
    check_without(without, selection)
    if selection.segmented and pair is None and reading.file is None and text not in (None, "-"):
        raise UsageError(
            "The text has no second segment, so --from-segment and --to-segment cannot be used",
            "Give a second text with --pair",
        )
    wanted = selection if selection.relevance else None  # which is for an output, such as the translation
    texts = given(text, reading, model, pair=pair, records=False, wanted=wanted, without=without, kind=selection.kind)

    from attn_cli.cli.outputs import Output
    from attn_cli.cli.progress import Layers
    from attn_cli.questions.inspect.measure import FEWEST_SUMMED, look

    out = Output(display, output, browse=output.browse)
    layers = Layers()

    def ask(source: Source, _: Selection) -> Inspection:
        watched = layers if not out.keeps and len(source.source) > FEWEST_SUMMED else None
        with nullcontext() if watched is None else watched:
            return look(
                source,
                selection,
                keep=out.keeps,
                page=out.plays,
                verify=model.verify,
                cut=out.cut,
                tick=watched,
            )

    out.write(layers.until_stopped(texts.each(out, ask)))
    if layers.stopped:
        raise KeyboardInterrupt
