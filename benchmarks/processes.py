"""Timing one program against another: the code that the benchmarks of commands share."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["ATTN", "Comparison", "main", "python"]

ATTN = (sys.executable, "-m", "attn_cli")


def python(script: str) -> tuple[str, ...]:
    """Return the command that runs a script with this Python."""
    return (sys.executable, "-c", script)


@dataclass(frozen=True)
class Comparison:
    """A command of attn's, what it is compared to, and how much slower it may be."""

    name: str
    command: tuple[str, ...]
    other_name: str
    other: tuple[str, ...]
    bar: float
    """At most this many times the other's time."""
    code: int = 0
    """The code that the command exits with."""

    def run(self, turns: int) -> bool:
        """Time both in turns, print what came out, and say whether the bar held.

        Each turn runs both in fresh processes, one right after the other and not always the same first. The ratio is
        the median over the turns, so that a machine that slows down for a while slows both.
        """
        pairs: list[tuple[float, float]] = []
        for turn in range(turns + 1):
            if turn % 2:
                theirs, ours = seconds(self.other), seconds(self.command, self.code)
            else:
                ours, theirs = seconds(self.command, self.code), seconds(self.other)
            pairs.append((ours, theirs))
        del pairs[0]  # what is read for the first time is not what is measured
        ours, theirs = (median(times) for times in zip(*pairs, strict=True))
        ratios = [mine / its for mine, its in pairs]
        print(
            f"{self.name:<22} {ours:6.2f} s   {self.other_name:<26} {theirs:6.2f} s   ratio {median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}), at most {self.bar}",
            flush=True,
        )
        return median(ratios) <= self.bar


def seconds(command: Sequence[str], code: int = 0) -> float:
    """Time a command, in seconds, from its start to its exit.

    Raises:
        RuntimeError: it does not exit with `code`.
    """
    # Programs that are installed have their bytecode beside them, so it may be written here too.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, env=environment | {"HF_HUB_OFFLINE": "1"})
    taken = time.perf_counter() - start
    if done.returncode != code:
        raise RuntimeError(f"{command} exited with {done.returncode}: {done.stderr.decode()}")
    return taken


def main(description: str | None, *comparisons: Comparison) -> int:
    """Run each comparison; 1 where a bar did not hold, else 0."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("turns", nargs="?", type=int, default=9, help="how often to run each pair (default: 9)")
    turns = parser.parse_args().turns
    held = [comparison.run(turns) for comparison in comparisons]
    return 0 if all(held) else 1
