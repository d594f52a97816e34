"""Saving: found impossible before any work is done, and nothing lost whatever happens."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import NoReturn

import pytest

import attn_cli
from attn_cli.answer.formats import FORMATS
from attn_cli.answer.saving import SaveFile
from attn_cli.errors import OutputError
from attn_cli.io.destination import Destination, destination

OLD, NEW = b"old" * 7, b"new" * 11


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", [*FORMATS, ".JSON"])
def test_a_new_file(tmp_path: Path, suffix: str) -> None:
    found = SaveFile.named(str(tmp_path / f"a{suffix}"))
    assert found.format is FORMATS[suffix.lower()]
    assert names(tmp_path) == set()
    with found.place.open() as file:
        file.write(NEW)
    assert (tmp_path / f"a{suffix}").read_bytes() == NEW
    assert names(tmp_path) == {f"a{suffix}"}


def test_what_each_format_holds(tmp_path: Path) -> None:
    found = {suffix: SaveFile.named(str(tmp_path / f"a{suffix}")) for suffix in FORMATS}
    assert {suffix for suffix in FORMATS if not found[suffix].format.drawn} == {
        ".json",
        ".jsonl",
        ".npz",
        ".csv",
        ".parquet",
    }
    for suffix in FORMATS:
        found[suffix].check_count(1)
    for suffix in {".jsonl", ".csv", ".parquet", ".svg", ".html", ".txt"}:
        found[suffix].check_count(3)
    for suffix in {".json", ".npz"}:
        with pytest.raises(
            OutputError, match=rf"a\{suffix} can hold only one sentence, and there are more\. Use .*/a\.jsonl, "
        ):
            found[suffix].check_count(3)
    for suffix in {".pdf", ".png", ".tex"}:
        with pytest.raises(OutputError, match=r"can hold only one sentence, and there are more\. Give one sentence"):
            found[suffix].check_count(3)


def test_rights_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with destination(str(tmp_path / "a.txt")).open() as file:
            file.write(NEW)
        (tmp_path / "b.txt").write_bytes(NEW)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")}
    assert modes == {0o640}


def test_a_replaced_file_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(OLD)
    path.chmod(0o600)
    with destination(str(path), force=True).open() as file:
        file.write(NEW)
    assert path.read_bytes() == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(OLD)
    path.chmod(0o640)
    os.chown(path, 12345, 54321)
    found = destination(str(path), force=True)
    with found.open() as file:
        file.write(NEW)
    now = path.stat()
    assert (path.read_bytes(), now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (NEW, 12345, 54321, 0o640)
    assert found.notes == []


def test_an_owner_that_cannot_be_kept_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for everybody but root, who may not give a file away."""
    path = tmp_path / "a.json"
    path.write_bytes(OLD)
    path.chmod(0o4755)

    def refuse(descriptor: int, owner: int, group: int) -> None:
        if owner != -1:
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    found = destination(str(path), force=True)
    with found.open() as file:
        file.write(NEW)
    assert found.notes == [f"{path} has a different owner from the file that it replaced: only root could have kept it"]
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (NEW, 0o755)
    monkeypatch.setattr(os, "fchown", lambda *_: refuse(0, 1, 1))
    with found.open() as file:
        file.write(OLD)
    assert "a different owner and group from" in found.notes[1]


def test_other_names_of_a_file_are_told(tmp_path: Path) -> None:
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    path.write_bytes(OLD)
    other.hardlink_to(path)
    found = destination(str(path), force=True)
    with found.open() as file:
        file.write(NEW)
    assert (path.read_bytes(), other.read_bytes()) == (NEW, OLD)
    assert found.notes == [f"{path} had other names as well (hard links), which still hold what was there before"]


def test_a_file_of_somebody_else_in_a_folder_like_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There rename() fails, so nothing is computed first."""
    path = tmp_path / "a.json"
    path.write_bytes(OLD)
    tmp_path.chmod(0o1777)
    destination(str(path), force=True)
    monkeypatch.setattr(os, "geteuid", lambda: 99999)
    with pytest.raises(OutputError, match=r"a\.json belongs to somebody else, and its folder lets only them"):
        destination(str(path), force=True)
    tmp_path.chmod(0o755)
    destination(str(path), force=True)


def test_a_file_that_cannot_be_written_is_replaced_by_force_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(OLD)
    path.chmod(0o444)
    with pytest.raises(OutputError, match="exists"):
        destination(str(path))
    with destination(str(path), force=True).open() as file:
        file.write(NEW)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (NEW, 0o444)


@pytest.mark.parametrize("place", ["| cat", "> out.txt", ">> out.txt"])
def test_a_link_to_standard_output(tmp_path: Path, place: str) -> None:
    (tmp_path / "link.jsonl").symlink_to("/dev/stdout")
    script = (
        "from attn_cli.io.destination import destination\n"
        "with destination('link.jsonl', force=True).open() as file: file.write(b'new')"
    )
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {place}', sys.executable, script],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(attn_cli.__file__).parents[1])},
    )
    if place == "| cat":
        assert (done.stdout, done.stderr) == (b"new", b"")
    else:
        assert b"link.jsonl is where standard output goes" in done.stderr
    assert (tmp_path / "link.jsonl").is_symlink()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "An empty name: unknown format. Use .json"),
        ("a", "a: unknown format. Use .json, .jsonl, .csv, .npz, .parquet, .svg, .html, .txt, .pdf, .png or .tex."),
        ("a.json.gz", "a.json.gz: unknown format. Use .json"),
        (".json", ".json: unknown format"),
        ("-", "--save writes files, and - is not one. Use --json"),
        ("/dev/stdout", "--save writes files, and /dev/stdout is not one. Use --json"),
        ("there.json", "there.json exists. Add --force to replace it"),
        ("folder.json", "folder.json is a folder. Name a file in it."),
        ("no folder/a.json", "/no folder'."),
        ("there.json/a.json", "there.json/a.json cannot be written: Not a directory."),
        ("x" * 255 + ".json", "x.json cannot be written: File name too long."),
        ("circle.json", "circle.json cannot be written: Too many levels of symbolic links."),
        ("lost.json", "/nowhere. Make it with mkdir -p "),
    ],
)
def test_found_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.json").write_bytes(OLD)
    Path("folder.json").mkdir()
    Path("circle.json").symlink_to("circle.json")
    Path("lost.json").symlink_to("nowhere/a.json")
    before = names(tmp_path)
    with pytest.raises(OutputError) as error:
        SaveFile.named(name)
    assert message in str(error.value)
    assert error.value.exit_code == 6
    assert names(tmp_path) == before
    assert Path("there.json").read_bytes() == OLD


def test_a_folder_that_we_stand_in_and_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(OutputError, match=r"^a\.json cannot be written: No such file or directory\."):
        destination("a.json")


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dir: Path) -> NoReturn:  # noqa: A002
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(
        OutputError, match=rf"^{tmp_path} cannot be written to: Permission denied\. Choose another folder"
    ):
        destination(str(tmp_path / "a.json"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written to: Permission denied"):
        destination(str(tmp_path / "a.json"))


@pytest.fixture
def old(tmp_path: Path) -> Destination:
    """A file that is there and may be replaced."""
    (tmp_path / "a.json").write_bytes(OLD)
    return destination(str(tmp_path / "a.json"), force=True)


class Fault(BaseException):
    pass


@pytest.mark.parametrize("fault", [Fault, KeyboardInterrupt, OSError, SystemExit])
def test_a_fault_in_the_middle(old: Destination, fault: type[BaseException]) -> None:
    def fail() -> None:
        with old.open() as file:
            file.write(NEW)
            file.flush()
            raise fault

    with pytest.raises(fault) as error:
        fail()
    assert error.type is fault  # an OSError that is not about this file is not made to be
    assert old.path.read_bytes() == OLD
    assert names(old.path.parent) == {"a.json"}


@pytest.mark.parametrize("flush", [True, False])
def test_a_full_disk(old: Destination, flush: bool) -> None:
    def fill() -> None:
        with old.open() as file:
            file.write(NEW)
            if flush:
                file.flush()

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(OutputError) as error:
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "a.json cannot be written: File too large. Choose another place; nothing there" in str(error.value)
    assert old.path.read_bytes() == OLD
    assert names(old.path.parent) == {"a.json"}


def test_the_old_file_stays_until_the_new_one_is_whole(old: Destination) -> None:
    with old.open() as file:
        file.write(NEW)
        file.flush()
        assert old.path.read_bytes() == OLD
    assert old.path.read_bytes() == NEW


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    found = destination(str(folder / "a.json"))
    folder.rmdir()
    with pytest.raises(OutputError, match=r"a\.json cannot be written: No such file or directory"), found.open():
        pass


def test_a_file_that_appeared_in_the_meantime(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    found = destination(str(path))

    def race() -> None:
        with found.open() as file:
            file.write(NEW)
            path.write_bytes(OLD)

    with pytest.raises(OutputError, match=r"a\.json exists\. Add --force"):
        race()
    assert path.read_bytes() == OLD
    assert names(tmp_path) == {"a.json"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "a.json"
    path.symlink_to("elsewhere/b.json")
    for force in (False, True):
        with destination(str(path), force=force).open() as file:
            file.write(NEW)
    assert path.is_symlink()
    assert (tmp_path / "elsewhere" / "b.json").read_bytes() == NEW
    assert names(tmp_path / "elsewhere") == {"b.json"}
    with pytest.raises(OutputError, match=r"a\.json exists"):
        destination(str(path))


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    os.mkfifo(path)
    found = destination(str(path))
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    with found.open() as file:
        file.write(NEW)
    reader.join()
    assert read == [NEW]
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_device(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.symlink_to("/dev/full")
    with (
        pytest.raises(OutputError, match=r"a\.jsonl cannot be written: No space left"),
        destination(str(path)).open() as file,
    ):
        file.write(NEW)
