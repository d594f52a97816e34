"""The table of formats is what the help, the messages and the documentation list."""

from __future__ import annotations

import os
import re

import pytest

from attn_cli.answer.formats import FORMATS, find_format, listed_formats
from attn_cli.errors import OutputError
from tests.conftest import Run
from tests.readme import ROOT

PAGE = ROOT / "docs" / "how-to" / "files.md"
TABLE = re.compile(r"(^\| `--save` .*\n\| ---.*\n)((?:\|.*\n)*)", re.MULTILINE)


def test_the_documentation_lists_every_format() -> None:
    rows = "".join(f"| `{suffix}` | {one.holds} |\n" for suffix, one in FORMATS.items())
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        PAGE.write_text(TABLE.sub(lambda match: match[1] + rows, PAGE.read_text()))
    assert [found for _, found in TABLE.findall(PAGE.read_text())] == [rows]


def test_the_help_lists_every_format(attn: Run) -> None:
    assert f"Save as {listed_formats()}." in " ".join(attn("inspect", "--help").split())


def test_maps_need_an_answer_that_has_them() -> None:
    assert find_format("a.NPZ") is FORMATS[".npz"]
    with pytest.raises(OutputError, match=r"a\.npz would hold maps, but there are none.* in \.json, .* or \.tex\.$"):
        find_format("a.npz", maps=False)
    assert ".npz" not in listed_formats(one for one in FORMATS.values() if not one.maps_alone)
