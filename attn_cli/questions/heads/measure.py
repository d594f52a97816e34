"""What each head does over one text or many: its focus, its distance, its sink, and the roles that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attn_cli.data.model import ModelInfo
from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.record import Record
from attn_cli.data.regroup import Regroup, RegroupBatch
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.stream import Batch, Block, Eat, Report, Request, Source
from attn_cli.data.text import Tokens
from attn_cli.errors import ModelError
from attn_cli.measure.derived import measured
from attn_cli.measure.summary import HeadSummary, Summarize
from attn_cli.questions.heads.relations import RelationScore
from attn_cli.questions.heads.roles import ROLES, Role
from attn_cli.questions.heads.scores import CollectRoles, RoleScore
from attn_cli.version import __version__

__all__ = ["CollectHeads", "HeadFigures", "HeadsFound", "find_heads"]

WORTH_NAMING = 0.1
"""How far above the baseline a score must be to be named where the head has no role."""
EXACTLY = {
    "previous": "offset -1",
    "next": "offset +1",
    "self": "offset 0",
    "previous occurrence": "same word",
}
"""Roles that say what another says, and more."""


@dataclass(frozen=True)
class HeadFigures:
    """One head."""

    summary: HeadSummary
    """Focus, entropy, distance and the rest, means over all rows; without links."""
    scores: tuple[RoleScore, ...]
    """How well it fits each role."""
    control: float | None = None
    """Weight on the first token of texts that repeat one token; None where there were none."""

    @property
    def layer(self) -> int:
        """Counted from 0."""
        return self.summary.layer

    @property
    def head(self) -> int:
        """Counted from 0."""
        return self.summary.head

    @property
    def roles(self) -> tuple[RoleScore, ...]:
        """The roles that it has, the one furthest above its baseline first; none that another says more exactly."""
        given = [score for score in self.scores if score.given]
        said = {EXACTLY.get(score.role.name) for score in given}
        told = [score for score in given if score.name not in said]
        return tuple(sorted(told, key=lambda score: score.baseline - score.score))

    @property
    def nearest(self) -> RoleScore | None:
        """Its first role, or where it has none, the one in which it is furthest above the baseline."""
        if self.roles:
            return self.roles[0]
        above = [one for one in self.scores if one.rows >= one.fewest and one.score - one.baseline >= WORTH_NAMING]
        return max(above, key=lambda score: score.score - score.baseline, default=None)

    def score(self, role: str) -> RoleScore | None:
        """Its score in the role of this name; None where it was not looked for."""
        return next((score for score in self.scores if score.role.name == role), None)


@dataclass(frozen=True, eq=False)
class HeadsFound:
    """What `attn heads` found."""

    record: Record
    """The model and what was asked for; the text, where it is one."""
    kind: Kind
    heads: tuple[HeadFigures, ...]
    roles: tuple[Role, ...]
    """Those that were looked for."""
    texts: int
    tokens: int
    """Rows of the texts together, special tokens counted."""
    plan: Plan | None = None
    """Of the text, where it is one."""
    relations: tuple[RelationScore, ...] = ()
    """Each relation of a treebank, way and head."""
    sinks: tuple[float, ...] = ()
    """Shares of rows that a learned sink takes."""
    seen: str = ""
    """What the figures are from, where it is not one text: `state_union.txt`."""

    def with_scores(self, scores: Iterable[tuple[int, int, Sequence[RoleScore]]], roles: Sequence[Role]) -> HeadsFound:
        """The same with scores of these roles from elsewhere (layer, head, scores), in the place of its own."""
        names = {role.name for role in roles}
        extra = {(layer, head): found for layer, head, found in scores}
        return replace(
            self,
            heads=tuple(
                replace(
                    one,
                    scores=(
                        *(score for score in one.scores if score.role.name not in names),
                        *extra.get((one.layer, one.head), ()),
                    ),
                )
                for one in self.heads
            ),
            roles=(*(role for role in self.roles if role.name not in names), *roles),
        )


class CollectHeads:
    """Sums over one text after another; memory does not grow with their number.

    Args:
        selection: kind, layers, heads and units to look at.
        roles: which roles to look for.
    """

    def __init__(self, selection: Selection, roles: Sequence[Role] = ROLES) -> None:
        self.selection = selection
        self.texts = self.tokens = 0
        self.plan: Plan | None = None
        """Of the last text."""
        self._roles = CollectRoles(roles, scores=selection.scores)
        self._summarize: Summarize | None = None
        self._sink, self._sink_rows = 0.0, 0

    def request(self, source: Source) -> Request:
        """What to ask for, the same for all texts of a model.

        Raises:
            SelectionError: a kind, layer or head is not there.
            ModelError: the model has no attention.
        """
        return self._plan_of(source).request()

    def _plan_of(self, source: Source) -> Plan:
        if not source.model.stacks:
            raise ModelError(source.model.without_attention, "Name another model with --model")
        return make_plan(source, self.selection)

    def turn(self, source: Source) -> Eat:
        """Turn to the next text; its blocks come to what is returned.

        Args:
            source: a text given to a model, or a record of one.

        Raises:
            SelectionError: a kind, layer or head is not there.
            ModelError: the model has no attention.
        """
        plan = self._plan_of(source)
        self._turn([plan])
        return Regroup(plan.queries, plan.keys, self._eat)

    def turn_all(self, sources: Sequence[Source]) -> Callable[[Batch], None]:
        """Turn to several texts at once; see `turn`."""
        plans = [self._plan_of(source) for source in sources]
        self._turn(plans)
        return RegroupBatch([(plan.queries, plan.keys) for plan in plans], self._eat)

    def _turn(self, plans: Sequence[Plan]) -> None:
        plan = self.plan = plans[-1]
        self.texts += len(plans)
        self.tokens += sum(plan.queries.tokens for plan in plans)
        sides = [(plan.queries, plan.keys) for plan in plans]
        self._roles.turn(sides, plan.kind)
        if self._summarize is None:
            self._summarize = Summarize(plan.queries, plan.keys, links=0)
        self._summarize.turn(sides)

    def _eat(self, block: Block) -> None:
        if block.sink is not None:
            self._sink += float(block.sink.sum(dtype=np.float64))
            self._sink_rows += block.sink.size
        if self._summarize is not None:
            self._summarize(block)
        self._roles(block)

    def result(self) -> tuple[HeadFigures, ...]:
        """What was found of each head so far."""
        scores = self._roles.result
        return tuple(
            HeadFigures(summary, scores[summary.kind, summary.layer, summary.head])
            for summary in (() if self._summarize is None else self._summarize.result)
        )

    def found(self, model: ModelInfo, report: Report, seen: str) -> HeadsFound:
        """What was found so far of many texts.

        Raises:
            ValueError: there was none.
        """
        if self.plan is None:
            raise ValueError("no text was looked at")
        nothing = Tokens("", (), ())
        return HeadsFound(
            record=Record(
                model,
                nothing,
                None,
                (),
                report.verified,
                report.notes,
                self.selection,
                __version__,
                report.output,
            ),
            kind=self.plan.kind,
            heads=self.result(),
            roles=self._roles.shown(self.plan.kind),
            texts=self.texts,
            tokens=self.tokens,
            sinks=(self._sink / self._sink_rows,) if self._sink_rows else (),
            seen=seen,
        )


def find_heads(source: Source, selection: Selection, *, verify: bool = False) -> HeadsFound:
    """What each head does in one text.

    Args:
        source: a text given to a model, or a record of one.
        selection: kind, layers, heads and units to look at.
        verify: also run the model without attn, and compare.

    Raises:
        SelectionError: a kind, layer or head is not there.
        ModelError: the model could not be run, or has no attention.
        ExactnessError: what it gave are not attention weights.
    """
    source = measured(source, selection)
    collect = CollectHeads(selection)
    request = replace(collect.request(source), verify=verify)
    report = source.stream(request, collect.turn(source))
    found = collect.found(source.model, report, "")
    return replace(found, record=Record.of(source, report, selection), plan=collect.plan)
