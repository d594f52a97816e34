"""The house is as the documentation draws it, and each name in it stands for one thing."""

from __future__ import annotations

import ast
import os
import re

import grimp

from tests.readme import ROOT

PAGE = ROOT / "docs" / "architecture.md"
DRAWING = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)
WITHIN = ("attn_cli.models.", "attn_cli.questions.")
"""Packages whose rooms are drawn one by one."""


def room(module: str) -> str:
    """The room of a module, as `models/hf`."""
    parts = module.split(".")
    deep = module.startswith(WITHIN) and (ROOT.joinpath(*parts[:3]) / "__init__.py").exists()
    return "/".join(parts[1 : 3 if deep else 2])


def drawing() -> str:
    """Every room, with an arrow to each that it imports; questions, which all stand on the same rooms, are one."""
    graph = grimp.build_graph("attn_cli")
    arrows = set()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            ends = [re.sub("^questions/.*", "questions", room(end)) for end in (importer, imported)]
            if all(ends) and ends[0] != ends[1]:
                arrows.add((ends[0], ends[1]))
    # What everything stands on would only be a tangle of lines.
    common = {"errors", "data", "system", "version"}
    lines = [
        f"    {a.replace('/', '_')}[{a}] --> {b.replace('/', '_')}[{b}]" for a, b in sorted(arrows) if b not in common
    ]
    return "\n".join(["```mermaid", "graph TD", *lines, "```", ""])


def test_the_page_draws_the_rooms_as_they_are() -> None:
    drawn = drawing()
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        PAGE.write_text(DRAWING.sub(lambda _: drawn, PAGE.read_text()))
    assert DRAWING.findall(PAGE.read_text()) == [drawn]


def test_no_two_classes_have_one_name() -> None:
    where: dict[str, list[str]] = {}
    for path in sorted((ROOT / "attn_cli").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(path.name)
    assert len(where) > 100
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


def test_docstrings_begin_with_what_a_thing_is_or_does() -> None:
    """A question word at the beginning leaves a reader to find the noun that is meant."""
    headless = re.compile(r'"""(What|Where|Whether|Of|How|Which) ')
    found = {
        f"{path.name}: {hit.group()}"
        for path in (ROOT / "attn_cli").rglob("*.py")
        for hit in headless.finditer(path.read_text(encoding="utf-8"))
    }
    assert not found
