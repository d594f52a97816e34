"""The base class of all views."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.data.plan import Plan
from attn_cli.data.record import Record
from attn_cli.data.stream import Block
from attn_cli.draw.captions import labels_of, model_line, remarks, translation_text
from attn_cli.draw.heatmap import cuts
from attn_cli.draw.layout import room_left
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import stacked
from attn_cli.measure.maps import MeanMap
from attn_cli.measure.summary import HeadSummary, Summarize

__all__ = ["View"]

LINKS = 3


class View(ABC):
    """A collector that consumes the blocks of one text, in the units shown (see `Regroup`), and draws what it kept.

    Args:
        plan: the plan to show.
        screens: the screens to draw on, so that no more is kept than they can show; None for any.
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
        """Draw the parts below the line on the model.

        Args:
            screen: the screen to draw on.
            room: lines that are left of the screen's height; None for no limit.
        """

    def eat(self, block: Block) -> None:
        """Consume a block: collect from it what this view needs."""
        if block.sink is not None:
            self._sinks.append(float(block.sink.mean()))
        self._summarize(block)

    def heading(self, record: Record, screen: Screen) -> RenderableType:
        """Draw the line on the model."""
        return model_line(record, self.plan.kind, screen)

    @property
    def of_weights(self) -> str:
        """The remark on the table of heads if maps show scores; else empty."""
        return "The table is of the weights that the scores give." if self.plan.selection.scores else ""

    def summaries(self) -> tuple[HeadSummary, ...]:
        """Return the figures of each head."""
        return self._summarize.result

    def mean_map(self, layers: Collection[int], *, numbers: bool = False) -> MeanMap:
        """Build a collector for a map of this view's rows and columns.

        Args:
            layers: the layers whose mean it is.
            numbers: collect for a drawing in which every number is written.
        """
        parts = None if self._screens is None or numbers else cuts(self.queries, self.keys, self._screens)
        return MeanMap(len(self.queries), len(self.keys), layers, scores=self.plan.selection.scores, cuts=parts)

    def map_view(self, collected: MeanMap) -> MapView:
        """Convert a collected map for a heatmap."""
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
        """Draw the whole view.

        Args:
            screen: the screen to draw on.
            record: the record of this run; its maps are not needed.
        """
        top: list[RenderableType] = []
        if self.plan.selection.translation and record.target is not None:
            top = [translation_text(record.target.text, screen), Text("")]
        top.append(self.heading(record, screen))
        top += remarks(record, self.plan.kind, screen, self._sinks)
        return stacked([Group(*top), *self.body(screen, room_left([Group(*top)], screen))])
