"""Safe reading of a model's folder: regular files of a sensible size, and JSON objects."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from attn_cli.errors import ModelError
from attn_cli.system.memory import gigabytes

__all__ = ["AGAIN", "check_files", "read_json"]

AGAIN = "Copy or download it again"
WEIGHTS = (".safetensors", ".bin")
FILES = (".json", ".txt", ".model", ".spm", ".tiktoken", ".jinja", *WEIGHTS)
"""Suffixes of the files that are read from a folder."""
LARGEST = 2**30
"""Most bytes of a vocabulary or a config: the largest known take some hundredth of that."""


def check_files(name: str, folder: Path) -> None:
    """Make sure that a folder can be listed and that no file in it blocks its readers, transformers included.

    Args:
        name: the model, as the user named it.
        folder: the model's folder.

    Raises:
        ModelError: the folder cannot be read, or holds a pipe, a socket or a device, a folder in the place of a file,
            or a file that is far too large.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as fault:
        raise ModelError(f"{name} cannot be read: {fault.strerror}", "Check the folder's permissions") from fault
    for entry in entries:
        try:
            found = entry.stat()
        except OSError:  # a broken link counts as no file
            continue
        read = entry.name.endswith(FILES)
        if stat.S_ISDIR(found.st_mode):
            if read:
                raise ModelError(f"{entry.name} of {name} is a folder, not a file", AGAIN)
        elif not stat.S_ISREG(found.st_mode):
            raise ModelError(
                f"{entry.name} of {name} is not a regular file but a pipe, a socket or a device",
                "Put the file itself into the folder",
            )
        elif read and found.st_size > LARGEST and not entry.name.endswith(WEIGHTS):
            raise ModelError(f"{entry.name} of {name} is far too large ({gigabytes(found.st_size)})", AGAIN)


def read_json(name: str, path: Path) -> dict[str, Any]:
    """Read the JSON object in a file.

    Args:
        name: the model, as the user named it.
        path: path of the file.

    Raises:
        ModelError: the file cannot be read, or does not hold a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ModelError(f"{path.name} of {name} cannot be read: {fault.strerror}", AGAIN) from fault
    except ValueError as fault:  # neither JSON nor UTF-8
        raise ModelError(f"{path.name} of {name} is not JSON: {fault}", AGAIN) from fault
    except RecursionError as fault:
        raise ModelError(f"{path.name} of {name} is nested too deeply", AGAIN) from fault
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} of {name} does not hold a JSON object", AGAIN)
    return content
