"""What a `tokenizer.json` asks for, looked at before it is used: a compiled library without memory ends the process.

Replacing each letter by two, forty times over, takes a line in the file and more memory than there is; so does a
template that repeats the text, or a table that says it is billions of entries long.
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
"""Times as long; what is in use stays far below ten."""
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
SEQUENCES = ("normalizers", "pretokenizers", "processors", "decoders")
"""What the library calls the list in a sequence of each of them."""
MAY_MATCH_NOTHING = re.compile(r"[*?|^$]|\\[bBGAzZ]|\{[0,]")
"""Signs of a regular expression that may match between two letters, and so add without taking away."""
LETTERS = "The cat sat on the mat."


def check_tokenizer_file(name: str, path: Path, remedy: str) -> None:
    """Make sure that a `tokenizer.json` holds an object, and takes no more memory than a text's length.

    What else is wrong is let be.

    Args:
        name: the model, as the user named it.
        path: where the file is.
        remedy: what to do about one that does not.

    Raises:
        ModelError: it is no JSON object, makes a text a thousand times as long, or holds a table that is not as long
            as it says.
    """
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        content = None
    if not isinstance(content, Mapping):  # what orjson refuses (NaN, for one), transformers may read all the same
        content = read_json(name, path)
    for part in PARTS:
        steps = list(_steps(content.get(part)))
        if any(step.get("type") == "Precompiled" and not _whole(step.get("precompiled_charsmap")) for step in steps):
            raise ModelError(f"The table of characters in {path.name} of {name} is damaged", remedy)
        if _grows(steps):
            raise ModelError(f"The {part} in {path.name} of {name} makes a text a thousand times as long", remedy)


def _steps(part: Any) -> Iterator[Mapping[str, Any]]:
    """The steps of a part of a tokenizer, in the order in which they are taken."""
    if isinstance(part, Mapping):
        yield part
        for key in SEQUENCES:
            for one in part[key] if isinstance(part.get(key), list) else ():
                yield from _steps(one)


def _grows(steps: list[Mapping[str, Any]]) -> bool:
    """Whether these steps make a text far longer: each letter that is replaced, and letters that are not."""
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
        elif step.get("type") == "ByteLevel":  # one letter can be several bytes, and each of these is a letter again
            factor *= 2
        elif step.get("type") == "TemplateProcessing":
            factor *= max(
                _repeated(step.get(form), segment) for form, segment in (("single", "A"), ("pair", "A"), ("pair", "B"))
            )
    return len(text) * factor > most


def _whole(table: Any) -> bool:
    """Whether a table of SentencePiece is as long as it says: a number of bytes, so many bytes, and the rest."""
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
    """How often a template puts a segment."""
    pieces = template if isinstance(template, list) else []
    sequences = [piece.get("Sequence") for piece in pieces if isinstance(piece, Mapping)]
    return max(1, len([one for one in sequences if isinstance(one, Mapping) and one.get("id") == segment]))
