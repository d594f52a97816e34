"""The background of a terminal, which it tells when it is asked."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["is_light"]

QUESTION = b"\x1b]11;?\x1b\\\x1b[c"
"""The queries for the background (OSC 11 of xterm) and the kind of terminal (DA1), which all answer, and last."""
ANSWER = re.compile(rb"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})")
LAST = re.compile(rb"\x1b\[\?[0-9;]*c")
PATIENCE = 0.1
"""Most seconds to wait for a terminal on this machine."""
REMOTE_PATIENCE = 0.5
"""Most seconds to wait through ssh: what comes later would be taken for typed input."""
SILENT = ("", "dumb", "linux")
"""Terminals that would not answer, or write the question out."""


def is_light(stdin: Any, stdout: Any, environ: Mapping[str, str]) -> bool | None:
    """Ask the terminal for its background; None if it does not tell, or if this process is not talking to one.

    Args:
        stdin: the stream that the answer comes from.
        stdout: the stream that the question goes to.
        environ: the environment variables.
    """
    if sys.platform == "win32" or environ.get("TERM", "") in SILENT:
        return None
    if stdin is None or stdout is None or not (stdin.isatty() and stdout.isatty()):
        return None
    try:
        patience = REMOTE_PATIENCE if environ.get("SSH_CONNECTION") else PATIENCE
        stdout.flush()
        reply = _ask(stdin.fileno(), stdout.fileno(), patience)
    except OSError:  # a terminal that has gone, or a stream without a file
        return None
    found = ANSWER.search(reply)
    if found is None:
        return None
    red, green, blue = (int(share, 16) / (16 ** len(share) - 1) for share in found.groups())
    return bool(0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5)


def _ask(stdin: int, stdout: int, patience: float) -> bytes:
    """Return the terminal's answer, or what there is of it in time; nothing if somebody has typed already.

    Args:
        stdin: file descriptor to read from.
        stdout: file descriptor to write to.
        patience: most seconds to wait.
    """
    import select
    import termios
    import tty

    # A process in the background would be stopped for it.
    if os.tcgetpgrp(stdin) != os.getpgrp():
        return b""
    try:
        before = termios.tcgetattr(stdin)
    except termios.error as error:
        raise OSError(*error.args) from error
    reply, end = b"", time.monotonic() + patience
    try:
        tty.setcbreak(stdin, termios.TCSADRAIN)
        if select.select([stdin], [], [], 0)[0]:
            return b""
        os.write(stdout, QUESTION)
        while not LAST.search(reply):
            if not select.select([stdin], [], [], max(end - time.monotonic(), 0))[0]:
                break
            more = os.read(stdin, 1024)
            if not more:
                break
            reply += more
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
    return reply
