"""Tests of a model's own declarations about its heads."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from attn_cli.data.model import Alignment, GuidedHead, ModelInfo, Stack
from attn_cli.data.plan import choose_rows
from attn_cli.data.selection import Rows, Selection
from attn_cli.errors import ModelError
from attn_cli.measure.derived import measured_model

STACKS = {"encoder": Stack(3, dict.fromkeys(range(3), 8), 8), "cross": Stack(3, {1: 8, 2: 4}, 8)}
READING = GuidedHead("cross", 1, 0, "reading", "from the step that reads a word to its source", "pairs")
WRITING = GuidedHead("cross", 2, 3, "writing", "from the step that writes a word to its source", "pairs")
PRONOUN = GuidedHead("encoder", 2, 0, "coreference", "from a pronoun to its noun", "a grammar")
ALIGNED = Alignment(1, (0,), "input", "Trained towards word alignments.")
MODEL = ModelInfo("made", "marian", STACKS, "numpy", alignment=ALIGNED, guided=(PRONOUN, READING, WRITING))  # type: ignore[arg-type]


def test_guided_heads_are_read_from_a_config() -> None:
    known = {"guided": [asdict(one) for one in MODEL.guided]}
    assert GuidedHead.declared(known, MODEL.stacks, "made") == MODEL.guided
    nothings: tuple[object, ...] = ({}, {"guided": []}, None, "text", 3)
    for nothing in nothings:
        assert GuidedHead.declared(nothing, MODEL.stacks, "made") == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "decoder"}, r"guided\[1\].kind must name a kind of its attention"),
        ({"layer": 0}, r"guided\[1\].layer must name a layer of its attention"),
        ({"layer": True}, r"guided\[1\].layer"),
        ({"head": 4}, r"guided\[1\].head must name a head of its attention"),
        ({"head": -1}, r"guided\[1\].head"),
        ({"role": "induction"}, r"guided\[1\].role must be a role that attn knows"),
        ({"towards": None}, r"guided\[1\].towards must be a towards"),
        ({"on": 3}, r"guided\[1\].on must be"),
    ],
)
def test_a_head_that_there_is_not_is_refused(change: dict[str, object], said: str) -> None:
    known = {"guided": [asdict(READING), {**asdict(WRITING), **change}]}
    with pytest.raises(ModelError, match=said):
        GuidedHead.declared(known, MODEL.stacks, "made")


def test_only_guided_heads_among_those_shown() -> None:
    shown = [("cross", 2, 3), ("cross", 2, 2), ("encoder", 2, 0), ("cross", 2, 3), ("encoder", 1, 0)]
    assert MODEL.guided_among(shown) == (PRONOUN, WRITING)  # type: ignore[arg-type]
    assert replace(MODEL, guided=()).guided_among(shown) == ()  # type: ignore[arg-type]


def test_each_step_has_the_head_that_aligns_there() -> None:
    assert MODEL.alignment_at("input") is ALIGNED
    written = MODEL.alignment_at("output")
    assert written is not None
    assert (written.layer, written.heads, written.rows) == (2, (3,), "output")
    assert replace(MODEL, guided=(READING,)).alignment_at("output") is ALIGNED
    assert replace(MODEL, alignment=None).alignment_at("output") is None


def test_a_word_is_shown_where_it_is_written_if_a_head_aligns_there() -> None:
    assert MODEL.shown_at == "output"
    assert replace(MODEL, guided=(READING, PRONOUN)).shown_at == "input"
    assert replace(MODEL, guided=(), alignment=replace(ALIGNED, rows="output")).shown_at == "output"
    assert replace(MODEL, guided=(), alignment=None).shown_at == "input"


@pytest.mark.parametrize(
    ("selected", "rows"),
    [
        ({}, "output"),
        ({"head": "1.0"}, "input"),
        ({"layer": "1"}, "input"),
        ({"head": "2.3"}, "output"),
        ({"head": "1.1"}, "output"),
        ({"head": "1.0,2.3"}, "output"),
        ({"head": "1.0", "rows": "output"}, "output"),
        ({"rows": "input"}, "input"),
    ],
)
def test_heads_are_shown_at_the_step_that_they_were_guided_at(selected: dict[str, str], rows: Rows) -> None:
    assert choose_rows(MODEL, Selection(**selected)) == rows  # type: ignore[arg-type]
    assert choose_rows(MODEL, Selection(**{**selected, "rows": None}), "encoder") == "input"  # type: ignore[arg-type]


def test_a_measure_of_whole_layers_has_no_guided_heads() -> None:
    assert measured_model(MODEL, "weights").guided == MODEL.guided
    assert measured_model(MODEL, "rollout").guided == ()
