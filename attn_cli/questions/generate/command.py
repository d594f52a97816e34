"""`attn generate`: what a model writes behind a prompt, and what it looks at as it writes each word."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from attn_cli.cli import texts
from attn_cli.cli.inputs import input_of
from attn_cli.cli.loading import check_named, loaded
from attn_cli.cli.options import (
    DisplayOptions,
    ModelOptions,
    PageOptions,
    PartsOptions,
    SelectionOptions,
    TextArgument,
    WithoutOption,
)
from attn_cli.cli.prompts import in_lines, is_single, prompts
from attn_cli.data.selection import Selection, check_syntax, check_without
from attn_cli.errors import AttnError, UsageError
from attn_cli.questions.generate.choices import check_live
from attn_cli.system.encoding import check_text

if TYPE_CHECKING:
    from attn_cli.models import Decoding
    from attn_cli.questions.inspect.measure import Inspection

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 15
HELP = """Write on from a text, and show what each word looked at.

For each word written it shows its probability, how sure the model was (entropy), what it might have written instead,
and the words that it looked at, then the map: rows are the words written, at the step that writes them. A decoder
continues the text, an encoder-decoder translates it or whatever it was trained for. With --continue, the text that
follows is known, and is scored.
"""
EPILOG = """\b
Examples:
  attn generate "The capital of France is" --model smollm2.gguf --max-tokens 4
  attn generate "The capital of France is" --model smollm2.gguf --continue Paris --layer 17
  attn generate "The cat sat on the mat" --without cross:1.0 --max-tokens 20
"""

_write = functools.partial(typer.Option, rich_help_panel="Writing")


@dataclass(frozen=True)
class WritingOptions:
    """Options of the search for what follows a text."""

    known: Annotated[
        str | None, _write("--continue", metavar="TEXT", help="What follows, where it is known: it is scored.")
    ] = None
    max_tokens: Annotated[int | None, _write(metavar="N", min=1, help="The most tokens to write (default: 40).")] = None
    beam: Annotated[int, _write(metavar="N", min=1, max=100, help="Hypotheses to keep at each step; 1 is greedy.")] = 1
    temperature: Annotated[
        float, _write(metavar="X", help="Draw tokens at this temperature; 0 takes the likeliest each time.")
    ] = 0.0
    top_p: Annotated[
        float | None,
        _write("--top-p", metavar="X", help="Draw from the fewest tokens with this share (default: the model's own)."),
    ] = None
    seed: Annotated[int | None, _write(metavar="N", min=0, max=2**63 - 1, help="Seed of the draws (default: 0).")] = (
        None
    )
    stop: Annotated[str | None, _write(metavar="TEXT", help="Stop where this text has been written.")] = None

    live: Annotated[
        bool,
        _write(
            "--live",
            help="Take the attention at each step, under the cache that the model writes with, and not in a pass "
            "afterwards.",
        ),
    ] = False

    @property
    def chosen(self) -> Sequence[str]:
        """The options of the search that are given, as they are typed."""
        chosen = {
            "--beam": self.beam != 1,
            "--temperature": bool(self.temperature),
            "--max-tokens": self.max_tokens is not None,
            "--top-p": self.top_p is not None,
            "--seed": self.seed is not None,
            "--stop": self.stop is not None,
        }
        return [name for name, given in chosen.items() if given]

    def decoding(self) -> Decoding:
        """Return the settings of the search.

        Raises:
            UsageError: two of the options exclude each other, or a number is out of range.
        """
        from attn_cli.models import MOST_TOKENS, Decoding

        stop = () if self.stop is None else (self.stop,)
        most = self.max_tokens or MOST_TOKENS
        made = Decoding(self.beam, most, self.temperature, self.top_p, self.seed or 0, stop, most_option="--max-tokens")
        if self.seed is not None and not self.temperature:
            raise UsageError("--seed is the seed of draws, and nothing is drawn", "Add --temperature, or leave it out")
        return made


def run(
    *,
    text: TextArgument = None,
    reading: PartsOptions,
    writing: WritingOptions,
    choice: SelectionOptions,
    without: WithoutOption = None,
    display: DisplayOptions,
    output: PageOptions,
    model: ModelOptions,
) -> None:
    """Run the command."""
    selection = choice.over(Selection())
    check_syntax(selection)
    check_without(without, selection)
    if selection.kind == "encoder":
        raise UsageError("--kind encoder writes nothing", "Use attn inspect for it, or choose decoder or cross")
    if writing.known is not None and reading.target is not None:
        raise UsageError("--continue and --target both say what follows", "Give one of them")
    decoding = writing.decoding()
    known = "--target" if writing.known is None else "--continue"
    if (writing.known is not None or reading.target is not None) and writing.chosen:
        raise UsageError(
            f"Nothing is written where {known} says what follows, so {writing.chosen[0]} cannot be used with it",
            "Leave one of them out",
        )
    if writing.live:
        check_live(selection, beam=writing.beam, known=writing.known is not None or reading.target is not None)
    if writing.known is not None:
        check_text(writing.known, "The text of --continue")
    target = reading.target if writing.known is None else writing.known
    sentences = prompts(text, replace(reading, target=target))
    check_named(model)

    from attn_cli.cli.outputs import Output
    from attn_cli.cli.progress import watched, watching, working
    from attn_cli.questions.generate.measure import generate

    single = is_single(text, reading)
    out = Output(display, output, browse=output.browse)
    stopped = False

    def answers() -> Iterator[Inspection]:
        nonlocal stopped
        ready = None
        for sentence in out.as_many_as_fit(sentences):
            if ready is None:
                with working("Loading", model.model):
                    ready = loaded(model, without, selection.kind)
            try:
                with watching(model.model) if single else nullcontext() as watch:
                    answer = generate(
                        ready,
                        input_of(ready, replace(sentence, target=None), reading, answers=True),
                        selection,
                        known=sentence.target,
                        decoding=decoding,
                        watch=watch,
                        live=writing.live,
                        keep=out.keeps(selection),
                        page=out.plays,
                        verify=model.verify,
                        cut=out.cut,
                    )
                    stopped = watch is not None and watch.stopped
            except AttnError as error:
                raise texts.located(error, sentence.where) from error
            yield answer

    total = None
    if in_lines(reading) and reading.file is not None:
        total = texts.count_lines(reading.file, reading.field_names, blanks=False)
    out.write(answers() if single else watched(answers(), "Writing", total))
    if stopped:  # what was written is shown; the exit code says that it is not all
        raise KeyboardInterrupt
