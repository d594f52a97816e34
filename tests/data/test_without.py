"""Heads that a model runs without: what is typed, what it names, and what is said of it."""

from __future__ import annotations

import pytest

from attn_cli.data.model import Heads, Stack
from attn_cli.data.selection import Kind, Selection, check_without, parse_without
from attn_cli.data.without import choose_without, named_without, typed_without
from attn_cli.errors import SelectionError, UsageError

STACKS: dict[Kind, Stack] = {
    "encoder": Stack(3, {0: 4, 2: 4}, 4, {1: "mamba"}),
    "decoder": Stack(2, {0: 12, 1: 12}, 12),
    "cross": Stack(2, {0: 2, 1: 2}, 2),
}


@pytest.mark.parametrize(
    ("typed", "kind", "heads"),
    [
        ("2.0", None, {"encoder": {2: (0,)}}),
        ("2.0,0.3, 2.1,2.0", None, {"encoder": {0: (3,), 2: (0, 1)}}),
        ("-1.-1", None, {"encoder": {2: (3,)}}),
        ("1.0", "cross", {"cross": {1: (0,)}}),
        ("cross:1.0,0.1,encoder:0.2", None, {"encoder": {0: (2,)}, "cross": {0: (1,), 1: (0,)}}),
        ("2.0,cross: 1.0", "decoder", None),
        ("encoder:2.0", "cross", {"encoder": {2: (0,)}}),
        ("2", None, {"encoder": {2: (0, 1, 2, 3)}}),
        ("0-2", None, {"encoder": {0: (0, 1, 2, 3), 2: (0, 1, 2, 3)}}),
        ("cross:0-1,-1", None, {"cross": {0: (0, 1), 1: (0, 1)}}),
    ],
)
def test_heads_and_layers_are_named_as_elsewhere(typed: str, kind: Kind | None, heads: Heads | None) -> None:
    if heads is None:
        with pytest.raises(SelectionError, match=r"no layer 2\. This model has layers 0 to 1"):
            choose_without(typed, STACKS, kind)
        return
    chosen = choose_without(typed, STACKS, kind)
    assert chosen == heads
    assert choose_without(typed_without(chosen), STACKS, None) == heads


@pytest.mark.parametrize("typed", ["", "x", "2.", "2;1", "both:1.0", ":1.0", "cross:", "2.0,", "1.0-1.3", "a:b:1.0"])
def test_anything_else_is_refused_before_a_model_is_loaded(typed: str) -> None:
    with pytest.raises(UsageError, match="not a list of heads and layers"):
        parse_without(typed)


def test_a_measure_that_follows_all_heads_is_refused() -> None:
    check_without(None, Selection(measure="flow"))
    check_without("2.0", Selection(measure="norms"))
    with pytest.raises(UsageError, match="--measure flow follows what all heads hand on"):
        check_without("2.0", Selection(measure="flow"))


def test_what_a_model_does_not_have_is_told() -> None:
    with pytest.raises(SelectionError, match=r"no head 4 in layer 2\. It has heads 0 to 3"):
        choose_without("2.4", STACKS, None)
    with pytest.raises(SelectionError, match="Layer 1 has no attention"):
        choose_without("1", STACKS, None)
    with pytest.raises(SelectionError, match="no cross attention"):
        choose_without("cross:0.0", {"encoder": STACKS["encoder"]}, None)


MANY = "without all heads of encoder layer 0, all heads of decoder layer 0 and cross head 1.0 (their output is zero)"


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("2.0", "without encoder head 2.0 (its output is zero)"),
        ("2.0,0.1", "without encoder heads 0.1, 2.0 (their output is zero)"),
        ("cross:1.0,encoder:2.0", "without encoder head 2.0 and cross head 1.0 (their output is zero)"),
        ("2", "without all heads of encoder layer 2 (their output is zero)"),
        ("cross:0-1", "without all cross heads (their output is zero)"),
        ("encoder:0,0.1,decoder:0,cross:1.0", MANY),
        ("encoder:0-2,decoder:0-1,cross:0-1", "without all heads (their output is zero)"),
        ("decoder:0,1.0", "without 13 heads of decoder layers 0-1 (their output is zero)"),
    ],
)
def test_names(typed: str, named: str) -> None:
    assert named_without(choose_without(typed, STACKS, None), STACKS) == named


def test_the_only_head_is_named_by_its_number() -> None:
    stacks: dict[Kind, Stack] = {"cross": Stack(1, {0: 1}, 1)}
    assert named_without({"cross": {0: (0,)}}, stacks) == "without cross head 0.0 (its output is zero)"
    assert named_without({}, stacks) == typed_without({}) == ""
