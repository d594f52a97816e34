"""A corpus, looked at in one pass: a window of texts at a time, those of like length side by side, sums kept alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

from attn_cli.data.stream import Batch, Companion, Eat, Report, Request, Source, Together
from attn_cli.data.verified import OutputCheck, largest

__all__ = ["Collect", "gather", "groups"]

Sized = TypeVar("Sized")

WINDOW = 512
"""Texts that are read ahead, to find those of like length."""
MOST_WEIGHTS = 2**23
"""Weights of a group of texts, of which one is held for each thread: 32 megabytes."""
MOST_TOKENS = 2**13
"""Tokens of a group, padding among them."""
MOST_TOKENS_CPU = 2**10
"""The same on a processor, which is faster where one layer's states stay in its cache."""
SHORT = 128
"""Texts of no more tokens are reduced at once; with longer ones the calls for each cost little."""


@runtime_checkable
class Collect(Protocol):
    """Sums over one text after another."""

    def request(self, source: Source) -> Request:
        """What to ask for, the same for all texts of a model."""

    def turn(self, source: Source) -> Eat:
        """Turn to the next text; its blocks come to what is returned."""


@runtime_checkable
class CollectAll(Protocol):
    """Sums over several texts at once."""

    def turn_all(self, sources: Sequence[Source]) -> Callable[[Batch], None]:
        """Turn to these texts; their layers come to what is returned."""


def gather(
    sources: Iterable[Source],
    collect: Collect,
    *,
    verify: bool = False,
    advance: Callable[[int], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Report:
    """Look at every text once. Memory is that of a window of texts, however many there are.

    Args:
        sources: texts given to one model, read as they are needed.
        collect: takes the sums.
        verify: also run the model without attn, and compare, one text at a time.
        advance: told how many texts are done, each time some are.
        stopped: whether to stop before the next group.

    Returns:
        What a reader must know of all the texts; what is true of some only is counted.

    Raises:
        ModelError: the model could not be run.
        ExactnessError: what it gave are not attention weights.
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
    every = tuple(note for note, count in notes.items() if count == done)
    return Report(max(verified, default=None), (*every, *_told(notes, done)), largest(outputs))


def _run(groups: Sequence[Sequence[Source]], request: Request) -> Generator[tuple[Sequence[Source], Together | None]]:
    """Each group with what it gave, or None where its texts must be run one after another; those of one text last."""
    several = [group for group in groups if len(group) > 1]
    if several and isinstance(several[0][0], Companion):
        with closing(several[0][0].run_groups(several, request)) as each:
            yield from zip(several, each, strict=True)
    else:
        yield from ((group, None) for group in several)
    yield from ((group, None) for group in groups if len(group) == 1)


def _reduce(group: Sequence[Source], together: Together | None, request: Request, collect: Collect) -> Iterator[Report]:
    """Hand what a group gave to a collector, at once where that takes it so and the texts are short."""
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


def _told(notes: Counter[str], done: int) -> Iterator[str]:
    """One line on the notes that only some texts have."""
    some = {note: count for note, count in notes.items() if count < done}
    if some:
        first = next(iter(some))
        yield f"Some of the {done:,} texts have notes of their own ({sum(some.values()):,} in all), such as: {first}"


def _tokens(source: Source) -> int:
    return len(source.source) + len(source.target or ())


def groups(sources: Sequence[Sized], tokens: Callable[[Sized], int], heads: int, most: int) -> Iterator[list[Sized]]:
    """Texts of like length together, as many as may be held at once; the shortest first.

    Args:
        sources: some texts.
        tokens: how long one is.
        heads: how many maps each has.
        most: tokens of a group, padding among them.
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
