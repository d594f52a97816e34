"""Tests of the memory that a pass over a long text takes while its weights are only looked at, and none are kept."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems count and keep memory in other ways")

TOKENS, HEADS = 3072, 12
SCRIPT = """
import resource
import torch
from attn_cli.data.stream import Request
from attn_cli.models.capture.stream import stream
from tests.models.folders import made

def most(tokens):
    inputs = {{"input_ids": torch.arange(tokens)[None] % 101}}
    stream(model, inputs, Request({asked}), lambda _: None, rows=16)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

model = made({family!r}, **{settings})
few = most(16)
print(most({tokens}) - few)
"""
GPT2 = {"n_positions": TOKENS, "n_layer": 1, "n_head": HEADS, "n_embd": HEADS * 8, "vocab_size": 101}
GEMMA2 = {
    "max_position_embeddings": TOKENS,
    "num_hidden_layers": 1,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 3,
    "head_dim": 8,
    "hidden_size": HEADS * 8,
    "intermediate_size": 37,
    "vocab_size": 101,
}


@pytest.mark.parametrize(
    ("family", "settings", "asked"),
    [
        ("GPT2", GPT2, {"decoder": {0: tuple(range(HEADS))}}),
        ("Gemma2", GEMMA2, {}),  # its scores are capped, which SDPA cannot do, so that each layer is run in slices
    ],
)
def test_a_pass_leaves_no_holes_in_memory(family: str, settings: dict[str, int], asked: dict[str, object]) -> None:
    script = SCRIPT.format(family=family, settings=settings, asked=asked, tokens=TOKENS)
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    one_map = 4 * TOKENS**2
    assert int(done.stdout) < 2 * one_map  # slices that lie about take six
