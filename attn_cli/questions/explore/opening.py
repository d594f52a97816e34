"""Opening the explorer on a terminal, where there is one, and Textual."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from attn_cli.errors import AttnError, UsageError

if TYPE_CHECKING:
    from threading import Thread

    from attn_cli.data.selection import Selection
    from attn_cli.draw.screen import Theme
    from attn_cli.questions.explore.subject import Subject
    from attn_cli.questions.explore.walk import Walk

__all__ = ["check_terminal", "explore", "take_keys_from_terminal"]

NO_TERMINAL = "The explorer draws on the whole terminal, and there is none"
INSTEAD = "Use attn inspect, whose output may go anywhere"
TERMINAL = "/dev/tty"


def check_terminal() -> None:
    """Check that there is a terminal to draw on, and Textual to do it.

    Raises:
        UsageError: there is not.
    """
    if find_spec("textual") is None:
        raise UsageError("The explorer needs Textual, which is not installed", "Run pip install 'attn-cli[explore]'")
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        raise UsageError(NO_TERMINAL, INSTEAD)


def take_keys_from_terminal() -> None:
    """Read keys from the terminal itself where the texts came through standard input.

    Raises:
        UsageError: there is no terminal.
    """
    try:
        terminal = os.open(TERMINAL, os.O_RDWR)
    except OSError as error:
        raise UsageError(NO_TERMINAL, INSTEAD) from error
    os.dup2(terminal, 0)
    os.close(terminal)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a stream, open to the end


def explore(
    subjects: Sequence[Subject],
    choice: Selection,
    *,
    theme: Theme | None = None,
    color: bool | None = None,
    default_model: str,
    begin: Callable[[Callable[[], Walk]], Walk] = lambda walk: walk(),
) -> Thread | None:
    """Walk about in texts or records until somebody leaves; return what still runs then, if anything does.

    Args:
        subjects: the texts or records.
        choice: the kind, the measure and the unit to begin with.
        theme: the terminal's background; None to detect it.
        color: force colour on or off; None to detect it.
        default_model: the model that commands take by themselves.
        begin: a function that runs the first text, with a spinner perhaps.

    Raises:
        AttnError: the first text cannot be run, or the explorer has stopped by itself.
    """
    from attn_cli.draw.screen import probe
    from attn_cli.questions.explore.walk import Walk

    walk = begin(lambda: Walk(subjects, choice))
    look = probe(sys.stdout, os.environ, color=color, theme=theme, stdin=sys.stdin)

    # Imported last: nothing above needs it, and faults of the text show without it.
    from attn_cli.questions.explore.app import Explorer

    # What compiled libraries print is kept from descriptor 2 while they run, and Textual draws on that.
    before = sys.__stderr__
    setattr(sys, "__stderr__", sys.stderr)  # noqa: B010 - which type checkers take for a constant
    try:
        explorer = Explorer(walk, look, default_model)
        explorer.run()
    finally:
        setattr(sys, "__stderr__", before)  # noqa: B010
    if explorer.return_code:
        raise AttnError("The explorer has stopped", "Set ATTN_DEBUG=1 to see why, and please report it")
    running = explorer.running
    return running if running is not None and running.is_alive() else None
