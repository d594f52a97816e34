"""`attn heads`: the roles of each head, over a text, a corpus or a treebank."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from attn_cli.cli.inputs import Given, given
from attn_cli.cli.labels import MatrixOptions
from attn_cli.cli.loading import check_named
from attn_cli.cli.options import (
    DisplayOptions,
    HeadOptions,
    ModelOptions,
    OutputOptions,
    PromptOptions,
    WithoutOption,
    display_option,
    text_option,
)
from attn_cli.cli.prompts import is_single
from attn_cli.cli.texts import count_lines, name_of
from attn_cli.data.selection import Selection, check_needle, check_probed, check_syntax, check_without
from attn_cli.errors import UsageError
from attn_cli.questions.heads.roles import EVERY_ROLE

if TYPE_CHECKING:
    from attn_cli.questions.heads.measure import HeadsFound

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 50
HELP = """Show what each head is for.

For each head it shows the focus, the distance and the role, with its score and the baseline that it must beat: over a
TEXT, over all lines of a corpus (--file or a pipe), or over the sentences of a treebank (--conllu), which also says
which head finds each grammatical relation. --probe makes its own texts: random tokens, repeated, for heads that copy,
and sentences with a pronoun. --needle hides made-up facts in a longer text and asks for them: the heads whose strongest
key is the very token that a decoder copies are retrieval heads, and --cut says how many facts it finds without them.

TEXT may also be a record that --save or --json has written (.json, .jsonl or .npz), or a matrix of weights (.npy, .npz,
.csv or .tsv).
"""
EPILOG = """\b
Examples:
  attn heads "The cat sat on the mat because the cat was tired"
  attn heads "The cat sat on the mat" --by focus --model FOLDER
  attn heads --file corpus.txt --model FOLDER --json > heads.json
  attn heads --conllu treebank.conllu --model FOLDER --by relation
  attn heads --probe --model FOLDER
  attn heads --needle --model smollm2.gguf
"""

FIGURES = ("focus", "distance")
if TYPE_CHECKING:
    By = str
else:
    By = Literal[("role", *FIGURES, *(role.option for role in EVERY_ROLE))]
"""Content of the picture: the roles, one figure of every head, or its score in one role."""


def run(
    *,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The sentence; - or a pipe for a corpus, one text per line.")
    ] = None,
    reading: PromptOptions,
    matrix: MatrixOptions,
    conllu: Annotated[
        Path | None, text_option(metavar="PATH", help="A treebank in CoNLL-U: which head finds which relation.")
    ] = None,
    probe: Annotated[
        bool, text_option("--probe", help="Use repeated random tokens and sentences with a pronoun, made for this.")
    ] = False,
    needle: Annotated[
        bool, text_option("--needle", help="Hide made-up facts in a longer text, for a decoder to find and copy.")
    ] = False,
    cut: Annotated[
        bool,
        text_option(
            "--cut", help="With --needle: the facts found without its retrieval heads, and without random ones."
        ),
    ] = False,
    seed: Annotated[
        int,
        text_option(min=0, metavar="N", help="The seed of the texts of --probe, or of the random heads of --cut."),
    ] = 0,
    choice: HeadOptions,
    without: WithoutOption = None,
    by: Annotated[
        By,
        display_option(
            metavar="WHAT", help="Show role, focus, distance, or one role: previous, same-word, relation, ..."
        ),
    ] = "role",
    display: DisplayOptions,
    output: OutputOptions,
    model: ModelOptions,
) -> None:
    """Run the command."""
    selection = choice.over(Selection())
    check_syntax(selection)
    check_without(without, selection)
    texted = text is not None or reading.file is not None or reading.chat is not None
    shaped = bool(reading.field_names.chosen or reading.system is not None or reading.whole or reading.split)
    if conllu is not None and (texted or shaped):
        raise UsageError("A text and a treebank are both given", "Give one of them")
    if by == "relation" and conllu is None:
        raise UsageError("Relations are found in a treebank", "Name one with --conllu")
    if probe:
        check_probed(selection)
    if by == "coreference" and not probe:
        raise UsageError("Coreference is found in sentences that --probe makes", "Add --probe")
    if by == "retrieval" and not needle:
        raise UsageError("Retrieval is found in texts that --needle makes", "Add --needle")
    if cut and not needle:
        raise UsageError("--cut cuts the retrieval heads that --needle finds", "Add --needle")
    if needle:
        check_needle(selection)
        if probe or conllu is not None or texted or shaped:
            raise UsageError("--needle hides facts in a text of its own", "Leave the others out")
        if by not in {"role", "retrieval", *FIGURES}:
            raise UsageError(f"--needle measures retrieval, not {by}", "Leave --by out, or show focus or distance")
    made = needle or (probe and not texted)
    if made and shaped:
        raise UsageError(
            "--field, --system, --whole and --split are for a text, and --probe makes its own",
            "Give a text as well, or leave them out",
        )
    if conllu is not None or made:
        check_named(model)
        texts = Given(iter(()), None, None, reading, model, selection, without, selection.kind)
    else:
        texts = given(
            text,
            reading,
            model,
            wanted=selection,
            without=without,
            kind=selection.kind,
            labelling=matrix.labelling(selection.kind),
        )
    if probe and texts.record is not None:
        raise UsageError("A record has no model that could be probed", "Give a text, or leave --probe out")

    from attn_cli.cli.outputs import Output
    from attn_cli.questions.heads.corpora import Corpora
    from attn_cli.questions.heads.measure import find_heads

    out = Output(display, output, maps=False)
    if texts.record is not None:
        out.write(texts.each(out, lambda source, base: replace(find_heads(source, choice.over(base)), by=by)))
        return
    corpora = Corpora(texts, selection)
    found: HeadsFound | None = None
    if needle:
        found, by = corpora.needles(seed, cut=cut), "retrieval" if by == "role" else by
    elif conllu is not None:
        found = corpora.treebank(conllu)
    elif is_single(text, reading):
        found = corpora.text()
    elif not made:
        total = None if reading.file is None else count_lines(reading.file, blanks=False)
        found = corpora.corpus(name_of(reading.file or reading.chat), total)
    if probe and not corpora.stopped:
        found = corpora.probe(found, seed)
    if found is not None:
        out.write([replace(found, by=by)])
    if corpora.stopped:
        raise KeyboardInterrupt
