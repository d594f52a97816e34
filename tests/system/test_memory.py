"""Tests of the memory that is free, and of the message where it is not enough."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from attn_cli.errors import MemoryLimitError, UsageError
from attn_cli.io.npz import to_npz
from attn_cli.io.read import read_records
from attn_cli.io.records import to_json
from attn_cli.system import memory
from tests.samples import encoder_record

MACHINE = 7 * 10**9


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of a known size, whose control groups are in a folder."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=MACHINE))
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "OWN_GROUP", tmp_path / "own")


def group(tmp_path: Path, place: str, limit: str, used: int, cached: int = 0) -> None:
    """A control group's files, as Linux keeps them."""
    folder = tmp_path / "groups" / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon {used - cached}\nfile {cached}\ninactive_file {cached}\n")


def test_without_limits_it_is_what_the_machine_has() -> None:
    assert memory.available() == MACHINE


@pytest.mark.parametrize(
    ("own", "left"),
    [
        ("0::/batch/job\n", 2000 - 900 + 300),
        ("12:cpu:/\n0::/batch/job/step\n", 2000 - 900 + 300),
        ("0::/batch\n", 5000 - 2000),
        ("0::/\n", MACHINE),
        ("0::/gone\n", MACHINE),
        ("4:memory:/batch/job\n", MACHINE),
        ("", MACHINE),
    ],
)
def test_limits_of_control_groups(own: str, left: int, tmp_path: Path) -> None:
    (tmp_path / "own").write_text(own)
    group(tmp_path, "batch", "5000", 2000)
    group(tmp_path, "batch/job", "2000", 900, cached=300)
    group(tmp_path, "batch/job/step", "max", 100)
    assert memory.available() == left


def test_what_is_used_up_is_not_negative(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("0::/batch\n")
    group(tmp_path, "batch", "2000", 2001)
    assert memory.available() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_limit_of_the_shell() -> None:
    script = "import psutil, attn_cli.system.memory as m; print(m.available(), psutil.virtual_memory().available)"
    command = f"ulimit -v 2000000; {shlex.quote(sys.executable)} -c {shlex.quote(script)}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, check=True, text=True)
    left, machine = map(int, ran.stdout.split())
    assert 0 < left < min(2_000_000 * 1024, machine)


def test_only_what_is_large_is_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.require(MACHINE, "a map", "Choose less")
    with pytest.raises(MemoryLimitError) as raised:
        memory.require(MACHINE + 10**8, "A map", "Choose less")
    assert str(raised.value) == "A map takes 7.1 GB of memory, and 7.0 GB is free. Choose less."
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=0))
    memory.require(memory.SMALL, "a map", "Choose less")


def test_files_are_weighed_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = encoder_record()
    for name, data in (("a.npz", to_npz(record)), ("a.json", to_json(record))):
        (tmp_path / name).write_bytes(data)
        assert len(list(read_records(tmp_path / name))) == 1
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10))
    for name in ("a.npz", "a.json"):
        with pytest.raises(MemoryLimitError, match=rf"{name}.* takes .* --layer and --head"):
            list(read_records(tmp_path / name))


def test_what_was_freed_is_kept_where_the_allocator_can_be_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, option: int, size: int) -> None:
            told.append((option, size))

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda _: Library())
    memory.keep_freed.__wrapped__()
    assert [option for option, _ in told] == [-3, -1]  # as glibc's malloc.h has them
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    memory.keep_freed.__wrapped__()  # another C library has no such function
    assert len(told) == 2


@pytest.mark.parametrize(("text", "size"), [("4GB", 4e9), ("0.5 gb", 5e8), ("300M", 3e8), ("77", 77)])
def test_a_limit_of_ones_own(text: str, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTN_MEMORY", text)
    assert memory.available() == size


def test_a_limit_beyond_all_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTN_MEMORY", "9" * 400)
    assert 0 < memory.available() < sys.maxsize


def test_a_limit_that_is_not_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTN_MEMORY", "lots")
    with pytest.raises(UsageError, match="ATTN_MEMORY must be a size such as 4GB, not 'lots'"):
        memory.available()
