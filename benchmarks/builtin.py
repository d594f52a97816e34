"""Speed of the built-in model: `python benchmarks/builtin.py [TURNS]`.

Looking at a sentence and translating one, against importing torch, which most tools like this pay before they begin;
and translating a file of 2,000 short sentences.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import ATTN, Comparison, main, python

from attn_cli.grammar import sentences as grammar

TEXT = "The trophy didn't fit in the suitcase because it was too big"
TORCH = ("importing torch", python("import torch"))
SENTENCES = 2000
LEAST = 40
"""Sentences a second."""


def file_speed() -> bool:
    """Translate a file of short sentences, and say whether it was quick enough."""
    sentences = [example.english for example, _ in zip(grammar.simple(7), range(SENTENCES), strict=False)]
    words = sum(len(sentence.split()) for sentence in sentences) / SENTENCES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sentences.txt"
        path.write_text("".join(f"{sentence}\n" for sentence in sentences))
        start = time.perf_counter()
        command = (*ATTN, "translate", "--file", str(path), "--text-only")
        lines = subprocess.run(command, check=True, capture_output=True).stdout.splitlines()
        taken = time.perf_counter() - start
    assert len(lines) == SENTENCES
    print(
        f"{SENTENCES:,} sentences of {words:.1f} words in {taken:.1f} s: {SENTENCES / taken:.0f} a second, "
        f"at least {LEAST}"
    )
    return SENTENCES / taken >= LEAST


if __name__ == "__main__":
    code = main(
        __doc__,
        Comparison("attn inspect TEXT", (*ATTN, "inspect", TEXT), *TORCH, 0.3),
        Comparison("attn translate TEXT", (*ATTN, "translate", TEXT), *TORCH, 0.45),
    )
    sys.exit(0 if file_speed() and not code else 1)
