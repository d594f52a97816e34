"""The plain text of `attn translate`: translations, word links, and the score of those links."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from attn_cli.cli import texts
from attn_cli.cli.outputs import Notes
from attn_cli.cli.texts import Sentence
from attn_cli.data.plan import told_guided
from attn_cli.data.selection import Rows, Selection
from attn_cli.data.stream import Source
from attn_cli.errors import AttnError, InputError, UsageError, counted
from attn_cli.models import Translation
from attn_cli.questions.translate.align import EACH_TARGET, Aligned, Score, align
from attn_cli.questions.translate.choices import LinkChoice
from attn_cli.questions.translate.gold import GoldFile
from attn_cli.system.encoding import OBEYED

BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Characters that would end a line, or move a terminal's cursor."""

BLANK = Aligned((), "", "input", 0, 0)
"""The links of a blank line."""

__all__ = ["aligned_texts", "write_links", "write_texts"]


def write_texts(pairs: Iterable[tuple[Sentence, str | Translation | None]]) -> None:
    """Print each translation on a line of its own; blank lines stay blank.

    Raises:
        UsageError: a sentence has a target already.
    """
    with Notes() as notes:
        for sentence, target in pairs:
            if isinstance(target, str):
                raise UsageError(
                    f"{sentence.where} already has its target, so there is nothing to write",
                    "Leave --text-only out, or give the texts alone",
                )
            if target is not None:
                notes(target.notes)
            print("" if target is None else _plain(target.text), flush=True)


def _plain(text: str) -> str:
    """Return the text as one line, without the controls that would reorder it on a terminal."""
    return OBEYED.sub("", BREAKS.sub(" ", text))


def write_links(
    found: Iterable[Aligned],
    *,
    scores: bool = False,
    gold: GoldFile | None = None,
    choice: LinkChoice = EACH_TARGET,
) -> None:
    """Print the links of each text on a line, `source-target` with words counted from 0; with gold, only their score.

    Args:
        found: the links of each text; see `aligned_texts`.
        scores: add each link's weight: `0-0:0.93`.
        gold: the gold links to score against; print nothing but that score.
        choice: the method, and the least weight of a link.

    Raises:
        AttnError: a text cannot be aligned, or gold does not match the texts.
    """
    found = _noted(found)
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
    _write_score(total, count, how, choice)


def aligned_texts(
    sources: Iterable[tuple[Sentence, Source | None]], selection: Selection, choice: LinkChoice
) -> Iterator[Aligned]:
    """Yield the links of each text.

    Args:
        sources: texts given to a model; None for blank lines, which stay blank.
        selection: layers, heads and rows.
        choice: the method, and the least weight of a link.

    Raises:
        AttnError: a text cannot be aligned.
    """
    for sentence, source in sources:
        try:
            yield BLANK if source is None else align(source, selection, choice)
        except AttnError as error:
            raise texts.located(error, sentence.where) from error


def _noted(found: Iterable[Aligned]) -> Iterator[Aligned]:
    with Notes() as notes:
        for aligned in found:
            if aligned == BLANK:
                yield aligned
                continue
            notes((*aligned.notes, *map(told_guided, aligned.guided)))
            yield aligned


def _written(aligned: Aligned, *, scores: bool) -> str:
    return " ".join(
        f"{link.source}-{link.target}" + (f":{link.weight:.2f}" if scores else "") for link in aligned.links
    )


def _write_score(score: Score, sentences: int, how: Mapping[str, Rows], choice: LinkChoice) -> None:
    if not how:
        raise InputError("There are no links to compare", "Check that the files belong together")
    print(f"alignment error rate  {_percent(score.error_rate)}")
    print(f"precision             {_percent(score.precision)}")
    print(f"recall                {_percent(score.recall)}")
    print(f"{counted(sentences, 'sentence')}; {counted(score.found, 'link')} found, {score.sure:,} sure in gold")
    # If the model declares no alignment, each text is aligned by the head that suits it best.
    said, rows = next(iter(how.items()))
    print(
        said if len(how) == 1 else f"Weights of the head that pairs each text's words best, {rows} rows{choice.title}"
    )


def _percent(share: float) -> str:
    return "    –" if math.isnan(share) else f"{100 * share:5.1f} %"
