"""The commands of the README and of the documentation print what these pages say."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import sys
from code import InteractiveInterpreter
from pathlib import Path

import pytest

import attn_cli
from attn_cli.cli.app import main
from attn_cli.data.selection import Selection
from attn_cli.draw.page import to_svg
from attn_cli.draw.screen import Screen
from attn_cli.questions.inspect.measure import look
from tests.models.capture.test_layers import OTHERWISE_PROJECTED
from tests.models.families import HYBRIDS, MODERN, OLDER
from tests.readme import (
    CONSOLE,
    MODEL,
    PAGES,
    PYTHON,
    README,
    ROOT,
    commands_in,
    named_folder,
    needs_decoder,
    needs_figures,
    offline,
    run,
    shown,
)
from tests.smollm2 import MISSING, smollm2_file

FAMILIES = re.compile(r"(^\| families .*\n\| ---.*\n)((?:\|.*\n)*)", re.MULTILINE)


@pytest.fixture
def example_folder(tmp_path: Path, minilm: str) -> Path:
    return named_folder(tmp_path, minilm, smollm2_file())


TEXT = "\n".join(page.read_text() for page in PAGES)
SHOWN = shown()


def _names() -> list[str]:
    """A name for each session: the pages that show it, and its number, as `README-find-0`."""
    return [
        f"{'-'.join(dict.fromkeys(page.stem for page, _ in pages))}-{number}"
        for number, pages in enumerate(SHOWN.values())
    ]


@pytest.mark.parametrize("commands", SHOWN, ids=_names())
def test_sessions_go_as_the_pages_say(commands: tuple[str, ...], example_folder: Path) -> None:
    if needs_decoder(commands):
        if smollm2_file() is None:
            pytest.skip(MISSING)
    elif os.environ.get("ATTN_README_WAS_RUN") == "1" and not needs_figures(commands):
        pytest.skip("CI has run them all with no extra installed")
    if any("jq" in command for command in commands) and not shutil.which("jq"):
        pytest.skip("jq is not on this machine")
    here = f'attn() {{ {shlex.quote(sys.executable)} -m attn_cli "$@"; }}'
    session = run(commands, example_folder, {"ATTN_MODEL": MODEL, "PYTHONPATH": str(ROOT)}, before=here)
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        for page, _ in SHOWN[commands]:
            text = CONSOLE.sub(
                lambda match: session if commands_in(match[0]) == commands else match[0], page.read_text()
            )
            page.write_text(text)
    for picture in example_folder.glob("*.svg"):
        place = ROOT / "docs" / picture.name
        if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
            place.write_text(picture.read_text())
        assert place.read_text() == picture.read_text()
    assert {page.name: text for page, text in shown()[commands]} == {page.name: session for page, _ in SHOWN[commands]}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if PYTHON.search(page.read_text())], ids=lambda page: page.stem
)
def test_python_sessions_go_as_the_page_says(
    page: Path, example_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(example_folder)
    interpreter = InteractiveInterpreter()  # one for the page: its sessions follow each other

    def session(match: re.Match[str]) -> str:
        lines = []
        for example in doctest.DocTestParser().get_examples(match[0]):
            interpreter.runsource(example.source, symbol="single")
            first, *rest = example.source.splitlines(keepends=True)
            lines += [f">>> {first}", *(f"... {line}" for line in rest), capsys.readouterr().out]
        return "".join(lines)

    text = page.read_text()
    run_anew = PYTHON.sub(session, text)
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        page.write_text(run_anew)
    assert page.read_text() == run_anew


def test_the_readme_is_short() -> None:
    assert README.read_text().count("\n") <= 200


def test_the_readme_holds_the_test_command_that_ci_runs() -> None:
    assert README.read_text().count('\npip install -c constraints.txt ".[test]" && pytest\n') == 1


def test_readme_scripts_that_need_no_network_are_known() -> None:
    installs, *rest = offline(README.read_text())
    assert installs.startswith("pip install -c constraints.txt . && attn translate")
    assert [line.split()[0] for line in rest] == ["pip", "export"]


PICTURES = {
    "first-screen": (Selection(), Screen(width=80, height=40)),
    "grid": (Selection(view="grid"), Screen(width=100)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_readme_pictures_are_what_a_terminal_shows(
    name: str, example_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection, screen = PICTURES[name]
    monkeypatch.chdir(example_folder)
    record = attn_cli.load(MODEL).inspect("The trophy didn't fit in the suitcase because it was too big")
    picture = to_svg(look(record, selection, keep=False).draw(screen), screen)
    path = ROOT / "docs" / f"{name}.svg"
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        path.write_text(picture)
    assert path.read_text() == picture
    assert f"{name}.svg)" in TEXT


def test_the_table_of_families_is_that_of_the_tests() -> None:
    page = ROOT / "docs" / "reference" / "families.md"
    text = page.read_text()
    table = "".join(
        f"| {len(families)} | {code} | {', '.join(family.name for family in families)} |\n"
        for families, code in (
            (MODERN, "calls transformers' attention interface"),
            (HYBRIDS, "the same, hybrids with state-space layers and their like"),
            (OLDER, "older, its softmax is watched"),
        )
    )
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        text = FAMILIES.sub(lambda match: match[1] + table, text)
        page.write_text(text)
    assert [found for _, found in FAMILIES.findall(text)] == [table]


def test_the_pages_name_the_families_that_cannot_show_norms() -> None:
    """`tests/models/test_layers.py` tries every family."""
    older = {family.name for family in OLDER}
    names = sorted(OTHERWISE_PROJECTED - older)
    told = " ".join(TEXT.split())
    assert f"in that table {len(names)} mix, gate or join them with something before: {', '.join(names)}." in told


def test_the_pages_name_every_option_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXT
    for command in ("inspect", "view", "schema"):
        assert f"attn {command}" in text
    main(["inspect", "--help"])
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", capsys.readouterr().out))
    assert {option for option in options - {"--help"} if option not in text} == set()
