"""Faults and notes as the explorer tells them: no command's option is named that has a key there."""

from __future__ import annotations

import pytest

import attn_cli
from attn_cli.data.selection import Selection
from attn_cli.errors import AttnError, InputError, MemoryLimitError, ModelError, OutputError, SelectionError, UsageError
from attn_cli.models import Input, load
from attn_cli.questions.explore.faults import told, told_note
from attn_cli.questions.explore.subject import Subject
from attn_cli.questions.explore.walk import Walk
from tests.samples import decoder_record


def walk_in(text: str) -> Walk:
    return Walk([Subject(load("toy"), Input(text))], Selection())


def test_flow_through_a_long_text_says_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attn_cli.measure.measures.LONGEST", 0)
    walk = walk_in("The cat sat on the mat")
    with pytest.raises(InputError) as raised:
        walk.choose_measure("flow")
    assert "--query" in str(raised.value)
    said = told(raised.value)
    assert said.endswith("Type a shorter text with i, or choose another measure with m.")
    assert "--" not in said


def test_a_text_that_is_too_long_says_the_keys() -> None:
    walk = walk_in("The cat sat")
    with pytest.raises(InputError) as raised:
        walk.run("The cat sat on the mat " * 1000)
    assert "--truncate" in str(raised.value)
    assert told(raised.value).endswith("Type a shorter text with i.")


def test_a_masked_edge_is_not_cut() -> None:
    walk = walk_in("The cat sat on the mat")
    walk.choose_kind("decoder")
    walk.turn()
    walk.point(0, 3)
    with pytest.raises(SelectionError, match="There is no edge to cut here: the key is masked"):
        walk.cut()


def test_a_measure_that_a_record_does_not_hold_says_the_keys() -> None:
    walk = Walk([Subject(record=decoder_record(), file="record.json")], Selection())
    with pytest.raises(attn_cli.SelectionError) as raised:
        walk.choose_measure("norms")
    assert "--" not in told(raised.value).replace("--model", "")
    with pytest.raises(UsageError) as refused:
        walk.cut()
    assert told(refused.value).endswith(
        "Leave with q and start anew: give the text itself, and its model with --model."
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            MemoryLimitError("A", "Choose fewer with --layer, --head or --query, or cut the text"),
            "A. Type a shorter text with i.",
        ),
        (SelectionError("A", "Choose one with --kind"), "A. Choose another kind with K."),
        (ModelError("A", "Choose other layers with --layer, or another model"), "A. Leave with q and start anew with"),
        (ModelError("A", "Choose another --measure, or another model"), "A. Choose another measure with m."),
        (UsageError("A", "Add --to, as in --to fr"), "A. Leave with q and start anew: add --to, as in --to fr."),
        (UsageError("A", "Leave out --edge, --by and one --head"), "A. Save it under a name with another ending"),
        (OutputError("A exists", "Add --force to replace it"), "A exists. Write a ! behind the name."),
        (SelectionError("A", "Show it with --special or --sink"), "A."),
        (InputError("A", "Type a sentence"), "A. Type a sentence."),
    ],
)
def test_what_options_do_keys_do(fault: AttnError, said: str) -> None:
    assert told(fault).startswith(said)


def test_advice_of_notes_can_be_followed() -> None:
    guessing = "toy has hardly seen zebra in training, and may be wrong there"
    assert told_note(f"{guessing}; --model names a larger model") == (
        f"note: {guessing}; leave with q and start anew: --model names a larger model"
    )
    assert told_note("Cut; --max-tokens 20 lets it go on") == "note: Cut"
    assert told_note("Cut; attn translate --max-length 20 lets it go on").endswith("lets it go on")
    assert told_note("Two words; they are alike") == "note: Two words; they are alike"
