"""Files that results are saved to: checked before anything runs, and replaced only when the new file is complete.

A file is written beside its target, flushed to disk and renamed over it. Until the renaming the target is unchanged.
Afterwards it has the same owner and permissions as before, as far as the system allows.
"""

from __future__ import annotations

import io
import os
import secrets
import shlex
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attn_cli.errors import OutputError

__all__ = ["Destination", "check_folder", "destination"]


@dataclass(frozen=True)
class Destination:
    """A file that can be written."""

    path: Path
    """Path that the user named."""
    target: Path
    """Path to write: `path` with every link resolved, so that a link stays a link."""
    force: bool = False
    """True to replace an existing file."""
    device: bool = False
    """True for a pipe or a device, which is written in place and cannot be replaced."""
    notes: list[str] = field(default_factory=list, compare=False)
    """Properties of a replaced file that could not be kept, one sentence each."""

    @contextmanager
    def open(self) -> Iterator[io.BufferedWriter]:
        """Open a binary file that becomes the target if the block ends without an exception, and is deleted otherwise.

        Raises:
            OutputError: the file could not be written; the target is unchanged.
        """
        if self.device:
            with self._translated():
                descriptor = os.open(self.path, os.O_WRONLY)  # /dev/stdout may link to something without a path
            with self._buffered(descriptor) as file:
                yield file
            return
        temporary = self.target.with_name(f".attn-{secrets.token_hex(8)}.tmp")
        with self._translated():
            # The usual mode of a new file: 0o666 less the umask.
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        notes: list[str] = []
        try:
            with self._buffered(descriptor) as file:
                yield file
                file.flush()
                with self._translated():
                    os.fsync(descriptor)
                    if self.target.exists():
                        notes = self._keep(descriptor, self.target.stat())
            self.check_free()
            with self._translated():
                temporary.replace(self.target)
            self.notes.extend(notes)
        except BaseException:  # also on Ctrl-C, nothing must be left behind
            temporary.unlink(missing_ok=True)
            raise

    def _keep(self, descriptor: int, old: os.stat_result) -> list[str]:
        """Give a file the owner, group and permissions of the file that it will replace.

        Returns:
            Notes on what could not be kept.
        """
        owners = (("group", -1, old.st_gid), ("owner", old.st_uid, -1))
        lost = [what for what, owner, group in owners if not _hand_over(descriptor, owner, group)]
        mode = stat.S_IMODE(old.st_mode)
        # Last, because a change of owner clears some bits; setuid and setgid must not carry over to another owner.
        os.fchmod(descriptor, mode & ~(stat.S_ISUID | stat.S_ISGID) if lost else mode)
        notes = []
        if lost:
            notes.append(
                f"{self.path} has a different {' and '.join(reversed(lost))} from the file that it replaced: only root "
                f"could have kept {'them' if len(lost) > 1 else 'it'}"
            )
        if old.st_nlink > 1:
            notes.append(f"{self.path} had other names as well (hard links), which still hold what was there before")
        return notes

    def _buffered(self, descriptor: int) -> io.BufferedWriter:
        return io.BufferedWriter(_Raw(descriptor, self.path))

    def check_free(self) -> None:
        """Check that no file would be replaced without `force`.

        Raises:
            OutputError: the target exists, and `force` is not set.
        """
        if self.target.exists() and not self.force:
            raise OutputError(f"{self.path} exists", "Add --force to replace it, or choose another name")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self.path, error) from error


def _hand_over(descriptor: int, owner: int, group: int) -> bool:
    """Try to change a file's owner and group (-1 to keep one) and return whether the system allows it."""
    try:
        os.fchown(descriptor, owner, group)
    except PermissionError:
        return False
    return True


class _Raw(io.FileIO):
    """A file whose failed writes raise `OutputError`, so that any other `OSError` in a `with` block stays as it is."""

    def __init__(self, descriptor: int, path: Path) -> None:
        super().__init__(descriptor, "wb")
        self._path = path

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise unwritable(self._path, error) from error


def unwritable(path: Path, error: OSError) -> OutputError:
    """Make the error for a file that cannot be written, with the system's message."""
    return OutputError(f"{path} cannot be written: {error.strerror}", "Choose another place; nothing there was changed")


def destination(path: str, *, force: bool = False) -> Destination:
    """Check, before any work is done, that a file can be written.

    Args:
        path: the path given to `--save`.
        force: replace an existing file.

    Raises:
        OutputError: the file exists already, or it cannot be created.
    """
    place = Path(path)
    try:
        there = place.stat()
    except FileNotFoundError:
        there = None
    except OSError as error:
        raise unwritable(place, error) from error
    mode = None if there is None else there.st_mode
    if mode is not None and stat.S_ISDIR(mode):
        raise OutputError(f"{path} is a folder", "Name a file in it")
    device = mode is not None and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode))
    if mode is not None and not device and not stat.S_ISREG(mode):
        raise OutputError(f"{path} is not a file", "Choose another name")
    if there is not None and not device and _is_output(there):
        raise OutputError(f"{path} is where standard output goes", "Choose another name")
    try:
        target = Path(os.path.realpath(place))
    except OSError as error:  # the working directory has been removed
        raise unwritable(place, error) from error
    found = Destination(place, target, force=force, device=device)
    if not device:
        found.check_free()
        check_folder(found.target.parent)
        if there is not None and _is_protected(there, found.target.parent.stat()):
            raise OutputError(
                f"{path} belongs to somebody else, and its folder lets only them replace it", "Choose another name"
            )
    return found


def _is_output(there: os.stat_result) -> bool:
    """Return whether a file is the standard output of the process."""
    try:
        return os.path.samestat(there, os.fstat(1))
    except OSError:  # standard output is closed
        return False


def _is_protected(there: os.stat_result, folder: os.stat_result) -> bool:
    """Return whether the sticky bit of a folder like `/tmp` keeps us from replacing a file (see `man 7 inode`)."""
    return bool(folder.st_mode & stat.S_ISVTX) and os.geteuid() not in {0, there.st_uid, folder.st_uid}


def check_folder(folder: Path) -> None:
    """Check that files can be created in a folder.

    Raises:
        OutputError: files cannot be created, or there is no such folder.
    """
    if not folder.is_dir():
        raise OutputError(f"There is no folder {folder}", f"Make it with mkdir -p {shlex.quote(str(folder))}")
    try:
        # Permissions are not enough (read-only disks, quotas, root), so create a file, which has no name.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {error.strerror}", "Choose another folder") from error
