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
from typing import Protocol, runtime_checkable

import numpy as np

from attn_cli.data.model import ModelInfo
from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Kind, Selection, check_probed
from attn_cli.data.shapes import Int
from attn_cli.data.stream import Block, Eat, Request, Source
from attn_cli.data.text import Tokens
from attn_cli.data.units import Units
from attn_cli.errors import ModelError
from attn_cli.measure.corpus import gather
from attn_cli.questions.heads.measure import CollectHeads, HeadsFound
from attn_cli.questions.heads.relations import margin
from attn_cli.questions.heads.roles import COREFERENCE, ROLES
from attn_cli.questions.heads.scores import RoleScore

__all__ = ["CollectPronouns", "Pronoun", "Reads", "probe", "pronouns", "repeated", "with_pronouns"]

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


def probe(
    model: Reads, selection: Selection, seed: int, found: HeadsFound | None = None, *, verify: bool = False
) -> HeadsFound:
    """Measure what heads do with random tokens.

    Args:
        model: model to probe.
        selection: kind, layers and heads to measure; its unit is ignored, since units are tokens here.
        seed: seed of the random tokens.
        found: result over other texts, to merge the induction and duplicate scores and the control into.
        verify: also run the model without attn and compare.

    Raises:
        UsageError: a measure other than weights is selected.
        SelectionError: a selected kind, layer or head does not exist.
        ModelError: the model has no self-attention, too few tokens, or could not be run.
        ExactnessError: the model did not return valid attention weights.
    """
    check_probed(selection)
    selection = replace(selection, unit="token")
    kinds = [kind for kind in model.info.stacks if kind != "cross"]
    if model.info.stacks and (not kinds or selection.kind == "cross"):
        raise ModelError("--probe looks at self-attention, and this is cross-attention", "Leave --probe out")
    twice, alone = repeated(model, seed)
    scored, control = CollectHeads(selection), CollectHeads(selection, roles=())
    report = gather(twice, scored, verify=verify).report
    gather(alone, control)
    probed = scored.found(model.info, report, f"random tokens twice (seed {seed})")
    firsts = {(one.layer, one.head): one.summary.first for one in control.result()}
    base = probed if found is None else found
    roles = [role for role in ROLES if role.probed]
    told = base.with_scores(
        ((one.layer, one.head, [score for score in one.scores if score.role in roles]) for one in probed.heads),
        roles,
    )
    return replace(told, heads=tuple(replace(one, control=firsts.get((one.layer, one.head))) for one in told.heads))


@dataclass(frozen=True, slots=True)
class Pronoun:
    """A sentence with a pronoun that could stand for two nouns, each located by the index of its first character."""

    text: str
    pronoun: int
    meant: int
    other: int


def pronouns(seed: int) -> list[Pronoun]:
    """Return sentences of the built-in models' grammar, every second one the twin of the one before."""
    # Imported late: the grammar reads its tables of words.
    from attn_cli.grammar.sentences import held_out

    return [
        Pronoun(one.english, one.coreference.pronoun[0], one.coreference.meant[0], one.coreference.other[0])
        for one in held_out(SENTENCES, seed)
        if one.coreference is not None
    ]


def with_pronouns(
    sentences: Sequence[Pronoun], prepare: Callable[[str], Source], found: HeadsFound, selection: Selection
) -> HeadsFound:
    """Add each head's coreference score to a result.

    Args:
        sentences: sentences with a pronoun, each with its twin.
        prepare: function that prepares a text for the model.
        found: result to add the scores to.
        selection: kind, layers and heads to measure.
    """
    collect = _Pronouns(selection, {})
    sources = []
    for sentence in sentences:
        source = prepare(sentence.text)
        collect.sentences[id(source)] = sentence
        sources.append(source)
    gather(sources, collect)
    scores = [(layer, head, [score]) for layer, head, score in collect.pronouns.result]
    return found.with_scores(scores, [COREFERENCE])


class _Pronouns:
    """Collector of pronouns that knows the pronoun of each sentence."""

    def __init__(self, selection: Selection, sentences: dict[int, Pronoun]) -> None:
        self.pronouns = CollectPronouns()
        self.sentences = sentences
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
        self._right: dict[tuple[Kind, int], tuple[tuple[int, ...], Int[np.ndarray, "head"]]] = {}
        self._seen: dict[tuple[Kind, int], list[int]] = {}
        """Number of sentences, and of those whose first noun is meant."""
        self._places: tuple[int, int, int] | None = None

    def turn(self, tokens: Tokens, units: Units, pronoun: Pronoun) -> None:
        """Turn to the next sentence, whose blocks come in these units (see `Regroup`)."""
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
