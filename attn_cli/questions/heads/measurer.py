"""One model that measures texts, a window or a piece at a time, in this process or on a worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from attn_cli.cli.inputs import Given
from attn_cli.cli.loading import loaded_once
from attn_cli.cli.texts import Sentence, located
from attn_cli.data.model import ModelInfo
from attn_cli.data.plan import choose_kind, make_plan
from attn_cli.data.selection import Kind
from attn_cli.data.stream import Source
from attn_cli.data.sums import Sums
from attn_cli.errors import AttnError, InputError
from attn_cli.measure.corpus import Tally, gather
from attn_cli.measure.derived import measured, measured_model
from attn_cli.models import Model
from attn_cli.questions.heads.gathered import Asked, Gathered
from attn_cli.questions.heads.needles import Hidden, known_texts
from attn_cli.questions.heads.probe import Series, check_kind
from attn_cli.questions.heads.retrieval import NeedleCuts, hide_all
from attn_cli.questions.heads.treebank import Tree, TreeSource

__all__ = ["Measurer", "Piece", "Text", "WindowSums", "cut_on_worker", "measure_on_worker", "measure_piece_on_worker"]

Text = Sentence | Tree | InputError
"""A text to measure, a sentence of a treebank, or the fault of one that cannot be used."""
Piece = Series | int
"""The texts that are measured in one piece: a series of a probe's texts, or the number of a needle."""


@dataclass(frozen=True, slots=True)
class WindowSums:
    """The sums over one window of a corpus, or over one piece of made texts."""

    sums: Sums
    tally: Tally
    left_out: list[tuple[int, AttnError]] = field(default_factory=list)


@dataclass(eq=False)
class Measurer:
    """A model with the settings by which it reads and measures texts."""

    texts: Given
    asked: Asked
    targeted: bool = False
    """True if the first text of the corpus has a target, which decides the kind of attention that is measured."""
    described: tuple[ModelInfo, str] | None = None
    """The model's facts and fingerprint as the workers say them; None to take them from the model itself."""
    left_out: list[tuple[int, AttnError]] = field(default_factory=list)
    """Number in the corpus and fault of each text that cannot be measured."""

    @cached_property
    def model(self) -> Model:
        """The model, loaded on first use."""
        return self.texts.load()

    @cached_property
    def hidden(self) -> Hidden:
        """The needles, hidden in texts of this model's tokens."""
        return hide_all(self.model, self.asked.selection, known_texts())

    @property
    def info(self) -> ModelInfo:
        """The facts of the model, with the heads that the measure has."""
        info = self.described[0] if self.described else self.model.info
        return measured_model(info, self.asked.selection.measure)

    @property
    def fingerprint(self) -> str:
        """The fingerprint that tells this model from every other."""
        return self.described[1] if self.described else self.model.fingerprint

    @property
    def to_send(self) -> Measurer:
        """A copy to send to a worker, without what belongs to this process."""
        return Measurer(replace(self.texts, sentences=iter(())), self.asked, targeted=self.targeted)

    def kind(self, *, targeted: bool) -> Kind | None:
        """Return the kind of attention that is measured of a text; None if the model has no attention.

        Args:
            targeted: true if the text has a target.

        Raises:
            SelectionError: the model has no attention of the kind that is selected.
        """
        info = self.info
        if not info.stacks:
            return None
        # A model without attention in its encoder translates each text that has no target.
        targeted = targeted or "encoder" not in info.stacks
        return choose_kind(info.stacks, self.asked.selection.kind, has_target=targeted, name=info.name)

    def check_probe(self, *, targeted: bool) -> None:
        """Check that a probe beside a text measures the kind of attention that the text's figures are of.

        Raises:
            SelectionError: it does not.
        """
        check_kind(self.info, self.kind(targeted=targeted))

    def window(self, texts: Iterable[tuple[int, Text]]) -> WindowSums:
        """Measure one window of texts, given with their numbers in the corpus."""
        collect = Gathered(self.asked).texts
        if collect is None:
            raise TypeError("there are no texts")
        tally = gather(self.sources(texts), collect, verify=self.texts.model.verify)
        return WindowSums(collect.state(), tally, self.left_out)

    def sources(self, texts: Iterable[tuple[int, Text]]) -> Iterator[Source | None]:
        """Prepare texts for the model, truncated where too long; yield None for each that cannot be measured."""
        return (self._source(text, number) for number, text in texts)

    def _source(self, text: Text, number: int) -> Source | None:
        if isinstance(text, InputError):
            self.left_out.append((number, text))
            return None
        sentence = Sentence(text.text, text.where) if isinstance(text, Tree) else text
        whole = replace(self.texts, reading=replace(self.texts.reading, truncate=True))
        selection = self.asked.selection
        try:
            source = whole.prepared(self.model, sentence)
            self._check_kind(source)
            if not selection.special or selection.sink is not True:
                make_plan(source, selection)  # all of the text may be hidden
            source = measured(source, selection)
        except InputError as error:
            self.left_out.append((number, error if not sentence.where else located(error, sentence.where)))
            return None
        return TreeSource.of(source, text) if isinstance(text, Tree) else source

    def _check_kind(self, source: Source) -> None:
        """Check that a text shows the same kind of attention as the first, whichever process or part measures it.

        Raises:
            InputError: it does not, as only one of them has a target.
        """
        kind = self.kind(targeted=self.targeted)
        if self.kind(targeted=source.target is not None) != kind:
            has = "no target" if kind == "cross" else "a target"
            raise InputError(
                f"There is {has}, and {kind} attention is measured, as in the first text", "Choose one with --kind"
            )

    def piece(self, piece: Piece) -> WindowSums:
        """Measure one series of a probe, or one needle."""
        gathered, verify = Gathered(self.asked), self.texts.model.verify
        if isinstance(piece, str) and gathered.probe is not None:
            tally = gathered.probe.measure(piece, self.model, self._made, verify=verify)
            return WindowSums(gathered.probe.state(), tally)
        if not isinstance(piece, str) and gathered.needles is not None:
            tally = gathered.needles.measure(self.model, self.hidden, piece, verify=verify)
            return WindowSums(gathered.needles.state(), tally)
        raise TypeError(f"{piece} was not asked for")

    def _made(self, text: str) -> Source:
        """Prepare a text of the probe."""
        whole = replace(self.texts, reading=replace(self.texts.reading, truncate=True, target=None), pair=None)
        return whole.prepared(self.model, Sentence(text))

    def cut(self, cuts: NeedleCuts, number: int) -> Counter[int]:
        """Return the numbers of the cuts in which a needle is found, each counted once."""
        needle = known_texts().needles[number]
        hidden = [one for one in self.hidden.needles if one.needle == needle]
        return cuts.measure(self.model, hidden[0]) if hidden else Counter()


def _with_model(measurer: Measurer) -> Measurer:
    """Give a measurer that was sent to this worker the model that the worker keeps."""
    texts = measurer.texts
    measurer.model = loaded_once(texts.model, texts.without, texts.kind)
    return measurer


def measure_on_worker(measurer: Measurer, window: Sequence[tuple[int, Text]]) -> WindowSums:
    """Measure one window on a worker, given with its texts' numbers in the corpus."""
    return _with_model(measurer).window(window)


def measure_piece_on_worker(measurer: Measurer, piece: Piece) -> WindowSums:
    """Measure one series of a probe, or one needle, on a worker."""
    return _with_model(measurer).piece(piece)


def cut_on_worker(measurer: Measurer, cuts: NeedleCuts, number: int) -> Counter[int]:
    """Look for a needle without some heads, on a worker."""
    return _with_model(measurer).cut(cuts, number)
