"""Reading of prompts: chats, whole files, and the sentences that other texts are read as."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from attn_cli.cli import texts
from attn_cli.cli.files import suffix_of
from attn_cli.cli.options import PartsOptions, PromptOptions, TextOptions
from attn_cli.cli.tables import COLUMNS, Sentence
from attn_cli.data.text import Split, split_words
from attn_cli.data.turns import Turn, parse_turns, with_system
from attn_cli.errors import InputError, UsageError
from attn_cli.system.encoding import check_text

__all__ = ["as_chat", "in_lines", "is_single", "named_parts_of", "prompts", "split_of"]

JSON_LINES = (".jsonl", ".ndjson")
"""Suffixes of files with a chat on each line."""

SPLITS = "Write --split spaces, --split words, or name a file of words"
"""The remedy for a --split that is none of these."""


def in_lines(reading: TextOptions) -> bool:
    """Return whether the input is a file that may hold several texts."""
    return reading.file is not None and not (isinstance(reading, PromptOptions) and reading.whole)


def is_single(text: str | None, reading: TextOptions) -> bool:
    """Return whether the input is one text, and not a pipe or a file that may hold several."""
    if not isinstance(reading, PromptOptions) or reading.chat is None:
        return not in_lines(reading) and (reading.file is not None or text not in {None, "-"})
    return suffix_of(reading.chat) not in JSON_LINES


def prompts(text: str | None, reading: TextOptions, *, holds: str = COLUMNS) -> Iterator[Sentence]:
    """Yield the texts and chats that a command takes as input.

    Args:
        text: the argument; `-` means standard input.
        reading: options for reading the text.
        holds: contents that each line of a `.tsv` must have, for messages.

    Raises:
        UsageError: there is no text, or more than one source of text.
        InputError: the input is blank, unreadable, not UTF-8, or not of its format.
    """
    if not isinstance(reading, PromptOptions):
        return texts.sentences(text, reading.file, target=reading.target, chosen=reading.field_names, holds=holds)
    if reading.system is not None:
        check_text(reading.system, "The text of --system")
    if reading.chat is not None:
        return _chats(text, reading, reading.chat)
    if reading.whole:
        return _whole(reading, text)
    sentences = texts.sentences(text, reading.file, target=reading.target, chosen=reading.field_names, holds=holds)
    return (as_chat(one, reading.system) for one in sentences)


def as_chat(sentence: Sentence, system: str | None) -> Sentence:
    """Put a system turn before a text, which the user says then; without one, return the text as it is."""
    if system is None:
        return sentence
    return replace(sentence, turns=(Turn("system", system), Turn("user", sentence.text)))


def _chats(text: str | None, reading: PromptOptions, file: Path) -> Iterator[Sentence]:
    others = {
        "A text": text is not None,
        "--file": reading.file is not None,
        "--field": bool(reading.field_names.chosen),
        "--whole": reading.whole,
    }
    for name, given in others.items():
        if given:
            raise UsageError(f"{name} and --chat are both given", "Give one of them")
    if suffix_of(file) in JSON_LINES:
        some = False
        for line in texts.lines_of(file, "Name a file with a chat on each line"):
            if line.text.strip():
                some = True
                yield _chat(line.text, line.where, reading)
        if not some:
            raise InputError(f"{file} holds no chat", "Give one on each line")
        return
    content, name = _read(file, "Name a file with a chat")
    yield _chat(content, name, reading)


def _chat(content: str, where: str, reading: PromptOptions) -> Sentence:
    turns = parse_turns(content, where[:1].upper() + where[1:])
    if reading.system is not None:
        turns = with_system(turns, reading.system)
    return Sentence("\n".join(turn.content for turn in turns), where, reading.target, turns=turns)


def _whole(reading: PromptOptions, text: str | None) -> Iterator[Sentence]:
    if text is not None and reading.file is not None:
        raise UsageError("A text and --file are both given", "Give one of them")
    if reading.file is None and text != "-":
        raise UsageError("--whole reads a file as one text", "Name one with --file, or leave --whole out")
    if reading.field_names.chosen:
        raise UsageError("--whole reads a file as one text, which has no columns", "Leave --field or --whole out")
    content, name = _read(reading.file or Path("-"), "Name a text file")
    if not content.strip():
        raise InputError(f"There is no text in {name}", "Name a file with a text")
    yield as_chat(Sentence(content.rstrip("\n"), name, reading.target), reading.system)


def _read(file: Path, remedy: str) -> tuple[str, str]:
    """Return the content of a file, with line ends of one kind, and its name."""
    if str(file) == "-":
        lines, name = texts.lines_from(sys.stdin.buffer, "standard input"), "standard input"
    else:
        lines, name = texts.lines_of(file, remedy), str(file)
    return "\n".join(line.text for line in lines), name


def split_of(reading: TextOptions) -> Split | None:
    """Return the function that divides a text into words; None for the default.

    Raises:
        UsageError: a word is to be a token, which has an option of its own.
        InputError: the file of words cannot be read, or has none.
    """
    if not isinstance(reading, PromptOptions) or reading.split in {None, "words"}:
        return None
    if reading.split == "tokens":
        raise UsageError("--split says what a word is, and tokens are shown by another option", "Add --tokens")
    if reading.split == "spaces":
        return split_words("spaces")
    if not reading.split:
        raise UsageError("--split must say what a word is", SPLITS)
    lines = texts.lines_of(Path(reading.split), SPLITS)
    words = [line.text.strip() for line in lines if line.text.strip()]
    if not words:
        raise InputError(f"{reading.split} has no words", "Write one on each line")
    return split_words(words)


def named_parts_of(reading: TextOptions) -> str | tuple[tuple[str, str], ...] | None:
    """Return how the text is divided into parts: `turns`, `lines`, or the parts that a file names; None if it is not.

    Raises:
        InputError: the file cannot be read, or a line has another form.
    """
    if not isinstance(reading, PartsOptions) or reading.parts in {None, "turns", "lines"}:
        return reading.parts if isinstance(reading, PartsOptions) else None
    named = []
    for line in texts.lines_of(Path(reading.parts or ""), "Write --parts turns, --parts lines, or name a file"):
        name, _, begins = line.text.partition("\t")
        if not line.text.strip():
            continue
        if not name.strip() or not begins.strip():
            raise InputError(f"{line.where} names no part", "Write a name, a tab, and the part's first words")
        named.append((name.strip(), begins.strip()))
    if not named:
        raise InputError(f"{reading.parts} names no parts", "Write a name, a tab, and the part's first words")
    return tuple(named)
