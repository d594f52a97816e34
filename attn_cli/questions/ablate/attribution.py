"""Contribution of each head to the logit of a token, beside the effect of its cut: `attn ablate --attribution`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from attn_cli.answer import Answer
from attn_cli.data.attribution import Attribution, does_not_continue
from attn_cli.data.model import GuidedHead
from attn_cli.data.outcomes import Wanted
from attn_cli.data.record import Record
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.stream import Report, Request
from attn_cli.data.without import typed_without
from attn_cli.errors import ModelError, UsageError, quoted
from attn_cli.io.csv import Cell
from attn_cli.models import Input, Model
from attn_cli.models.encoding import named_alone
from attn_cli.models.spelled import one_token
from attn_cli.questions.ablate.choices import HEADS, ITS_OWN, CutChoice, OutputChoice, check_attribution
from attn_cli.questions.ablate.measure import cut_every_head
from attn_cli.questions.ablate.output import OutputWord, ReadOutput
from attn_cli.questions.ablate.reader import read_output
from attn_cli.questions.ablate.trials import Ablation, beyond_rounding, rank_correlation

__all__ = ["Attributed", "HeadPart", "attribute"]


@dataclass(frozen=True, slots=True)
class HeadPart:
    """Contribution of one head to the logit."""

    kind: Kind
    layer: int
    head: int
    part: float
    effect: float | None
    """The effect of its cut on the output; None if nothing was cut."""


@dataclass(frozen=True, eq=False, repr=False)
class Attributed(Answer):
    """The answer of `attn ablate --attribution`."""

    record: Record
    """The model, the text and the selection, without maps."""
    attribution: Attribution
    names: tuple[str, str | None]
    """The texts of the token and of the one that it is held against."""
    is_likeliest: bool
    """True if the token is the likeliest, as none was named."""
    probability: float
    """The token's probability."""
    ablation: Ablation | None = None
    """The effects of cutting each head in turn, if they were asked for."""

    columns = ("part", "kind", "layer", "head", "logit", "effect")

    @property
    def title(self) -> str:
        return self.record.source.text

    @property
    def without(self) -> str:
        return typed_without(self.record.model.without)

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        return self.record.model.guided_among([(one.kind, one.layer, one.head) for one in self.heads])

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Notes of the reading, of the soft cap, and of the runs with cuts."""
        notes = [*self.record.notes, *(self.ablation.notes if self.ablation is not None else ())]
        if self.attribution.capped is not None:
            notes.append(
                f"The model caps its logits softly, and the parts add up to the logit before that; after it, it is "
                f"{self.attribution.capped:.2f}"
            )
        return tuple(dict.fromkeys(notes))

    @cached_property
    def heads(self) -> tuple[HeadPart, ...]:
        """The part of each head, by layer."""
        effects = {
            (trial.kind, layer, head): trial.effect
            for trial in (self.ablation.trials if self.ablation is not None else ())
            for layer, heads in trial.heads.items()
            for head in heads
        }
        return tuple(
            HeadPart(kind, layer, head, part, effects.get((kind, layer, head)))
            for (kind, layer), parts in sorted(self.attribution.parts.heads.items())
            for head, part in enumerate(parts.tolist())
        )

    @property
    def ranked(self) -> list[HeadPart]:
        """The heads by the size of their part, largest first."""
        return sorted(self.heads, key=lambda one: -abs(one.part))

    @property
    def correlation(self) -> float | None:
        """Spearman's rank correlation of the heads' parts and what the output loses by their cuts, signs counted."""
        dtype = self.record.model.dtype
        return rank_correlation(
            [(one.part, -beyond_rounding(one.effect, dtype)) for one in self.heads if one.effect is not None]
        )

    def rows(self) -> Iterable[Sequence[Cell]]:
        """Yield a row for each part, and two for their sum and the model's own logit."""
        parts = self.attribution.parts
        yield "embedding", None, None, None, parts.embedding, None
        for one in self.heads:
            yield "head", one.kind, one.layer, one.head, one.part, one.effect
        for name, layers in parts.written.items():
            for layer, part in layers.items():
                yield name, None, layer, None, part, None
        yield "biases", None, None, None, parts.biases, None
        yield "sum", None, None, None, parts.total, None
        yield "logit", None, None, None, self.attribution.logit, None


def attribute(
    model: Model,
    given: Input,
    selection: Selection,
    output: OutputChoice = ITS_OWN,
    cut: CutChoice = HEADS,
    *,
    verify: bool = False,
) -> Attributed:
    """Compute what each head adds to the logit of the next token of a text by itself.

    Args:
        model: a loaded decoder.
        given: the text, and the token as its target; none for the likeliest.
        selection: words or tokens; all heads are taken.
        output: the token to hold it against, and what is taken of a target of several tokens.
        cut: with `instead`, each head is also cut in turn; without it nothing is.
        verify: also run the model without attn, and compare.

    Raises:
        UsageError: a choice is about other outputs, or the target has several tokens.
        InputError: the text cannot be used.
        ModelError: the model does not continue texts, or its logits are not sums of parts.
    """
    check_attribution(selection, output, cut)
    if not model.info.stacks:
        raise ModelError(model.info.without_attention, "Name another model with --model")
    if model.outputs[0] != "next":
        raise does_not_continue(model.info.name)
    read = read_output(model, given, output, selection.unit, only_next=True)
    tokens = read.source.source.tokens
    if given.target is None:
        place, token = len(tokens) - 1, None
    elif len(read.wanted.places) > 1:
        pieces = ", ".join(tokens[place + 1].piece for place in read.wanted.places)
        raise UsageError(
            f"{quoted(str(given.target))} is {len(read.wanted.places)} tokens here ({pieces}), and --attribution takes "
            "the logit of one apart",
            one_token(model, given, str(given.target)) or "Add --target-tokens first, or give a word that is one token",
        )
    else:
        (place,) = read.wanted.places
        token = tokens[place + 1].id
    against = None if read.against is None else read.against[1]
    found = model.attribute(read.source, place, token, against)
    (name,) = model.spell_tokens([found.token])
    likely = found.logits.astype(np.float64)
    chance = float(np.exp(likely[found.token] - likely.max()) / np.exp(likely - likely.max()).sum())
    report = Report()
    if verify:
        heads = {
            kind: {layer: tuple(range(count)) for layer, count in stack.heads.items()}
            for kind, stack in model.info.stacks.items()
        }
        report = read.source.stream(Request(heads, verify=True), lambda _: None)
    answer = Attributed(
        Record.of(read.source, report, selection),
        found,
        (name, None if read.names is None else read.names[1]),
        given.target is None,
        chance,
    )
    if cut.instead is None:
        return answer
    if token is None:
        read = _of_token(read, place, found.token, name)
    return replace(answer, ablation=cut_every_head(model, given, read, selection, cut))


def _of_token(read: ReadOutput, place: int, token: int, name: str) -> ReadOutput:
    """Return the reading of a text whose output is one token after it, which the text does not hold."""
    label = named_alone(name)
    word = OutputWord(label, place + 1, special=False, places=(0,))
    wanted = Wanted("next", (place,), tokens=False)
    labels = (f"in the place of {label}",)
    return replace(read, wanted=wanted, words=(word,), ids=(token,), likeliest=True, place_labels=labels)
