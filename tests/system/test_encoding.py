"""Texts on their way out: nothing in them is obeyed, and nothing is lost."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.system.encoding import OBEYED, escaped, json_bytes


def test_what_is_obeyed() -> None:
    """Against Unicode's own table: all controls, and whatever is bidirectional formatting."""
    bidirectional = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for character in map(chr, range(0x110000)):
        kind = unicodedata.category(character)
        if kind in {"Cc", "Zl", "Zp", "Cs"} or unicodedata.bidirectional(character) in bidirectional:
            assert OBEYED.match(character), hex(ord(character))
        elif kind != "Cf":
            assert not OBEYED.match(character), hex(ord(character))
    assert all(map(OBEYED.match, "\u061c\u200e\u200f"))  # the marks, which have no class of their own
    assert not any(map(OBEYED.match, "\u200c\u200d\xad"))  # which letters need, and no terminal obeys


@given(st.text(), st.text(st.sampled_from("a\x00\n\x1b\x7f\x9b\u0602\u200e\u2028\u202e\u2069é😀")))
def test_json_is_read_back_and_does_nothing(key: str, value: str) -> None:
    document = {key: [value, None, 1.5]}
    written = json_bytes({key: [value, None, np.float32(1.5)]})
    assert json.loads(written) == document
    assert not OBEYED.search(written.decode().removesuffix("\n"))
    assert json.loads(json_bytes(document, indent=True)) == document


def test_only_what_is_obeyed_is_escaped() -> None:
    assert json_bytes({"é·": "\x9b\u200d\u202e…"}) == '{"é·":"\\u009b\u200d\\u202e…"}\n'.encode()
    assert escaped("a\n\x1b[0m", keep="\n") == "a\n\\u001b[0m"
