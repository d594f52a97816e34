"""What `attn translate` prints without drawing: translations, word links, and how right those are."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attn_cli.align import Aligned, align
from attn_cli.blocks import Source
from attn_cli.cli import texts
from attn_cli.cli.show import Notes
from attn_cli.cli.texts import Sentence
from attn_cli.encoding import OBEYED
from attn_cli.errors import AttnError, InputError, UsageError
from attn_cli.measure.alignment import Gold, Score, parse_gold
from attn_cli.models import Translation
from attn_cli.selection import Rows, Selection

BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""What would end a line, or move a terminal's cursor."""

__all__ = ["GoldFile", "write_links", "write_texts"]


class GoldFile:
    """Links that people have made, one sentence a line, or in the third column of a `.tsv` file.

    Args:
        path: the file.
        sentences: how many sentences there will be, where that is known.

    Raises:
        InputError: it cannot be read, holds something else, or has another number of lines than there are sentences.
    """

    def __init__(self, path: Path, sentences: int | None) -> None:
        self._path = path
        lines = texts.lines_of(path, "Name a file with the links of one sentence on each line, like 0-0 1-1")
        self._lines = [_gold(line, in_table=path.suffix == texts.TABLE) for line in lines]
        if sentences is not None and sentences != len(self._lines):
            raise self._other_length(sentences)

    def __call__(self, number: int, aligned: Aligned) -> Gold:
        """The links of one sentence.

        Raises:
            InputError: there are none, or they link words that are not there.
        """
        if number >= len(self._lines):
            raise self._other_length(number + 1)
        where, gold = self._lines[number]
        for source, target in gold.possible:
            if source >= aligned.source_words or target >= aligned.target_words:
                raise InputError(
                    f"{where}: {source}-{target} links words beyond the {aligned.source_words} of the text and the "
                    f"{aligned.target_words} of its target",
                    "Words count from 0, between spaces; check that the files belong together",
                )
        return gold

    def check_end(self, sentences: int) -> None:
        """Make sure that there are no links left.

        Raises:
            InputError: there are.
        """
        if sentences != len(self._lines):
            raise self._other_length(sentences)

    def _other_length(self, sentences: int) -> InputError:
        count = len(self._lines)
        rest = f"sentence {sentences:,} is the last there is" if sentences < count else "there are more sentences"
        return InputError(
            f"{self._path} has {count:,} line{'' if count == 1 else 's'}, and {rest}",
            "Give the links of one sentence on each line",
        )


def _gold(line: Sentence, *, in_table: bool) -> tuple[str, Gold]:
    text = line.text
    if in_table:
        columns = text.split("\t")
        if text.strip() and len(columns) < 3:
            raise InputError(
                f"{line.where} has no third column", "Give a text, its target and their links, with tabs between"
            )
        text = columns[2] if len(columns) > 2 else ""
    try:
        return line.where, parse_gold(text)
    except AttnError as error:
        raise texts.located(error, line.where) from error


def write_texts(pairs: Iterable[tuple[Sentence, str | Translation | None]]) -> None:
    """Each translation on a line of its own; blank lines stay blank.

    Raises:
        UsageError: there is a target already.
    """
    notes = Notes()
    for sentence, target in pairs:
        if isinstance(target, str):
            raise UsageError(
                f"{sentence.where} has its target already, so there is nothing to write",
                "Leave --text-only out, or give the texts alone",
            )
        if target is not None:
            notes(target.notes)
        print("" if target is None else _plain(target.text), flush=True)


def _plain(text: str) -> str:
    """The text as one line, without the controls that would reorder it on a terminal."""
    return OBEYED.sub("", BREAKS.sub(" ", text))


def write_links(
    sources: Iterable[tuple[Sentence, Source | None]],
    selection: Selection,
    *,
    scores: bool = False,
    gold: GoldFile | None = None,
) -> None:
    """The links of each text on a line, `source-target` with words counted from 0; or how right they all are.

    Args:
        sources: texts given to a model; None for blank lines, which stay blank.
        selection: layers, heads and rows.
        scores: add each link's weight: `0-0:0.93`.
        gold: print nothing but how these links compare with it.

    Raises:
        AttnError: a text cannot be aligned, or gold does not fit.
    """
    found = _aligned(sources, selection)
    if gold is None:
        for aligned in found:
            print(_written(aligned, scores=scores), flush=True)
        return
    total, count = Score(0, 0, 0, 0), 0
    how: dict[str, Rows] = {}
    for count, aligned in enumerate(found, start=1):
        total += Score.of(((link.source, link.target) for link in aligned.links), gold(count - 1, aligned))
        if aligned.links:
            how[aligned.how] = aligned.rows
    gold.check_end(count)
    _write_score(total, count, how)


def _aligned(sources: Iterable[tuple[Sentence, Source | None]], selection: Selection) -> Iterator[Aligned]:
    notes = Notes()
    for sentence, source in sources:
        if source is None:
            yield Aligned((), "", "input", 0, 0)
            continue
        try:
            aligned = align(source, selection)
        except AttnError as error:
            raise texts.located(error, sentence.where) from error
        notes(aligned.notes)
        yield aligned


def _written(aligned: Aligned, *, scores: bool) -> str:
    return " ".join(
        f"{link.source}-{link.target}" + (f":{link.weight:.2f}" if scores else "") for link in aligned.links
    )


def _write_score(score: Score, sentences: int, how: Mapping[str, Rows]) -> None:
    if not how:
        raise InputError("There are no links to compare", "Check that the files belong together")
    print(f"alignment error rate  {_percent(score.error_rate)}")
    print(f"precision             {_percent(score.precision)}")
    print(f"recall                {_percent(score.recall)}")
    print(f"{sentences:,} sentences; {score.found:,} links found, {score.sure:,} sure ones in gold")
    # Without heads of the model's own, each text is aligned by the head that suits it best.
    said, rows = next(iter(how.items()))
    print(said if len(how) == 1 else f"Weights of the head that pairs each text's words best, {rows} rows")


def _percent(share: float) -> str:
    return "    –" if math.isnan(share) else f"{100 * share:5.1f} %"
