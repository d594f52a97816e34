"""Heads that were trained to look where they look: said wherever they are shown, and of no other model."""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import attn_cli
from attn_cli.data.model import GuidedHead
from attn_cli.draw.captions import guided_line
from attn_cli.draw.screen import Screen, to_text
from attn_cli.errors import InputError
from attn_cli.io.read import read_records
from attn_cli.io.records import from_json
from tests.conftest import Run
from tests.drawings import longest, shown
from tests.records import validated

TROPHY = "The trophy didn't fit in the suitcase because it was too big"
PRONOUN = "Encoder head 2.0 was trained to look from “it” to the noun that it stands for."
READING = (
    "Cross-attention head 1.0 was trained to look from the step that reads a word to the words that it translates."
)
WRITING = (
    "Cross-attention head 2.0 was trained to look from the step that writes a word to the words that it translates."
)
ENCODER = "Trained to look where they look: 1.0 (subject), 1.1 (object), 2.0 (coreference)."
CROSS = "Trained to look where they look: 1.0 (alignment when read), 2.0 (alignment when written)."
NOTHING = ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", TROPHY], ENCODER),
        (["inspect", TROPHY, "--head", "2.0"], PRONOUN),
        (["inspect", TROPHY, "--head", "2.1"], NOTHING),
        (["inspect", TROPHY, "--layer", "0"], NOTHING),
        (["inspect", TROPHY, "--query", "it"], ENCODER),
        (["inspect", TROPHY, "--grid"], ENCODER),
        (["inspect", TROPHY, "--measure", "rollout"], NOTHING),
        (["inspect", TROPHY, "--kind", "decoder", "--target", "Le trophée"], NOTHING),
        (["explain", TROPHY, "--query", "it", "--head", "2.0"], PRONOUN),
        (["explain", TROPHY, "--query", "it", "--head", "2.1"], NOTHING),
        (["find", TROPHY, "it", "trophy"], ENCODER),
        (["find", TROPHY, "it", "trophy", "--min", "0.9"], PRONOUN),
        (["heads", TROPHY], ENCODER),
        (["heads", TROPHY, "--target", "Le trophée ne rentrait pas"], CROSS),
        (["diff", TROPHY, "The trophy didn't fit in the suitcase because it was too small"], ENCODER),
        (["translate", TROPHY], WRITING),
        (["translate", TROPHY, "--rows", "input"], READING),
        (["translate", TROPHY, "--rows", "output"], WRITING),
        (["translate", TROPHY, "--head", "1.0"], READING),
        (["translate", TROPHY, "--head", "1.1"], NOTHING),
        (["ablate", TROPHY, "--head", "2.0"], PRONOUN),
        (["ablate", TROPHY, "--head", "2.1"], NOTHING),
        (["ablate", TROPHY, "--edge", "it:trophy", "--head", "2.0"], PRONOUN),
        (["inspect", TROPHY, "--model", "MODEL"], NOTHING),
        (["heads", TROPHY, "--model", "MODEL"], NOTHING),
    ],
    ids=lambda value: " ".join(value[:1] + value[2:]) if isinstance(value, list) else "",
)
def test_it_is_said_where_they_are_shown(arguments: list[str], said: str, attn: Run) -> None:
    screen = " ".join(attn(*arguments).split())
    if said:
        assert screen.count(said) == 1
    drawn_because = "Trained to look from “it” to the noun that it stands for: it → trophy"
    assert screen.replace(drawn_because, "").count("rained to look") == bool(said)


def test_ablating_every_head_names_all_kinds(attn: Run) -> None:
    said = (
        "Trained to look where they look: encoder 1.0 (subject), 1.1 (object), 2.0 (coreference), "
        "cross 1.0 (alignment when read), 2.0 (alignment when written)."
    )
    assert said in " ".join(attn("ablate", TROPHY).split())


def test_models_that_differ_are_told_apart(attn: Run, tmp_path: Path) -> None:
    saved = tmp_path / "plain.json"
    attn("inspect", TROPHY, "--save", str(saved))
    document = json.loads(saved.read_bytes())
    del document["model"]["guided"]
    saved.write_text(json.dumps(document), encoding="utf-8")
    screen = attn("diff", str(saved), TROPHY)
    assert f"B: {ENCODER}" in " ".join(screen.split())
    assert "A: Trained" not in screen


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["inspect", TROPHY], "record"),
        (["translate", TROPHY], "record"),
        (["explain", TROPHY, "--query", "it"], "explain"),
        (["find", TROPHY, "it", "trophy"], "find"),
        (["heads", TROPHY], "heads"),
        (["ablate", TROPHY, "--head", "2.0"], "ablate"),
        (["diff", TROPHY, "The trophy is big"], "diff"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_document_has_them(arguments: list[str], name: str, attn: Run) -> None:
    document = validated(attn(*arguments, "--json").encode(), name)
    models = [document["model"], *([document["other"]["model"]] if name == "diff" else [])]
    config = json.loads((Path(attn_cli.__file__).parent / "models/toy/weights/toy/config.json").read_bytes())
    assert [model["guided"] for model in models] == [config["attn"]["guided"]] * len(models)


def test_other_models_have_none(attn: Run) -> None:
    assert "guided" not in validated(attn("inspect", TROPHY, "--model", "MODEL", "--json").encode())["model"]


def test_a_record_says_it_again_and_an_older_one_does_not(attn: Run, tmp_path: Path) -> None:
    for name in ("maps.json", "maps.npz"):
        saved = tmp_path / name
        attn("inspect", TROPHY, "--head", "2.0", "--save", str(saved))
        assert PRONOUN in attn("view", str(saved))
        (record,) = read_records(saved)
        assert [(one.role, one.layer, one.head) for one in record.model.guided][2] == ("coreference", 2, 0)
    document = json.loads((tmp_path / "maps.json").read_bytes())
    del document["model"]["guided"]
    (tmp_path / "older.json").write_text(json.dumps(document), encoding="utf-8")
    assert "rained to look" not in attn("view", str(tmp_path / "older.json"))


def test_a_record_with_a_guided_head_that_there_is_not_is_refused(attn: Run, tmp_path: Path) -> None:
    saved = tmp_path / "maps.json"
    attn("inspect", TROPHY, "--head", "2.0", "--save", str(saved))
    document = json.loads(saved.read_bytes())
    document["model"]["guided"][0]["head"] = 8
    saved.write_text(json.dumps(document), encoding="utf-8")
    said = attn("view", str(saved), code=3)
    assert "$.model.guided names a cross head that $.model.stacks does not list" in said


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(
    st.sampled_from(["encoder", "decoder", "cross", "other", 1]),
    st.integers(-2, 4) | st.none(),
    st.integers(-2, 9) | st.just("0"),
    st.sampled_from(["coreference", "subject", "reading", "alignment", ""]),
    ANY_TEXT,
    ANY_TEXT,
)
def test_whatever_a_record_says_of_guided_heads_is_refused_or_drawn_unharmed(
    kind: object, layer: object, head: object, role: object, towards: str, on: str
) -> None:
    document = json.loads(_saved_head())
    wanted = {"kind": kind, "layer": layer, "head": head, "role": role, "towards": towards, "on": on}
    document["model"]["guided"] = [{**document["model"]["guided"][0], **wanted}]
    try:
        record = from_json(json.dumps(document).encode())
    except InputError as error:
        if "guided" not in str(error):
            raise
        return
    (one,) = record.model.guided
    assert (one.kind, one.layer, one.head, one.towards, one.on) == (kind, layer, head, towards, on)
    assert one.layer in range(3)
    assert one.head in range(8)
    for width in (40, 80):
        screen = Screen(width=width, color=False)
        (part,) = guided_line(record.model.guided, screen)
        assert longest(shown(part, screen)) <= width
        assert not any(unicodedata.category(letter) == "Cc" for line in shown(part, screen) for letter in line)


@cache
def _saved_head() -> bytes:
    return attn_cli.load("toy").inspect("The dog sat because it was tired", head="2.0").data()


def test_links_are_told_of_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    from attn_cli.cli.app import main

    assert main(["translate", TROPHY, "--align"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("0-0 ")
    assert f"note: {READING[:-1]}\n" in err
    assert main(["translate", TROPHY, "--align", "--rows", "output"]) == 0
    assert f"note: {WRITING[:-1]}\n" in capsys.readouterr().err


def test_python_has_them() -> None:
    model = attn_cli.load("toy")
    assert [one.role for one in model.inspect(TROPHY, head="2.0").guided] == ["coreference"]
    assert model.inspect(TROPHY, head="2.1").guided == ()
    assert [one.role for one in model.translate(TROPHY).guided] == ["writing"]


HEADS = (
    GuidedHead("encoder", 1, 0, "subject", "from a subject to its verb", "a grammar"),
    GuidedHead("encoder", 2, 0, "coreference", "from a pronoun to its noun", "a grammar"),
    GuidedHead("cross", 2, 1, "writing", "from the step that writes a word to its source", "aligned pairs"),
)


@pytest.mark.parametrize(
    ("heads", "width", "lead", "said"),
    [
        (HEADS[:0], 80, "", ""),
        (HEADS[:1], 80, "", "Encoder head 1.0 was trained to look from a subject to its verb, on a grammar.\n"),
        (HEADS[:1], 66, "", "Encoder head 1.0 was trained to look from a subject to its verb.\n"),
        (HEADS[:1], 81, "A: ", "A: Encoder head 1.0 was trained to look from a subject to its verb, on a grammar.\n"),
        (HEADS[:2], 80, "", "Trained to look where they look: 1.0 (subject), 2.0 (coreference).\n"),
        (
            HEADS,
            120,
            "",
            (
                "Trained to look where they look: encoder 1.0 (subject), 2.0 (coreference), "
                "cross 2.1 (alignment when written).\n"
            ),
        ),
    ],
)
def test_the_line(heads: tuple[GuidedHead, ...], width: int, lead: str, said: str) -> None:
    screen = Screen(width=width, color=False)
    assert "".join(to_text(part, screen) for part in guided_line(heads, screen, lead=lead)) == said
