"""The views of `attn inspect`: each consumes one text's stream and draws what it kept. A new view is one new file."""

from __future__ import annotations

from collections.abc import Sequence

from attn_cli.data.plan import Plan
from attn_cli.draw.screen import Screen
from attn_cli.questions.inspect.views.alignment import AlignmentView
from attn_cli.questions.inspect.views.base import View
from attn_cli.questions.inspect.views.bottleneck import BottleneckView
from attn_cli.questions.inspect.views.grid import GridView
from attn_cli.questions.inspect.views.head import HeadView
from attn_cli.questions.inspect.views.heads import AllHeadsView
from attn_cli.questions.inspect.views.query import QueryView

__all__ = ["View", "make_view"]


def make_view(plan: Plan, screens: Sequence[Screen] | None = None) -> View:
    """Build the view that was asked for; a single head is shown whole.

    Args:
        plan: the plan to show.
        screens: the screens to draw on; None for any.
    """
    selection = plan.selection
    if not plan.source.model.stacks:
        return BottleneckView(plan, screens)
    if selection.view == "grid":
        return GridView(plan, screens)
    if plan.chosen is not None:
        return QueryView(plan, screens)
    # A user who names a kind or an order wants the table.
    if selection.translation and plan.kind == "cross" and selection.kind is None and selection.sort == "layer":
        return AlignmentView(plan, screens)
    return HeadView(plan, screens) if plan.head_count == 1 else AllHeadsView(plan, screens)
