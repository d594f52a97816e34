"""Arguments that name files: records, which many commands read, and files that another option or command reads."""

from __future__ import annotations

import shlex
from pathlib import Path

from attn_cli.answer.formats import FORMATS
from attn_cli.cli.files import READABLE, suffix_of
from attn_cli.errors import UsageError, shortened
from attn_cli.system.encoding import check_text

__all__ = ["IMAGES", "check_typed", "names_image", "names_record"]

RECORDS = tuple(suffix for suffix, one in FORMATS.items() if one.records)
"""Suffixes of files that hold records."""
MATRICES = (".npy", ".csv", ".tsv")
"""Suffixes of other files that hold a matrix of weights, which is a record too."""
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
"""Suffixes of the usual images."""
TREEBANK = ".conllu"
"""Suffix of treebanks, which `attn heads` alone reads."""
DEVICES = ("/dev/fd/", "/proc/self/fd/")


def names_record(text: str | None) -> bool:
    """Return whether an argument names a file of records or matrices, or a shell's `<(attn …)`, and is not a text."""
    if text is None:
        return False
    return text.startswith(DEVICES) or (
        text.endswith((*RECORDS, *MATRICES)) and (len(text.split()) == 1 or _is_file(text))
    )


def names_image(text: str) -> bool:
    """Return whether an argument names a file that holds an image."""
    return suffix_of(Path(text)) in IMAGES and _is_file(text)


def check_typed(text: str, instead: str = "", *, called: str = "The text") -> str:
    """Check a text that was typed, and return it: the name of a file that can be read is not taken for a text.

    Args:
        text: the text.
        instead: what to do where the lines of a file are not read with `--file`.
        called: the name of the text in messages.

    Raises:
        UsageError: it is the name of such a file.
        InputError: it is not a text.
    """
    check_text(text, called)
    suffix = suffix_of(Path(text))
    device = text.startswith(DEVICES)
    if not device and not (suffix in {*READABLE, *RECORDS, *MATRICES, *IMAGES, TREEBANK} and _is_file(text)):
        return text
    name = shlex.quote(text)
    ways = []
    if device or suffix in READABLE:
        ways.append(instead or f"Read its lines with --file {name}")
    if text.lower().endswith((*RECORDS, *MATRICES)):
        held = " if it is a record or a matrix" if ways else ""
        ways.append(f"{'show' if ways else 'Show'} it with attn view {name}{held}")
    if suffix == TREEBANK:
        ways.append(f"Read a treebank with attn heads --conllu {name}")
    if suffix in IMAGES:
        ways.append(f"Show an image with attn inspect --image {name}")
    raise UsageError(f"{shortened(text)} is a file, and not taken for a text", ", or ".join(ways))


def _is_file(name: str) -> bool:
    """Return whether there is a file or a pipe of this name."""
    try:
        return Path(name).is_file() or Path(name).is_fifo()
    except OSError:  # a text is too long for a name
        return False
