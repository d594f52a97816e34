"""One text's attention of one kind, in one measure and unit: every head's figures, and the map of any head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Source
from attn_cli.draw.captions import labels_of
from attn_cli.draw.colors import Scale
from attn_cli.draw.heatmap import scale_of
from attn_cli.draw.labels import Labels
from attn_cli.draw.map_view import MapView
from attn_cli.errors import ModelError
from attn_cli.measure.derived import measured
from attn_cli.measure.maps import map_bytes
from attn_cli.measure.summary import HeadSummary
from attn_cli.questions.inspect.figures import GridFigures, OneHeadFigures, TellingFigures
from attn_cli.questions.inspect.measure import Inspection, look
from attn_cli.system.memory import available

if TYPE_CHECKING:
    from attn_cli.measure.telling import TellingHead

__all__ = ["Board", "HeadMap", "Scene", "read_scene"]

MOST_KEPT = 2**30
"""Most bytes of maps that are kept whole; beyond, the maps of the layer looked at are run for when they are needed."""
PART_OF_FREE = 4
"""The part of the free memory that maps may take, as a divisor."""
MOST_ALIKE = 48
"""Most columns of maps whose colours mean the same weight in every head; in larger ones most weights are small."""
FEW_MAPS = 24
"""Maps of heads, and records of layers, that are kept at hand."""
FEW_LAYERS = 2


@dataclass(frozen=True)
class HeadMap:
    """The map of one head, with the scale of its colours."""

    layer: int
    head: int
    view: MapView
    scale: Scale


@dataclass(frozen=True)
class Board:
    """A value for each head, as the atlas shows it."""

    name: str
    values: Mapping[tuple[int, int], float]
    scale: Scale
    write: Callable[[float], str] | None = None


@dataclass(eq=False)
class Scene:
    """One text's attention of one kind, in one measure and unit."""

    source: Source
    everything: Inspection
    """The answer about all heads, whose maps are kept if there is room for them."""
    kept: bool
    _maps: dict[tuple[int, int], HeadMap] = field(default_factory=dict)
    _layers: dict[int, Inspection] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """The plan of all heads."""
        return self.everything.figures.plan

    @cached_property
    def queries(self) -> Labels:
        """The labels of the rows."""
        return labels_of(self.plan.queries)

    @cached_property
    def keys(self) -> Labels:
        """The labels of the columns."""
        return labels_of(self.plan.keys)

    @cached_property
    def heads(self) -> Mapping[tuple[int, int], HeadSummary]:
        """The figures of each head, by layer and head."""
        return {(one.layer, one.head): one for one in self.everything.heads}

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Layer and number of each head, in order."""
        return sorted(self.heads)

    @property
    def grid(self) -> GridFigures:
        """Small maps of all heads."""
        figures = self.everything.figures
        assert isinstance(figures, GridFigures)  # noqa: S101 - as it was asked for
        return figures

    def telling(self) -> TellingHead | None:
        """Return the most telling head, with its link; None where the maps are not kept, or follow all heads."""
        selection = self.plan.selection
        if not self.kept or selection.joint:
            return None
        figures = look(self.everything, replace(selection, view="heads"), keep=False).figures
        return figures.chosen if isinstance(figures, TellingFigures) else None

    def at_hand(self, layer: int, head: int) -> bool:
        """Return whether a head's map can be shown without running the model again."""
        return self.kept or (layer, head) in self._maps or layer in self._layers

    def of_head(self, layer: int, head: int) -> HeadMap:
        """Return the map of one head, running the model again if its layer's maps are not at hand.

        Raises:
            AttnError: any error of the run.
        """
        found = self._maps.pop((layer, head), None)
        if found is None:
            found = self._made(layer, head)
        while len(self._maps) >= FEW_MAPS:
            del self._maps[next(iter(self._maps))]
        self._maps[layer, head] = found
        return found

    def answer(self, layer: int, head: int) -> Inspection:
        """Return the answer about one head with its map kept, as it is saved.

        Raises:
            AttnError: any error of the run.
        """
        return look(self._holding(layer), self._selected(layer, head), keep=True)

    def _made(self, layer: int, head: int) -> HeadMap:
        figures = look(self._holding(layer), self._selected(layer, head), keep=False).figures
        assert isinstance(figures, OneHeadFigures)  # noqa: S101 - one head was selected
        plan = self.plan
        view = MapView(
            figures.map.values,
            self.queries,
            self.keys,
            plan.kind,
            plan.selection.drawn,
            plan.selection.unit,
            figures.map.visible,
            plan.step,
            plan.selection.noun,
        )
        return HeadMap(layer, head, view, scale_of(view, view.shown, same=len(self.keys) <= MOST_ALIKE))

    def _selected(self, layer: int, head: int) -> Selection:
        selection = replace(self.plan.selection, view="heads")
        return replace(selection, layer=str(layer)) if selection.joint else replace(selection, head=f"{layer}.{head}")

    def _holding(self, layer: int) -> Inspection:
        """Return a record that holds a layer's maps."""
        if self.kept:
            return self.everything
        if layer not in self._layers:
            while len(self._layers) >= FEW_LAYERS:
                del self._layers[next(iter(self._layers))]
            selection = replace(self.plan.selection, view="heads", layer=str(layer))
            self._layers[layer] = look(self.source, selection, keep=True)
        return self._layers[layer]


def read_scene(source: Source, selection: Selection) -> Scene:
    """Run a text and collect the figures of all heads.

    Args:
        source: a text prepared for a model, or a record of one.
        selection: the kind, the measure and the unit; of all heads, as a grid.

    Raises:
        AttnError: any error of the run, or of the selection.
    """
    if not source.model.stacks:
        raise ModelError(source.model.without_attention, "Name another model with --model")
    plan = make_plan(measured(source, selection, scaled=False), selection)
    needed = map_bytes(plan.head_count, len(plan.positions), plan.keys.tokens, scores=selection.scores)
    kept = needed <= min(MOST_KEPT, available() // PART_OF_FREE)
    return Scene(source, look(source, selection, keep=kept), kept)
