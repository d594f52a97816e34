"""Sentences with grammatical relations, read one by one from a treebank in CoNLL-U, and a collector of their figures.

The format: https://universaldependencies.org/format.html. The text is assembled from the words and `SpaceAfter=No`, so
that the position of each word in it is known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from attn_cli.data.model import ModelInfo
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Block, Companion, Eat, Report, Request, Source, Together
from attn_cli.data.sums import Sums
from attn_cli.data.text import Tokens, at_cells
from attn_cli.data.units import Units
from attn_cli.errors import InputError, counted
from attn_cli.questions.heads.measure import CollectHeads, HeadsFound
from attn_cli.questions.heads.relations import CollectRelations, Dependency
from attn_cli.questions.heads.scores import RoleScore
from attn_cli.system.encoding import decode_text

__all__ = ["CollectTrees", "Relation", "Tree", "TreeSource", "read_trees"]

REMEDY = "Give a treebank in CoNLL-U, with heads and relations"


@dataclass(frozen=True, slots=True)
class Relation:
    """Dependency of one word on another."""

    dependent: int
    """Index of the dependent word, counted from 0."""
    head: int
    name: str
    """Name without its subtype: `nsubj` of `nsubj:pass`."""


@dataclass(frozen=True)
class Tree:
    """One sentence of a treebank."""

    text: str
    where: str
    """Location in the treebank, for messages: `sentence 3 of dev.conllu (line 41)`."""
    cells: tuple[tuple[int, int], ...]
    """First character of each word, and one past its last; words that are written as one token may share theirs."""
    relations: tuple[Relation, ...]
    """Relations of the words other than the root and punctuation."""
    punctuation: int = 0
    """Number of words whose relation is left out because they are punctuation."""
    multiword: int = 0
    """Number of tokens that stand for several words (`2-3 didn't`)."""
    empty: int = 0
    """Number of nodes that are not written (`6.1`) and are left out."""

    @property
    def content(self) -> tuple[object, ...]:
        """All that is read of the sentence, without the name of its file."""
        return self.text, self.cells, [(one.dependent, one.head, one.name) for one in self.relations]


@dataclass(frozen=True)
class TreeSource:
    """A `Source` of a sentence, with the treebank's words in place of its own."""

    inner: Source
    tree: Tree
    source: Tokens
    target: Tokens | None = None

    @classmethod
    def of(cls, source: Source, tree: Tree) -> TreeSource:
        """Put the treebank's words in place of those of a prepared sentence."""
        return cls(source, tree, at_cells(source.source, list(dict.fromkeys(tree.cells))))

    @property
    def model(self) -> ModelInfo:
        """The model's shape and name."""
        return self.inner.model

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of the sentence."""
        return self.inner.notes

    def stream(self, request: Request, eat: Eat) -> Report:
        """Run the model and stream its blocks."""
        return self.inner.stream(request, eat)

    def run_groups(self, groups: Sequence[Sequence[Source]], request: Request) -> Generator[Together | None]:
        """Run groups of texts side by side if their model can; see `stream.Companion`."""
        inner = [[source.inner if isinstance(source, TreeSource) else source for source in group] for group in groups]
        if isinstance(self.inner, Companion):
            yield from self.inner.run_groups(inner, request)
        else:
            yield from repeat(None, len(groups))

    def units(self) -> Units:
        """Return the treebank's words as units, without special tokens; words that share a piece are one unit."""
        return Units.of(self.source, special=False)

    def unit_of(self, units: Units) -> list[int | None]:
        """Find the index of each of the tree's words among these units; None if truncation cut the word off."""
        places = [units.token_positions(index)[0] for index in range(len(units))]
        starts = [self.source.words[self.source.tokens[place].word or 0].start for place in places]
        ends = [self.source.words[self.source.tokens[place].word or 0].end for place in places]
        found: list[int | None] = []
        for start, _ in self.tree.cells:
            index = bisect_right(starts, start) - 1
            found.append(index if index >= 0 and start < ends[index] else None)
        return found


class CollectTrees:
    """A collector of the heads and the relations of a treebank, side by side.

    Args:
        selection: kind, layers and heads to measure, and the units of the heads' figures.
    """

    LEFT_OUT = (
        "punctuation mark{}",
        "empty node{}",
        "relation{} inside what the model reads as one word",
        "relation{} past the end of a text that was cut",
    )
    """Names of the parts left out of sentences, each with a place for the plural's s."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.heads, self.relations = CollectHeads(selection), CollectRelations()
        self._left_out = np.zeros(len(self.LEFT_OUT), np.int64)
        self._multiword = 0

    def fresh(self) -> CollectTrees:
        """Return a collector of the same figures that has seen no sentence."""
        return CollectTrees(self.selection)

    def state(self) -> dict[str, np.ndarray]:
        """Return all sums so far as arrays, for `merge`."""
        counts = {"left_out": self._left_out, "multiword": np.array(self._multiword, np.int64)}
        return {**self.heads.state(), **self.relations.state(), **counts}

    def merge(self, state: Sums) -> None:
        """Add the sums of another collector of the same figures, over other sentences.

        Raises:
            ValueError: they are of other roles, or not of the heads that they name.
            KeyError: some sums are missing.
        """
        self.heads.merge(state)
        self.relations.merge(state)
        self._left_out += state["left_out"]
        self._multiword += int(state["multiword"])

    def request(self, source: Source) -> Request:
        """Return the request; see `CollectHeads.request`."""
        return self.heads.request(source)

    def turn(self, source: Source) -> Eat:
        """Turn to the next sentence and return the function that consumes its blocks.

        Raises:
            TypeError: it has no tree.
        """
        if not isinstance(source, TreeSource):
            raise TypeError("a text without a tree")
        units = source.units()
        places = source.unit_of(units)
        links, past, inside = [], 0, 0
        for relation in source.tree.relations:
            dependent, head = places[relation.dependent], places[relation.head]
            if dependent is None or head is None:
                past += 1
            elif dependent == head:
                inside += 1
            else:
                links.append(Dependency(dependent, head, relation.name))
        self._left_out += [source.tree.punctuation, source.tree.empty, inside, past]
        self._multiword += source.tree.multiword
        self.relations.turn(len(units), links)
        first, second = self.heads.turn(source), Regroup(units, units, self.relations, renormalize=False)

        def eat(block: Block) -> None:
            first(block)
            second(block)

        return eat

    def found(self, model: ModelInfo, report: Report, seen: str) -> HeadsFound:
        """Return the result over the sentences so far, which has no relations if no head could find one."""
        report = replace(report, notes=(*report.notes, *self._notes(seen)))
        scores = self.relations.result()
        found = self.heads.found(model, report, seen)
        roles = tuple(dict.fromkeys(score.role.role for score in scores))
        own: dict[tuple[int, int], list[RoleScore]] = {}
        for score in scores:
            own.setdefault((score.layer, score.head), []).append(score.role)
        told = found.with_scores(((layer, head, _best_first(each)) for (layer, head), each in own.items()), roles)
        return replace(told, relations=scores)

    def _notes(self, seen: str) -> Iterator[str]:
        """Say what was left out of the treebank, and how multiword tokens were read."""
        counts = zip(self._left_out.tolist(), self.LEFT_OUT, strict=True)
        said = [f"{count:,} {what.format('s' * (count != 1))}" for count, what in counts if count]
        if said:
            yield f"Left out of {seen}: {', '.join(said)}"
        if self._multiword:
            yield (
                f"{counted(self._multiword, 'multiword token')} of {seen} are read as they are written; words that are "
                "not spelled out in one share its place"
            )


def _best_first(scores: list[RoleScore]) -> list[RoleScore]:
    """Sort scores by their margin over what they must exceed, largest first; those with too few rows come last."""
    return sorted(scores, key=lambda score: (score.rows < score.fewest, score.baseline + score.margin - score.score))


def read_trees(path: Path) -> Iterator[Tree | InputError]:
    """Read the sentences of a treebank; in the place of one that cannot be used stands its error.

    Raises:
        InputError: the file cannot be read, or has no sentences.
    """
    from conllu import parse  # imported late: only a treebank needs it
    from conllu.exceptions import ParseException

    number = 0
    for number, (line, block) in enumerate(_blocks(path), start=1):
        where = f"sentence {number} of {path} (line {line})"
        try:
            parsed = parse(block)
            yield _tree(parsed[0] if parsed else (), where)
        except ParseException as error:
            yield InputError(f"{where} is not CoNLL-U: {str(error).splitlines()[0].rstrip('.')}", REMEDY)
        except InputError as unusable:
            yield unusable
    if not number:
        raise InputError(f"There are no sentences in {path}", REMEDY)


def _blocks(path: Path) -> Iterator[tuple[int, str]]:
    """Split a file at blank lines into blocks, with the number of their first line; skip those of comments alone."""
    block: list[str] = []
    begun = 1
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                text = decode_text(line, f"line {number} of {path}").removeprefix("\ufeff")
                if text.strip():
                    begun = begun if block else number
                    block.append(text)
                    continue
                if any(not kept.startswith("#") for kept in block):
                    yield begun, "".join(block)
                block = []
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", REMEDY) from error
    if any(not kept.startswith("#") for kept in block):
        yield begun, "".join(block)


def _tree(sentence: Any, where: str) -> Tree:
    text, cells, numbers = "", [], {}
    words: list[Any] = []
    joined: tuple[int, int, int] | None = None  # last word and remaining span of a multiword token
    for token in sentence:
        number, form = token["id"], str(token["form"])
        if isinstance(number, tuple):
            if number[1] == "-":
                together = "".join(str(word["form"]) for word in sentence if _within(word["id"], number))
                start = len(text)
                text += form + _space(token)
                joined = (number[2], start, start + len(form)) if together != form else (number[2], start, start)
            continue
        numbers[number] = len(words)
        words.append(token)
        if joined is not None and number <= joined[0]:
            last, start, end = joined
            if end > start:
                cells.append((start, end))
            else:
                cells.append((start, start + len(form)))
                joined = (last, start + len(form), start + len(form))
            continue
        cells.append((len(text), len(text) + len(form)))
        text += form + _space(token)
    if not words or any(word.get("head") is None or word.get("deprel") is None for word in words):
        raise InputError(f"{where} has words without a head and a relation", REMEDY)
    relations = []
    names = [str(word["deprel"]).partition(":")[0] for word in words]
    for index, (word, name) in enumerate(zip(words, names, strict=True)):
        if word["head"] and name not in {"root", "punct"}:
            if word["head"] not in numbers:
                raise InputError(
                    f"{where}: word {word['id']} has the head {word['head']}, which does not exist", REMEDY
                )
            relations.append(Relation(index, numbers[word["head"]], name))
    runs = [token["id"][1] for token in sentence if isinstance(token["id"], tuple)]
    return Tree(
        text.rstrip(),
        where,
        tuple(cells),
        tuple(relations),
        punctuation=names.count("punct"),
        multiword=runs.count("-"),
        empty=runs.count("."),
    )


def _within(number: object, run: tuple[int, str, int]) -> bool:
    return isinstance(number, int) and run[0] <= number <= run[2]


def _space(token: Any) -> str:
    misc = token.get("misc")
    return "" if misc and misc.get("SpaceAfter") == "No" else " "
