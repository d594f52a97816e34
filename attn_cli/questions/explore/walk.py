"""A walk in an explorer: the texts, the place, and what each step shows; it knows no screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from attn_cli.cli.inputs import saved_with
from attn_cli.data.plan import name_head
from attn_cli.data.record import Record
from attn_cli.data.selection import KINDS, Kind, Measure, Selection, SortKey
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Source
from attn_cli.data.suggestion import Suggestion, typed_name
from attn_cli.draw.colors import SHARES, Scale
from attn_cli.draw.labels import Labels
from attn_cli.errors import AttnError, InputError, SelectionError, UsageError, quoted
from attn_cli.measure.measures import MEASURES
from attn_cli.measure.summary import HeadSummary
from attn_cli.questions.explore.scene import Board, HeadMap, Scene, read_scene
from attn_cli.questions.explore.spot import EFFECT, FOCUS, Spot

if TYPE_CHECKING:
    from attn_cli.answer import Answer
    from attn_cli.models import Input, Model
    from attn_cli.questions.ablate.trials import Ablation
    from attn_cli.questions.explore.beside import Beside
    from attn_cli.questions.heads.measure import HeadsFound

__all__ = ["Choice", "Shown", "Subject", "Walk"]

NO_MODEL = "A record holds maps and no model, so no text can be run"
GIVE_TEXT = "Give the text itself, and its model with --model"


@dataclass(frozen=True)
class Choice:
    """Something that can be chosen from a list."""

    value: str
    about: str = ""


@dataclass(frozen=True)
class Shown:
    """An answer to show above the map, and the command that prints it."""

    title: str
    answer: Answer
    command: Suggestion
    grid: bool = False
    """True for small maps of all heads, which are walked among."""


@dataclass(frozen=True)
class Subject:
    """A text to run through a model, or a record."""

    model: Model | None = None
    given: Input | None = None
    record: Record | None = None
    file: str = ""
    """The name of the record's file."""

    @property
    def text(self) -> str:
        """The text."""
        if self.record is not None:
            return self.record.source.text
        assert self.given is not None  # noqa: S101 - one of both is there
        return self.given.text


class Walk:
    """A walk through the attention of one text after another.

    Args:
        subjects: the texts or records, one after another.
        choice: the kind, the measure and the unit to begin with.

    Raises:
        AttnError: the first text cannot be run.
    """

    def __init__(self, subjects: Sequence[Subject], choice: Selection) -> None:
        self.subjects = list(subjects)
        self.number = 0
        self._choice = choice
        self._began()

    def _began(self) -> None:
        """Run the text that is turned to, and go to its most telling head.

        Raises:
            AttnError: it cannot be run.
        """
        choice, record = self._choice, self.subject.record
        if record is not None:
            saved = saved_with(record)
            measure = choice.measure if choice.measure != "weights" else saved.measure
            choice = replace(saved, kind=choice.kind or saved.kind, measure=measure)
        self._base = choice
        self.laid: Beside | None = None
        self._sources: dict[tuple[Kind | None, bool], Source] = {}
        self._scenes: dict[tuple[Kind, Measure, str], Scene] = {}
        self._boards: dict[tuple[Kind, str, str], Board] = {}
        unit = "token" if choice.measure == "scores" else choice.unit
        selection = replace(choice, view="grid", unit=unit)
        scene = read_scene(self._source(choice.kind, choice.measure), selection)
        plan = scene.plan
        self._sources[plan.kind, choice.measure == "relevance"] = scene.source
        self._scenes[plan.kind, choice.measure, plan.selection.unit] = scene
        layer, head = scene.places[0]
        self.spot = Spot(plan.kind, layer, head, units=choice.unit, measure=choice.measure)
        self._go_to_telling(scene)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the run, one sentence each."""
        return self.scene.everything.notes

    def _go_to_telling(self, scene: Scene) -> None:
        """Go to the head that shows most, and to its strongest link between two words."""
        telling = scene.telling()
        if telling is not None:
            self.spot = replace(self.spot, layer=telling.layer, head=telling.head)
        head = scene.heads[self.spot.layer, self.spot.head]
        link = (None if telling is None else telling.link) or next(iter(head.links), None)
        if link is not None:
            self.spot = replace(self.spot, query=link.query, key=link.key)

    @property
    def subject(self) -> Subject:
        """The text or the record that is looked at."""
        return self.subjects[self.number]

    @property
    def scene(self) -> Scene:
        """The attention that is looked at."""
        return self._scenes[self.spot.kind, self.spot.measure, self.spot.unit]

    @property
    def summary(self) -> HeadSummary:
        """The figures of the head under the cursor."""
        return self.scene.heads[self.spot.layer, self.spot.head]

    @property
    def queries(self) -> Labels:
        """The labels of the rows."""
        return self.scene.queries if self.laid is None else self.laid.queries

    @property
    def keys(self) -> Labels:
        """The labels of the columns."""
        return self.scene.keys if self.laid is None else self.laid.keys

    @property
    def here(self) -> HeadMap:
        """The map under the cursor.

        Raises:
            AttnError: its layer must be run for, and cannot be.
        """
        if self.laid is not None:
            return self.laid.of_head(self.spot.layer, self.spot.head)
        return self.scene.of_head(self.spot.layer, self.spot.head)

    @property
    def at_hand(self) -> bool:
        """True if the map under the cursor can be shown without running the model again."""
        return self.laid is not None or self.scene.at_hand(self.spot.layer, self.spot.head)

    @property
    def row(self) -> Float[np.ndarray, "key"]:
        """The row under the cursor; not-a-number where it is masked."""
        row: Float[np.ndarray, "key"] = self.here.view.shown[self.spot.query]
        return row

    @property
    def board(self) -> Board:
        """The values that the atlas shows."""
        if self.laid is not None:
            return self.laid.board
        found = self._boards.get((self.spot.kind, self.spot.unit, self.spot.atlas))
        if found is not None and not self.scene.plan.selection.joint:
            return found
        focus = {place: one.focus for place, one in self.scene.heads.items()}
        return Board(FOCUS, focus, SHARES)

    @property
    def order(self) -> list[tuple[int, int]]:
        """Layer and number of each head, in the order asked for."""
        if self.spot.sort == "layer":
            return self.scene.places
        if self.laid is not None:
            return self.laid.order
        from attn_cli.questions.inspect.draw_maps import in_order

        return [(one.layer, one.head) for one in in_order(list(self.scene.heads.values()), self.spot.sort, None)]

    # Steps

    def step(self, down: int, right: int, *, other: bool = False) -> None:
        """Move in the pane that is walked in: between heads and layers, or between queries and keys.

        Args:
            down: rows to move down.
            right: columns to move to the right.
            other: move in the other pane.
        """
        in_map = (self.spot.pane == "map") != other
        if in_map:
            self.point(self.spot.query + down, self.spot.key + right)
        elif self.spot.sort == "layer":
            self.step_heads(down, right)
        else:
            order = self.order
            index = order.index((self.spot.layer, self.spot.head)) + down + right
            self.go_to(*order[min(max(index, 0), len(order) - 1)])

    def step_heads(self, down: int, right: int) -> None:
        """Move to the head or the layer beside, as the atlas has them."""
        places = self.scene.places
        layers = sorted({layer for layer, _ in places})
        index = min(max(layers.index(self.spot.layer) + down, 0), len(layers) - 1)
        heads = [head for layer, head in places if layer == layers[index]]
        self.go_to(layers[index], min(max(self.spot.head + right, heads[0]), heads[-1]))

    def point(self, query: int, key: int) -> None:
        """Move the cursor in the map, as far as it goes."""
        rows, columns = len(self.queries), len(self.keys)
        self.spot = replace(self.spot, query=min(max(query, 0), rows - 1), key=min(max(key, 0), columns - 1))

    def go_to(self, layer: int, head: int) -> None:
        """Move to a head."""
        self.spot = replace(self.spot, layer=layer, head=head)

    def point_at_strongest(self) -> None:
        """Move to the key with the largest value of the row, or the largest change."""
        row = self.row if self.laid is None else np.abs(self.row)
        if np.isfinite(row).any():
            self.point(self.spot.query, int(np.nanargmax(np.where(np.isfinite(row), row, np.nan))))

    def click(self, pane: str, place: tuple[int, int]) -> None:
        """Move to what was pointed at.

        Args:
            pane: the pane that it is in.
            place: layer and head, or query and key; -1 for none.
        """
        first, second = place
        if pane == "heads":
            self.spot = replace(self.spot, pane="heads")
            self.go_to(first, second)
        else:
            self.spot = replace(self.spot, pane="map")
            self.point(self.spot.query if first < 0 else first, self.spot.key if second < 0 else second)

    def value(self, pane: str, place: tuple[int, int]) -> str:
        """Say the value of what is pointed at.

        Args:
            pane: the pane that it is in.
            place: layer and head, or query and key; -1 for that under the cursor.
        """
        first, second = place
        if pane == "heads":
            value = self.board.values.get(place, float("nan"))
            return f"{name_head(first, second)}: {self.board.name} {value:.3f}"
        if not self.at_hand:
            return ""
        query = self.spot.query if first < 0 else first
        key = self.spot.key if second < 0 else second
        if pane == "text" and second < 0:  # a word of the text, under which its weight stands
            query, key = self.spot.query, first
            if self.scene.plan.crosses:
                return self.queries.named(first)
        value = float(self.here.view.shown[query, key])
        told = "masked" if np.isnan(value) else f"{value:z.3f}"
        return f"{self.queries.named(query)} > {self.keys.named(key)}: {told}"

    def turn(self) -> None:
        """Turn to the other pane."""
        self.spot = replace(self.spot, pane="map" if self.spot.pane == "heads" else "heads")

    def find(self, word: str, *, after: bool = False) -> None:
        """Move to the row of a word, or to its column if only the columns have it.

        Args:
            word: a word, part of one, or a position.
            after: go on from the row under the cursor, and round.

        Raises:
            SelectionError: there is none.
        """
        plan, queries, keys = self.scene.plan, self.queries.texts, self.keys.texts
        sides = [("row", _named(word, plan.choose_queries)), ("column", _named(word, plan.choose_keys))]
        if self.laid is not None:  # whose places are not those of one text
            sides = []
        sides += [("row", _holding(word, queries)), ("column", _holding(word, keys))]
        side, places = next(((side, found) for side, found in sides if found), ("", []))
        if not places:
            raise SelectionError(f"There is no word {quoted(word)} here", "Type part of a word, or a position")
        here = (self.spot.query if side == "row" else self.spot.key) + (1 if after else 0)
        there = next((place for place in places if place >= here), places[0])
        self.point(*((there, self.spot.key) if side == "row" else (self.spot.query, there)))

    # Choices

    @property
    def kinds(self) -> list[Choice]:
        """The kinds of attention that there are."""
        about: dict[Kind, str] = {
            "encoder": "the text looks at itself",
            "decoder": "each word looks back",
            "cross": "the decoder looks at the text",
        }
        stacks = self.scene.source.model.stacks
        if self.subject.record is not None:
            held = {one.kind for one in self.subject.record.maps}
            return [Choice(kind, about[kind]) for kind in KINDS if kind in held]
        return [Choice(kind, about[kind]) for kind in KINDS if kind in stacks]

    @property
    def measures(self) -> list[Choice]:
        """The measures that there are."""
        about: dict[Measure, str] = {
            "weights": "the softmax of the scores",
            "scores": "before the softmax, in tokens",
            "norms": "weight times the length of the value",
            "relevance": "weight times gradient of the output",
            "rollout": "through all layers up to one",
            "flow": "the most that can pass; slow for long texts",
        }
        return [Choice(measure, text) for measure, text in about.items()]

    @property
    def sorts(self) -> list[Choice]:
        """The orders of the heads."""
        about = {"layer": "the atlas", "entropy": "lowest first", "link": "strongest first"}
        return [Choice(sort, about.get(sort, "highest first")) for sort in get_args(SortKey)]

    @property
    def atlases(self) -> list[Choice]:
        """The choices for the atlas."""
        from attn_cli.questions.heads.roles import ROLES

        choices = [Choice(FOCUS, "how even or focused its rows are")]
        if self.subject.model is not None:
            choices.append(Choice(EFFECT, "what cutting the head does to the output"))
        crosses = self.spot.kind == "cross"
        return choices + [
            Choice(role.name, role.looks_at)
            for role in ROLES
            if role.keys is not None and (role.crosses or not crosses)
        ]

    def choose_kind(self, kind: str) -> None:
        """Show another kind of attention, translating the text first if it needs the decoder's side.

        Raises:
            AttnError: any error of the run.
        """
        self._show(replace(self.spot, kind=next(one for one in KINDS if one == kind)))

    def choose_measure(self, measure: str) -> None:
        """Show another measure.

        Raises:
            AttnError: it cannot be computed here.
        """
        wanted = next(one for one in MEASURES if one == measure)
        self._show(replace(self.spot, measure=wanted))

    def choose_sort(self, sort: str) -> None:
        """Sort the heads by another figure."""
        self.spot = replace(self.spot, sort=next(one for one in get_args(SortKey) if one == sort))

    def choose_atlas(self, name: str) -> None:
        """Show another figure of each head in the atlas.

        Raises:
            AttnError: it cannot be computed here.
        """
        self._check_alone()
        spot = self.spot
        if name != FOCUS and (spot.kind, spot.unit, name) not in self._boards:
            made = self._effects() if name == EFFECT else self._roles(name)
            self._boards[spot.kind, spot.unit, name] = made
        self.spot = replace(self.spot, atlas=name)

    def change_units(self) -> None:
        """Show words in the place of tokens, or the other way round, and stay at the same word.

        Raises:
            AttnError: scores are shown, which are those of tokens.
        """
        if self.spot.measure == "scores":
            raise UsageError("A word of several pieces has no single score", "Choose another measure with m")
        self._show(replace(self.spot, units="word" if self.spot.unit == "token" else "token"))

    def _show(self, spot: Spot) -> None:
        """Go to a place whose attention may have to be run for first; stay where that fails."""
        self._check_alone()
        key = (spot.kind, spot.measure, spot.unit)
        before = self.scene
        if key not in self._scenes:
            selection = self._everything(spot)
            self._scenes[key] = read_scene(self._held(spot), selection)
        scene = self._scenes[key]
        if (spot.layer, spot.head) not in scene.heads:
            same = [one for one in scene.places if one[0] == spot.layer] or scene.places
            spot = replace(spot, layer=same[0][0], head=same[0][1])
        if spot.atlas != FOCUS and (spot.kind, spot.unit, spot.atlas) not in self._boards:
            spot = replace(spot, atlas=FOCUS)
        queries = _moved(before.plan.queries, scene.plan.queries, self.spot.query)
        keys = _moved(before.plan.keys, scene.plan.keys, self.spot.key)
        other = spot.kind != self.spot.kind
        self.spot = replace(spot, query=queries, key=keys)
        if other and self.at_hand:
            self.point_at_strongest()

    def _everything(self, spot: Spot) -> Selection:
        """Return the selection of all heads at a place."""
        return replace(
            self._base,
            view="grid",
            kind=spot.kind,
            unit=spot.unit,
            measure=spot.measure,
            relevant_to=self._relevant(spot.measure),
        )

    def _relevant(self, measure: Measure) -> str | None:
        return self._base.relevant_to if measure == "relevance" else None

    def _held(self, spot: Spot) -> Source:
        """Return what can be streamed of a place: maps that are at hand, or else the model's run."""
        for scene_key, scene in self._scenes.items():
            if scene.kept and scene_key[:2] == (spot.kind, spot.measure):
                return scene.everything
        return self._source(spot.kind, spot.measure)

    def _source(self, kind: Kind | None, measure: Measure) -> Source:
        """Prepare the text, translating it first if the kind of attention needs it."""
        subject = self.subject
        if subject.record is not None:
            return subject.record
        key = (kind, measure == "relevance")
        if key not in self._sources:
            from attn_cli.models.prepare import read

            assert subject.model is not None and subject.given is not None  # noqa: S101, PT018 - there is no record
            wanted = Selection(kind=kind, measure=measure, relevant_to=self._relevant(measure))
            self._sources[key] = read(subject.model, subject.given, wanted)
        return self._sources[key]

    # What else is asked

    def _model(self) -> tuple[Model, Input]:
        """Return the model and its text.

        Raises:
            UsageError: a record is looked at.
        """
        subject = self.subject
        if subject.model is None or subject.given is None:
            raise UsageError(NO_MODEL, GIVE_TEXT)
        return subject.model, subject.given

    def cut(self) -> Shown:
        """Cut the head under the cursor, or in the map the edge under it, and measure what becomes of the output.

        Raises:
            AttnError: any error of the run.
        """
        from attn_cli.questions.ablate.choices import HEADS, ITS_OWN, CutChoice
        from attn_cli.questions.ablate.measure import ablate

        self._check_alone()
        model, given = self._model()
        spot = self.spot
        name = name_head(spot.layer, spot.head)
        selection = Selection(kind=spot.kind, head=name, unit=spot.unit)
        options, cut, what = [*self._options(measure=False), "--head", name], HEADS, f"head {name}"
        if spot.pane == "map":
            edge = f"{self.query_name}:{typed_name(self.scene.plan.keys, spot.key)}"
            cut, what = CutChoice(edges=(edge,)), f"edge {edge} in {name}"
            options = ["--edge", edge, *options]
        answer = ablate(model, given, selection, ITS_OWN, cut)
        return Shown(f"Cutting {what}", answer, self._command("ablate", *options))

    def explain(self) -> Shown:
        """Take the row under the cursor apart: score, softmax, weighted sum.

        Raises:
            AttnError: any error of the run.
        """
        from attn_cli.questions.explain.measure import explain

        self._check_alone()
        self._model()
        spot = self.spot
        name = name_head(spot.layer, spot.head)
        selection = Selection(view="query", kind=spot.kind, head=name, unit=spot.unit, query=self.query_name)
        answer = explain(self._source(spot.kind, "weights"), selection)
        options = ("--query", self.query_name, "--head", name, *self._options(measure=False))
        return Shown(f"The three steps of {self.query_name} in {name}", answer, self._command("explain", *options))

    def lay_beside(self, text: str) -> None:
        """Lay a second sentence beside the text, and go to the head that changes most.

        Raises:
            AttnError: any error of the run, or the texts have nothing in common.
        """
        from attn_cli.models.prepare import read
        from attn_cli.questions.diff.measure import diff
        from attn_cli.questions.explore.beside import Beside

        model, given = self._model()
        spot = self.spot
        selection = Selection(kind=spot.kind, unit=spot.unit, measure=spot.measure)
        other = read(model, replace(given, text=text, target=None, parts=()), selection)
        laid = Beside(diff(self._source(spot.kind, spot.measure), other, selection), text)
        query, key = laid.nearest(spot.query, spot.key)
        self._alone = spot
        self.laid = laid
        layer, head = laid.order[0]
        self.spot = replace(spot, layer=layer, head=head, query=query, key=key)

    def take_away(self) -> None:
        """Take the second sentence away, and go back to the word that the cursor was at."""
        if self.laid is not None:
            self.laid = None
            self.spot = replace(self.spot, query=self._alone.query, key=self._alone.key)

    def _check_alone(self) -> None:
        """Check that no second sentence is laid beside the text.

        Raises:
            UsageError: one is.
        """
        if self.laid is not None:
            raise UsageError("This is about one sentence, and two are beside each other", "Take one away with d")

    def grid(self) -> Shown:
        """Return small maps of all heads.

        Raises:
            UsageError: two sentences are beside each other.
        """
        self._check_alone()
        return Shown(
            "All heads", self.scene.everything, self._command(self._verb, "--grid", *self._options()), grid=True
        )

    @property
    def command(self) -> Suggestion:
        """The command that shows the map under the cursor."""
        spot = self.spot
        if self.laid is not None:
            head = () if self.scene.plan.selection.joint else ("--head", name_head(spot.layer, spot.head))
            return self._command("diff", self.laid.text, *head, *self._options())
        which = ("--layer", str(spot.layer))
        if not self.scene.plan.selection.joint:
            which = ("--head", name_head(spot.layer, spot.head))
        return self._command(self._verb, *which, *self._options())

    @property
    def answer(self) -> Answer:
        """The answer about the map under the cursor, as it is saved.

        Raises:
            AttnError: any error of the run.
        """
        if self.laid is not None:
            return self.laid.found
        return self.scene.answer(self.spot.layer, self.spot.head)

    @property
    def query_name(self) -> str:
        """The name by which commands find the row under the cursor."""
        return typed_name(self.scene.plan.queries, self.spot.query)

    @property
    def _verb(self) -> str:
        if self.subject.record is not None:
            return "view"
        given = self.subject.given
        known = given is not None and given.target is not None
        return "inspect" if known or self.spot.kind == "encoder" or not self._translates else "translate"

    @property
    def _translates(self) -> bool:
        return "cross" in self.scene.source.model.stacks

    def _command(self, verb: str, *options: str) -> Suggestion:
        subject = self.subject
        if subject.model is None or subject.given is None:
            return Suggestion(verb, subject.file, options)
        given, languages = subject.given, subject.given.languages
        target = given.target if isinstance(given.target, str) else None
        extra = {"--target": target, "--pair": given.pair, "--from": languages.source, "--to": languages.target}
        more = [word for option, value in extra.items() if value is not None for word in (option, value)]
        return Suggestion(verb, given.text, (*options, *more), subject.model.info.name)

    def _options(self, *, measure: bool = True) -> list[str]:
        """Return the options of the kind, the unit and the measure, where they are not the usual ones."""
        spot = self.spot
        first = next(iter(self.scene.source.model.stacks))
        options = []
        if spot.kind != first:
            options += ["--kind", spot.kind]
        if measure and spot.measure != "weights":
            options += ["--measure", spot.measure]
        if spot.unit == "token" and spot.measure != "scores":
            options.append("--tokens")
        return options

    def _effects(self) -> Board:
        """Cut every head in turn.

        Raises:
            AttnError: any error of the runs.
        """
        from attn_cli.draw.strokes import change
        from attn_cli.questions.ablate.choices import HEADS, ITS_OWN
        from attn_cli.questions.ablate.measure import sweep

        model, given = self._model()
        selection = Selection(kind=self.spot.kind, unit=self.spot.unit)
        found: Ablation = sweep(model, given, selection, ITS_OWN, HEADS)
        values = {trial.only: trial.effect for trial in found.trials if trial.only is not None}
        if found.output.states:
            return Board(EFFECT, values, Scale.weights(max(max(values.values(), default=0.0), 1e-6)))
        return Board(EFFECT, values, Scale.around(np.array(list(values.values()))), change)

    def _roles(self, name: str) -> Board:
        """Score every head in a role.

        Raises:
            AttnError: any error of the run.
        """
        from attn_cli.questions.heads.measure import find_heads

        spot = self.spot
        selection = Selection(kind=spot.kind, unit=spot.unit)
        found: HeadsFound = find_heads(self._held(replace(spot, measure="weights")), selection)
        values = {}
        for one in found.heads:
            score = one.score(name)
            values[one.layer, one.head] = float("nan") if score is None or not score.rows else score.score
        return Board(name, values, SHARES)

    # Texts

    def run(self, text: str) -> None:
        """Run another text in the place of this one, and stay at the same head and word if it has them.

        Raises:
            AttnError: it cannot be run; the text before stays.
        """
        model, given = self._model()
        if not text.strip():
            raise InputError("The text is empty", "Type a sentence")
        again = replace(given, text=text, target=None, pair=None, parts=(), marks=None)
        self._replace(Subject(model, again))

    def _replace(self, subject: Subject) -> None:
        self.take_away()
        before, word = self.subjects[self.number], self.scene.queries.texts[self.spot.query]
        spot, kept = self.spot, (self._sources, self._scenes, self._boards)
        self.subjects[self.number] = subject
        try:
            self._sources, self._scenes, self._boards = {}, {}, {}
            selection = self._everything(spot)
            scene = read_scene(self._source(spot.kind, spot.measure), selection)
        except AttnError:
            self.subjects[self.number] = before
            self._sources, self._scenes, self._boards = kept
            raise
        self._scenes[spot.kind, spot.measure, spot.unit] = scene
        labels = list(scene.queries.texts)
        query = labels.index(word) if word in labels else min(spot.query, len(labels) - 1)
        self.spot = replace(spot, query=query, key=min(spot.key, len(scene.keys) - 1), atlas=FOCUS)

    def next_text(self, step: int) -> None:
        """Turn to the next text or record, or the one before.

        Raises:
            AttnError: it cannot be run; this one stays.
        """
        number = min(max(self.number + step, 0), len(self.subjects) - 1)
        if number == self.number:
            raise SelectionError("There is no further text", "Type one with i")
        self.take_away()
        before, kept = (self.number, self.spot), (self._sources, self._scenes, self._boards)
        self.number = number
        try:
            self._began()
        except AttnError:
            self.number, self.spot = before
            self._sources, self._scenes, self._boards = kept
            raise


def _named(word: str, choose: Callable[[str], tuple[range, ...]]) -> list[int]:
    """Return the places that a user names; none if there is no such word."""
    try:
        return [span.start for span in choose(word)]
    except SelectionError:
        return []


def _holding(part: str, texts: Sequence[str]) -> list[int]:
    """Return the places whose labels hold a part of a word."""
    folded = part.casefold()
    return [place for place, text in enumerate(texts) if folded in text.casefold()]


def _moved(before: Any, after: Any, index: int) -> int:
    """Return the unit that holds the first token of another's, as words hold tokens."""
    if before.side is not after.side and before.side.text != after.side.text:
        return min(index, len(after) - 1)
    token = before.token_positions(index).start
    shown = np.flatnonzero(after.shown)
    place = int(np.searchsorted(after.starts[shown], token, side="right")) - 1
    return max(place, 0)
