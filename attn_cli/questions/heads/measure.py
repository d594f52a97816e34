"""Figures of each head over one text or many: its focus, its distance, its sink, and its roles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from attn_cli.answer import Answer
from attn_cli.data.model import GuidedHead, ModelInfo
from attn_cli.data.plan import Plan, make_plan, name_head
from attn_cli.data.record import Record
from attn_cli.data.regroup import Regroup, RegroupBatch
from attn_cli.data.selection import KINDS, Kind, Selection
from attn_cli.data.stream import Batch, Block, Eat, Report, Request, Source
from attn_cli.data.suggestion import Suggestion, suggest
from attn_cli.data.sums import Sums
from attn_cli.data.text import Tokens
from attn_cli.data.units import Units
from attn_cli.data.without import typed_without
from attn_cli.errors import ModelError, SelectionError, enumerated
from attn_cli.io.csv import Cell
from attn_cli.measure.derived import measured
from attn_cli.measure.sink import SinkShare
from attn_cli.measure.summary import HeadSummary, Summarize
from attn_cli.questions.heads.needles import Needles
from attn_cli.questions.heads.relations import RelationScore
from attn_cli.questions.heads.roles import ALIGNMENT, GUIDED, RETRIEVAL, ROLES, Role
from attn_cli.questions.heads.scores import CollectRoles, RoleScore

__all__ = ["NO_UNITS", "CollectHeads", "HeadFigures", "HeadsFound", "find_heads"]

NO_UNITS = Units.of(Tokens("", (), ()))
WORTH_NAMING = 0.1
"""Least margin over its baseline at which the nearest role of a head without roles is named."""


@dataclass(frozen=True)
class HeadFigures:
    """Figures of one head."""

    summary: HeadSummary
    """Focus, entropy, distance and the other means over all rows; without links."""
    measured: tuple[RoleScore, ...]
    """Score of the head in each role that was looked for."""
    control: float | None = None
    """Mean weight on the first token of texts that repeat one token; None if there were no such texts."""
    named: tuple[RoleScore, ...] = ()
    """Roles that the model itself names, as the head was trained for them or is known to have them; without scores."""

    @property
    def layer(self) -> int:
        """Layer number, counted from 0."""
        return self.summary.layer

    @property
    def head(self) -> int:
        """Head number, counted from 0."""
        return self.summary.head

    @property
    def scores(self) -> tuple[RoleScore, ...]:
        """Score of the head in each role; of a role that the model names, not-a-number if it was not measured."""
        known = {score.name: score for score in self.measured}
        named = {
            role.name: replace(known[role.name], origin=role.origin) if role.name in known else role
            for role in self.named
        }
        return (*named.values(), *(score for score in self.measured if score.name not in named))

    @property
    def roles(self) -> tuple[RoleScore, ...]:
        """Roles that the head has, none that another one implies: those that the model names, then those measured.

        Of the latter, the one furthest above its baseline is first.
        """
        given = [score for score in self.scores if score.given]
        said = {score.role.less_exact for score in given}
        told = [score for score in given if score.name not in said]
        return tuple(
            sorted(told, key=lambda one: (one.origin == "measured", one.baseline - one.score if one.rows else 0.0))
        )

    @property
    def nearest(self) -> RoleScore | None:
        """First of the roles, or without any, the one furthest above its baseline; None if none is far enough."""
        if self.roles:
            return self.roles[0]
        above = [one for one in self.scores if one.rows >= one.fewest and one.score - one.baseline >= WORTH_NAMING]
        return max(above, key=lambda score: score.score - score.baseline, default=None)

    def score(self, role: str) -> RoleScore | None:
        """Return the score in the role of this name; None if it was not looked for."""
        return next((score for score in self.scores if score.role.name == role), None)


@dataclass(frozen=True, eq=False, repr=False)
class HeadsFound(Answer):
    """The answer of `attn heads`."""

    record: Record
    """The model, the selection, and the text if there is only one."""
    kind: Kind
    heads: tuple[HeadFigures, ...]
    roles: tuple[Role, ...]
    """Roles that were looked for."""
    texts: int
    tokens: int
    """Rows of all texts together, special tokens included."""
    plan: Plan | None = None
    """Plan of the text, if there is only one."""
    relations: tuple[RelationScore, ...] = ()
    """Score of each relation of a treebank, each way and each head."""
    needles: Needles | None = None
    """The facts that were hidden and asked for; None without `--needle`."""
    sink: float | None = None
    """Mean share of a row's weight that a learned sink takes; None without a sink."""
    seen: str = ""
    """Name of the texts that the figures are from, if there is not only one: `state_union.txt`."""
    by: str = "role"
    """Content of the picture: `role`, `focus`, `distance`, or a role (`previous`, `same-word`)."""

    columns = (
        *("kind", "layer", "head", "focus", "entropy", "distance", "first"),
        *("role", "detail", "score", "baseline", "rows", "given", "measure", "origin"),
    )

    @property
    def title(self) -> str:
        return self.seen or self.record.source.text

    @property
    def without(self) -> str:
        return typed_without(self.record.model.without)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        return self.record.notes

    @property
    def suggestion(self) -> Suggestion | None:
        if self.needles is not None:
            return self._suggest_cutting(self.needles)
        told = next((one for one in self.heads if one.roles), None)
        if told is None or self.plan is None or self.kind != next(iter(self.record.model.stacks)):
            return None
        return suggest(self.record, "inspect", "--head", name_head(told.summary.layer, told.summary.head))

    def _suggest_cutting(self, needles: Needles) -> Suggestion | None:
        """Suggest to cut the retrieval heads, where that is not done yet."""
        model = self.record.model
        if needles.cut is not None or not any(one.roles for one in self.heads) or model.without:
            return None
        if not self.record.selection.plain:
            return None
        return Suggestion("heads", options=("--needle", "--cut"), model=model.name)

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        return self.record.model.guided_among((self.kind, one.layer, one.head) for one in self.heads)

    def rows(self) -> Iterable[Sequence[Cell]]:
        measure = self.record.selection.measure
        for one in self.heads:
            summary = one.summary
            begin = (self.kind, one.layer, one.head)
            whole = (summary.focus, summary.entropy, summary.distance, summary.first)
            for score in one.scores:
                yield *begin, *whole, score.role.name, score.detail, *_cells(score), measure, score.origin
        if self.needles is None:
            return
        nowhere, count = (self.kind, *(None,) * 6), len(self.needles.trials)
        for run, found in self.needles.runs:
            yield (
                *nowhere,
                RETRIEVAL.name,
                f"needles found, {run}",
                found / count,
                None,
                count,
                None,
                measure,
                "measured",
            )

    def with_scores(self, scores: Iterable[tuple[int, int, Sequence[RoleScore]]], roles: Sequence[Role]) -> HeadsFound:
        """Return a copy whose scores in these roles are replaced by others, as (layer, head, scores)."""
        names = {role.name for role in roles}
        extra = {(layer, head): found for layer, head, found in scores}
        return replace(
            self,
            heads=tuple(
                replace(
                    one,
                    measured=(
                        *(score for score in one.measured if score.role.name not in names),
                        *extra.get((one.layer, one.head), ()),
                    ),
                )
                for one in self.heads
            ),
            roles=(*(role for role in self.roles if role.name not in names), *roles),
        )


def _cells(score: RoleScore) -> tuple[Cell, ...]:
    known = score.rows > 0
    return (score.score if known else None, score.baseline if known else None, score.rows, int(score.given))


class CollectHeads:
    """Collector of each head's figures over one text after another; memory does not grow with their number.

    Args:
        selection: kind, layers, heads and units to measure.
        roles: roles to look for.
    """

    def __init__(self, selection: Selection, roles: Sequence[Role] = ROLES) -> None:
        self.selection = selection
        self.texts = self.tokens = 0
        self.plan: Plan | None = None
        """Plan of the last text."""
        self.kind: Kind | None = None
        """Kind of attention of the texts; None before the first."""
        self._chosen = tuple(roles)
        self._roles = CollectRoles(roles, scores=selection.scores)
        self._summarize = Summarize(NO_UNITS, NO_UNITS, links=0)
        self._sink = SinkShare()

    def fresh(self) -> CollectHeads:
        """Return a collector of the same figures that has seen no text."""
        return CollectHeads(self.selection, self._chosen)

    def state(self) -> dict[str, np.ndarray]:
        """Return all sums so far as arrays, for `merge`."""
        return {
            "kind": np.array(self.kind or ""),
            "texts": np.array(self.texts, np.int64),
            "tokens": np.array(self.tokens, np.int64),
            "sink": np.array(self._sink.total),
            "sink.rows": np.array(self._sink.rows, np.int64),
            **self._summarize.state(),
            **self._roles.state(),
        }

    def merge(self, state: Sums) -> None:
        """Add the sums of another collector of the same figures, over other texts.

        Raises:
            ValueError: they are of another kind, of other roles, or not of the heads that they name.
            KeyError: some sums are missing.
        """
        kind = next((kind for kind in KINDS if kind == state["kind"].item()), None)
        if kind is not None and self.kind not in {kind, None}:
            raise ValueError(f"these are sums of {kind} attention, and the others of {self.kind} attention")
        self.kind = self.kind or kind
        self.texts += int(state["texts"])
        self.tokens += int(state["tokens"])
        self._sink.total += float(state["sink"])
        self._sink.rows += int(state["sink.rows"])
        self._summarize.merge(state)
        self._roles.merge(state)

    def request(self, source: Source) -> Request:
        """Return the request, which is the same for all texts of a model.

        Raises:
            SelectionError: a selected kind, layer or head does not exist.
            ModelError: the model has no attention.
        """
        return self._plan_of(source).request(in_place=True)

    def _plan_of(self, source: Source) -> Plan:
        if not source.model.stacks:
            raise ModelError(source.model.without_attention, "Name another model with --model")
        plan = make_plan(source, self.selection)
        if plan.kind != "cross" and plan.step is not None:
            raise SelectionError(
                "The roles of a decoder's heads are told from the steps that read its words",
                "Leave --rows out, or show the words written with attn inspect",
            )
        return plan

    def turn(self, source: Source) -> Eat:
        """Turn to the next text and return the function that consumes its blocks.

        Args:
            source: a text prepared for a model, or a record of one.

        Raises:
            SelectionError: a selected kind, layer or head does not exist, or an earlier text is of another kind.
            ModelError: the model has no attention.
        """
        plan = self._plan_of(source)
        self._turn([plan])
        return Regroup(plan.queries, plan.keys, self._eat)

    def turn_all(self, sources: Sequence[Source]) -> Callable[[Batch], None]:
        """Turn to several texts at once and return the function that consumes their batches; see `turn`."""
        plans = [self._plan_of(source) for source in sources]
        self._turn(plans)
        return RegroupBatch([(plan.queries, plan.keys) for plan in plans], self._eat)

    def _turn(self, plans: Sequence[Plan]) -> None:
        plan = plans[-1]
        kinds = {one.kind for one in plans} | ({self.kind} if self.kind else set())
        if len(kinds) > 1:
            raise SelectionError(
                f"The texts show attention of several kinds: {enumerated(sorted(kinds))}", "Choose one with --kind"
            )
        self.plan, self.kind = plan, plan.kind
        self.texts += len(plans)
        self.tokens += sum(plan.queries.tokens for plan in plans)
        sides = [(plan.queries, plan.keys) for plan in plans]
        self._roles.turn(sides, plan.kind)
        self._summarize.turn(sides)

    def _eat(self, block: Block) -> None:
        self._sink(block)
        self._summarize(block)
        self._roles(block)

    def result(self) -> tuple[HeadFigures, ...]:
        """Return the figures of each head over the texts so far."""
        scores = self._roles.result
        return tuple(
            HeadFigures(summary, scores[summary.kind, summary.layer, summary.head])
            for summary in self._summarize.result
        )

    def found(self, model: ModelInfo, report: Report, seen: str) -> HeadsFound:
        """Return the result over the texts so far.

        Raises:
            ValueError: there was no text.
        """
        kind = self.kind
        if kind is None:
            raise ValueError("no text was looked at")
        return HeadsFound(
            record=Record.without_text(model, report, self.selection),
            kind=kind,
            heads=tuple(replace(one, named=self._named(model, kind, one)) for one in self.result()),
            roles=self._roles.shown(kind),
            texts=self.texts,
            tokens=self.tokens,
            sink=self._sink.mean,
            seen=seen,
        )

    def _named(self, model: ModelInfo, kind: Kind, head: HeadFigures) -> tuple[RoleScore, ...]:
        """Return the roles of a head that the model names: those that it was trained for, or else an alignment."""
        if self.selection.joint:
            return ()
        guided = model.guided_among([(kind, head.layer, head.head)])
        if guided:
            roles = [GUIDED[one.role] for one in guided]
            return tuple(RoleScore.named(role, "training", detail) for role, detail in roles)
        aligned = model.alignment
        if aligned is None or (kind, head.layer) != (aligned.kind, aligned.layer) or head.head not in aligned.heads:
            return ()
        return (RoleScore.named(ALIGNMENT, "declared"),)


def find_heads(source: Source, selection: Selection, *, verify: bool = False) -> HeadsFound:
    """Measure what each head does in one text.

    Args:
        source: a text prepared for a model, or a record of one.
        selection: kind, layers, heads and units to measure.
        verify: also run the model without attn and compare.

    Raises:
        SelectionError: a selected kind, layer or head does not exist.
        ModelError: the model could not be run, or has no attention.
        ExactnessError: the model did not return valid attention weights.
    """
    source = measured(source, selection)
    collect = CollectHeads(selection)
    request = replace(collect.request(source), verify=verify)
    report = source.stream(request, collect.turn(source))
    found = collect.found(source.model, report, "")
    return replace(found, record=Record.of(source, report, selection), plan=collect.plan)
