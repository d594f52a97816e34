"""A check of a `tokenizer.json` before it is used: a compiled library that runs out of memory ends the process.

A few lines in the file can ask for more memory than there is: a step that replaces each letter by two, forty times
over, a template that repeats the text, or a table that claims billions of entries.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from attn_cli.errors import ModelError
from attn_cli.models.contents import read_json

__all__ = ["check_tokenizer_file"]

MOST = 1000
"""Most times that a tokenizer may lengthen a text; those in use stay far below ten."""
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
SEQUENCES = ("normalizers", "pretokenizers", "processors", "decoders")
"""Keys of the list of steps in a sequence of each of these parts."""
MAY_MATCH_NOTHING = re.compile(r"[*?|^$]|\\[bBGAzZ]|\{[0,]")
"""Syntax of a regular expression that may match between two letters, so that a replacement adds letters only."""
LETTERS = "The cat sat on the mat."


def check_tokenizer_file(name: str, path: Path, remedy: str) -> None:
    """Make sure that a `tokenizer.json` holds an object and needs memory in proportion to a text's length.

    Other faults are not looked for.

    Args:
        name: the model, as the user named it.
        path: path of the file.
        remedy: what to do about a file that fails.

    Raises:
        ModelError: the file is no JSON object, makes a text a thousand times as long, or holds a table that is shorter
            than it claims.
    """
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        content = None
    if not isinstance(content, Mapping):  # transformers may read files that orjson refuses (for a NaN, say)
        content = read_json(name, path)
    for part in PARTS:
        steps = list(_steps(content.get(part)))
        if any(step.get("type") == "Precompiled" and not _whole(step.get("precompiled_charsmap")) for step in steps):
            raise ModelError(f"The table of characters in {path.name} of {name} is damaged", remedy)
        if _grows(steps):
            raise ModelError(f"The {part} in {path.name} of {name} makes a text a thousand times as long", remedy)


def _steps(part: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the steps of a part of a tokenizer, in the order in which they run."""
    if isinstance(part, Mapping):
        yield part
        for key in SEQUENCES:
            for one in part[key] if isinstance(part.get(key), list) else ():
                yield from _steps(one)


def _grows(steps: list[Mapping[str, Any]]) -> bool:
    """Return whether the steps make a text far longer, tried on a sample with every string that they replace."""
    replaced = [_pattern(step, "String") for step in steps if step.get("type") == "Replace"]
    sample = LETTERS + "".join(pattern for pattern in replaced if pattern)
    most, text, factor = MOST * len(sample), sample, 1
    for step in steps:
        pattern = _pattern(step, "String")
        content = step.get("content")
        if step.get("type") == "Replace" and isinstance(content, str):
            if pattern is None:  # a regular expression is not tried, since it may take for ever
                nothing = MAY_MATCH_NOTHING.search(_pattern(step, "Regex") or "?") is not None
                factor *= max(1, nothing + len(content))
            elif (len(text) + text.count(pattern) * (len(content) - len(pattern))) * factor > most:
                return True
            else:
                text = text.replace(pattern, content)
        elif step.get("type") == "ByteLevel":  # one letter can be several bytes, and each byte becomes a letter
            factor *= 2
        elif step.get("type") == "TemplateProcessing":
            factor *= max(
                _repeated(step.get(form), segment) for form, segment in (("single", "A"), ("pair", "A"), ("pair", "B"))
            )
    return len(text) * factor > most


def _whole(table: Any) -> bool:
    """Return whether a SentencePiece table is complete: a length in bytes, that many bytes, and the rest."""
    try:
        content = b64decode(table, validate=True)
    except (TypeError, ValueError):
        return False
    return len(content) >= 4 and int.from_bytes(content[:4], "little") <= len(content) - 4


def _pattern(step: Mapping[str, Any], kind: str) -> str | None:
    pattern = step.get("pattern")
    found = pattern.get(kind) if isinstance(pattern, Mapping) else None
    return found if isinstance(found, str) else None


def _repeated(template: Any, segment: str) -> int:
    """Count how often a template repeats a segment; at least 1."""
    pieces = template if isinstance(template, list) else []
    sequences = [piece.get("Sequence") for piece in pieces if isinstance(piece, Mapping)]
    return max(1, len([one for one in sequences if isinstance(one, Mapping) and one.get("id") == segment]))
