"""Parts of a corpus that are measured apart, on several machines. Imports nothing heavy: the command line needs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, TypeVar

from attn_cli.errors import UsageError, counted, quoted

__all__ = ["Fingerprinted", "Shard"]

Item = TypeVar("Item")

SHARD = re.compile(r"(\d{1,9})/(0*[1-9]\d{0,8})", re.ASCII)
NUMBER = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `of`-th window of a corpus, from the window `number` on, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str]) -> Shard:
        """Parse `3/16`, or `auto` for what the scheduler has put in the environment.

        Args:
            text: the value of `--shard`.
            environment: the environment's variables, of which SLURM's job arrays set `SLURM_ARRAY_TASK_ID`, and
                launchers of parallel programs `RANK` and `WORLD_SIZE`.

        Raises:
            UsageError: the text has another form, there is no such part, no scheduler has set anything, or only
                some tasks of a job array have been submitted.
        """
        if text == "auto":
            return cls._scheduled(environment)
        match = SHARD.fullmatch(text.strip())
        if match is None:
            raise UsageError(
                f"--shard {quoted(text)} is not a part of a corpus", "Write it like --shard 3/16, or --shard auto"
            )
        return cls._checked(int(match[1]), int(match[2]), f"--shard {text.strip()}")

    @classmethod
    def _scheduled(cls, environment: Mapping[str, str]) -> Shard:
        def number(name: str, default: int | None = None) -> int:
            value = environment.get(name, "")
            if not value and default is not None:
                return default
            if not NUMBER.fullmatch(value):
                what = f"is {quoted(value)}" if value else "is not set"
                raise UsageError(f"--shard auto: {name} {what}", "Write the part itself, like --shard 3/16")
            return int(value)

        if environment.get("SLURM_ARRAY_TASK_ID"):
            task, count = number("SLURM_ARRAY_TASK_ID"), number("SLURM_ARRAY_TASK_COUNT")
            first, step = number("SLURM_ARRAY_TASK_MIN", 0), max(number("SLURM_ARRAY_TASK_STEP", 1), 1)
            last = number("SLURM_ARRAY_TASK_MAX", first + (count - 1) * step)
            if first > 1 or (last - first) // step + 1 != count:
                raise UsageError(
                    f"--shard auto: the job array ({counted(count, 'task')} from {first} to {last}) is not a whole one "
                    "that begins at 0 or 1",
                    "Submit the whole array again, or write the part itself, like --shard 3/16",
                )
            return cls._checked((task - first) // step + 1, count, "--shard auto (a job array of SLURM)")
        if environment.get("RANK"):
            return cls._checked(number("RANK") + 1, number("WORLD_SIZE"), "--shard auto (RANK of WORLD_SIZE)")
        raise UsageError(
            "--shard auto finds neither SLURM_ARRAY_TASK_ID nor RANK in the environment",
            "Write the part itself, like --shard 3/16",
        )

    @classmethod
    def _checked(cls, number: int, of: int, where: str) -> Shard:
        if not 1 <= number <= of:
            raise UsageError(
                f"{where}: the part must be from 1 to {of}, not {number}", "Count the parts from 1: 1/16 to 16/16"
            )
        return cls(number, of)

    def __str__(self) -> str:
        return f"part {self.number} of {self.of}"

    def holds(self, window: int) -> bool:
        """Return whether a window, counted from 0, belongs to this part."""
        return window % self.of == self.number - 1

    def count(self, texts: int, window: int) -> int:
        """Return how many of so many texts belong to this part.

        Args:
            texts: number of texts of the whole corpus.
            window: number of texts in each window but the last.
        """
        whole, rest = divmod(texts, window)
        full = whole // self.of + (whole % self.of >= self.number)
        return full * window + (rest if self.holds(whole) else 0)


class Fingerprinted(Generic[Item]):
    """The texts of a corpus, whose fingerprint is known once all of them have been read.

    Args:
        texts: the texts, which are read lazily.
        content: a function that returns all that is read of a text, of which Python writes the same everywhere.
    """

    def __init__(self, texts: Iterable[Item], content: Callable[[Item], object]) -> None:
        self._texts, self._content = texts, content
        self._digest = blake2b(digest_size=16)

    def __iter__(self) -> Iterator[Item]:
        for text in self._texts:
            self._digest.update(repr(self._content(text)).encode())
            yield text

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the texts read so far, in order; it depends on no name of a file."""
        return self._digest.hexdigest()
