"""Parts of a corpus, a probe or needles, measured on several machines: the figures over one part, and over all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from attn_cli.data.model import ModelInfo
from attn_cli.data.record import Record
from attn_cli.data.selection import Selection
from attn_cli.data.shard import Shard
from attn_cli.data.stream import Report
from attn_cli.data.sums import layers_in, of_part
from attn_cli.errors import AttnError, InputError, ModelError, UsageError, left_out
from attn_cli.io.parts import FORMAT, LeftOutEntry, SavedPart, SavedPartEntry, check_whole, read_part
from attn_cli.measure.corpus import Tally
from attn_cli.questions.heads.gathered import Asked, Gathered
from attn_cli.questions.heads.measure import HeadsFound
from attn_cli.questions.heads.probe import SERIES

__all__ = ["CorpusPart", "HeadsPart", "measured_with", "merge_parts", "part_figures", "part_of"]


@dataclass(frozen=True, eq=False, repr=False)
class HeadsPart(HeadsFound):
    """The answer of `attn heads --shard`, which is saved to be merged with the other parts."""

    part: SavedPart | None = None

    def archive(self) -> bytes:
        """Write the sums as a NumPy archive.

        Raises:
            TypeError: there are none.
        """
        if self.part is None:
            raise TypeError("there are no sums")
        return self.part.to_bytes()


@dataclass(frozen=True, slots=True)
class CorpusPart:
    """The texts of a part of a corpus."""

    shard: Shard
    corpus: str
    """Name of the corpus."""
    fingerprint: str
    """Fingerprint of all its texts."""
    reading: Mapping[str, str] = field(default_factory=dict)
    """The options, as they were typed, by which the same texts would be read in another way."""
    left_out: Sequence[tuple[int, AttnError]] = ()
    """Number in the corpus and fault of each text that cannot be read, in order."""


def part_of(texts: CorpusPart, model: ModelInfo, fingerprint: str, tally: Tally, gathered: Gathered) -> SavedPart:
    """Describe a part of a corpus that was measured.

    Args:
        texts: the texts of the part.
        model: the model's name and shape, as they are measured.
        fingerprint: fingerprint of its weights.
        tally: what the runs have reported.
        gathered: the collectors of all sums.

    Raises:
        ModelError: the model has no attention.
    """
    if not model.stacks:
        raise ModelError(model.without_attention, "Name another model with --model")
    first = next((LeftOutEntry(number, fault.problem) for number, fault in texts.left_out), None)
    asked = gathered.asked
    entry = SavedPartEntry(
        format=FORMAT,
        finding="heads",
        material=asked.material,
        seed=asked.seed,
        shard=texts.shard.number,
        of=texts.shard.of,
        corpus=texts.corpus,
        corpus_fingerprint=texts.fingerprint,
        model_fingerprint=fingerprint,
        reading=texts.reading,
        texts=tally.texts,
        notes=tally.notes,
        left_out=len(texts.left_out),
        first_left_out=first,
    )
    report = Report(tally.verified, (), tally.output)
    record = Record.without_text(model, report, measured_with(asked.measured))
    return SavedPart(entry, record, gathered.state(), "this run")


def measured_with(selection: Selection) -> Selection:
    """Return a selection as parts hold it, without what only says how figures are drawn."""
    default = Selection()
    # A record says of the first token only that it is shown, where None and True mean the same.
    sink = None if selection.sink and not selection.relevance else selection.sink
    return replace(selection, view=default.view, sort=default.sort, top_k=default.top_k, all=default.all, sink=sink)


def merge_parts(paths: Sequence[Path], choose: Callable[[Selection], Selection] = lambda saved: saved) -> HeadsFound:
    """Merge the parts of a corpus that `attn heads --shard` has saved.

    Args:
        paths: the files of all parts, in any order.
        choose: a function that makes the selection of what they were measured with, which only what says how it is
            drawn may differ from.

    Raises:
        InputError: a file is damaged or no part, a part is missing or given twice, or is of another run.
        UsageError: something is selected but what the parts were measured with.
    """
    parts = check_whole([read_part(path) for path in paths])
    saved = parts[0].record.selection
    selection = choose(saved)
    if measured_with(selection) != saved:
        raise UsageError(
            "Parts of a corpus hold what was selected when they were measured", "Leave the options of the selection out"
        )
    found = _figures_of(parts)
    return replace(found, record=replace(found.record, selection=selection))


def part_figures(part: SavedPart) -> HeadsPart:
    """Return the figures over one part.

    Raises:
        InputError: the part is damaged.
    """
    found = _figures_of([part])
    found = replace(found, seen=f"{part.entry.corpus} ({part.shard})")
    return HeadsPart(**{one.name: getattr(found, one.name) for one in fields(found)}, part=part)


def _figures_of(parts: Sequence[SavedPart]) -> HeadsFound:
    """Return the figures over some parts of a corpus.

    Args:
        parts: the parts, in order; all of them, or one.

    Raises:
        InputError: a part is damaged, or no text of all parts can be read.
    """
    entry, model = parts[0].entry, parts[0].record.model
    gathered, tally = Gathered(Asked(parts[0].record.selection, entry.material, entry.seed)), Tally()
    for part in parts:
        try:
            _check_heads(part)
            gathered.merge(part.sums)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            problem = f"{error} is missing" if isinstance(error, KeyError) else error
            raise InputError(f"{part.name} is damaged: {problem}", "Run attn heads --shard again for it") from error
        record = part.record
        tally.merge(Tally(part.entry.texts, Counter(part.entry.notes), record.verified, record.output))
    if any(part.entry.texts and part.record.verified is None for part in parts):
        tally.verified = None
    if any(part.entry.texts and part.record.output is None for part in parts):
        tally.output = None
    faults, whole = _faults(parts), len(parts) == entry.of
    if faults and not tally.texts and whole:
        raise faults[0]
    count = sum(part.entry.left_out for part in parts)
    report = tally.report
    report = replace(report, notes=(*report.notes, *left_out(faults, count=count)))
    return gathered.found(model, report, entry.corpus, whole=whole)


def _faults(parts: Sequence[SavedPart]) -> list[AttnError]:
    """Return the fault of the first text of the corpus that cannot be read, if there is one."""
    firsts = [one for part in parts if (one := part.entry.first_left_out) is not None]
    return [InputError(one.problem) for one in sorted(firsts, key=lambda one: one.text)[:1]]


def _check_heads(part: SavedPart) -> None:
    """Check that the sums of a part, which may be damaged, are of the model's heads.

    Raises:
        TypeError: some are not numbers.
        ValueError: some are of other heads.
    """
    begins = ("", *(f"probe.{one}" for one in SERIES), "needles")
    for begin in begins:
        for kind, layer, heads in layers_in(of_part(begin, part.sums) if begin else part.sums):
            stack = part.record.model.stacks.get(kind)
            if stack is None or not set(heads) <= set(range(stack.heads.get(layer, 0))):
                raise ValueError(f"there are no heads {heads} in {kind} layer {layer}")
