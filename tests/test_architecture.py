"""Who may import whom, and what may be heavy: the plan of the house, held by a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import attn_cli

ROOT = Path(attn_cli.__file__).parent
HEAVY = {"torch", "transformers"}
MAY_BE_HEAVY = re.compile(r"models/(?!files|__init__)\w+\.py|train/.*")

# Each room may import those before it. `models` stands beside the rooms that measure and draw, and knows none of them.
ORDER = (
    "errors",
    "roles",
    "terms",
    "memory",
    "patience",
    "encoding",
    "silence",
    "shapes",
    "selection",
    "verified",
    "blocks",
    "record",
    "words",
    "naming",
    "regroup",
    "treebank",
    "plan",
    "measure",
    "corpus",
    "probe",
    "render",
    "look",
    "reading",
    "align",
    "api",
    "train",
    "why",
    "cli",
)
MODELS_MAY_IMPORT = {
    "errors",
    "memory",
    "encoding",
    "silence",
    "shapes",
    "selection",
    "blocks",
    "record",
    "words",
    "verified",
    "models",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def imports(tree: ast.Module) -> Iterator[str]:
    """Names of the modules imported when this one is, those for type checkers left out."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    return name.removeprefix("attn_cli/").split("/")[0].removesuffix(".py")


EVERY_MODULE = pytest.mark.parametrize(
    ("name", "tree"), list(modules()), ids=lambda value: value if isinstance(value, str) else ""
)


@EVERY_MODULE
def test_rooms_import_only_what_stands_below_them(name: str, tree: ast.Module) -> None:
    here = room(name)
    if here in {"__init__", "__main__"}:
        return
    inside = {
        parts[1] for parts in (found.split(".") for found in imports(tree)) if parts[0] == "attn_cli" and parts[1:]
    }
    inside -= {"__version__"}
    if here == "models":
        assert inside <= MODELS_MAY_IMPORT
    else:
        allowed = {
            *ORDER[: ORDER.index(here) + 1],
            *(["models"] if here in {"reading", "api", "train", "why", "cli"} else []),
        }
        assert inside <= allowed


@EVERY_MODULE
def test_only_models_import_what_is_heavy(name: str, tree: ast.Module) -> None:
    heavy = {found.split(".")[0] for found in imports(tree)} & HEAVY
    assert not heavy or MAY_BE_HEAVY.fullmatch(name)
