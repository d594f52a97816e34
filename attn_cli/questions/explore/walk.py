"""A walk in an explorer: the texts, the place, and what each step shows; it knows no screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from attn_cli.data.image import PatchGrid
from attn_cli.data.plan import name_head
from attn_cli.data.selection import KINDS, Selection, SortKey
from attn_cli.data.shapes import Float
from attn_cli.data.suggestion import Suggestion
from attn_cli.draw.labels import Labels
from attn_cli.errors import AttnError, SelectionError, UsageError, quoted
from attn_cli.measure.measures import MEASURES
from attn_cli.measure.summary import HeadSummary
from attn_cli.questions.explore import choices
from attn_cli.questions.explore.choices import Choice
from attn_cli.questions.explore.commands import of_changes, of_map
from attn_cli.questions.explore.runs import Runs
from attn_cli.questions.explore.scene import Board, HeadMap, Scene
from attn_cli.questions.explore.spot import FOCUS, Pane, Spot
from attn_cli.questions.explore.subject import Shown, Subject, other_input

if TYPE_CHECKING:
    from attn_cli.answer import Answer
    from attn_cli.questions.explore.beside import Beside

__all__ = ["Walk"]


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
        self.laid: Beside | None = None
        self._begin()

    def _begin(self) -> None:
        """Run the text that is turned to, and go to its most telling head.

        Raises:
            AttnError: it cannot be run; the walk stays where it is.
        """
        runs = Runs(self.subject, self._choice)
        self.spot, self._runs = runs.begin(), runs
        self._go_to_telling(self.scene)

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
        return self._runs.scene(self.spot)

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
        return self._runs.board(self.spot) if self.laid is None else self.laid.board

    @property
    def image(self) -> PatchGrid | None:
        """The grid of the image's patches; None for a text."""
        return self.scene.plan.keys.side.grid

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
        pane = self.spot.pane
        if other:
            pane = "heads" if pane != "heads" else "map" if self.image is None else "picture"
        if pane == "map":
            self.point(self.spot.query + down, self.spot.key + right)
        elif pane == "picture":
            self.step_patches(down, right)
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

    def step_patches(self, down: int, right: int) -> None:
        """Move the query among the patches of the image, and above the first row to the special tokens before them."""
        cells, grid = self.scene.plan.queries.cells, self.image
        cell, first = cells[self.spot.query], next((place for place, one in enumerate(cells) if one is not None), 0)
        if grid is None:
            return
        if cell is None:
            place = self.spot.query + down + right
        elif cell[0] + down < 0 <= first - 1 and cell[0] == 0:
            place = first - 1
        else:
            row = min(max(cell[0] + down, 0), grid.rows - 1)
            column = min(max(cell[1] + right, 0), grid.columns - 1)
            place = cells.index((row, column))
        self.point(place, self.spot.key)

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
            place: layer and head, row and column of a patch, or query and key; -1 for none.
        """
        first, second = place
        if pane == "heads":
            self.spot = replace(self.spot, pane="heads")
            self.go_to(first, second)
        elif pane == "picture":
            self.spot = replace(self.spot, pane="picture")
            self.point(self.scene.plan.queries.cells.index(place), self.spot.key)
        else:
            self.spot = replace(self.spot, pane="map")
            self.point(self.spot.query if first < 0 else first, self.spot.key if second < 0 else second)

    def value(self, pane: str, place: tuple[int, int]) -> str:
        """Say the value of what is pointed at.

        Args:
            pane: the pane that it is in.
            place: layer and head, row and column of a patch, or query and key; -1 for that under the cursor.
        """
        first, second = place
        if pane == "heads":
            value = self.board.values.get(place, float("nan"))
            return f"{name_head(first, second)}: {self.board.name} {value:.3f}"
        if not self.at_hand:
            return ""
        query = self.spot.query if first < 0 else first
        key = self.spot.key if second < 0 else second
        if pane == "picture":
            query, key = self.spot.query, self.scene.plan.keys.cells.index(place)
        if pane == "text" and second < 0:  # a word of the text, under which its weight stands
            query, key = self.spot.query, first
            if self.scene.plan.crosses:
                return self.queries.named(first)
        value = float(self.here.view.shown[query, key])
        told = "masked" if np.isnan(value) else f"{value:z.3f}"
        return f"{self.queries.named(query)} > {self.keys.named(key)}: {told}"

    def turn(self) -> None:
        """Turn to the next pane."""
        panes: list[Pane] = ["heads", "map"] if self.image is None else ["heads", "picture", "map"]
        self.spot = replace(self.spot, pane=panes[(panes.index(self.spot.pane) + 1) % len(panes)])

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
        return choices.kinds(self.subject, self.scene.source.model)

    @property
    def atlases(self) -> list[Choice]:
        """The choices for the atlas."""
        return choices.atlases(self.subject, self.spot.kind, of_image=self.image is not None)

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
        spot = replace(self.spot, atlas=name)
        self._runs.make_board(spot)
        self.spot = spot

    def change_units(self) -> None:
        """Show words in the place of tokens, or the other way round, and stay at the same word.

        Raises:
            AttnError: scores are shown, which are those of tokens.
        """
        if self.image is not None:
            raise UsageError("An image is shown in patches in any case", "Choose another measure with m")
        if self.spot.measure == "scores":
            raise UsageError("A word of several pieces has no single score", "Choose another measure with m")
        self._show(replace(self.spot, units="word" if self.spot.unit == "token" else "token"))

    def _show(self, spot: Spot) -> None:
        """Go to a place whose attention may have to be run for first; stay where that fails."""
        self._check_alone()
        before, scene = self.scene, self._runs.scene(spot)
        if (spot.layer, spot.head) not in scene.heads:
            same = [one for one in scene.places if one[0] == spot.layer] or scene.places
            spot = replace(spot, layer=same[0][0], head=same[0][1])
        if not self._runs.has_board(spot):
            spot = replace(spot, atlas=FOCUS)
        queries = _moved(before.plan.queries, scene.plan.queries, self.spot.query)
        keys = _moved(before.plan.keys, scene.plan.keys, self.spot.key)
        other = spot.kind != self.spot.kind
        self.spot = replace(spot, query=queries, key=keys)
        if other and self.at_hand:
            self.point_at_strongest()

    # What else is asked

    def cut(self) -> Shown:
        """Cut the head under the cursor, or in the map the edge under it, and measure what becomes of the output.

        Raises:
            AttnError: any error of the run, or the edge is masked.
        """
        self._check_alone()
        return self._runs.cut(self.spot)

    def explain(self) -> Shown:
        """Take the row under the cursor apart: score, softmax, weighted sum.

        Raises:
            AttnError: any error of the run.
        """
        self._check_alone()
        return self._runs.explain(self.spot)

    def grid(self) -> Shown:
        """Return small maps of all heads.

        Raises:
            UsageError: two sentences are beside each other.
        """
        self._check_alone()
        return self._runs.grid(self.spot)

    def lay_beside(self, text: str) -> None:
        """Lay a second sentence beside the text, and go to the head that changes most.

        Raises:
            AttnError: any error of the run, or the texts have nothing in common.
        """
        spot = self.spot
        laid = self._runs.beside(spot, text)
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

    @property
    def command(self) -> Suggestion:
        """The command that shows the map under the cursor, or the changes of two texts or images."""
        if self.laid is not None:
            return of_changes(self.subject, self.scene, self.spot, self.laid.text)
        return of_map(self.subject, self.scene, self.spot)

    @property
    def answer(self) -> Answer:
        """The answer about the map under the cursor, as it is saved.

        Raises:
            AttnError: any error of the run.
        """
        if self.laid is not None:
            return self.laid.found
        return self.scene.answer(self.spot.layer, self.spot.head)

    # Texts

    def run(self, text: str) -> None:
        """Run another text, or the image of a file, in the place of this one; stay at the same head and word.

        Raises:
            AttnError: it cannot be run; the text before stays.
        """
        file = text if self.subject.is_image else ""
        other = replace(self.subject, given=other_input(self.subject, text), file=file)
        runs = Runs(other, self._choice)
        self.take_away()
        word, spot = self.scene.queries.texts[self.spot.query], self.spot
        scene = runs.scene(spot)
        self.subjects[self.number], self._runs = other, runs
        labels = list(scene.queries.texts)
        query = labels.index(word) if word in labels else min(spot.query, len(labels) - 1)
        self.spot = replace(spot, query=query, key=min(spot.key, len(scene.keys) - 1), atlas=FOCUS)

    def next_text(self, step: int) -> None:
        """Turn to the next text or record, or the one before.

        Raises:
            AttnError: it cannot be run; this one stays.
        """
        before, number = self.number, min(max(self.number + step, 0), len(self.subjects) - 1)
        if number == before:
            raise SelectionError("There is no further text", "Type one with i")
        self.take_away()
        self.number = number
        try:
            self._begin()
        except AttnError:
            self.number = before
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
