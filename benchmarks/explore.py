"""Time until `attn explore` is on the screen, and until it answers a key: `python benchmarks/explore.py [TURNS]`.

Both are measured from outside, in a terminal of 160 columns and 50 lines: from the start of the process to the whole
first picture, compared to importing torch; and from a key to the last of what is drawn for it, in a record of 12 × 12
heads over 200 tokens. Linux and macOS.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from statistics import median

import numpy as np
from processes import ATTN, python, seconds

from attn_cli.api import view

SENTENCE = "The animal didn't cross the street because it was too tired"
START_BAR = 0.6
KEY_BAR = 0.050
"""Seconds, in the median of all keys."""
LAYERS, HEADS, TOKENS = 12, 12, 200
QUIET = 0.1
"""Seconds without output after which a picture is whole."""
KEYS = {"right": b"\x1b[C", "down": b"\x1b[B", "left": b"\x1b[D", "up": b"\x1b[A"}


class Terminal:
    """A command in a terminal of its own.

    Args:
        command: the command.
    """

    def __init__(self, *command: str) -> None:
        own, theirs = pty.openpty()
        fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "ATTN_THEME": "dark"}
        environment = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES"}}
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)
        self._own = own

    def drawn(self, begins: bytes = b"", patience: float = 60.0) -> float:
        """Wait for a picture, and return when the last of it came.

        Args:
            begins: a text that is in it.
            patience: seconds to wait for that.

        Raises:
            RuntimeError: it does not come.
        """
        seen, last = b"", time.perf_counter()
        while True:
            waiting = QUIET if seen and begins in seen else patience
            if not select.select([self._own], [], [], waiting)[0]:
                if begins in seen:
                    return last
                raise RuntimeError(f"{begins!r} was not drawn")
            seen += os.read(self._own, 2**16)
            last = time.perf_counter()

    def press(self, key: bytes) -> float:
        """Press a key, and return the seconds until all is drawn."""
        start = time.perf_counter()
        os.write(self._own, key)
        return self.drawn() - start

    def leave(self) -> None:
        """Press q, and wait for the end."""
        os.write(self._own, b"q")
        while self._process.poll() is None:
            if select.select([self._own], [], [], QUIET)[0]:
                try:
                    os.read(self._own, 2**16)
                except OSError:  # the terminal is gone with its process
                    break
        self._process.wait()
        os.close(self._own)


def started() -> float:
    """Return the seconds from the start to the first picture on the built-in model."""
    terminal = Terminal(*ATTN, "explore", SENTENCE, "--model", "toy")
    taken = terminal.drawn(b"help") - terminal.began
    terminal.leave()
    return taken


def answered(turns: int) -> list[float]:
    """Return the seconds that each key takes in a record of many heads."""
    scores = np.random.default_rng(0).normal(scale=2, size=(LAYERS, HEADS, TOKENS, TOKENS)).astype(np.float32)
    weights = np.exp(scores)
    weights /= weights.sum(axis=-1, keepdims=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "record.npz"
        view(weights, name="a matrix").save(file)
        terminal = Terminal(*ATTN, "explore", str(file))
        terminal.drawn(b"help")
        taken = [terminal.press(key) for _ in range(turns) for key in KEYS.values()]  # between heads
        terminal.press(b"\t")
        taken += [terminal.press(key) for _ in range(turns) for key in KEYS.values()]  # in the map
        terminal.leave()
    return taken


def main() -> int:
    """Print both, and return 1 where a bar did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("turns", nargs="?", type=int, default=9, help="how often to start it (default: 9)")
    turns = parser.parse_args().turns
    pairs = [(started(), seconds(python("import torch"))) for _ in range(turns + 1)][1:]
    ratio = median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (median(times) for times in zip(*pairs, strict=True))
    print(f"start {ours:.2f} s, importing torch {theirs:.2f} s, ratio {ratio:.2f}, at most {START_BAR}", flush=True)
    taken = answered(turns)
    key = median(taken)
    print(f"key {key * 1000:.0f} ms ({min(taken) * 1000:.0f} to {max(taken) * 1000:.0f}), at most {KEY_BAR * 1000:.0f}")
    return 0 if ratio <= START_BAR and key <= KEY_BAR else 1


if __name__ == "__main__":
    sys.exit(main())
