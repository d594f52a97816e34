"""What all views share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from functools import partial

from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.blocks import Block
from attn_cli.measure.collect import MeanMap
from attn_cli.measure.summary import HeadSummary, Summarize
from attn_cli.naming import occurrence
from attn_cli.plan import Plan
from attn_cli.record import Record
from attn_cli.render.heading import remarks
from attn_cli.render.heatmap import cuts
from attn_cli.render.labels import Labels
from attn_cli.render.map_view import MapView
from attn_cli.render.paint import caption_lines, drawing, text_lines
from attn_cli.render.screen import Screen, lines_of
from attn_cli.render.tables import model_line
from attn_cli.words import Units

__all__ = ["View", "labels_of", "stacked", "translation_text"]

LINKS = 3


class View(ABC):
    """Eats the blocks of one text, in the units shown (see `words.Regroup`), and draws what it kept.

    Args:
        plan: what to look at.
        screens: all that it will be drawn on, so that no more is kept than they can show; None for any.
    """

    def __init__(self, plan: Plan, screens: Sequence[Screen] | None = None) -> None:
        self.plan = plan
        self.queries, self.keys = labels_of(plan.queries), labels_of(plan.keys)
        self._screens = screens
        self._summarize = Summarize(plan.queries, plan.keys, LINKS)
        self._sinks: list[float] = []

    @property
    @abstractmethod
    def bytes_needed(self) -> int:
        """Memory that this view keeps, in bytes."""

    @abstractmethod
    def body(self, screen: Screen, room: int | None) -> Sequence[RenderableType]:
        """The parts of the drawing, below the line on the model.

        Args:
            screen: where.
            room: lines that are left of the screen's height; None for no end.
        """

    def eat(self, block: Block) -> None:
        """Take from a block what this view needs."""
        if block.sink is not None:
            self._sinks.append(float(block.sink.mean()))
        self._summarize(block)

    def heading(self, record: Record, screen: Screen) -> RenderableType:
        """The line on the model."""
        return model_line(record, self.plan.kind, screen)

    @property
    def of_weights(self) -> str:
        """What is said of a table of heads where maps are of scores."""
        return "The table is of the weights that the scores give." if self.plan.selection.scores else ""

    def summaries(self) -> tuple[HeadSummary, ...]:
        """The figures of each head."""
        return self._summarize.result

    def mean_map(self, layers: Collection[int], *, numbers: bool = False) -> MeanMap:
        """A collector for a map of this view's rows and columns.

        Args:
            layers: what it is the mean of.
            numbers: every number is written.
        """
        parts = None if self._screens is None or numbers else cuts(self.queries, self.keys, self._screens)
        return MeanMap(len(self.queries), len(self.keys), layers, scores=self.plan.selection.scores, cuts=parts)

    def map_view(self, collected: MeanMap) -> MapView:
        """What was collected, for a heatmap."""
        plan = self.plan
        return MapView(
            collected.pooled or collected.values,
            self.queries,
            self.keys,
            plan.kind,
            plan.selection.drawn,
            plan.selection.unit,
            collected.visible,
            plan.rows,
            plan.selection.noun,
        )

    def draw(self, screen: Screen, record: Record) -> Group:
        """The whole drawing.

        Args:
            screen: where.
            record: the record of this run; its maps are not needed.
        """
        top: list[RenderableType] = []
        if self.plan.selection.translation and record.target is not None:
            top = [translation_text(record.target.text, screen), Text("")]
        top.append(self.heading(record, screen))
        top += remarks(record, self.plan.kind, screen, self._sinks)
        room = None if screen.height is None else screen.height - sum(lines_of(part, screen) for part in top) - 2
        return stacked([Group(*top), *self.body(screen, room)])


def translation_text(text: str, screen: Screen) -> RenderableType:
    """A translation on as many lines as it takes."""
    return drawing(text_lines(text, screen) if text.strip() else caption_lines("(The model wrote nothing.)", screen))


def labels_of(units: Units) -> Labels:
    """What stands beside the rows or above the columns of these units."""
    return Labels(units.labels, units.special, units.positions, partial(occurrence, units))


def stacked(parts: Sequence[RenderableType]) -> Group:
    """Drawings below each other, a blank line between."""
    first, *rest = parts
    return Group(first, *(piece for part in rest for piece in (Text(""), part)))
