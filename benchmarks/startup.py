"""Time that attn takes to start: `python benchmarks/startup.py [TURNS]`."""

from __future__ import annotations

import sys

from processes import ATTN, Comparison, main, python

LIBRARIES = ("importing typer and rich", python("import typer, rich.console, rich.table"))
"""Name and command of the start that any command line made with these libraries pays for."""
BAR = 1.6

if __name__ == "__main__":
    sys.exit(
        main(
            __doc__,
            Comparison("attn --help", (*ATTN, "--help"), *LIBRARIES, BAR),
            Comparison("attn inspect --help", (*ATTN, "inspect", "--help"), *LIBRARIES, BAR),
            Comparison("attn inspect --hed 3", (*ATTN, "inspect", "--hed", "3"), *LIBRARIES, BAR, code=2),
        )
    )
