"""Tests of the packages that an installation takes with it, and of their pins."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import attn_cli

ROOT = Path(attn_cli.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


def asked_for(package: Requirement) -> list[Requirement]:
    """Return the packages that a package asks for, with the extras it is installed with."""
    if package.name == PROJECT["name"]:
        own = (*PROJECT["dependencies"], *(text for extra in package.extras for text in EXTRAS[extra]))
        return [Requirement(text) for text in own]
    try:
        found = [Requirement(text) for text in requires(package.name) or []]
    except PackageNotFoundError:  # the CPU build of torch, for one, does without what its GPU build asks for
        return []
    extras = package.extras or {""}
    return [one for one in found if not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in extras)]


def test_every_package_that_is_installed_is_pinned() -> None:
    waiting = [Requirement(f"{PROJECT['name']}[test]")]
    seen: dict[str, Requirement] = {}
    while waiting:
        package = waiting.pop()
        if str(package) not in seen:
            seen[str(package)] = package
            waiting += asked_for(package)
    names = {canonicalize_name(package.name) for package in seen.values()} - {PROJECT["name"]}
    assert len(names) > 50
    assert names - {canonicalize_name(name) for name in PINNED} == set()


def test_versions_are_capped_nowhere_else() -> None:
    for text in (*PROJECT["dependencies"], *(text for extra in EXTRAS.values() for text in extra)):
        assert {part.operator for part in Requirement(text).specifier} <= {">="}, text
    assert PINNED["torch"] == "2.13.0"
