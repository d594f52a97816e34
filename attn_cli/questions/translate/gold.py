"""Files of gold word links, made by people, in their usual forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from attn_cli.cli import texts
from attn_cli.cli.streams import say
from attn_cli.cli.tables import AS_USUAL, FieldNames, Sentence, header
from attn_cli.errors import AttnError, InputError, counted
from attn_cli.questions.translate.align import Aligned, Gold

__all__ = ["GoldFile", "Numbered", "parse_gold", "parse_naacl"]

CALLED = ("links", "alignment", "alignments", "align", "gold", "word_alignment", "word_alignments")
"""Names of the column of links in a header."""

LINK = re.compile(r"(\d+)([-pP?])(\d+)(?::\d*\.?\d+(?:[eE][-+]?\d+)?)?", re.ASCII)
NAACL = re.compile(r"(\d+)\s+(\d+)\s+(\d+)(?:\s+([SP]))?(?:\s+\d*\.?\d+(?:[eE][-+]?\d+)?)?", re.ASCII)
LINKS = re.compile(r"(\s*\d+[-pP?]\d+(:[\d.eE+-]+)?)*\s*", re.ASCII)
ID = re.compile(r"[A-Za-z_#.-]*\d+[:.)]?")

FEW = 3
"""Fewest linked sentences for which the lack of any link of word 0 is worth a note."""


class GoldFile:
    """Gold links in one of three forms.

    The first is one sentence a line (`0-0 1p1`; scores, as in `0-0:0.9`, are ignored), after an id if there is one.
    The second is a table with a column of links. The third is one link a line, as in the shared task of NAACL 2003
    (`0001 1 1 S`: sentence, source word and target word, counted from 1; sure or possible; a confidence is ignored).

    Args:
        path: the file.
        sentences: the number of sentences to come, if known.
        chosen: the names of the columns of a table of texts, as far as the user gives them, which tell a header.
        one_based: words count from 1; in NAACL's form they always do.

    Raises:
        InputError: the file cannot be read, has another form, or does not match the number of sentences.
    """

    def __init__(
        self, path: Path, sentences: int | None, *, chosen: FieldNames = AS_USUAL, one_based: bool = False
    ) -> None:
        self._path = path
        lines = list(texts.lines_of(path, "Name a file with the links of one sentence on each line, like 0-0 1-1"))
        naacl = parse_naacl((line.text, line.where) for line in lines)
        self._by_number = naacl is not None
        self._base = 1 if one_based or self._by_number else 0
        if naacl is not None:
            self._gold = {number: (f"sentence {number + 1} of {path}", gold) for number, gold in naacl.gold.items()}
            if naacl.unlinked:
                say(f"note: left out {counted(naacl.unlinked, 'line')} of {path} that link word 0, which is no word")
        else:
            written = enumerate(_written(lines, path, chosen))
            self._gold = {number: _gold(text, where, one_based=one_based) for number, (text, where) in written}
        if sentences is not None:
            self.check_end(sentences)
        linked = [gold.possible for _, gold in self._gold.values() if gold.possible]
        if not self._base and len(linked) >= FEW and not any(0 in link for links in linked for link in links):
            say(f"note: no link of {path} is of word 0; if its words are counted from 1, add --one-based")

    def __call__(self, number: int, aligned: Aligned) -> Gold:
        """Return the links of one sentence.

        Raises:
            InputError: the file has no line for the sentence, or links words that do not exist.
        """
        if number not in self._gold:
            if self._by_number:  # sentences without a link have no line there
                return Gold(frozenset(), frozenset())
            raise self._other_length(number + 1)
        where, gold = self._gold[number]
        for source, target in gold.possible:
            if source >= aligned.source_words or target >= aligned.target_words:
                base = self._base
                raise InputError(
                    f"{where}: {source + base}-{target + base} links words beyond the {aligned.source_words} of the "
                    f"text and the {aligned.target_words} of its target",
                    f"Words are counted from {base}, between spaces; check that the files belong together"
                    + ("" if base else ", or add --one-based"),
                )
        return gold

    def check_end(self, sentences: int) -> None:
        """Check that the file matches this number of sentences.

        Raises:
            InputError: links are left over, or lines are missing.
        """
        if sentences < self._count or (sentences > self._count and not self._by_number):
            raise self._other_length(sentences)

    @property
    def _count(self) -> int:
        """The number of sentences, as far as the file says."""
        return max(self._gold, default=-1) + 1

    def _other_length(self, sentences: int) -> InputError:
        count = self._count
        rest = f"sentence {sentences:,} is the last there is" if sentences < count else "there are more sentences"
        if self._by_number:
            return InputError(
                f"{self._path} has links for sentence {count:,}, but {rest}", "Check that the files match"
            )
        return InputError(
            f"{self._path} has {counted(count, 'line')}, and {rest}", "Give the links of one sentence on each line"
        )


def _gold(text: str, where: str, *, one_based: bool) -> tuple[str, Gold]:
    try:
        return where, parse_gold(text, one_based=one_based)
    except AttnError as error:
        raise texts.located(error, where) from error


def _written(lines: Sequence[Sentence], path: Path, chosen: FieldNames) -> list[tuple[str, str]]:
    """Return the links of each line and its location, without texts, ids and a header."""
    in_table = path.suffix.lower() == texts.TABLE
    rows = [line.text.split("\t") for line in lines]
    full = [row for row in rows if any(cell.strip() for cell in row)]
    if in_table or any(len(row) > 1 for row in full):
        first = next((number for number, row in enumerate(rows) if row in full[:1]), None)
        names: list[str] = []
        if first is not None and header(rows[first], chosen):
            names = [cell.strip().lower() for cell in rows[first]]
            lines, rows, full = [*lines[:first], *lines[first + 1 :]], [*rows[:first], *rows[first + 1 :]], full[1:]
        column = _column(names, full, in_table=in_table)
        if column is not None:
            return [_cell(row, column, line.where) for row, line in zip(rows, lines, strict=True)]
    parts = [line.text.split() for line in lines]
    begun = [words[0] for words in parts if words]
    if begun and all(ID.fullmatch(word) and not LINKS.fullmatch(word) for word in begun):
        parts = [words[1:] for words in parts]
    return [(" ".join(words), line.where) for words, line in zip(parts, lines, strict=True)]


def _column(names: Sequence[str], rows: Sequence[Sequence[str]], *, in_table: bool) -> int | None:
    """Find the column of links: by its name, else the last that holds only links, else the third of a table.

    Outside a table, return None if every column holds links or none does.
    """
    for name in CALLED:
        if name in names:
            return names.index(name)
    width = min(map(len, rows), default=0)
    linked = [
        column
        for column in range(width)
        if all(LINKS.fullmatch(row[column]) for row in rows) and any(row[column].strip() for row in rows)
    ]
    if len(linked) == width and not in_table:
        return None
    return linked[-1] if linked else 2 if in_table else None


def _cell(row: Sequence[str], column: int, where: str) -> tuple[str, str]:
    if column < len(row):
        return row[column], where
    if not any(cell.strip() for cell in row):
        return "", where
    what = "third column" if column == 2 else f"column {column + 1}"
    raise InputError(f"{where} has no {what}", "Give a text, its target and their links, with tabs between")


def parse_gold(text: str, *, one_based: bool = False) -> Gold:
    """Parse gold links of one sentence, with the source first: `0-0 1-2` sure, `3p3` (or `3?3`) possible.

    Scores (`0-0:0.9`) are ignored.

    Args:
        text: the links of one sentence.
        one_based: words count from 1, not from 0.

    Raises:
        InputError: a link has another form, or is of word 0 where words count from 1.
    """
    sure, possible = set(), set()
    base = int(one_based)
    for part in text.split():
        match = LINK.fullmatch(part)
        if match is None:
            raise InputError(f"{part!r} is not a link", "Write sure links like 0-1 and possible ones like 0p1")
        link = (int(match[1]) - base, int(match[3]) - base)
        if min(link) < 0:
            raise InputError(f"{part!r} links word 0, and words are counted from 1", "Leave --one-based out")
        possible.add(link)
        if match[2] == "-":
            sure.add(link)
    return Gold(frozenset(sure), frozenset(possible))


@dataclass(frozen=True)
class Numbered:
    """Gold links of many sentences, by sentence."""

    gold: Mapping[int, Gold]
    """sentence, counted from 0 -> its links, for sentences that have any."""
    unlinked: int
    """The number of lines that mark a word as having no link (NAACL's word 0)."""


def parse_naacl(lines: Iterable[tuple[str, str]]) -> Numbered | None:
    """Parse links of many sentences, each a line `sentence source target [S|P] [confidence]`, counted from 1.

    A link is sure if neither S nor P is given (Mihalcea and Pedersen 2003, "An Evaluation Exercise for Word Alignment",
    section 3).

    Args:
        lines: the lines, each with its location for messages.

    Returns:
        The links; None if a line has another form, or if there are no links.

    Raises:
        InputError: a sentence is number 0.
    """
    sure: dict[int, set[tuple[int, int]]] = {}
    possible: dict[int, set[tuple[int, int]]] = {}
    unlinked = 0
    for text, where in lines:
        if not text.strip():
            continue
        match = NAACL.fullmatch(text.strip())
        if match is None:
            return None
        sentence, source, target = (int(match[group]) for group in (1, 2, 3))
        if not sentence:
            raise InputError(f"{where} is for sentence 0", "Count sentences from 1, like words")
        if not (source and target):
            unlinked += 1
            continue
        possible.setdefault(sentence, set()).add((source - 1, target - 1))
        if match[4] != "P":
            sure.setdefault(sentence, set()).add((source - 1, target - 1))
    if not possible:
        return None
    return Numbered(
        {one - 1: Gold(frozenset(sure.get(one, ())), frozenset(links)) for one, links in possible.items()}, unlinked
    )
