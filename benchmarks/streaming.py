"""Cost of looking at every head of a long text, against running the model without looking.

    python benchmarks/streaming.py

A model of GPT-2's shape (12 layers of 12 heads, 768 wide) with random weights reads 4,096 tokens:

- `plain`: one forward pass with SDPA, no attention kept. Also what the others are divided by.
- `streamed`: every head of every layer reduced to its entropy, its weight on the first token and its 8 strongest links.
- `streamed, not reduced`: the same blocks, thrown away as they come.
- `output_attentions`: one forward pass that keeps every weight, as other tools ask for it.

Each runs in a process of its own, in turns, several times; the fastest turn counts, and the most memory that a process
held at once (its imports and weights included).

Then `attn inspect` draws a text of 16,382 tokens, from a folder with a model of 2 layers of 12 heads, 96 wide, and the
most memory that it takes is divided by that of a script that runs the same model on the same text without looking.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from length import UNIT, cost, make, plain_pass
from processes import ATTN

TOKENS, LAYERS, HEADS, LINKS = 4096, 12, 12, 8
TURNS = 3
BARS = {
    "streamed": {"time": 2.0, "memory": 1.5},
    "output_attentions": {"time": 3.5, "memory": 6.0},
}
"""At most this many times `plain`; for `output_attentions`, at least this many times `streamed`."""

LONG = 16_382
LOOKS = {"attn inspect": (), "attn inspect --head": ("--head", "1.3")}
LOOK_BAR = 1.3
"""At most this many times the memory of a plain pass."""


def plain(model: Any, inputs: Any) -> None:
    model.set_attn_implementation("sdpa")
    model(**inputs, use_cache=False)


def output_attentions(model: Any, inputs: Any) -> None:
    attentions = model(**inputs, use_cache=False, output_attentions=True).attentions
    assert len(attentions) == LAYERS
    assert attentions[0].shape == (1, HEADS, TOKENS, TOKENS)


def streamed(model: Any, inputs: Any) -> None:
    from attn_cli.data.text import Token, Tokens
    from attn_cli.data.units import Units
    from attn_cli.measure.summary import Summarize

    text = "a" * inputs["input_ids"].shape[1]
    pieces = tuple(Token(piece="a", start=i, end=i + 1, word=None) for i in range(len(text)))
    units = Units.of(Tokens(text, pieces, ()), "token")
    summarize = Summarize(units, units, links=LINKS)
    _stream(model, inputs, summarize)
    assert len(summarize.result) == LAYERS * HEADS
    assert all(len(head.links) == LINKS for head in summarize.result)


def not_reduced(model: Any, inputs: Any) -> None:
    _stream(model, inputs, lambda _: None)


def _stream(model: Any, inputs: Any, eat: Callable[[Any], None]) -> None:
    from attn_cli.data.stream import Request
    from attn_cli.models.capture.stream import stream

    heads = {layer: tuple(range(HEADS)) for layer in range(LAYERS)}
    stream(model, inputs, Request(heads={"decoder": heads}), eat)


WAYS: dict[str, Callable[[Any, Any], None]] = {
    "plain": plain,
    "streamed": streamed,
    "streamed, not reduced": not_reduced,
    "output_attentions": output_attentions,
}


def measure(way: str) -> dict[str, float]:
    """Seconds and bytes of one way, in this process."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as attn itself does, before NumPy is imported
    import torch
    from transformers import AutoModel, GPT2Config

    torch.manual_seed(0)
    config = GPT2Config(n_positions=TOKENS, n_layer=LAYERS, n_head=HEADS)
    create: Any = AutoModel.from_config
    model = create(config, attn_implementation="eager").eval()
    ids = torch.randint(0, config.vocab_size, (1, TOKENS))
    with torch.no_grad():
        not_reduced(model, {"input_ids": ids[:, :16]})  # imports and first calls are not what is measured
        plain(model, {"input_ids": ids[:, :16]})
        model.set_attn_implementation("eager")
        start = time.perf_counter()
        WAYS[way](model, {"input_ids": ids})
        seconds = time.perf_counter() - start
    return {"time": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT}


def look_at_long() -> bool:
    """Measure and print what looking at a long text takes; whether the bar held."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = make(folder, (2, 12, 96, LONG))
        base = cost(plain_pass(folder, text)).memory
        print(f"\n2 layers of 12 heads, {LONG:,} tokens; a plain pass takes {base / 1e9:.2f} GB")
        held = True
        for look, options in LOOKS.items():
            model = ["--model", str(folder), "--file", str(text), *options]
            ratio = cost([*ATTN, "inspect", *model]).memory / base
            print(f"{look} takes {ratio:.2f} x the memory of a plain pass (at most {LOOK_BAR})", flush=True)
            held &= ratio <= LOOK_BAR
    return held


def main() -> int:
    if len(sys.argv) == 2:
        print(json.dumps(measure(sys.argv[1])))
        return 0
    best: dict[str, dict[str, float]] = {}
    for turn in range(TURNS):
        for way in WAYS:
            done = subprocess.run([sys.executable, __file__, way], check=True, stdout=subprocess.PIPE, text=True)
            seen = json.loads(done.stdout)
            print(f"turn {turn + 1} of {TURNS}: {way} took {seen['time']:.1f} s", file=sys.stderr)
            best[way] = {name: min(value, best.get(way, seen)[name]) for name, value in seen.items()}
    base, ours = best["plain"], best["streamed"]
    print(f"GPT-2's shape, {TOKENS:,} tokens, {LAYERS * HEADS} heads; best of {TURNS} turns")
    print(f"{'':24}{'seconds':>9}{'x plain':>9}{'GB':>9}{'x plain':>9}")
    for way, took in best.items():
        times = [took[name] / base[name] for name in ("time", "memory")]
        print(f"{way:24}{took['time']:9.2f}{times[0]:9.2f}{took['memory'] / 1e9:9.2f}{times[1]:9.2f}")
    held = True
    for name in ("time", "memory"):
        over, under = ours[name] / base[name], best["output_attentions"][name] / ours[name]
        most, least = BARS["streamed"][name], BARS["output_attentions"][name]
        held &= over <= most and under >= least
        print(
            f"streamed takes {over:.2f} x the {name} of plain (at most {most}), and output_attentions "
            f"{under:.1f} x the {name} of streamed (at least {least})"
        )
    return 0 if look_at_long() and held else 1


if __name__ == "__main__":
    sys.exit(main())
