"""Parts of a corpus that were measured apart, as compressed NumPy archives of sums, some 50 kB each.

The arrays are the collector's own sums, by name (see `attn_cli.data.sums`), and two JSON documents as bytes: `part`
says which part of which corpus it is, as `SavedPartEntry` declares, and `record` has the model, the selection and the
checks, as in the archive of a record.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from msgspec import Meta, ValidationError, convert, to_builtins

from attn_cli.data.record import Record
from attn_cli.data.shard import Shard
from attn_cli.data.sums import Sums
from attn_cli.errors import InputError, counted
from attn_cli.io.npz import ARCHIVE_ERRORS, PART, read_archive
from attn_cli.io.records import decode, to_json
from attn_cli.io.restore import restore
from attn_cli.io.schema import check
from attn_cli.io.structs import Count, Entry
from attn_cli.system.encoding import json_bytes

__all__ = [
    "FORMAT",
    "LeftOutEntry",
    "Material",
    "SavedPart",
    "SavedPartEntry",
    "check_whole",
    "holds_part",
    "read_part",
    "same_run",
]

FORMAT: Final = 2
Material = Literal["corpus", "treebank", "probe", "needles"]
"""The kind of texts that are divided: lines of text, sentences with relations, or texts that are made."""
WHOLE: Mapping[Material, str] = {
    "corpus": "a corpus",
    "treebank": "a treebank",
    "probe": "a probe",
    "needles": "needles",
}
"""Name of each kind of texts, for messages."""
AGAIN = "attn heads --shard"
RUN_AGAIN = "Run attn heads --shard again for it"
GIVE_ALL = "Give all the parts of one run, as in attn heads part*.npz"


class LeftOutEntry(Entry):
    """A text that cannot be read."""

    text: Annotated[Count, Meta(description="Its number in the corpus, from 0.")]
    problem: str


class SavedPartEntry(Entry):
    """The corpus and the part of it that the sums are of."""

    format: Annotated[Literal[2], Meta(description="Rises when the sums change.")]
    finding: Literal["heads"]
    material: Annotated[Material, Meta(description="What is divided.")]
    seed: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="The seed of the texts of --probe; null without it.")
    ]
    shard: Annotated[int, Meta(ge=1, description="The number of the part, from 1.")]
    of: Annotated[int, Meta(ge=1, description="The number of parts.")]
    corpus: Annotated[str, Meta(description="Its name.")]
    corpus_fingerprint: Annotated[str, Meta(description="Of all its texts, in order.")]
    model_fingerprint: Annotated[str, Meta(description="Of the model's weights.")]
    reading: Annotated[
        Mapping[str, str], Meta(description="The options by which texts are read: --from, --to, --split.")
    ]
    texts: Annotated[Count, Meta(description="How many texts were measured.")]
    notes: Annotated[Mapping[str, Count], Meta(description="How many of the texts have each note.")]
    left_out: Annotated[Count, Meta(description="How many texts cannot be read.")]
    first_left_out: LeftOutEntry | None


@dataclass(frozen=True, eq=False)
class SavedPart:
    """One part of a corpus, measured."""

    entry: SavedPartEntry
    record: Record
    """The model, the selection and the checks; without a text."""
    sums: Sums
    name: str = ""
    """Name of the file, for messages."""

    @property
    def shard(self) -> Shard:
        """The number of the part, and of all parts."""
        return Shard(self.entry.shard, self.entry.of)

    def to_bytes(self) -> bytes:
        """Write the part as an archive."""
        entry = json_bytes(to_builtins(self.entry))
        arrays = {
            PART: np.frombuffer(entry, np.uint8),
            "record": np.frombuffer(to_json(self.record), np.uint8),
            **self.sums,
        }
        file = BytesIO()
        np.savez_compressed(file, allow_pickle=False, **arrays)
        return file.getvalue()


def holds_part(path: Path) -> bool:
    """Return whether a file is an archive with a part of a corpus; False if it cannot be read, or is a pipe."""
    try:
        if not path.is_file():  # opening a pipe waits for whoever writes to it
            return False
        with zipfile.ZipFile(path) as archive:
            return {f"{PART}.npy", "record.npy"} <= set(archive.namelist())
    except ARCHIVE_ERRORS:
        return False


def read_part(path: Path) -> SavedPart:
    """Read a part that `SavedPart.to_bytes` wrote.

    Raises:
        InputError: the file cannot be read, is damaged, or holds something else.
    """
    name = str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}", f"Name a file that {AGAIN} has saved") from error
    arrays = read_archive(data, name, again=AGAIN)
    documents = [arrays.pop(key, None) for key in (PART, "record")]
    texts = [array.tobytes() for array in documents if array is not None and array.dtype == np.uint8]
    if len(texts) < 2:
        raise InputError(f"{name} is not a part of a corpus", GIVE_ALL)
    described = decode(texts[0], f"{name}: {PART}")
    version = described.get("format") if isinstance(described, dict) else None
    if version != FORMAT:
        raise InputError(f"{name} was written by another version of attn, in another format", RUN_AGAIN)
    try:
        entry = convert(described, SavedPartEntry)
    except ValidationError as error:
        raise InputError(f"{name} is damaged: {error}", RUN_AGAIN) from error
    if entry.shard > entry.of:
        raise InputError(f"{name} is damaged: it calls itself part {entry.shard} of {entry.of}", RUN_AGAIN)
    return SavedPart(entry, restore(check(decode(texts[1], f"{name}: record"), name), name), arrays, name)


def same_run(part: SavedPart, other: SavedPart) -> str | None:
    """Compare the runs that two parts are of, but for the numbers of the parts.

    Returns:
        what is different, as the end of a sentence about `part`; None if nothing is.
    """
    one, two = part.entry, other.entry
    if part.record.tool_version != other.record.tool_version:
        return f"was written by attn {part.record.tool_version}, and {other.name} by {other.record.tool_version}"
    model, other_model = part.record.model, other.record.model
    if one.model_fingerprint != two.model_fingerprint:
        named = "" if model.name == other_model.name else f": {model.name}, and not {other_model.name}"
        return f"is of a model with other weights than {other.name}{named}"
    if model.dtype != other_model.dtype:
        return f"was computed in {model.dtype}, and {other.name} in {other_model.dtype}"
    if model.without != other_model.without:
        return f"is of a model run without other heads (--without) than {other.name}"
    if one.material != two.material:
        return f"is of {WHOLE[one.material]}, and {other.name} of {WHOLE[two.material]}"
    if one.seed != two.seed:
        return f"was measured {_seeded(one.seed)}, and {other.name} {_seeded(two.seed)}"
    if one.corpus_fingerprint != two.corpus_fingerprint:
        named = "" if one.corpus == two.corpus else f": {one.corpus}, and not {two.corpus}"
        return f"is of a corpus with other texts than {other.name}{named}"
    if part.record.selection != other.record.selection or one.reading != two.reading:
        return f"was measured with other options than {other.name}"
    if one.of != two.of:
        return f"is one of {counted(one.of, 'part')}, and {other.name} one of {two.of:,}"
    return None


def _seeded(seed: int | None) -> str:
    """Say with which texts of a probe a part was measured."""
    return "without --probe" if seed is None else f"with --probe --seed {seed}"


def check_whole(parts: Sequence[SavedPart]) -> list[SavedPart]:
    """Check that these are all the parts of one run, each once, and return them in order.

    Raises:
        InputError: a part is of another run, is missing, or is given twice.
    """
    first = parts[0]
    by_number: dict[int, SavedPart] = {}
    for part in parts:
        if (different := same_run(part, first)) is not None:
            raise InputError(f"{part.name} {different}", GIVE_ALL)
        same = by_number.setdefault(part.entry.shard, part)
        if same is not part:
            raise InputError(f"{same.name} and {part.name} are both {part.shard}", "Leave one of them out")
    of, numbers = first.entry.of, sorted(by_number)
    if missing := of - len(numbers):
        places = zip((0, *numbers), (*numbers, of + 1), strict=True)
        gaps = ", ".join(_run(before + 1, after - 1) for before, after in places if after - before > 1)
        which = f"Part {gaps} of {of:,} is" if missing == 1 else f"Parts {gaps} of {of:,} are"
        raise InputError(f"{which} missing", GIVE_ALL)
    return [by_number[number] for number in numbers]


def _run(first: int, last: int) -> str:
    """Write numbers that follow one another: `2`, `5-9`."""
    return f"{first:,}" if first == last else f"{first:,}-{last:,}"
