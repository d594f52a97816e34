"""Files of a training run: a model's folder, and checkpoints to resume from. No file is ever left half written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import regex
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from tokenizers import Tokenizer

from attn_cli.errors import InputError, OutputError
from attn_cli.io.destination import check_folder
from attn_cli.models.toy.folder import CONFIG, SCALE, TOKENIZER, WEIGHTS, WORDS
from attn_cli.train.linked import SpanLink

__all__ = [
    "damaged",
    "has_checkpoint",
    "known_words",
    "make_folder",
    "packed",
    "read_checkpoint",
    "read_links",
    "read_tokenizer",
    "save_checkpoint",
    "save_model",
    "save_start",
    "write_whole",
]

KNOWN = 5
"""Fewest occurrences in training for a word to count as known."""
STATE, LINKS = "state.json", "links.safetensors"
WORD = regex.compile(r"[\p{L}\p{M}]+(?:'[\p{L}\p{M}]+)*")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, and move it there once it is complete.

    Raises:
        OutputError: the file cannot be written; the previous one is kept.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as fault:
        beside.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {fault.strerror}", "Make room there and add --resume") from fault


def _save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    write_whole(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"format": "pt"}))


def known_words(sentences: Iterable[str]) -> list[str]:
    """Return the words, in lower case, that occur at least `KNOWN` times in these sentences."""
    counts: Counter[str] = Counter()
    for sentence in sentences:
        counts.update(word.lower() for word in WORD.findall(sentence.replace("’", "'")))
    return sorted(word for word, count in counts.items() if count >= KNOWN)


def packed(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Round matrices to int8, with a scale for each row; vectors become float16.

    A built-in model loses 0.2 BLEU by it at most.
    """
    done = {}
    for name, weight in weights.items():
        if weight.ndim == 2:
            scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
            done[name] = (weight / scale).round().to(torch.int8)
            done[name + SCALE] = scale
        else:
            done[name] = weight.half()
    return done


def save_model(
    folder: Path,
    weights: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    tokenizer: Tokenizer,
    words: Sequence[str],
) -> None:
    """Write a model's folder, as `attn_cli.models.toy.folder` and, for a Transformer, transformers read it.

    A Transformer's weights are float16, which transformers can read; a recurrent model's are packed.

    Raises:
        OutputError: a file cannot be written.
    """
    saved = {name: weight.detach().cpu() for name, weight in weights.items()}
    if config["model_type"] == "marian":
        _save_tensors(folder / WEIGHTS, {name: weight.half() for name, weight in saved.items()})
    else:
        _save_tensors(folder / WEIGHTS, packed(saved))
    write_whole(folder / TOKENIZER, tokenizer.to_str().encode())
    write_whole(folder / WORDS, "".join(f"{word}\n" for word in words).encode())
    if config["model_type"] == "marian":
        _write_json(
            folder / "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "pad_token": "<pad>",
                "eos_token": "</s>",
                "model_max_length": config["max_position_embeddings"],
                "clean_up_tokenization_spaces": False,
            },
        )
        _write_json(
            folder / "generation_config.json",
            {
                "decoder_start_token_id": 0,
                "pad_token_id": 0,
                "eos_token_id": 1,
                "bad_words_ids": [[0]],
                "max_length": config["max_position_embeddings"],
            },
        )
    _write_json(folder / CONFIG, config)  # last, because with it the folder counts as a model


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def make_folder(folder: Path) -> None:
    """Make a folder for checkpoints.

    Raises:
        OutputError: the folder cannot be made, or nothing can be written in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise OutputError(f"{folder} cannot be made: {fault.strerror}", "Name another folder with --out") from fault
    check_folder(folder)


def has_checkpoint(folder: Path) -> bool:
    """Return whether there is a checkpoint to resume from."""
    return (folder / STATE).exists()


def save_start(folder: Path, tokenizer: Tokenizer, links: Sequence[Sequence[SpanLink]] | None) -> None:
    """Write the vocabulary and the word alignments, which are made once, before the first step.

    Raises:
        OutputError: a file cannot be written.
    """
    write_whole(folder / TOKENIZER, tokenizer.to_str().encode())
    if links is None:
        (folder / LINKS).unlink(missing_ok=True)  # left by an earlier start
    else:
        flat = [(number, *ours, *theirs) for number, pair in enumerate(links) for ours, theirs in pair]
        table = torch.tensor([len(links), *chain.from_iterable(flat)], dtype=torch.int32)
        _save_tensors(folder / LINKS, {"links": table})


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read the vocabulary that `save_start` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return Tokenizer.from_str((folder / TOKENIZER).read_text(encoding="utf-8"))
    except Exception as fault:  # the library raises nothing more specific
        raise damaged(folder) from fault


def read_links(folder: Path) -> list[list[SpanLink]] | None:
    """Read the word alignments that `save_start` wrote; None where there are none.

    Raises:
        InputError: the file is damaged.
    """
    if not (folder / LINKS).exists():
        return None
    try:
        count, *flat = load_file(folder / LINKS)["links"].tolist()
        links: list[list[SpanLink]] = [[] for _ in range(count)]
        for number, *places in zip(*[iter(flat)] * 5, strict=True):
            start, end, other_start, other_end = places
            links[number].append(((start, end), (other_start, other_end)))
    except (OSError, LookupError, TypeError, ValueError, SafetensorError) as fault:
        raise damaged(folder) from fault
    return links


def damaged(folder: Path) -> InputError:
    """Return the error for a damaged checkpoint."""
    return InputError(
        f"The checkpoint in {folder} is damaged", f"Remove {folder.parent} and start again, without --resume"
    )


def save_checkpoint(folder: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint: all that is needed to resume.

    Raises:
        OutputError: a file cannot be written; the previous checkpoint is kept.
    """
    # The state names its file of tensors, so that the two always belong to the same step.
    name = f"checkpoint-{state['step']}.safetensors"
    _save_tensors(folder / name, tensors)
    _write_json(folder / STATE, {**state, "tensors": name})
    for old in folder.glob("checkpoint-*.safetensors"):
        if old.name != name:
            old.unlink()


def read_checkpoint(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the checkpoint that `save_checkpoint` wrote.

    Raises:
        InputError: there is no checkpoint, or it is damaged.
    """
    if not has_checkpoint(folder):
        raise InputError(
            f"There is no checkpoint in {folder.parent} to go on from", "Leave --resume out to start again"
        )
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        tensors: dict[str, torch.Tensor] = load_file(folder / state["tensors"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as fault:
        raise damaged(folder) from fault
    return tensors, state
