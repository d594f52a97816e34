"""One result over many texts of a corpus, a treebank or a probe, with a progress bar and a stop on Ctrl-C."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from attn_cli.cli.inputs import Given
from attn_cli.cli.loading import described, loaded_once
from attn_cli.cli.progress import ProgressBar, stoppable, working
from attn_cli.cli.texts import Sentence, located, ready
from attn_cli.cli.workers import Workers
from attn_cli.data.model import ModelInfo
from attn_cli.data.plan import make_plan
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Selection
from attn_cli.data.shard import Fingerprinted, Shard
from attn_cli.data.stream import Block, Eat, Report, Request, Source
from attn_cli.data.sums import Sums
from attn_cli.errors import AttnError, InputError, OutputError, counted, left_out
from attn_cli.measure.corpus import Tally, gather, share_of, size_of_share, windows
from attn_cli.measure.derived import measured, measured_model
from attn_cli.models import Model
from attn_cli.questions.heads.measure import CollectHeads, HeadsFound, find_heads
from attn_cli.questions.heads.probe import probe, pronouns, with_pronouns
from attn_cli.questions.heads.relations import CollectRelations, Dependency
from attn_cli.questions.heads.retrieval import find_needles
from attn_cli.questions.heads.scores import RoleScore
from attn_cli.questions.heads.treebank import Tree, TreeSource, read_trees

if TYPE_CHECKING:
    from attn_cli.io.parts import SavedPart
    from attn_cli.questions.heads.parts import HeadsPart

__all__ = ["Corpora"]


@dataclass(eq=False)
class Corpora:
    """Texts of one command, measured as a whole."""

    texts: Given
    selection: Selection
    workers: Workers | None = None
    """The processes that the texts are shared out over; None for this one alone."""
    stopped: bool = False
    """True if Ctrl-C was pressed and the result covers only a part of the texts."""
    lost: AttnError | None = None
    """The fault that ended the work, if the result covers only a part of the texts for that reason."""
    _left_out: list[AttnError] = field(default_factory=list)
    _first_left_out: int = 0
    """Number of the first text of these in the corpus."""
    _described: tuple[ModelInfo, str] | None = None
    """The model's facts and fingerprint, as the workers say."""

    @cached_property
    def model(self) -> Model:
        """The model, loaded on first use."""
        return self.texts.load()

    @property
    def _info(self) -> ModelInfo:
        return measured_model(self._described[0] if self._described else self.model.info, self.selection.measure)

    def text(self) -> HeadsFound:
        """Measure the heads over the only text."""
        (sentence,) = self.texts.sentences
        model = self.model
        with working("Running", self.texts.model.model):
            return find_heads(self.texts.prepared(model, sentence), self.selection, verify=self.texts.model.verify)

    def corpus(self, name: str, total: int | None) -> HeadsFound:
        """Measure the heads over all lines as one corpus.

        Args:
            name: name of the corpus.
            total: number of lines with text, if known.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before any text was measured.
            AttnError: there is no text that can be measured.
        """
        collect = CollectHeads(self.selection)
        tally = self._tallied(enumerate(ready(self.texts.sentences)), collect, total)
        return collect.found(self._info, self._report(tally), name)

    def part(self, shard: Shard, name: str, total: int | None) -> HeadsPart:
        """Measure the heads over the lines of one part of a corpus.

        Args:
            shard: the part.
            name: name of the corpus.
            total: number of lines with text of the whole corpus, if known.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before any text was measured.
            AttnError: a text cannot be measured for a reason that is not its own.
        """
        from attn_cli.questions.heads.parts import part_figures

        texts = Fingerprinted(ready(self.texts.sentences), lambda one: one.content)
        collect = CollectHeads(self.selection)
        tally = self._tallied(share_of(texts, shard), collect, None if total is None else size_of_share(total, shard))
        found = part_figures(self._part(shard, name, texts.fingerprint, tally, collect))
        return replace(found, record=replace(found.record, notes=(*found.notes, *self._stop(tally.texts))))

    def saved_part(self, path: Path, shard: Shard, name: str) -> HeadsPart:
        """Return the figures over a part that has been saved already.

        Args:
            path: the file, which holds a part.
            shard: the part that it should be.
            name: name of the corpus.

        Raises:
            InputError: the file is damaged.
            OutputError: it is a part of another run.
        """
        from attn_cli.io.parts import read_part, same_run
        from attn_cli.questions.heads.parts import part_figures

        saved = read_part(path)
        texts = Fingerprinted(self.texts.sentences, lambda one: one.content)
        with working("Reading", name):
            for _ in texts:
                pass
        different = same_run(saved, self._part(shard, name, texts.fingerprint, Tally(), CollectHeads(self.selection)))
        if different is None and saved.shard != shard:
            different = f"holds {saved.shard}, and not {shard}"
        if different is not None:
            raise OutputError(f"{path} {different}", "Add --force to replace it, or choose another name")
        return part_figures(saved)

    def _part(self, shard: Shard, name: str, fingerprint: str, tally: Tally, collect: CollectHeads) -> SavedPart:
        """Describe a part of a corpus with this fingerprint."""
        from attn_cli.questions.heads.parts import CorpusPart, part_of

        corpus = CorpusPart(shard, name, fingerprint, self.texts.read_as, self._first_left_out, self._left_out)
        fingerprint_of_model = self._described[1] if self._described else self.model.fingerprint
        return part_of(corpus, self._info, fingerprint_of_model, tally, collect)

    def window(self, sentences: Iterable[tuple[int, Sentence]], collect: CollectHeads) -> _Window:
        """Measure one window, given with its texts' numbers in the corpus."""
        sources = (self._read(sentence, number) for number, sentence in sentences)
        tally = gather(sources, collect, verify=self.texts.model.verify)
        return _Window(collect.state(), tally, self._left_out, self._first_left_out)

    def treebank(self, path: Path) -> HeadsFound:
        """Measure the heads over the sentences of a treebank, and how well they find its relations."""
        collect = _Trees(self.selection)

        def read(tree: Tree) -> Source | None:
            source = self._read(Sentence(tree.text, tree.where))
            return None if source is None else TreeSource.of(source, tree)

        trees = map(read, read_trees(path, self._left_out.append))
        report = self._report(self._gathered(lambda **how: gather(trees, collect, **how), None))
        report = replace(report, notes=(*report.notes, *collect.notes(path)))
        scores = collect.relations.result()
        found = collect.heads.found(self._info, report, str(path))
        roles = tuple(dict.fromkeys(score.role.role for score in scores))
        own: dict[tuple[int, int], list[RoleScore]] = {}
        for score in scores:
            own.setdefault((score.layer, score.head), []).append(score.role)
        if not scores:
            raise InputError(f"{path} has no relation that a head could find", "Give a treebank of longer sentences")
        told = found.with_scores(((layer, head, _best_first(each)) for (layer, head), each in own.items()), roles)
        return replace(told, relations=scores)

    def probe(self, found: HeadsFound | None, seed: int) -> HeadsFound:
        """Measure the heads over generated texts, and merge the scores into the result over other texts, if any."""
        model = self.model
        with working("Probing", self.texts.model.model):
            told = probe(model, self.selection, seed, found, verify=self.texts.model.verify)
            if told.kind == "encoder" or "cross" not in model.info.stacks:
                told = with_pronouns(pronouns(seed), lambda text: self._prepared(text), told, self.selection)
        return told

    def needles(self, seed: int, *, cut: bool) -> HeadsFound:
        """Hide facts in a text, and measure which heads find them; see `find_needles`."""
        model = self.model
        with working("Looking for needles", self.texts.model.model):
            return find_needles(model, self.selection, cut=cut, seed=seed, verify=self.texts.model.verify)

    def _prepared(self, text: str) -> Source:
        whole = replace(self.texts, reading=replace(self.texts.reading, truncate=True, target=None), pair=None)
        return whole.prepared(self.model, Sentence(text))

    def _read(self, sentence: Sentence, number: int = 0) -> Source | None:
        """Prepare a text for the model, truncated if it is too long; return None if it cannot be measured."""
        whole = replace(self.texts, reading=replace(self.texts.reading, truncate=True))
        try:
            source = whole.prepared(self.model, sentence)
            if not self.selection.special or self.selection.sink is not True:
                make_plan(source, self.selection)  # all of the text may be hidden
            return measured(source, self.selection)
        except InputError as error:
            if not self._left_out:
                self._first_left_out = number
            self._left_out.append(error if not sentence.where else located(error, sentence.where))
            return None

    def _report(self, tally: Tally) -> Report:
        """Return what is reported of the texts, and of those that were left out.

        Raises:
            InputError: no text can be measured.
        """
        if not tally.texts:
            raise self._left_out[0]
        report = tally.report
        return replace(report, notes=(*report.notes, *left_out(self._left_out), *self._stop(tally.texts)))

    def _tallied(self, sentences: Iterable[tuple[int, Sentence]], collect: CollectHeads, total: int | None) -> Tally:
        """Gather sentences, given with their numbers in the corpus, here or on the workers.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before any text was measured.
        """
        if self.workers is not None:
            return self._farmed(self.workers, sentences, collect, total)
        sources = (self._read(sentence, number) for number, sentence in sentences)
        return self._gathered(lambda **how: gather(sources, collect, **how), total)

    def _gathered(self, gathering: Callable[..., Tally], total: int | None) -> Tally:
        """Gather texts, with a progress bar and a stop on Ctrl-C.

        Args:
            gathering: a function that takes `verify`, `advance` and `stopped`, as `gather` does.
            total: the number of texts, if known.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before any text was measured.
        """
        if self.workers is None:
            _ = self.model  # loaded before the progress bar, which would clash with its spinner
        done = 0
        start = time.monotonic()
        with (
            ProgressBar("Reading", total, figures=True) as bar,
            stoppable() as asked,
        ):

            def advance(count: int) -> None:
                nonlocal done
                done += count
                bar.advance(count, figures=f"{done / (time.monotonic() - start):,.1f} sentences/s")

            tally = gathering(verify=self.texts.model.verify, advance=advance, stopped=asked)
            self.stopped = asked()
        if self.stopped and not tally.texts:
            raise KeyboardInterrupt
        return tally

    def _farmed(
        self, workers: Workers, sentences: Iterable[tuple[int, Sentence]], collect: CollectHeads, total: int | None
    ) -> Tally:
        """Gather sentences on workers, a window each, and add up their sums in the order of the corpus.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before any text was measured.
            AttnError: a worker cannot measure them, or all are gone before any text was measured.
        """
        from attn_cli.cli.farm import Farm, LostError

        tally = Tally()
        texts = replace(self.texts, sentences=iter(()))
        with Farm(workers) as farm:
            self._described = farm.the_same(partial(described, texts.model, texts.without, texts.kind))

            def gathering(*, advance: Callable[[int], None], stopped: Callable[[], bool], **_: bool) -> Tally:
                measure = partial(_measure_window, texts, self.selection)
                try:
                    for window in farm.each(measure, windows(sentences), stopped):
                        collect.merge(window.sums)
                        tally.merge(window.tally)
                        if window.left_out and not self._left_out:
                            self._first_left_out = window.first_left_out
                        self._left_out += window.left_out
                        advance(window.tally.texts)
                except LostError as fault:
                    if not tally.texts:
                        raise
                    self.lost = fault
                return tally

            return self._gathered(gathering, total)

    def _stop(self, done: int) -> tuple[str, ...]:
        """Return a note if Ctrl-C was pressed, or the workers were lost."""
        if self.lost is not None:
            return (f"{self.lost.problem}: the figures are of the {counted(done, 'text')} measured before",)
        which = "of these" if self.workers else "of these, the shortest of those read"
        return (f"Stopped with Ctrl-C after {done:,} texts: the figures are {which}",) * self.stopped


@dataclass(frozen=True, slots=True)
class _Window:
    """What a worker has measured over one window of a corpus."""

    sums: Sums
    tally: Tally
    left_out: list[AttnError]
    first_left_out: int


def _measure_window(texts: Given, selection: Selection, window: Sequence[tuple[int, Sentence]]) -> _Window:
    """Measure the heads over one window, given with its texts' numbers in the corpus."""
    corpora = Corpora(texts, selection)
    corpora.model = loaded_once(texts.model, texts.without, texts.kind)
    collect = CollectHeads(selection)
    return corpora.window(window, collect)


def _best_first(scores: list[RoleScore]) -> list[RoleScore]:
    """Sort scores by their margin over what they must exceed, largest first; those with too few rows come last."""
    return sorted(scores, key=lambda score: (score.rows < score.fewest, score.baseline + score.margin - score.score))


class _Trees:
    """Collector of the heads and the relations of a treebank, side by side."""

    def __init__(self, selection: Selection) -> None:
        self.heads, self.relations = CollectHeads(selection), CollectRelations()
        self._left_out: Counter[str] = Counter()
        self._multiword = 0

    def request(self, source: Source) -> Request:
        return self.heads.request(source)

    def turn(self, source: Source) -> Eat:
        if not isinstance(source, TreeSource):
            raise TypeError("a text without a tree")
        units = source.units()
        places = source.unit_of(units)
        links = []
        for relation in source.tree.relations:
            dependent, head = places[relation.dependent], places[relation.head]
            if dependent is None or head is None:
                self._left_out["relation{} past the end of a text that was cut"] += 1
            elif dependent == head:
                self._left_out["relation{} inside what the model reads as one word"] += 1
            else:
                links.append(Dependency(dependent, head, relation.name))
        self._left_out["punctuation mark{}"] += source.tree.punctuation
        self._left_out["empty node{}"] += source.tree.empty
        self._multiword += source.tree.multiword
        self.relations.turn(len(units), links)
        first, second = self.heads.turn(source), Regroup(units, units, self.relations, renormalize=False)

        def eat(block: Block) -> None:
            first(block)
            second(block)

        return eat

    def notes(self, path: Path) -> Iterator[str]:
        """Say what was left out of the treebank, and how multiword tokens were read."""
        said = [f"{count:,} {what.format('s' * (count != 1))}" for what, count in self._left_out.items() if count]
        if said:
            yield f"Left out of {path}: {', '.join(said)}"
        if self._multiword:
            yield (
                f"{counted(self._multiword, 'multiword token')} of {path} are read as they are written; words that are "
                "not spelled out in one share its place"
            )
