"""Texts made to find out what heads do: random tokens and the same again, one token over and over, pronouns.

Random tokens have no meaning that a head could go by: who looks there at the token after the one where the same token
stood before, copies (Olsson et al. 2022, "In-context Learning and Induction Heads"). Where one token is all there is,
nothing but its place sets the first apart: a control for sinks.
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
"""Texts of random tokens, and as many of one token."""
LENGTH = 32
"""Random tokens, which are then given once more."""
FROM_PROBE = ("previous occurrence", "induction")
"""Roles whose scores in a text give way to those on random tokens."""


@runtime_checkable
class Reads(Protocol):
    """A model, as far as a probe needs it."""

    @property
    def info(self) -> ModelInfo:
        """Its shape."""

    def plain_tokens(self) -> Sequence[int]:
        """Tokens of words or parts of them, no two of which read the same."""

    def prepare_tokens(self, ids: Sequence[int]) -> Source:
        """A text of exactly these tokens, between the special ones that the model puts around any."""


def repeated(model: Reads, seed: int) -> tuple[list[Source], list[Source]]:
    """Texts of random tokens that come twice, and texts of one random token.

    Raises:
        ModelError: the model has too few tokens or positions for it.
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
    """What heads do with random tokens.

    Args:
        model: whose heads.
        selection: kind, layers and heads to look at; a token is a unit here, whatever it says.
        seed: what the tokens are drawn from.
        found: what was found in a text, into which induction and duplicate scores and the control are put.
        verify: also run the model without attn, and compare.

    Raises:
        UsageError: another measure than weights is asked for.
        SelectionError: a kind, layer or head is not there.
        ModelError: the model has no self-attention, too few tokens, or could not be run.
        ExactnessError: what it gave are not attention weights.
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
    roles = [role for role in ROLES if role.name in FROM_PROBE]
    told = base.with_scores(
        ((one.layer, one.head, [score for score in one.scores if score.role in roles]) for one in probed.heads),
        roles,
    )
    return replace(told, heads=tuple(replace(one, control=firsts.get((one.layer, one.head))) for one in told.heads))


def with_pronouns(
    sentences: Sequence[Pronoun], prepare: Callable[[str], Source], found: HeadsFound, selection: Selection
) -> HeadsFound:
    """The same with each head's coreference score.

    Args:
        sentences: each with its twin.
        prepare: gives a text to the model.
        found: what the scores are put into.
        selection: kind, layers and heads to look at.
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
    """Sentences of which each has its pronoun."""

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
