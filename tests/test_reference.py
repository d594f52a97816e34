"""The reference says what the code declares."""

from __future__ import annotations

import dataclasses
import os
import re
from inspect import signature
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import attn_cli
from attn_cli.api import Inspector
from attn_cli.cli.app import INTERRUPTED, READER_GONE
from attn_cli.data.selection import Selection
from attn_cli.errors import AttnError
from attn_cli.models import LoadChoices
from tests.readme import ROOT
from tests.reference import commands_and_options, fields_of_documents, methods_of_inspector

REFERENCE = ROOT / "docs" / "reference"

QUESTIONS = ("inspect", "translate", "generate", "heads", "find", "diff", "ablate", "explain")
"""Methods of `Inspector` that take fields of a selection."""


def held(page: Path, pattern: str, made: str) -> None:
    """Hold the part of a page that the pattern finds, from its first group to the end of the match, against `made`."""
    text = page.read_text(encoding="utf-8")
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        text = re.sub(pattern, lambda match: match[1] + made, text, flags=re.DOTALL)
        page.write_text(text, encoding="utf-8")
    assert [match[2] for match in re.finditer(pattern, text, re.DOTALL)] == [made]


def test_commands_and_options_are_those_of_the_app() -> None:
    held(REFERENCE / "commands.md", r"(<!-- made from the code -->\n)(.*)", commands_and_options())


FIELDS = fields_of_documents()


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_documents_are_those_of_the_schemas(name: str) -> None:
    page = REFERENCE / "documents.md"
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1" and f"<!-- fields: {name} -->" not in page.read_text("utf-8"):
        with page.open("a", encoding="utf-8") as end:  # a new question begins a section, which may then be moved
            end.write(f"\n## attn {name}\n\n<!-- fields: {name} -->\n")
    held(page, rf"(<!-- fields: {name} -->\n)((?:\|[^\n]*\n)*)", FIELDS[name])


def test_methods_are_those_of_the_class() -> None:
    held(
        REFERENCE / "python.md",
        r"(\| an `Inspector` has \| \|\n\| --- \| --- \|\n)((?:\|[^\n]*\n)*)",
        methods_of_inspector(),
    )


def test_fields_of_a_selection_are_those_that_the_methods_take() -> None:
    text = (REFERENCE / "python.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\| fields of a selection \| taken by \|\n\| --- \| --- \|\n((?:\|[^\n]*\n)*)", text)
    taken: dict[str, set[str]] = {}
    for row in table.splitlines():
        fields, users = (re.findall(r"`(\w+)`", cell) for cell in row.strip("| ").split("|"))
        for name in users:
            taken.setdefault(name, set()).update(fields)
    known = {field.name for field in dataclasses.fields(Selection)}
    for name in QUESTIONS:
        method = getattr(Inspector, name)
        choices = get_args(get_type_hints(method)["selection"])[0]
        assert taken.pop(name) == (known & set(choices.__annotations__)) | (
            {"query"} & set(signature(method).parameters)
        )
    assert not taken


def test_arguments_are_those_of_the_code() -> None:
    text = (REFERENCE / "python.md").read_text(encoding="utf-8")
    listed = {
        name: set(re.findall(r"\w+", arguments))
        for name, arguments in re.findall(r"^\| `(load|view)\((.*?)\)` \|", text, re.MULTILINE)
    }
    assert set(LoadChoices.__annotations__) <= listed["load"]
    assert {*signature(attn_cli.view).parameters} - {"selection"} <= listed["view"]
    (without,) = re.findall(r"All but (.*) take `without`", text)
    excepted = set(re.findall(r"`(\w+)`", without))
    for name in ("read", *QUESTIONS, "attribute", "explore"):
        assert ("without" in signature(getattr(Inspector, name)).parameters) is (name not in excepted)


def test_exit_codes_are_those_of_the_errors() -> None:
    text = (REFERENCE / "exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    kinds: list[type[AttnError]] = [AttnError, *AttnError.__subclasses__()]
    assert dict(rows) == {
        str(kind.exit_code): kind.__name__ for kind in kinds if kind.__module__ == AttnError.__module__
    }
    assert all(f"| {code} |" in text for code in (0, INTERRUPTED, READER_GONE))


def test_checks_are_where_the_page_says() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", (ROOT / "docs" / "explanation" / "checks.md").read_text(encoding="utf-8"))
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_variables_of_attn_are_in_the_reference() -> None:
    text = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "attn_cli").rglob("*.py"))
    for_developers = {"ATTN_CHECK_SHAPES"}
    assert {name for name in re.findall(r"\bATTN_[A-Z_]+\b", code) if name not in text} == for_developers
