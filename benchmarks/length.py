"""Cost of looking at a very long text, against reading it without looking.

    python benchmarks/length.py [SHAPE[:LAYERS] ...]

Models with random weights read a text of as many words as tokens. Each command runs in a process of its own; its
processor time and the most memory that it holds at once, imports and weights included, are divided by those of a script
that runs the same model on the same text with SDPA and keeps nothing.

- `gpt2`: GPT-2's shape, 12 layers of 12 heads, 768 wide, 16,384 tokens.
- `four`: four of these layers, 32,768 tokens.
- `small`: 2 layers of 4 heads, 256 wide, 131,072 tokens.
- `growth`: what the default screen of `small` takes at 4,096 to 131,072 tokens.

Each layer costs the same, so a slow machine may run fewer: `gpt2:2` is two layers of that shape.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import ATTN

SHAPES = {"gpt2": (12, 12, 768, 16_384), "four": (4, 12, 768, 32_768), "small": (2, 4, 256, 131_072)}
"""Name -> layers, heads, width and tokens."""
LOOKS = {"inspect": (), "inspect --head": ("--head", "1.3"), "inspect --grid": ("--grid",)}
BARS = {"inspect": (2.2, 1.2), "inspect --head": (2.2, 1.2)}
"""Look -> at most this many times the time and the memory of a plain pass, for `gpt2` and `four`."""
GROWTH = (4_096, 8_192, 16_384, 32_768, 65_536, 131_072)
UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit that the system counts a process's memory in."""

PLAIN = """
import sys
import torch
from transformers import AutoModel, AutoTokenizer
folder, file = sys.argv[1:]
model = AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval()
inputs = AutoTokenizer.from_pretrained(folder)(open(file).read(), return_tensors="pt")
with torch.no_grad():
    model(**inputs, use_cache=False)
"""


@dataclass(frozen=True)
class Cost:
    """The time and the memory that a process took."""

    seconds: float
    """Processor time, of all its threads."""
    memory: int
    """Most bytes held at once."""


def make(folder: Path, shape: tuple[int, int, int, int]) -> Path:
    """Write a model's folder, and return the text for it beside it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModel, GPT2Config, LlamaConfig, PreTrainedTokenizerFast

    layers, heads, width, tokens = shape
    torch.manual_seed(0)
    words = [f"w{number}" for number in range(97)]
    ends: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "vocab_size": 97}
    config: Any = GPT2Config(n_positions=tokens, n_layer=layers, n_head=heads, n_embd=width, **ends)
    if width == SHAPES["small"][2]:
        config = LlamaConfig(
            max_position_embeddings=tokens,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            hidden_size=width,
            intermediate_size=4 * width,
            **ends,
        )
    create: Any = AutoModel.from_config
    create(config).save_pretrained(folder)
    tokenizer: Any = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrap: Any = PreTrainedTokenizerFast
    wrap(tokenizer_object=tokenizer, model_max_length=tokens).save_pretrained(folder)
    text = folder / "text.txt"
    text.write_text(" ".join(words[number] for number in torch.randint(0, 97, (tokens,)).tolist()))
    return text


def cost(command: Sequence[str]) -> Cost:
    """Run a command, and return what it took.

    Raises:
        RuntimeError: it fails.
    """
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        said = b"" if process.stderr is None else process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} exited with {process.returncode}: {said.decode()}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * UNIT)


def plain_pass(folder: Path, text: Path) -> list[str]:
    """Return the command of a plain pass over a text."""
    return [sys.executable, "-c", PLAIN, str(folder), str(text)]


def look(folder: Path, text: Path, *options: str) -> Cost:
    """Run `attn inspect` on a text."""
    model = ["--model", str(folder), "--file", str(text), "--whole", "--tokens", *options]
    return cost([*ATTN, "inspect", *model])


def compare(shape: tuple[int, int, int, int]) -> bool:
    """Measure and print the costs of one shape; return whether its bars held."""
    layers, heads, width, tokens = shape
    print(f"{layers} layers of {heads} heads, {width} wide, {tokens:,} tokens")
    held = True
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        text = make(folder, shape)
        base = cost(plain_pass(folder, text))
        print(f"{'a plain pass':16}{base.seconds:9.1f} s        {base.memory / 1e9:9.2f} GB", flush=True)
        for command, options in LOOKS.items():
            took = look(folder, text, *options)
            ratios = took.seconds / base.seconds, took.memory / base.memory
            bars = None if width == SHAPES["small"][2] else BARS.get(command)
            said = "" if bars is None else f"   (at most {bars[0]} and {bars[1]})"
            held &= bars is None or (ratios[0] <= bars[0] and ratios[1] <= bars[1])
            time, memory = (f"{ratio:5.2f} x" for ratio in ratios)
            print(f"{command:16}{took.seconds:9.1f} s {time}{took.memory / 1e9:9.2f} GB {memory}{said}", flush=True)
    return held


def grow() -> None:
    """Measure and print the memory of the default screen at several lengths."""
    layers, heads, width, _ = SHAPES["small"]
    for tokens in GROWTH:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            took = look(folder, make(folder, (layers, heads, width, tokens)))
        print(f"{tokens:9,} tokens {took.seconds:9.1f} s {took.memory / 1e9:9.2f} GB", flush=True)


def main() -> int:
    held = True
    for name in sys.argv[1:] or [*SHAPES, "growth"]:
        if name == "growth":
            grow()
        else:
            shape, _, layers = name.partition(":")
            held &= compare((int(layers or SHAPES[shape][0]), *SHAPES[shape][1:]))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
