"""Images that a command reads: files, all those in a folder, or one that is piped in."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from attn_cli.cli.file_names import IMAGES
from attn_cli.cli.tables import Sentence
from attn_cli.errors import InputError, UsageError, shortened

__all__ = ["files_of_images", "images"]

PIPED = Path("-")


def files_of_images(given: Sequence[str | Path]) -> tuple[Path, ...]:
    """Return the files of images, those of each folder by name.

    Args:
        given: files and folders; `-` means standard input.

    Raises:
        UsageError: standard input is named twice, or a name is empty.
        InputError: a folder holds no image, or cannot be read.
    """
    if "" in given:
        raise UsageError("--image is empty", "Name an image, or a folder of images")
    paths = [Path(one).expanduser() for one in given]
    if paths.count(PIPED) > 1:
        raise UsageError("--image - is given twice, and what is piped in can be read once", "Leave one of them out")
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        name = shortened(str(path))
        try:
            inside = sorted(one for one in path.iterdir() if one.suffix.lower() in IMAGES and one.is_file())
        except OSError as fault:
            raise InputError(f"{name} cannot be read: {fault.strerror}", "Name a folder of images") from fault
        if not inside:
            raise InputError(f"{name} is a folder without an image", f"Name one with files of {', '.join(IMAGES)}")
        files += inside
    return tuple(files)


def images(files: Sequence[Path]) -> Iterator[Sentence]:
    """Yield images one after another, each read when it is its turn.

    Args:
        files: the files; `-` means standard input.

    Raises:
        InputError: one of them is not an image, or cannot be read, or nothing is piped in.
    """
    from attn_cli.models.images import read_image

    for file in files:
        if file == PIPED and sys.stdin.isatty():
            raise InputError("No image is piped in", "Name its file with --image, or pipe one in")
        image = read_image(sys.stdin.buffer.read() if file == PIPED else file)
        yield Sentence("", where=image.name, image=image)
