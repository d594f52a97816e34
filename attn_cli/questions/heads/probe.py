"""Texts generated to probe heads: random tokens that come twice, one token repeated, and sentences with a pronoun.

Random tokens have no meaning that a head could use, so a head that looks at the token after the previous occurrence of
the same token copies (Olsson et al. 2022, "In-context Learning and Induction Heads"). In a text that repeats one token,
only its position distinguishes the first: a control for sinks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from attn_cli.data.model import ModelInfo
from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Selection, check_probed
from attn_cli.data.stream import Eat, Request, Source
from attn_cli.errors import ModelError
from attn_cli.measure.corpus import gather
from attn_cli.questions.heads.measure import CollectHeads, HeadsFound
from attn_cli.questions.heads.pronouns import CollectPronouns, Pronoun
from attn_cli.questions.heads.roles import COREFERENCE, ROLES

__all__ = ["Reads", "probe", "repeated", "with_pronouns"]

TEXTS = 16
"""Number of texts of random tokens, and of texts that repeat one token."""
LENGTH = 32
"""Most random tokens in a text, which then repeats them once."""


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
    report = gather(twice, scored, verify=verify)
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
        return self._plan(source).request()

    def turn(self, source: Source) -> Eat:
        plan = self._plan(source)
        self.pronouns.turn(source.source, plan.queries, self.sentences[id(source)])
        return Regroup(plan.queries, plan.keys, self.pronouns)
