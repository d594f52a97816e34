"""One pass over a corpus: texts are read a window at a time and grouped by length, and only sums are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from typing import Protocol, TypeVar, runtime_checkable

from attn_cli.data.shard import Shard
from attn_cli.data.stream import Batch, Companion, Eat, OutputCheck, Report, Request, Source, Together, largest_check
from attn_cli.data.sums import Sums
from attn_cli.errors import noted

__all__ = ["Collect", "Summing", "Tally", "gather", "groups", "share_of", "size_of_share", "summed_notes", "windows"]

Item = TypeVar("Item")
Sized = TypeVar("Sized")

WINDOW = 512
"""The number of texts to read ahead, from which groups of similar length are formed."""
MOST_WEIGHTS = 2**23
"""The most weights in a group of texts (32 megabytes); each thread holds one group."""
MOST_TOKENS = 2**13
"""The most tokens in a group, padding included."""
MOST_TOKENS_CPU = 2**10
"""The same limit on a CPU, which is faster if the states of one layer fit in its cache."""
SHORT = 128
"""The most tokens of texts that are reduced together; for longer ones, the cost of a call per text is negligible."""


@runtime_checkable
class Collect(Protocol):
    """A collector of sums over a corpus that takes one text after another."""

    def request(self, source: Source) -> Request:
        """Return the request to make, the same for all texts of a model."""

    def turn(self, source: Source) -> Eat:
        """Begin the next text and return the function that consumes its blocks."""


@runtime_checkable
class CollectAll(Protocol):
    """A collector of sums over a corpus that can take several texts at once."""

    def turn_all(self, sources: Sequence[Source]) -> Callable[[Batch], None]:
        """Begin these texts and return the function that consumes their batches, one layer each."""


@runtime_checkable
class Summing(Collect, Protocol):
    """A collector whose sums over some windows of texts can be added to those over others."""

    def fresh(self) -> Summing:
        """Return a collector of the same sums that has seen no text."""

    def state(self) -> Sums:
        """Return the sums so far."""

    def merge(self, state: Sums) -> None:
        """Add the sums of another collector of this kind, over other texts."""


@dataclass
class Tally:
    """Counts and largest differences from the reports of the runs over some texts of a corpus."""

    texts: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    """The number of texts that have each note."""
    verified: float | None = None
    """The largest difference that verification showed; None if there was none."""
    output: OutputCheck | None = None
    """The same of the model's output."""

    def add(self, report: Report) -> None:
        """Count one more text."""
        self.merge(Tally(1, Counter(set(report.notes)), report.verified, report.output))

    def merge(self, other: Tally) -> None:
        """Count the texts of another tally too."""
        self.texts += other.texts
        self.notes.update(other.notes)
        self.verified = max((one for one in (self.verified, other.verified) if one is not None), default=None)
        self.output = largest_check([self.output, other.output])

    @property
    def report(self) -> Report:
        """The largest differences, the notes that hold for all the texts, and one line that counts those of some."""
        return Report(self.verified, summed_notes(self.notes, self.texts), self.output)


def gather(
    sources: Iterable[Source | None],
    collect: Collect,
    *,
    verify: bool = False,
    advance: Callable[[int], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Tally:
    """Stream every text of a corpus once into a collector, holding one window of texts in memory at a time.

    The sums of each window are added up by themselves, so that windows give the same wherever they are measured.

    Args:
        sources: the texts, all for one model, read lazily; None for one that is left out, which counts in its window.
        collect: the collector that keeps the sums.
        verify: whether to verify the attention and the model's output too (`Request.verify`), one text at a time.
        advance: called with the number of texts just finished, after each group.
        stopped: returns true if the pass should end before the next group.

    Raises:
        ModelError: the model could not be run.
        ExactnessError: the values streamed are not attention weights.
    """
    rest = iter(sources)
    tally = Tally()
    while not stopped() and (window := list(islice(rest, WINDOW))):
        texts = [source for source in window if source is not None]
        own = collect.fresh() if isinstance(collect, Summing) else collect
        if texts:
            tally.merge(_gather_window(texts, own, verify=verify, advance=advance, stopped=stopped))
        if isinstance(collect, Summing) and isinstance(own, Summing):
            collect.merge(own.state())
    return tally


def _gather_window(
    window: Sequence[Source],
    collect: Collect,
    *,
    verify: bool,
    advance: Callable[[int], None],
    stopped: Callable[[], bool],
) -> Tally:
    tally = Tally()
    request = replace(collect.request(window[0]), verify=verify)
    most = MOST_TOKENS_CPU if window[0].model.device == "cpu" else MOST_TOKENS
    heads = sum(len(heads) for layers in request.heads.values() for heads in layers.values())
    with closing(_run(list(groups(window, _tokens, heads, most)), request)) as every_group:
        for group, together in every_group:
            for report in _reduce(group, together, request, collect):
                tally.add(report)
            advance(len(group))
            if stopped():
                break
    return tally


def share_of(items: Iterable[Item], shard: Shard) -> Iterator[tuple[int, Item]]:
    """Yield those items that belong to a part of a corpus, each with its number in the whole, from 0."""
    return ((number, item) for number, item in enumerate(items) if shard.holds(number // WINDOW))


def windows(items: Iterable[tuple[int, Item]]) -> Iterator[list[tuple[int, Item]]]:
    """Yield the windows of a corpus or of a part of it, from items with their numbers in the whole."""
    return (list(window) for _, window in groupby(items, key=lambda numbered: numbered[0] // WINDOW))


def size_of_share(texts: int, shard: Shard) -> int:
    """Return how many of so many texts belong to a part of a corpus."""
    return shard.count(texts, WINDOW)


def _run(groups: Sequence[Sequence[Source]], request: Request) -> Generator[tuple[Sequence[Source], Together | None]]:
    """Yield each group with its batches and reports, or None if its texts must be run singly; single texts last."""
    several = [group for group in groups if len(group) > 1]
    if several and isinstance(several[0][0], Companion):
        with closing(several[0][0].run_groups(several, request)) as each:
            yield from zip(several, each, strict=True)
    else:
        yield from ((group, None) for group in several)
    yield from ((group, None) for group in groups if len(group) == 1)


def _reduce(group: Sequence[Source], together: Together | None, request: Request, collect: Collect) -> Iterator[Report]:
    """Pass a group's attention to the collector, all texts together if it can take them so and they are short."""
    if together is None:
        yield from (source.stream(request, collect.turn(source)) for source in group)
        return
    batches, reports = together
    if isinstance(collect, CollectAll) and _tokens(group[-1]) <= SHORT:
        eat_all = collect.turn_all(group)
        for batch in batches:
            eat_all(batch)
    else:
        for text, source in enumerate(group):
            eat = collect.turn(source)
            for batch in batches:
                eat(batch.block(text))
    yield from reports


def summed_notes(notes: Counter[str], done: int) -> tuple[str, ...]:
    """Return the notes that hold for all texts, and one line about those that only some texts have.

    Args:
        notes: the number of texts that have each note.
        done: the number of all texts.
    """
    every = tuple(note for note, count in notes.items() if count == done)
    some = {note: count for note, count in notes.items() if count < done}
    return (*every, *noted(some, done))


def _tokens(source: Source) -> int:
    return len(source.source) + len(source.target or ())


def groups(sources: Sequence[Sized], tokens: Callable[[Sized], int], heads: int, most: int) -> Iterator[list[Sized]]:
    """Group texts of similar length, as many to a group as the limits on weights and tokens allow, shortest first.

    Args:
        sources: the texts to group.
        tokens: function that gives the number of tokens of a text.
        heads: number of attention maps per text.
        most: most tokens in a group, padding included.
    """
    group: list[Sized] = []
    for source in sorted(sources, key=tokens):
        size = tokens(source)
        many = len(group) + 1
        if group and (many * heads * size**2 > MOST_WEIGHTS or many * size > most):
            yield group
            group = []
        group.append(source)
    if group:
        yield group
