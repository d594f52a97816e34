"""One pass over a corpus: texts are read a window at a time and grouped by length, and only sums are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

from attn_cli.data.stream import Batch, Companion, Eat, OutputCheck, Report, Request, Source, Together, largest_check
from attn_cli.errors import noted

__all__ = ["Collect", "gather", "groups", "summed_notes"]

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


def gather(
    sources: Iterable[Source],
    collect: Collect,
    *,
    verify: bool = False,
    advance: Callable[[int], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Report:
    """Stream every text of a corpus once into a collector, holding one window of texts in memory at a time.

    Args:
        sources: the texts, all for one model, read lazily.
        collect: the collector that keeps the sums.
        verify: whether to verify the attention and the model's output too (`Request.verify`), one text at a time.
        advance: called with the number of texts just finished, after each group.
        stopped: returns true if the pass should end before the next group.

    Returns:
        the notes that hold for all the texts, one line that counts the notes of only some, and the largest differences
        that verification showed.

    Raises:
        ModelError: the model could not be run.
        ExactnessError: the values streamed are not attention weights.
    """
    rest = iter(sources)
    notes: Counter[str] = Counter()
    done = 0
    verified: list[float] = []
    outputs: list[OutputCheck | None] = []
    while not stopped() and (window := list(islice(rest, WINDOW))):
        request = replace(collect.request(window[0]), verify=verify)
        most = MOST_TOKENS_CPU if window[0].model.device == "cpu" else MOST_TOKENS
        heads = sum(len(heads) for layers in request.heads.values() for heads in layers.values())
        with closing(_run(list(groups(window, _tokens, heads, most)), request)) as every_group:
            for group, together in every_group:
                for report in _reduce(group, together, request, collect):
                    done += 1
                    notes.update(set(report.notes))
                    verified += [] if report.verified is None else [report.verified]
                    outputs.append(report.output)
                advance(len(group))
                if stopped():
                    break
    return Report(max(verified, default=None), summed_notes(notes, done), largest_check(outputs))


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
