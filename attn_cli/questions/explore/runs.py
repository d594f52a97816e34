"""The runs of one text, or the contents of one record: its attention, and the answers to other questions on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from attn_cli.cli.inputs import saved_with
from attn_cli.data.plan import name_head
from attn_cli.data.selection import Kind, Measure, Selection
from attn_cli.data.stream import Source
from attn_cli.data.suggestion import typed_name
from attn_cli.draw.colors import SHARES, Scale
from attn_cli.errors import SelectionError, UsageError
from attn_cli.questions.explore.commands import asking, of_all_heads, options_of
from attn_cli.questions.explore.scene import Board, Scene, read_scene
from attn_cli.questions.explore.spot import EFFECT, FOCUS, Spot
from attn_cli.questions.explore.subject import Shown, Subject, other_input

if TYPE_CHECKING:
    from attn_cli.questions.ablate.trials import Ablation
    from attn_cli.questions.explore.beside import Beside
    from attn_cli.questions.heads.measure import HeadsFound

__all__ = ["Runs"]


class Runs:
    """The runs of one text, or the contents of one record; an answer once computed is kept at hand.

    Args:
        subject: the text or the record.
        choice: the kind, the measure and the unit to begin with.
    """

    def __init__(self, subject: Subject, choice: Selection) -> None:
        self.subject = subject
        if subject.record is not None:
            saved = saved_with(subject.record)
            measure = choice.measure if choice.measure != "weights" else saved.measure
            choice = replace(saved, kind=choice.kind or saved.kind, measure=measure)
        self._base = choice
        self._sources: dict[tuple[Kind | None, bool], Source] = {}
        self._scenes: dict[tuple[Kind, Measure, str], Scene] = {}
        self._boards: dict[tuple[Kind, str, str], Board] = {}

    def begin(self) -> Spot:
        """Run for the first view, and return its place.

        Raises:
            AttnError: any error of the run.
        """
        choice = self._base
        unit = "token" if choice.measure == "scores" else choice.unit
        scene = read_scene(self._source(choice.kind, choice.measure), replace(choice, view="grid", unit=unit))
        plan = scene.plan
        self._sources[plan.kind, choice.measure == "relevance"] = scene.source
        self._scenes[plan.kind, choice.measure, plan.selection.unit] = scene
        layer, head = scene.places[0]
        return Spot(plan.kind, layer, head, units=choice.unit, measure=choice.measure)

    def scene(self, spot: Spot) -> Scene:
        """Return the attention at a place, running for it if it is not at hand.

        Raises:
            AttnError: any error of the run.
        """
        key = (spot.kind, spot.measure, spot.unit)
        if key not in self._scenes:
            selection = replace(
                self._base,
                view="grid",
                kind=spot.kind,
                unit=spot.unit,
                measure=spot.measure,
                relevant_to=self._relevant(spot.measure),
            )
            self._scenes[key] = read_scene(self._held(spot), selection)
        return self._scenes[key]

    def _relevant(self, measure: Measure) -> str | None:
        return self._base.relevant_to if measure == "relevance" else None

    def _held(self, spot: Spot) -> Source:
        """Return the source to stream for a place: maps that are at hand, or else the model's run."""
        for scene_key, scene in self._scenes.items():
            if scene.kept and scene_key[:2] == (spot.kind, spot.measure):
                return scene.everything
        return self._source(spot.kind, spot.measure)

    def _source(self, kind: Kind | None, measure: Measure) -> Source:
        """Prepare the text, translating it first if the kind of attention needs it."""
        if self.subject.record is not None:
            return self.subject.record
        key = (kind, measure == "relevance")
        if key not in self._sources:
            from attn_cli.models.prepare import read

            model, given = self.subject.runnable
            wanted = Selection(kind=kind, measure=measure, relevant_to=self._relevant(measure))
            self._sources[key] = read(model, given, wanted)
        return self._sources[key]

    # A value for each head

    def board(self, spot: Spot) -> Board:
        """Return the value of each head that the atlas shows at a place: focus where no other is at hand."""
        scene = self.scene(spot)
        found = self._boards.get((spot.kind, spot.unit, spot.atlas))
        if found is not None and not scene.plan.selection.joint:
            return found
        return Board(FOCUS, {place: one.focus for place, one in scene.heads.items()}, SHARES)

    def has_board(self, spot: Spot) -> bool:
        """Return whether the values that the atlas is to show at a place are at hand."""
        return spot.atlas == FOCUS or (spot.kind, spot.unit, spot.atlas) in self._boards

    def make_board(self, spot: Spot) -> None:
        """Run for the values that the atlas is to show at a place, if they are not at hand.

        Raises:
            AttnError: any error of the runs.
        """
        if not self.has_board(spot):
            made = self._effects(spot) if spot.atlas == EFFECT else self._roles(spot)
            self._boards[spot.kind, spot.unit, spot.atlas] = made

    def _effects(self, spot: Spot) -> Board:
        """Cut every head in turn.

        Raises:
            AttnError: any error of the runs.
        """
        from attn_cli.draw.strokes import change
        from attn_cli.questions.ablate.choices import HEADS, ITS_OWN
        from attn_cli.questions.ablate.measure import sweep

        selection = Selection(kind=spot.kind, unit=spot.unit)
        found: Ablation = sweep(*self.subject.runnable, selection, ITS_OWN, HEADS)
        values = {trial.only: trial.effect for trial in found.trials if trial.only is not None}
        if found.output.states:
            return Board(EFFECT, values, Scale.weights(max(max(values.values(), default=0.0), 1e-6)))
        return Board(EFFECT, values, Scale.around(np.array(list(values.values()))), change)

    def _roles(self, spot: Spot) -> Board:
        """Score every head in a role.

        Raises:
            AttnError: any error of the run.
        """
        from attn_cli.questions.heads.measure import find_heads

        selection = Selection(kind=spot.kind, unit=spot.unit)
        found: HeadsFound = find_heads(self._held(replace(spot, measure="weights")), selection)
        values = {}
        for one in found.heads:
            score = one.score(spot.atlas)
            values[one.layer, one.head] = float("nan") if score is None or not score.rows else score.score
        return Board(spot.atlas, values, SHARES)

    # What else is asked

    def cut(self, spot: Spot) -> Shown:
        """Cut the head under the cursor, or in the map the edge under it, and measure what becomes of the output.

        Raises:
            AttnError: any error of the run, or the edge is masked.
        """
        from attn_cli.questions.ablate.choices import HEADS, ITS_OWN, CutChoice
        from attn_cli.questions.ablate.measure import ablate

        model, given = self.subject.runnable
        scene = self.scene(spot)
        name = name_head(spot.layer, spot.head)
        selection = Selection(kind=spot.kind, head=name, unit=spot.unit)
        options, cut, what = [*options_of(scene, spot, measure=False), "--head", name], HEADS, f"head {name}"
        if spot.pane == "map":
            if np.isnan(scene.of_head(spot.layer, spot.head).view.shown[spot.query, spot.key]):
                raise SelectionError("There is no edge to cut here: the key is masked", "Go to one with a weight")
            edge = f"{typed_name(scene.plan.queries, spot.query)}:{typed_name(scene.plan.keys, spot.key)}"
            cut, what = CutChoice(edges=(edge,)), f"edge {edge} in {name}"
            options = ["--edge", edge, *options]
        answer = ablate(model, given, selection, ITS_OWN, cut)
        return Shown(f"Cutting {what}", answer, asking("ablate", self.subject, *options))

    def explain(self, spot: Spot) -> Shown:
        """Take the row under the cursor apart: score, softmax, weighted sum.

        Raises:
            AttnError: any error of the run.
        """
        from attn_cli.questions.explain.measure import explain

        _ = self.subject.runnable  # a record has no queries, keys and values
        scene = self.scene(spot)
        name, query = name_head(spot.layer, spot.head), typed_name(scene.plan.queries, spot.query)
        selection = Selection(view="query", kind=spot.kind, head=name, unit=spot.unit, query=query)
        answer = explain(self._source(spot.kind, "weights"), selection)
        options = ("--query", query, "--head", name, *options_of(scene, spot, measure=False))
        return Shown(f"The three steps of {query} in {name}", answer, asking("explain", self.subject, *options))

    def beside(self, spot: Spot, text: str) -> Beside:
        """Lay a second sentence beside the text.

        Raises:
            UsageError: the text has a pair.
            AttnError: any other error of the run, or the texts have nothing in common.
        """
        from attn_cli.models.prepare import read
        from attn_cli.questions.diff.measure import diff
        from attn_cli.questions.explore.beside import Beside

        model, given = self.subject.runnable
        if given.pair is not None:
            raise UsageError("attn diff compares two texts, and this one has a pair", "Walk through a text without one")
        selection = Selection(kind=spot.kind, unit=spot.unit, measure=spot.measure)
        other = read(model, replace(other_input(self.subject, text), target=given.target), selection)
        return Beside(diff(self._source(spot.kind, spot.measure), other, selection), text)

    def grid(self, spot: Spot) -> Shown:
        """Return small maps of all heads."""
        scene = self.scene(spot)
        return Shown("All heads", scene.everything, of_all_heads(self.subject, scene, spot), grid=True)
