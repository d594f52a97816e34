"""Texts generated to probe heads: random tokens that come twice, one token repeated, and sentences with a pronoun.

Random tokens have no meaning that a head could use, so a head that looks at the token after the previous occurrence of
the same token copies (Olsson et al. 2022, "In-context Learning and Induction Heads"). In a text that repeats one token,
only its position distinguishes the first: a control for sinks.

A sentence in which a pronoun could stand for two nouns has a twin in which the other is meant (the Winograd schemas of
Levesque, Davis and Morgenstern 2012), so a head that always prefers the same noun is right in half of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from attn_cli.data.model import ModelInfo
from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import KINDS, Kind, Selection, check_probed
from attn_cli.data.shapes import Int
from attn_cli.data.stream import Block, Eat, Report, Request, Source
from attn_cli.data.sums import Sums, layers_in, of_part, with_part
from attn_cli.data.text import Tokens
from attn_cli.data.units import Units
from attn_cli.errors import ModelError
from attn_cli.measure.corpus import Tally, gather
from attn_cli.questions.heads.measure import CollectHeads, HeadsFound
from attn_cli.questions.heads.relations import margin
from attn_cli.questions.heads.roles import COREFERENCE, ROLES
from attn_cli.questions.heads.scores import RoleScore

__all__ = [
    "SERIES",
    "CollectProbe",
    "CollectPronouns",
    "Pronoun",
    "Reads",
    "Series",
    "check_kind",
    "probe",
    "pronouns",
    "reads_pronouns",
    "repeated",
]

Series = Literal["twice", "alone", "pronouns"]
"""Texts of random tokens that come twice, texts that repeat one token, or sentences with a pronoun."""
SERIES: tuple[Series, ...] = ("twice", "alone", "pronouns")

TEXTS = 16
"""Number of texts of random tokens, and of texts that repeat one token."""
LENGTH = 32
"""Most random tokens in a text, which then repeats them once."""
SENTENCES = 300
"""Number of sentences with a pronoun."""


@runtime_checkable
class Reads(Protocol):
    """Interface that a probe needs of a model."""

    @property
    def info(self) -> ModelInfo:
        """The model's shape and name."""

    def plain_tokens(self) -> Sequence[int]:
        """Return the ids of tokens that are words or parts of words, no two of which read the same."""

    def prepare_tokens(self, ids: Sequence[int]) -> Source:
        """Prepare a text of exactly these tokens, between the special ones that the model puts around any text."""


def repeated(model: Reads, seed: int) -> tuple[list[Source], list[Source]]:
    """Draw texts of random tokens that come twice, and texts that repeat one random token.

    Raises:
        ModelError: the model has too few tokens or positions.
    """
    choose = random.Random(seed)  # noqa: S311 - nothing secret
    known = model.plain_tokens()
    room = min(LENGTH, len(known))
    if model.info.positions is not None:
        bare = len(model.prepare_tokens(known[:1]).source) - 1
        room = min(room, (model.info.positions - bare) // 2)
    if room < 2:
        raise ModelError(f"{model.info.name} has too few tokens or positions to be probed", "Choose a text instead")
    drawn = [choose.sample(known, room) for _ in range(TEXTS)]
    alone = [[choose.choice(known)] * (2 * room) for _ in range(TEXTS)]
    return [model.prepare_tokens(ids + ids) for ids in drawn], [model.prepare_tokens(ids) for ids in alone]


def check_kind(model: ModelInfo, kind: Kind | None) -> None:
    """Check that the texts of a probe, which have no target, show attention of this kind; None for the model's first.

    A kind that the model does not have is not told of here.

    Raises:
        ModelError: they do not.
    """
    own = next((one for one in KINDS if one in model.stacks), None)
    kind = kind or own
    if kind not in model.stacks or (kind == own and own != "cross"):
        return
    remedy = "Leave --probe out" if own == "cross" else f"Leave --probe out, or choose --kind {own}"
    if kind == "cross":
        raise ModelError("--probe looks at self-attention, and this is cross-attention", remedy)
    raise ModelError(f"--probe makes texts without a target, and {kind} attention needs one", remedy)


def probe(
    model: Reads,
    selection: Selection,
    seed: int,
    found: HeadsFound | None = None,
    *,
    prepare: Callable[[str], Source] | None = None,
    verify: bool = False,
) -> HeadsFound:
    """Measure what heads do with random tokens.

    Args:
        model: model to probe.
        selection: kind, layers and heads to measure; its unit is ignored, since units are tokens here.
        seed: seed of the random tokens.
        found: result over other texts, to merge the induction and duplicate scores and the control into.
        prepare: function that prepares a sentence for the model; None to leave sentences with a pronoun out.
        verify: also run the model without attn and compare.

    Raises:
        UsageError: a measure other than weights is selected.
        SelectionError: a selected kind, layer or head does not exist.
        ModelError: the attention is not self-attention, or the model has too few tokens or could not be run.
        ExactnessError: the model did not return valid attention weights.
    """
    check_probed(selection)
    kind = selection.kind if found is None else found.kind
    check_kind(model.info, kind)
    collect, tally = CollectProbe(selection, seed), Tally()
    for series in SERIES:
        if series == "pronouns" and (prepare is None or not reads_pronouns(model.info, kind)):
            continue
        told = collect.measure(series, model, prepare, verify=verify)
        tally = told if series == "twice" else tally
    return collect.found(model.info, tally.report) if found is None else collect.added_to(found)


class CollectProbe:
    """A collector of what heads do in the texts of a probe, of which each series can be measured elsewhere.

    Args:
        selection: kind, layers and heads to measure; its unit is ignored, since units are tokens here.
        seed: seed of the texts.
    """

    def __init__(self, selection: Selection, seed: int) -> None:
        self.selection, self.seed = selection, seed
        of_tokens = replace(selection, unit="token")
        self.twice, self.alone = CollectHeads(of_tokens), CollectHeads(of_tokens, roles=())
        self.pronouns = CollectPronouns()

    @property
    def name(self) -> str:
        """Name of the texts of random tokens."""
        return f"random tokens twice (seed {self.seed})"

    def state(self) -> dict[str, np.ndarray]:
        """Return all sums so far as arrays, for `merge`."""
        return {name: array for one in SERIES for name, array in with_part(one, getattr(self, one).state()).items()}

    def merge(self, state: Sums) -> None:
        """Add the sums of another collector of the same figures, over other texts.

        Raises:
            ValueError: they are of other roles, or not of the heads that they name.
            KeyError: some sums are missing.
        """
        for one in SERIES:
            getattr(self, one).merge(of_part(one, state))

    def measure(
        self,
        series: Series,
        model: Reads,
        prepare: Callable[[str], Source] | None = None,
        *,
        verify: bool = False,
    ) -> Tally:
        """Measure one series of texts.

        Args:
            series: the series.
            model: model to probe.
            prepare: function that prepares a sentence for the model; only sentences with a pronoun need it.
            verify: also run the model without attn and compare, over the texts of random tokens.

        Raises:
            SelectionError: a selected kind, layer or head does not exist.
            ModelError: the attention is not self-attention, or the model has too few tokens or could not be run.
            ExactnessError: the model did not return valid attention weights.
        """
        check_kind(model.info, self.selection.kind)
        if series != "pronouns":
            twice, alone = repeated(model, self.seed)
            return gather(twice, self.twice, verify=verify) if series == "twice" else gather(alone, self.alone)
        if prepare is None:
            raise TypeError("there is nothing to prepare sentences with")
        return self.measure_pronouns(pronouns(self.seed), prepare)

    def measure_pronouns(self, sentences: Sequence[Pronoun], prepare: Callable[[str], Source]) -> Tally:
        """Measure which noun heads prefer in sentences with a pronoun, each with its twin; see `measure`."""
        collect = _Pronouns(self.selection, self.pronouns)
        sources = []
        for sentence in sentences:
            source = prepare(sentence.text)
            collect.sentences[id(source)] = sentence
            sources.append(source)
        return gather(sources, collect)

    def found(self, model: ModelInfo, report: Report) -> HeadsFound:
        """Return the result over the texts so far, by themselves.

        Raises:
            ModelError: they show cross-attention.
        """
        return self.added_to(self.twice.found(model, report, self.name))

    def added_to(self, found: HeadsFound) -> HeadsFound:
        """Put the scores of the series that were measured in a result over other texts, or over random tokens.

        Raises:
            ModelError: the result is of another kind of attention than that of a probe's texts.
        """
        check_kind(found.record.model, found.kind)
        if self.twice.texts:
            roles = [role for role in ROLES if role.probed]
            found = found.with_scores(
                (
                    (one.summary.layer, one.summary.head, [score for score in one.scores if score.role in roles])
                    for one in self.twice.result()
                ),
                roles,
            )
        if self.alone.texts:
            firsts = {(one.layer, one.head): one.summary.first for one in self.alone.result()}
            heads = tuple(replace(one, control=firsts.get((one.layer, one.head))) for one in found.heads)
            found = replace(found, heads=heads)
        if self.pronouns.texts and reads_pronouns(found.record.model, found.kind):
            scores = [(layer, head, [score]) for layer, head, score in self.pronouns.result]
            found = found.with_scores(scores, [COREFERENCE])
        return found


@dataclass(frozen=True, slots=True)
class Pronoun:
    """A sentence with a pronoun that could stand for two nouns, each located by the index of its first character."""

    text: str
    pronoun: int
    meant: int
    other: int


def reads_pronouns(model: ModelInfo, kind: Kind | None) -> bool:
    """Return whether sentences with a pronoun say something of a model's attention of this kind; None for its first."""
    return kind in {"encoder", None} or "cross" not in model.stacks


def pronouns(seed: int) -> list[Pronoun]:
    """Return sentences of the built-in models' grammar, every second one the twin of the one before."""
    # Imported late: the grammar reads its tables of words.
    from attn_cli.grammar.sentences import held_out

    return [
        Pronoun(one.english, one.coreference.pronoun[0], one.coreference.meant[0], one.coreference.other[0])
        for one in held_out(SENTENCES, seed)
        if one.coreference is not None
    ]


class _Pronouns:
    """Collector of pronouns that knows the pronoun of each sentence."""

    def __init__(self, selection: Selection, collect: CollectPronouns) -> None:
        self.pronouns = collect
        self.sentences: dict[int, Pronoun] = {}
        self._selection = replace(selection, unit="word", special=True, sink=True)

    def _plan(self, source: Source) -> Plan:
        return make_plan(source, self._selection)

    def request(self, source: Source) -> Request:
        return self._plan(source).request(in_place=True)

    def turn(self, source: Source) -> Eat:
        plan = self._plan(source)
        self.pronouns.turn(source.source, plan.queries, self.sentences[id(source)])
        return Regroup(plan.queries, plan.keys, self.pronouns)


class CollectPronouns:
    """Collector of each head's coreference score, over one sentence after another."""

    def __init__(self) -> None:
        self.texts = 0
        self._right: dict[tuple[Kind, int], tuple[tuple[int, ...], Int[np.ndarray, "head"]]] = {}
        self._seen: dict[tuple[Kind, int], list[int]] = {}
        """Number of sentences, and of those whose first noun is meant."""
        self._places: tuple[int, int, int] | None = None

    def turn(self, tokens: Tokens, units: Units, pronoun: Pronoun) -> None:
        """Turn to the next sentence, whose blocks come in these units (see `Regroup`)."""
        self.texts += 1
        found = [_unit_at(tokens, units, place) for place in (pronoun.pronoun, pronoun.meant, pronoun.other)]
        whole = [unit for unit in found if unit is not None]
        self._places = (whole[0], whole[1], whole[2]) if len(set(whole)) == 3 else None

    def __call__(self, block: Block) -> None:
        if self._places is None:
            return
        query, meant, other = self._places
        row = query - block.start
        if not 0 <= row < block.visible.shape[0]:
            return
        first, stop = block.visible[row]
        if not (first <= meant < stop and first <= other < stop):
            return
        place = block.kind, block.layer
        _, right = self._right.get(place, ((), np.zeros(len(block.heads), np.intp)))
        weights = np.asarray(block.weights[:, row])
        self._right[place] = block.heads, right + (weights[:, meant] > weights[:, other])
        seen = self._seen.setdefault(place, [0, 0])
        seen[0] += 1
        seen[1] += meant < other

    def state(self) -> dict[str, np.ndarray]:
        """Return the counts so far as arrays, for `merge`."""
        state = {"texts": np.array(self.texts, np.int64)}
        for (kind, layer), (heads, right) in self._right.items():
            state[f"{kind}.{layer}.heads"] = np.array(heads, np.int64)
            state[f"{kind}.{layer}.right"] = right
            state[f"{kind}.{layer}.seen"] = np.array(self._seen[kind, layer], np.int64)
        return state

    def merge(self, state: Sums) -> None:
        """Add the counts of another collector over other sentences.

        Raises:
            ValueError: they are not of the heads that they name.
            KeyError: some are missing.
        """
        self.texts += int(state["texts"])
        for kind, layer, heads in layers_in(state):
            right, (count, first) = state[f"{kind}.{layer}.right"], state[f"{kind}.{layer}.seen"].tolist()
            if right.shape != (len(heads),):
                raise ValueError(f"{kind}.{layer}.right has shape {right.shape}")
            _, known = self._right.get((kind, layer), ((), 0))
            self._right[kind, layer] = heads, known + right
            seen = self._seen.setdefault((kind, layer), [0, 0])
            seen[0] += count
            seen[1] += first

    @property
    def result(self) -> list[tuple[int, int, RoleScore]]:
        """Layer, head and score of each head."""
        scores = []
        for (kind, layer), (heads, right) in self._right.items():
            count, first = self._seen[kind, layer]
            for head, correct in zip(heads, right.tolist(), strict=True):
                share = correct / count
                score = RoleScore(
                    COREFERENCE,
                    score=share,
                    baseline=max(first, count - first) / count,
                    rows=count,
                    margin=margin(share, count),
                )
                scores.append((layer, head, score))
        return scores


def _unit_at(tokens: Tokens, units: Units, place: int) -> int | None:
    """Find the shown unit that contains this character; None if there is none."""
    for unit in range(len(units)):
        word = tokens.tokens[units.token_positions(unit)[0]].word
        if word is not None and tokens.words[word].start <= place < tokens.words[word].end:
            return unit
    return None
