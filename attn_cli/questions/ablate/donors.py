"""Replacements of heads' outputs: their means over texts, or their outputs in another text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from attn_cli.data.model import ModelInfo
from attn_cli.data.selection import KINDS, Kind, Selection
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Source
from attn_cli.errors import AttnError, InputError, left_out
from attn_cli.models import Input, Model
from attn_cli.models.prepare import read

__all__ = [
    "CHUNK",
    "CollectMeans",
    "Contexts",
    "Donor",
    "Means",
    "SumsOfOutputs",
    "contexts_of",
    "cut_kinds",
    "mean_outputs",
    "probe_name",
    "probe_size",
    "probe_texts",
]

CHUNK = 8
"""Texts whose sums are added up by themselves, so that they give the same wherever they are measured."""
Contexts = Mapping[tuple[Kind, int], Float[np.ndarray, "head #query dim"]]
"""Vectors of the heads of each layer, by kind and layer."""


@dataclass(frozen=True)
class Donor:
    """The texts that heads' outputs are taken from."""

    name: str
    """The text itself, or the name of several."""
    several: bool
    """True if the name is that of several texts."""
    texts: int
    tokens: int
    """Tokens of the texts, and of their targets where the heads of a decoder behind an encoder are replaced."""


@dataclass(frozen=True, eq=False)
class Means:
    """Each head's mean output over all positions of some texts."""

    donor: Donor
    vectors: Contexts
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SumsOfOutputs:
    """The sums of the heads' outputs over some texts, to be sent from one process to another."""

    sums: Mapping[tuple[Kind, int], Float[np.ndarray, "head dim"]]
    counts: Mapping[tuple[Kind, int], int]
    """The number of positions."""
    left_out: Sequence[AttnError]
    texts: int
    tokens: int


class CollectMeans:
    """A collector of each head's mean output over one text after another; only their sums are kept.

    Args:
        model: a loaded model; None if the texts are measured elsewhere, and merged here.
        kinds: the kinds of attention that means are wanted of. For those of a decoder behind an encoder, a text without
            a target is translated first.
    """

    def __init__(self, model: Model | None, kinds: Collection[Kind]) -> None:
        self._model, self._kinds = model, kinds
        self._sums: dict[tuple[Kind, int], Float[np.ndarray, "head dim"]] = {}
        self._counts: dict[tuple[Kind, int], int] = {}
        self._left_out: list[AttnError] = []
        self._texts = self._tokens = 0

    def add(self, text: Input | Source) -> None:
        """Add a text; one that the model cannot read is counted and left out.

        Raises:
            AttnError: the model cannot be run, or cannot translate.
            TypeError: the collector has no model.
        """
        if self._model is None:
            raise TypeError("there is no model to run a text with")
        written = next((kind for kind in self._kinds if kind != "encoder"), None)
        try:
            source = read(self._model, text, Selection(kind=written)) if isinstance(text, Input) else text
        except InputError as fault:
            self._left_out.append(fault)
            return
        self._model.contexts(source, self._eat)
        self._texts += 1
        self._tokens += len(source.source) + len(source.target or ())

    def _eat(self, kind: Kind, layer: int, sums: Float[np.ndarray, "head query dim"]) -> None:
        if kind in self._kinds:
            place = kind, layer
            self._sums[place] = self._sums.get(place, 0) + sums.sum(axis=1, dtype=np.float64)
            self._counts[place] = self._counts.get(place, 0) + sums.shape[1]

    def fresh(self) -> CollectMeans:
        """Return a collector of the same means that has seen no text."""
        return CollectMeans(self._model, self._kinds)

    def sums(self) -> SumsOfOutputs:
        """Return all sums so far, for `merge`."""
        return SumsOfOutputs(self._sums, self._counts, self._left_out, self._texts, self._tokens)

    def merge(self, other: SumsOfOutputs) -> None:
        """Add the sums of another collector of the same means, over other texts."""
        for place, sums in other.sums.items():
            self._sums[place] = self._sums.get(place, 0) + sums
            self._counts[place] = self._counts.get(place, 0) + other.counts[place]
        self._left_out += other.left_out
        self._texts += other.texts
        self._tokens += other.tokens

    def found(self, name: str, *, several: bool = True) -> Means:
        """Return the means over the texts so far; see `Donor` for their name.

        Raises:
            InputError: there is no text that the model can read.
        """
        if not self._texts:
            raise self._left_out[0] if self._left_out else InputError("There are no texts", "Give at least one")
        vectors = {
            place: np.ascontiguousarray((sums / self._counts[place])[:, None], np.float32)
            for place, sums in self._sums.items()
        }
        donor = Donor(name, several, self._texts, self._tokens)
        return Means(donor, vectors, left_out(self._left_out, f" of {name}"))


def mean_outputs(
    model: Model,
    texts: Iterable[Input | Source],
    selection: Selection,
    name: str,
    *,
    several: bool = True,
    advance: Callable[[], object] = lambda: None,
) -> Means:
    """Return each head's mean output over all positions of some texts, one of which is held at a time.

    Args:
        model: a loaded model.
        texts: the texts.
        selection: the heads that are to be replaced.
        name: the text itself, or the name of several.
        several: whether it is the name of several.
        advance: called after each text.

    Raises:
        AttnError: there is no text that the model can read, or the model cannot be run.
    """
    collect, rest = CollectMeans(model, cut_kinds(model.info, selection)), iter(texts)
    while chunk := list(islice(rest, CHUNK)):
        own = collect.fresh()
        for text in chunk:
            own.add(text)
            advance()
        collect.merge(own.sums())
    return collect.found(name, several=several)


def probe_texts(model: Model, given: Input, seed: int) -> Iterator[Input | Source]:
    """Yield the texts that `attn heads --probe` generates: random tokens that come twice, and sentences with a pronoun.

    An encoder-decoder reads the sentences alone, as random tokens have no translation.

    Args:
        model: a loaded model.
        given: the languages of a text, for models that must be told them.
        seed: seed of the texts.

    Raises:
        ModelError: the model has too few tokens or positions.
    """
    # Imported late: measuring heads is not needed otherwise.
    from attn_cli.questions.heads.probe import pronouns, repeated

    if "cross" not in model.info.stacks:
        twice, _ = repeated(model, seed)
        yield from twice
    for sentence in pronouns(seed):
        yield Input(sentence.text, languages=given.languages, truncate=True)


def probe_size(model: ModelInfo, seed: int) -> int:
    """Return the number of the texts of `probe_texts`."""
    # Imported late, as above.
    from attn_cli.questions.heads.probe import TEXTS, pronouns

    return len(pronouns(seed)) + (0 if "cross" in model.stacks else TEXTS)


def probe_name(seed: int) -> str:
    """Return the name of the texts of `probe_texts`."""
    return f"the probe (seed {seed})"


def cut_kinds(model: ModelInfo, selection: Selection) -> tuple[Kind, ...]:
    """Return the kinds of attention whose heads a selection cuts: all of them in turn, or those of the first kind."""
    kinds = tuple(kind for kind in KINDS if kind in model.stacks)
    if selection.kind is not None:
        return (selection.kind,)
    return kinds if selection.layer is None and selection.head is None else kinds[:1]


def contexts_of(model: Model, source: Source, heads: Mapping[Kind, Collection[int]], *, mean: bool) -> Contexts:
    """Return the outputs of the heads of some layers in one text.

    Args:
        model: the model that prepared the text.
        source: the text.
        heads: the layers wanted of each kind.
        mean: true for their mean over the text's positions.

    Raises:
        ModelError: the model could not be run.
    """
    found: dict[tuple[Kind, int], Float[np.ndarray, "head #query dim"]] = {}

    def keep(kind: Kind, layer: int, sums: Float[np.ndarray, "head query dim"]) -> None:
        if layer in heads.get(kind, ()):
            found[kind, layer] = sums.mean(axis=1, keepdims=True) if mean else sums

    model.contexts(source, keep)
    return found
