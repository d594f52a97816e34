"""Checks of `--live`, which takes attention while a model writes. Imports nothing heavy, so that it fails at once."""

from __future__ import annotations

from attn_cli.data.selection import Selection
from attn_cli.errors import UsageError

__all__ = ["check_live"]


def check_live(selection: Selection, *, beam: int, known: bool) -> None:
    """Check that what is asked for can be taken step by step while a model writes.

    Args:
        selection: the selection to show.
        beam: hypotheses that the search keeps.
        known: true if the text that follows is given, so that nothing is written.

    Raises:
        UsageError: it cannot.
    """
    if known:
        raise UsageError(
            "--live takes what a model looks at while it writes, and nothing is written where it is said what follows",
            "Leave --live out",
        )
    if beam > 1:
        raise UsageError(
            "--live takes each token as it is written, and --beam decides only at the end which were",
            "Leave one of them out",
        )
    if selection.measure not in ("weights", "scores"):
        raise UsageError(
            f"--live keeps weights and scores, and --measure {selection.measure} needs more of the model",
            "Leave one of them out",
        )
