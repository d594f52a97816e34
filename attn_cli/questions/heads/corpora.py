"""One result over many texts of a corpus, a treebank or a probe, with a progress bar and a stop on Ctrl-C."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from attn_cli.cli.inputs import Given
from attn_cli.cli.loading import described
from attn_cli.cli.progress import ProgressBar, stoppable, working
from attn_cli.cli.workers import Workers
from attn_cli.data.selection import Kind
from attn_cli.data.shard import Fingerprinted, Shard
from attn_cli.errors import AttnError, InputError, OutputError, counted, left_out
from attn_cli.measure.corpus import Summing, Tally, gather, share_of, size_of_share, windows
from attn_cli.questions.heads.gathered import Asked, Gathered
from attn_cli.questions.heads.measure import HeadsFound, find_heads
from attn_cli.questions.heads.measurer import (
    Measurer,
    Piece,
    Text,
    WindowSums,
    cut_on_worker,
    measure_on_worker,
    measure_piece_on_worker,
)
from attn_cli.questions.heads.needles import known_texts
from attn_cli.questions.heads.probe import SERIES, Series, reads_pronouns
from attn_cli.questions.heads.retrieval import NeedleCuts
from attn_cli.questions.heads.treebank import read_trees

if TYPE_CHECKING:
    from attn_cli.cli.farm import Farm
    from attn_cli.io.parts import SavedPart
    from attn_cli.questions.heads.parts import HeadsPart

__all__ = ["Corpora"]

REPLACE = "Add --force to replace it, or choose another name"
"""Remedy for a file of another run in the place of the one to save."""


@dataclass(eq=False)
class Corpora:
    """Texts of one command, measured as a whole."""

    texts: Given
    asked: Asked
    workers: Workers | None = None
    """The processes that the texts are shared out over; None for this one alone."""
    treebank: Path | None = None
    """The treebank, if that is measured."""
    series: Sequence[Series] = SERIES
    """The texts of a probe, if there is one."""
    stopped: bool = False
    """True if Ctrl-C was pressed and the result covers only a part of the texts."""
    lost: AttnError | None = None
    """The fault that ended the work, if the result covers only a part of the texts for that reason."""

    @cached_property
    def measurer(self) -> Measurer:
        """Measures the texts in this process; a copy of it does on each worker."""
        return Measurer(self.texts, self.asked)

    @property
    def _faults(self) -> list[AttnError]:
        """The faults of the texts that cannot be measured, in the order of the corpus."""
        return [fault for _, fault in self._numbered_faults]

    @property
    def _numbered_faults(self) -> list[tuple[int, AttnError]]:
        return sorted(self.measurer.left_out, key=lambda numbered: numbered[0])

    def text(self) -> HeadsFound:
        """Measure the heads over the only text.

        Raises:
            AttnError: it cannot be measured, or not beside a probe.
        """
        (sentence,) = self.texts.sentences
        model = self.measurer.model
        with working("Running", self.texts.model.model):
            source = self.texts.prepared(model, sentence)
            if self.asked.seed is not None:
                self.measurer.check_probe(targeted=source.target is not None)
            found = find_heads(source, self.asked.selection, verify=self.texts.model.verify)
        if self.asked.seed is None:
            return found
        probed = Gathered(replace(self.asked, material="probe"))
        self._add_pieces(probed, self._pieces(found.kind), Tally(), None)
        return found if probed.probe is None else probed.probe.added_to(found)

    def whole(self, name: str, total: int | None = None, *, cut: int | None = None) -> HeadsFound:
        """Measure the heads over all texts: all lines as one corpus, a treebank, a probe, or needles.

        Args:
            name: name of the corpus.
            total: number of lines with text, if known.
            cut: seed of the random heads that needles are also looked for without; None not to cut any.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before any text was measured.
            AttnError: there is no text that can be measured.
        """
        gathered = Gathered(self.asked)
        with self._farm() as farm:
            tally = self._gathered(gathered, self._texts(), None, total, farm)
            notes = (*left_out(self._faults), *self._stop(tally.texts))
            report = tally.report
            found = gathered.found(self.measurer.info, replace(report, notes=(*report.notes, *notes)), name)
            if cut is not None and not self.stopped and self.lost is None:
                found = self._cut(found, cut, farm)
        return found

    def part(self, shard: Shard, name: str, total: int | None = None) -> HeadsPart:
        """Measure the heads over one part of the texts.

        Args:
            shard: the part.
            name: name of the corpus.
            total: number of lines with text of the whole corpus, if known.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before any text was measured.
            AttnError: a text cannot be measured for a reason that is not its own.
        """
        from attn_cli.questions.heads.parts import part_figures

        texts, gathered = Fingerprinted(self._texts(), _content), Gathered(self.asked)
        with self._farm() as farm:
            total = None if total is None else size_of_share(total, shard)
            tally = self._gathered(gathered, texts, shard, total, farm)
        found = part_figures(self._part(shard, name, texts.fingerprint, tally, gathered))
        return replace(found, record=replace(found.record, notes=(*found.notes, *self._stop(tally.texts))))

    def saved_part(self, path: Path, shard: Shard, name: str) -> HeadsPart:
        """Return the figures over a part that has been saved already.

        Args:
            path: the file, which holds a part.
            shard: the part that it should be.
            name: name of the corpus.

        Raises:
            InputError: a text cannot be read.
            OutputError: the file is damaged, or is a part of another run.
        """
        from attn_cli.io.parts import read_part, same_run
        from attn_cli.questions.heads.parts import part_figures

        try:
            saved = read_part(path)
            found = part_figures(saved)
        except InputError as error:
            raise OutputError(error.problem, REPLACE) from error
        texts = Fingerprinted(self._texts(), _content)
        with working("Reading", name):
            for _ in texts:
                pass
        different = same_run(saved, self._part(shard, name, texts.fingerprint, Tally(), Gathered(self.asked)))
        if different is None and saved.shard != shard:
            different = f"holds {saved.shard}, and not {shard}"
        if different is not None:
            raise OutputError(f"{path} {different}", REPLACE)
        return found

    def _part(self, shard: Shard, name: str, fingerprint: str, tally: Tally, gathered: Gathered) -> SavedPart:
        """Describe a part of a corpus with this fingerprint."""
        from attn_cli.questions.heads.parts import CorpusPart, part_of

        corpus = CorpusPart(shard, gathered.named(name), fingerprint, self.texts.read_as, self._numbered_faults)
        return part_of(corpus, self.measurer.info, self.measurer.fingerprint, tally, gathered)

    def _texts(self) -> Iterator[Text]:
        """Yield the texts; none if all of them are made.

        The first is read at once, so that what cannot be read is said before a model is loaded.

        Raises:
            InputError: it cannot be read.
        """
        if self.treebank is not None:
            return read_trees(self.treebank)
        if self.asked.material != "corpus":
            return iter(())
        first = list(islice(self.texts.sentences, 1))
        self.measurer.targeted = any(one.target is not None for one in first)
        return chain(first, self.texts.sentences)

    @contextmanager
    def _farm(self) -> Iterator[Farm | None]:
        """Start the workers for the block, if there are any, and load the model on each."""
        if self.workers is None:
            yield None
            return
        from attn_cli.cli.farm import Farm

        with Farm(self.workers) as farm:
            describe = partial(described, self.texts.model, self.texts.without, self.texts.kind)
            self.measurer.described = farm.the_same(describe)
            yield farm

    def _gathered(
        self, gathered: Gathered, texts: Iterable[Text], shard: Shard | None, total: int | None, farm: Farm | None
    ) -> Tally:
        """Gather the texts and whatever else is asked for, here or on the workers.

        Args:
            gathered: the collectors.
            texts: the texts.
            shard: the part to measure; None for the whole.
            total: number of the texts to measure, if known.
            farm: the workers.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before any text was measured.
            AttnError: there is no text that can be measured.
        """
        tally, kind = Tally(), self.asked.selection.kind
        if self.asked.seed is not None:
            self.measurer.check_probe(targeted=self.measurer.targeted)
        if self.asked.material == "needles" and farm is None:
            _ = self.measurer.hidden  # a part without needles would be saved for a model that cannot find any
        if gathered.texts is not None and gathered.heads is not None:
            numbered = enumerate(texts) if shard is None else share_of(texts, shard)
            tally = self._tallied(numbered, gathered.texts, total, farm)
            kind = gathered.heads.kind or kind
            if shard is None and not tally.texts:
                raise self._faults[0]
        if not self.stopped and self.lost is None:
            pieces = enumerate(self._pieces(kind))
            some = [piece for index, piece in pieces if shard is None or shard.holds(index)]
            self._add_pieces(gathered, some, tally, farm)
        return tally

    def _tallied(
        self, texts: Iterable[tuple[int, Text]], collect: Summing, total: int | None, farm: Farm | None
    ) -> Tally:
        """Gather texts, given with their numbers in the corpus, here or on the workers, with a progress bar.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before any text was measured.
            AttnError: a worker cannot measure them, or all are gone before any text was measured.
        """
        if farm is None:
            _ = self.measurer.model  # loaded before the progress bar, which would clash with its spinner
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

            if farm is None:
                tally = gather(
                    self.measurer.sources(texts),
                    collect,
                    verify=self.texts.model.verify,
                    advance=advance,
                    stopped=asked,
                )
            else:
                tally = self._farmed(farm, texts, collect, advance, asked)
            self.stopped = asked()
        if self.stopped and not tally.texts:
            raise KeyboardInterrupt
        return tally

    def _farmed(
        self,
        farm: Farm,
        texts: Iterable[tuple[int, Text]],
        collect: Summing,
        advance: Callable[[int], None],
        asked: Callable[[], bool],
    ) -> Tally:
        """Gather texts on workers, a window each, and add up their sums in the order of the corpus."""
        from attn_cli.cli.farm import LostError

        tally = Tally()
        try:
            for window in farm.each(partial(measure_on_worker, self.measurer.to_send), windows(texts), asked):
                collect.merge(window.sums)
                tally.merge(window.tally)
                self.measurer.left_out += window.left_out
                advance(window.tally.texts)
        except LostError as fault:
            if not tally.texts:
                raise
            self.lost = fault
        return tally

    def _pieces(self, kind: Kind | None) -> list[Piece]:
        """Return the pieces of made texts to measure, for attention of this kind."""
        if self.asked.material == "needles":
            return list(range(len(known_texts().needles)))
        if self.asked.seed is None:
            return []
        return [one for one in self.series if one != "pronouns" or reads_pronouns(self.measurer.info, kind)]

    def _add_pieces(self, gathered: Gathered, pieces: Sequence[Piece], tally: Tally, farm: Farm | None) -> None:
        """Measure made texts, here or on the workers, and add up their sums in their order.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before anything was measured.
            AttnError: they cannot be measured, or all workers are gone before anything was.
        """
        if not pieces:
            return
        if farm is None:
            _ = self.measurer.model  # loaded before the spinner, which would clash with its own

        def add(piece: Piece, window: WindowSums) -> None:
            if isinstance(piece, str) and gathered.probe is not None:
                gathered.probe.merge(window.sums)
            elif gathered.needles is not None:
                gathered.needles.merge(window.sums)
            if (piece == "twice" and gathered.texts is None) or not isinstance(piece, str):
                tally.merge(window.tally)

        task = "Looking for needles" if self.asked.material == "needles" else "Probing"
        with working(task, self.texts.model.model):
            if farm is None:
                for piece in pieces:
                    add(piece, self.measurer.piece(piece))
                return
            from attn_cli.cli.farm import LostError

            with stoppable() as asked:
                each = farm.each(partial(measure_piece_on_worker, self.measurer.to_send), iter(pieces), asked)
                try:
                    for piece, window in zip(pieces, each, strict=False):
                        add(piece, window)
                except LostError as fault:
                    if not tally.texts:
                        raise
                    self.lost = fault
                self.stopped = asked()
            if self.stopped and not tally.texts:
                raise KeyboardInterrupt

    def _cut(self, found: HeadsFound, seed: int, farm: Farm | None) -> HeadsFound:
        """Look for the needles without the retrieval heads too, and without random ones, here or on the workers."""
        cuts, counts = NeedleCuts(found, seed), Counter[int]()
        if not cuts:
            return cuts.added_to(found, counts)
        numbers = range(len(known_texts().needles))
        with working("Looking for needles", self.texts.model.model):
            if farm is None:
                for number in numbers:
                    counts += self.measurer.cut(cuts, number)
                return cuts.added_to(found, counts)
            from attn_cli.cli.farm import LostError

            try:
                for count in farm.each(partial(cut_on_worker, self.measurer.to_send, cuts), iter(numbers)):
                    counts += count
            except LostError as fault:
                self.lost = fault
                note = f"{fault.problem}: needles were not counted without heads"
                return replace(found, record=replace(found.record, notes=(*found.notes, note)))
        return cuts.added_to(found, counts)

    def _stop(self, done: int) -> tuple[str, ...]:
        """Return a note if Ctrl-C was pressed, or the workers were lost."""
        if self.lost is not None:
            return (f"{self.lost.problem}: the figures are of the {counted(done, 'text')} measured before",)
        which = "of these" if self.workers else "of these, the shortest of those read"
        return (f"Stopped with Ctrl-C after {done:,} texts: the figures are {which}",) * self.stopped


def _content(text: Text) -> object:
    """Return all that is read of a text; nothing of one that cannot be used."""
    return None if isinstance(text, InputError) else text.content
