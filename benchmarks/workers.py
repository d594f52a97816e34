"""Time of `attn heads --workers 2` against one process: `python benchmarks/workers.py [TURNS]`.

Both read 2,048 sentences, four windows, with `toy`, which computes in one thread. What Dask takes to start two
processes is included, so of a larger corpus, or a larger model, the share is smaller; half is the least there can be.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from processes import ATTN, Comparison, main

SENTENCES = 2048
BAR = 0.9
PEOPLE = ("cat", "dog", "house", "child", "woman", "man", "bird", "teacher")
VERBS = ("sat", "ran", "slept", "sang")


def corpus() -> str:
    """Return sentences of a few words, one on each line."""
    return "\n".join(
        f"The {PEOPLE[number % 8]} {VERBS[number % 4]} because the {PEOPLE[number // 8 % 8]} was old."
        for number in range(SENTENCES)
    )


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        file = Path(folder, "corpus.txt")
        file.write_text(corpus())
        command = (*ATTN, "heads", "--file", str(file), "--json")
        shared = (*command, "--workers", "2")
        sys.exit(main(__doc__, Comparison("attn heads --workers 2", shared, "one process", command, BAR)))
