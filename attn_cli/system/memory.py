"""Checks of free memory before something is started that would not fit, and reuse of freed memory."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from attn_cli.errors import MemoryLimitError, UsageError, quoted

__all__ = ["available", "gigabytes", "keep_freed", "require"]

SMALL = 256 * 2**20
"""Bytes that are not checked, because any machine that runs a Transformer has them to spare."""
MAPPED, TRIMMED = -3, -1
"""`M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD` of glibc's malloc.h."""
LIMIT = "ATTN_MEMORY"
"""The environment variable that says how much memory to take for free at most."""
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", re.IGNORECASE)
BYTES = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def require(needed: int, what: str, remedy: str, *, free: int | None = None, device: str = "") -> None:
    """Check that something fits in memory.

    Args:
        needed: bytes needed.
        what: name of what needs them, for the message.
        remedy: advice on how to need less.
        free: the bytes that are free; by default, those of this machine's memory.
        device: the device that they are free on, if it is another.

    Raises:
        MemoryLimitError: less memory is free.
    """
    if needed <= SMALL:
        return
    free = available() if free is None else free
    if needed > free:
        where, there = (f" on {device}", " there") if device else ("", "")
        said = f"{what} takes {gigabytes(needed)} of memory{where}, and {gigabytes(free)} is free{there}"
        raise MemoryLimitError(said, remedy)


@cache
def keep_freed() -> None:
    """Make the system's allocator keep freed memory for reuse, if it has that option (glibc).

    By default the allocator returns arrays of some megabytes to the system at once, and each new one gets fresh pages,
    which the system first fills with zeros: a tenth of the time that a long text takes.
    """
    if sys.platform != "linux":
        return
    import ctypes

    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # not in every C library
    if set_option is not None:
        for option in (MAPPED, TRIMMED):
            set_option(option, SMALL)


def gigabytes(size: int) -> str:
    """Format a number of bytes: `1.5 GB`."""
    return f"{size / 1e9:,.1f} GB"


def available() -> int:
    """Return the bytes that this process can still allocate: the machine's free memory, or less under a limit.

    Raises:
        UsageError: `ATTN_MEMORY` is not a size.
    """
    import psutil

    return max(0, min(psutil.virtual_memory().available, _most(), *_limits_left()))


def _most() -> int:
    """Return the bytes that `ATTN_MEMORY` allows to take for free: `4GB`, `500 MB`, or a number of bytes."""
    text = os.environ.get(LIMIT, "")
    size = SIZE.fullmatch(text)
    if text and size is None:
        raise UsageError(f"{LIMIT} must be a size such as 4GB, not {quoted(text)}", "Set it to one, or unset it")
    return sys.maxsize if size is None else int(min(float(size[1]) * BYTES[size[2].upper()], sys.maxsize))


def _limits_left() -> Iterator[int]:
    """Yield the rest of each memory limit of this process, set by `ulimit -v`, a container or a batch system."""
    yield sys.maxsize
    if sys.platform == "win32":
        return
    import resource

    import psutil

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        yield limit - psutil.Process().memory_info().vms
    yield from _groups_left()


def _groups_left() -> Iterator[int]:
    """Yield the rest of the limits of this process's control group and its ancestors (Linux, "Control Group v2")."""
    try:
        own = next(line[4:] for line in OWN_GROUP.read_text().splitlines() if line.startswith("0::/"))
    except (OSError, StopIteration):  # another system, or the older version
        return
    for folder in ((place := GROUPS / own), *place.parents):
        try:
            limit = (folder / "memory.max").read_text().strip()
            used = int((folder / "memory.current").read_text())
            figures = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except OSError:  # the topmost group has no limit
            continue
        if limit != "max":
            # The inactive file cache is reclaimed as soon as memory is needed.
            yield int(limit) - used + next((int(size) for name, size in figures if name == "inactive_file"), 0)
