"""`attn heads`: the roles of each head, over a text, a corpus or a treebank."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from attn_cli.cli.commands import unexpected
from attn_cli.cli.inputs import Given, given
from attn_cli.cli.labels import MatrixOptions
from attn_cli.cli.loading import check_named
from attn_cli.cli.options import (
    DisplayOptions,
    FigureOptions,
    HeadOptions,
    ModelOptions,
    PromptOptions,
    WithoutOption,
    display_option,
    text_option,
)
from attn_cli.cli.prompts import is_single
from attn_cli.cli.streams import say
from attn_cli.cli.texts import count_lines, name_of
from attn_cli.cli.workers import Workers, WorkersOption
from attn_cli.data.selection import Selection, check_needle, check_probed, check_syntax, check_without
from attn_cli.data.shard import Shard
from attn_cli.errors import UsageError
from attn_cli.questions.heads.roles import EVERY_ROLE

if TYPE_CHECKING:
    from attn_cli.io.parts import Material
    from attn_cli.questions.heads.corpora import Corpora
    from attn_cli.questions.heads.measure import HeadsFound

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 50
HELP = """Show what each head is for.

For each head it shows the focus, the distance and the role, with its score and the baseline that it must beat: over a
TEXT, over all lines of a corpus (--file or a pipe), or over the sentences of a treebank (--conllu), which also says
which head finds each grammatical relation. --probe makes its own texts: random tokens, repeated, for heads that copy,
and sentences with a pronoun. --needle hides made-up facts in a longer text and asks for them: the heads whose strongest
key is the very token that a decoder copies are retrieval heads, and --cut says how many facts it finds without them.

--workers 4 shares a corpus, a treebank, a probe or needles out over processes, here or on a cluster; the answer is that
of one process. --shard 3/16 measures one of 16 parts, for a machine of its own, and saves it. Given all the parts in
place of TEXT, the command shows the figures of the whole.

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
  attn heads --file corpus.txt --shard 1/2 --save part1.npz
  attn heads --file corpus.txt --shard 2/2 --save part2.npz
  attn heads part1.npz part2.npz
"""

FIGURES = ("focus", "distance")
SPECIAL = frozenset({"relation", "coreference", "retrieval"})
"""Roles that are not looked for in every text."""
PART_SUFFIX = ".npz"
if TYPE_CHECKING:
    By = str
else:
    By = Literal[("role", *FIGURES, *(role.option for role in EVERY_ROLE))]
"""Content of the picture: the roles, one figure of every head, or its score in one role."""


@dataclass(frozen=True)
class CorpusOptions:
    """Options for texts that are measured as a whole."""

    conllu: Annotated[
        Path | None, text_option(metavar="PATH", help="A treebank in CoNLL-U: which head finds which relation.")
    ] = None
    probe: Annotated[
        bool, text_option("--probe", help="Use repeated random tokens and sentences with a pronoun, made for this.")
    ] = False
    needle: Annotated[
        bool, text_option("--needle", help="Hide made-up facts in a longer text, for a decoder to find and copy.")
    ] = False
    cut: Annotated[
        bool,
        text_option(
            "--cut", help="With --needle: the facts found without its retrieval heads, and without random ones."
        ),
    ] = False
    seed: Annotated[
        int | None,
        text_option(
            min=0, metavar="N", help="The seed of the texts of --probe, or of the random heads of --cut (default: 0)."
        ),
    ] = None
    shard: Annotated[
        str | None,
        text_option(
            metavar="K/N",
            help="Measure one of N parts of the corpus, for --save part3.npz: 3/16, or auto for what a job array of "
            "SLURM, or RANK and WORLD_SIZE, say.",
        ),
    ] = None

    def check(self, selection: Selection, by: By, *, texted: bool, shaped: bool) -> None:
        """Check that the options go together.

        Args:
            selection: what is selected.
            by: content of the picture.
            texted: True if there is a text or a corpus.
            shaped: True if an option says how it is read.

        Raises:
            UsageError: they do not.
        """
        if self.conllu is not None and (texted or shaped):
            raise UsageError("A text and a treebank are both given", "Give one of them")
        if by == "relation" and self.conllu is None:
            raise UsageError("Relations are found in a treebank", "Name one with --conllu")
        if self.probe:
            check_probed(selection)
        if by == "coreference" and not self.probe:
            raise UsageError("Coreference is found in sentences that --probe makes", "Add --probe")
        if by == "retrieval" and not self.needle:
            raise UsageError("Retrieval is found in texts that --needle makes", "Add --needle")
        if self.cut and not self.needle:
            raise UsageError("--cut cuts the retrieval heads that --needle finds", "Add --needle")
        if self.seed is not None and not (self.probe or self.cut):
            raise UsageError("--seed is that of --probe or of --cut", "Add one of them, or leave it out")
        if self.needle:
            check_needle(selection)
            if self.probe or self.conllu is not None or texted or shaped:
                raise UsageError("--needle hides facts in a text of its own", "Leave the others out")
            if by not in {"role", "retrieval", *FIGURES}:
                raise UsageError(f"--needle measures retrieval, not {by}", "Leave --by out, or show focus or distance")

    @property
    def material(self) -> Material:
        """The texts to measure: lines of text, the sentences of a treebank, or needles."""
        if self.needle:
            return "needles"
        return "corpus" if self.conllu is None else "treebank"

    @property
    def probed(self) -> int | None:
        """The seed of the texts of a probe; None without one."""
        return (self.seed or 0) if self.probe else None

    def check_shard(self, output: FigureOptions, *, divided: bool) -> Shard | None:
        """Return the part to measure; None for the whole.

        Args:
            output: options for the destination.
            divided: True if there is more than a single text.

        Raises:
            UsageError: there is no such part, nothing to divide, or no file to save the part to.
        """
        if self.shard is None:
            return None
        shard = Shard.parse(self.shard, os.environ)
        if self.cut:
            raise UsageError(
                "--cut cuts the retrieval heads, which are known once all parts are measured, and --shard measures one",
                "Leave --cut out, or share it out with --workers",
            )
        if not divided:
            raise UsageError("--shard divides a corpus, and this is one text", "Name a corpus with --file")
        if output.save is None or Path(output.save).suffix.lower() != PART_SUFFIX:
            raise UsageError(
                "--shard measures a part of a corpus, which must be saved to be merged with the others",
                f"Add --save part{shard.number}{PART_SUFFIX}",
            )
        return shard


def run(
    *,
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="The sentence; - or a pipe for a corpus, one text per line; or all parts that --shard has saved.",
        ),
    ] = None,
    reading: PromptOptions,
    matrix: MatrixOptions,
    corpus: CorpusOptions,
    choice: HeadOptions,
    without: WithoutOption = None,
    by: Annotated[
        By,
        display_option(
            metavar="WHAT", help="Show role, focus, distance, or one role: previous, same-word, relation, ..."
        ),
    ] = "role",
    display: DisplayOptions,
    output: FigureOptions,
    model: ModelOptions,
    workers: WorkersOption = None,
) -> None:
    """Run the command."""
    selection = choice.over(Selection())
    check_syntax(selection)
    check_without(without, selection)
    words = text or []
    first = words[0] if words else None
    texted = first is not None or reading.file is not None or reading.chat is not None
    shaped = bool(reading.field_names.chosen or reading.system is not None or reading.whole or reading.split)
    if _names_parts(words, reading):
        none = (), CorpusOptions(), MatrixOptions(), None, None
        other = (reading.used, corpus, matrix, without, workers) != none
        _show_parts(words, choice, by, display, output, other=other or bool(model.used))
        return
    corpus.check(selection, by, texted=texted, shaped=shaped)
    if words[1:]:
        raise unexpected(words[1:])
    made = corpus.needle or (corpus.probe and not texted and corpus.conllu is None)
    divided = made or corpus.conllu is not None or not is_single(first, reading)
    shard = corpus.check_shard(output, divided=divided)
    farm = Workers.parse(workers, shared=divided, instead="Name one with --file")
    if made and shaped:
        raise UsageError(
            "--field, --system, --whole and --split are for a text, and --probe makes its own",
            "Give a text as well, or leave them out",
        )
    if corpus.conllu is not None or made:
        check_named(model)
        texts = Given(iter(()), None, None, reading, model, selection, without, selection.kind)
    else:
        texts = given(
            first,
            reading,
            model,
            wanted=selection,
            without=without,
            kind=selection.kind,
            labelling=matrix.labelling(selection.kind),
        )
    matrix.check_matrix(given=texts.record is not None)
    if corpus.probe and texts.record is not None:
        raise UsageError("A record has no model that could be probed", "Give a text, or leave --probe out")

    from attn_cli.cli.outputs import Output
    from attn_cli.questions.heads.corpora import Corpora
    from attn_cli.questions.heads.gathered import Asked
    from attn_cli.questions.heads.measure import find_heads

    asked = Asked(selection, "probe" if made and corpus.probe else corpus.material, corpus.probed)
    corpora = Corpora(texts, asked, farm, corpus.conllu)
    if shard is not None:
        _measure_part(corpora, shard, _named_and_counted(reading, corpus), by, display, output)
        return
    out = Output(display, output, maps=False)
    if texts.record is not None:
        out.write(texts.each(out, lambda source, base: replace(find_heads(source, choice.over(base)), by=by)))
        return
    if not divided:
        found = corpora.text()
    else:
        name, total = _named_and_counted(reading, corpus)
        found = corpora.whole(name, total, cut=(corpus.seed or 0) if corpus.cut else None)
    out.write([_shown(found, by)])
    _end(corpora)


def _shown(found: HeadsFound, by: By) -> HeadsFound:
    """Return the answer with the figure to show: for needles that is retrieval, unless another was chosen."""
    return found if found.needles is not None and by == "role" else replace(found, by=by)


def _end(corpora: Corpora) -> None:
    """Raise what ended the measurement early, if anything did.

    Raises:
        AttnError: the workers were lost.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if corpora.lost is not None:
        raise corpora.lost
    if corpora.stopped:
        raise KeyboardInterrupt


def _named_and_counted(reading: PromptOptions, corpus: CorpusOptions) -> tuple[str, int | None]:
    """Return the name of the corpus or treebank, and the number of its texts if it is known."""
    if corpus.conllu is not None:
        return str(corpus.conllu), None
    if reading.file is not None:
        return name_of(reading.file), count_lines(reading.file, blanks=False)
    return name_of(reading.chat), None


def _names_parts(words: Sequence[str], reading: PromptOptions) -> bool:
    """Return whether the arguments name parts of a corpus: several archives, or one that holds a part."""
    if not words or reading.file is not None or not all(Path(word).suffix.lower() == PART_SUFFIX for word in words):
        return False
    if words[1:]:
        return True

    from attn_cli.io.parts import holds_part

    return holds_part(Path(words[0]))


def _show_parts(
    words: Sequence[str], choice: HeadOptions, by: By, display: DisplayOptions, output: FigureOptions, *, other: bool
) -> None:
    """Merge the parts of a corpus, and show the whole.

    Raises:
        UsageError: options are given that need a model, that select something else, or show what was not measured.
        InputError: a file is damaged or is not a part, a part is missing or given twice, or is of another run.
    """
    if other:
        raise UsageError("Parts of a corpus hold figures and no model", "Leave the options that need one out")

    from attn_cli.cli.outputs import Output
    from attn_cli.questions.heads.parts import merge_parts

    out = Output(display, output, maps=False)
    found = merge_parts([Path(word) for word in words], choice.over)
    measured = {role.option for role in found.roles}
    if by in SPECIAL - measured or (found.needles is not None and by not in {"role", *FIGURES, *measured}):
        raise UsageError(f"These parts measured no {by}", "Leave --by out, or choose another")
    out.write([_shown(found, by)])


def _measure_part(
    corpora: Corpora,
    shard: Shard,
    counted: tuple[str, int | None],
    by: By,
    display: DisplayOptions,
    output: FigureOptions,
) -> None:
    """Measure a part of a corpus and save it, unless that has been done.

    Args:
        corpora: the texts and what is selected.
        shard: the part.
        counted: name of the corpus, and the number of its texts if it is known.
        by: content of the picture.
        display: options for drawing.
        output: options for the destination.

    Raises:
        OutputError: the file is there, and holds something else.
        KeyboardInterrupt: Ctrl-C was pressed, so that nothing is saved.
    """
    from attn_cli.cli.outputs import Output
    from attn_cli.io.parts import holds_part

    path = Path(output.save or "")
    name, total = counted
    if not output.force and holds_part(path):
        found = corpora.saved_part(path, shard, name)
        say(f"{path} is there already and holds {shard}, so it is not run again; --force runs it again")
        Output(display, replace(output, save=None)).write([_shown(found, by)])
        return
    out = Output(display, output)
    part = corpora.part(shard, name, total)
    if corpora.stopped or corpora.lost is not None:
        say(f"{path} is not saved, since {shard} was stopped")
        out.file = None
    out.write([_shown(part, by)])
    _end(corpora)
