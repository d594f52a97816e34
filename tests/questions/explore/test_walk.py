"""Walks through an explorer, without a screen: each step shows what the other commands say of the same place."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import attn_cli
from attn_cli.api import Inspector
from attn_cli.cli.app import main
from attn_cli.cli.options import ModelOptions
from attn_cli.data.selection import Selection
from attn_cli.draw.screen import Screen
from attn_cli.io.read import read_records
from attn_cli.models import Input, LoadOptions, Model, load
from attn_cli.questions.explore import scene as scenes
from attn_cli.questions.explore.panes import picture
from attn_cli.questions.explore.runs import Runs
from attn_cli.questions.explore.subject import Subject, loading_of
from attn_cli.questions.explore.walk import Walk
from tests.questions.explore.screens import typed
from tests.samples import decoder_record, encoder_record, translation_record

SENTENCE = "The animal didn't cross the street because it was too tired"


@pytest.fixture(scope="module")
def toy() -> Model:
    return load("toy")


@pytest.fixture(scope="module")
def inspector(toy: Model) -> Inspector:
    return Inspector(toy)


@pytest.fixture
def walk(toy: Model) -> Walk:
    return Walk([Subject(toy, Input(SENTENCE))], Selection())


@pytest.fixture
def few_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep no maps, as of a text too long for it."""
    monkeypatch.setattr(scenes, "MOST_KEPT", 0)
    return iter(())


def place(walk: Walk) -> tuple[int, int, int, int]:
    return walk.spot.layer, walk.spot.head, walk.spot.query, walk.spot.key


def test_it_begins_at_the_most_telling_link(walk: Walk, inspector: Inspector) -> None:
    chosen = inspector.inspect(SENTENCE).figures.chosen
    assert chosen is not None
    assert chosen.link is not None
    assert place(walk) == (chosen.layer, chosen.head, chosen.link.query, chosen.link.key)


@pytest.mark.parametrize("measure", ["scores", "norms", "rollout"])
@pytest.mark.parametrize("kind", ["encoder", "cross"])
def test_the_row_is_what_the_command_prints(
    walk: Walk, kind: str, measure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    walk.choose_kind(kind)
    walk.choose_measure(measure)
    walk.step(0, 1)
    walk.step(-1, 0, other=True)
    words = shlex.split(typed(walk.command))
    assert main([*words[1:], "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["maps"]) == 1
    values = np.asarray(printed["maps"][0]["scores" if measure == "scores" else "weights"], np.float32)
    if walk.spot.unit == "token" or kind == "encoder":  # a word of the text is a token here
        assert np.allclose(walk.here.view.shown, values, atol=1e-6)


@pytest.mark.parametrize("unit", ["word", "token"])
def test_a_long_text_is_run_a_layer_at_a_time(few_kept: None, toy: Model, unit: Literal["word", "token"]) -> None:
    walk = Walk([Subject(toy, Input(SENTENCE))], Selection(unit=unit))
    assert not walk.scene.kept
    at_hand = []
    for head in (2, 3):
        walk.go_to(1, head)
        at_hand.append(walk.at_hand)
        mine = walk.here.view.shown
        at_hand.append(walk.at_hand)
        if unit == "token":
            expected = Inspector(toy).inspect(SENTENCE, unit=unit, head=f"1.{head}")
            assert np.allclose(mine, expected.maps[0].weights[0])
        assert np.allclose(mine.sum(axis=1), 1, atol=1e-4)
    assert at_hand == [False, True, True, True]


def test_steps_stop_at_the_ends(walk: Walk) -> None:
    walk.go_to(0, 0)
    walk.step(-1, -1)
    assert place(walk)[:2] == (0, 0)
    walk.step(99, 99)
    assert place(walk)[:2] == (2, 7)
    walk.turn()
    walk.step(-99, -99)
    assert place(walk) == (2, 7, 0, 0)
    walk.step(99, 99)
    assert place(walk) == (2, 7, len(walk.scene.queries) - 1, len(walk.scene.keys) - 1)
    walk.step(0, -1, other=True)
    assert place(walk)[:2] == (2, 6)


def test_a_sorted_list_is_walked_in_its_order(walk: Walk) -> None:
    walk.choose_sort("focus")
    walk.go_to(*walk.order[0])
    focus = []
    for _ in range(5):
        focus.append(walk.summary.focus)
        walk.step(1, 0)
    assert focus == sorted(focus, reverse=True)
    assert walk.order[0] == max(walk.scene.heads, key=lambda one: walk.scene.heads[one].focus)


def test_words_are_found_by_name_part_and_position(walk: Walk) -> None:
    walk.find("cross")
    assert walk.scene.queries.texts[walk.spot.query] == "cross"
    walk.find("stre")
    assert walk.scene.queries.texts[walk.spot.query] == "street"
    walk.find("#2")
    assert walk.spot.query == 2
    walk.find("t", after=True)
    assert walk.spot.query == 4
    walk.choose_kind("cross")
    walk.find("animal")
    assert walk.scene.keys.texts[walk.spot.key] == "animal"
    with pytest.raises(attn_cli.SelectionError, match="no word 'zebra'"):
        walk.find("zebra")


def test_the_cursor_stays_at_its_word_when_the_units_change() -> None:
    walk = Walk([Subject(record=encoder_record(), file="record.json")], Selection())
    walk.find("fit")
    place = walk.spot.query
    walk.change_units()
    assert walk.scene.queries.texts[walk.spot.query] == "fit"
    assert walk.spot.query > place
    walk.change_units()
    assert walk.spot.query == place


def test_the_effect_of_a_head_in_the_atlas_is_that_of_cutting_it(walk: Walk, inspector: Inspector) -> None:
    walk.choose_atlas("effect")
    expected = inspector.ablate(SENTENCE, head="2.2", kind="encoder")
    assert walk.board.values[2, 2] == pytest.approx(expected.trials[0].effect, abs=4e-6)
    assert set(walk.board.values) == set(walk.scene.heads)


def test_a_role_in_the_atlas_is_scored_as_by_heads(walk: Walk, inspector: Inspector) -> None:
    walk.choose_atlas("next")
    for one in inspector.heads(SENTENCE).heads:
        score = one.score("next")
        assert score is not None
        assert walk.board.values[one.layer, one.head] == pytest.approx(score.score)
    walk.choose_kind("cross")
    assert walk.spot.atlas == "focus"
    assert "next" not in {one.value for one in walk.atlases}


def test_what_is_cut_explained_and_laid_beside_is_what_the_commands_do(
    walk: Walk, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [walk.cut()]
    walk.turn()
    shown += [walk.cut(), walk.explain()]
    assert [typed(one.command).split()[1] for one in shown] == ["ablate", "ablate", "explain"]
    for one in shown:
        words = shlex.split(typed(one.command))
        assert main([*words[1:], "--json"]) == 0
        printed, own = json.loads(capsys.readouterr().out), one.answer.to_dict()
        differing = {name for name in own if own[name] != printed[name]}
        assert differing <= {"selection"}, differing  # the kind is named here


def test_a_second_sentence_is_walked_beside_the_first(walk: Walk, capsys: pytest.CaptureFixture[str]) -> None:
    walk.turn()
    before = walk.spot
    other = "The animal didn't cross the street because it was too wide"
    walk.lay_beside(other)
    words = shlex.split(typed(walk.command))
    assert words[:4] == ["attn", "diff", SENTENCE, other]
    assert main([*words[1:], "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    (head,) = printed["heads"]
    assert walk.board.values[head["layer"], head["head"]] == pytest.approx(head["divergence"], abs=1e-6)
    assert walk.board.values[head["layer"], head["head"]] == max(walk.board.values.values())
    walk.find("it")
    walk.point_at_strongest()
    assert walk.laid is not None
    a, b = walk.laid.sides(2, 0, walk.spot.query)
    alone = Inspector(walk.subject.model).inspect(SENTENCE, head="2.0", query="it")  # type: ignore[arg-type]
    assert np.allclose(a, alone.maps[0].weights[0, 0], atol=1e-6)
    assert np.allclose(b - a, walk.row, atol=1e-6)
    assert walk.keys.texts[walk.spot.key] in {"animal", "street"}
    for refused in (walk.cut, walk.explain, walk.grid, walk.change_units, lambda: walk.choose_measure("norms")):
        with pytest.raises(attn_cli.UsageError, match="two are beside each other"):
            refused()
    walk.choose_sort("link")
    assert walk.order == walk.laid.order
    walk.take_away()
    assert (walk.spot.query, walk.spot.key) == (before.query, before.key)
    walk.take_away()
    with pytest.raises(attn_cli.InputError):
        walk.lay_beside("  ")
    assert walk.laid is None


@pytest.mark.parametrize("measure", ["weights", "scores"])
def test_what_is_cut_in_tokens_is_cut_so_by_the_command(
    walk: Walk, measure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores are those of tokens, and the commands that take none of them must be told so."""
    if measure == "weights":
        walk.change_units()
    walk.choose_measure(measure)
    walk.turn()
    for one in (walk.cut(), walk.explain()):
        words = shlex.split(typed(one.command))
        assert words.count("--tokens") == 1
        assert main([*words[1:], "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["selection"]["unit"] == "token"
    assert ("--tokens" in typed(walk.command)) == (measure == "weights")


def test_a_target_is_that_of_both_texts(toy: Model, capsys: pytest.CaptureFixture[str]) -> None:
    walk = Walk([Subject(toy, Input("The cat sat on the mat", target="Le chat dort"))], Selection(kind="cross"))
    walk.lay_beside("The dog sat on the mat")
    assert walk.laid is not None
    assert walk.laid.found.b.target is not None
    assert walk.laid.found.b.target.text == "Le chat dort"
    words = shlex.split(typed(walk.command))
    assert main([*words[1:], "--json"]) == 0
    (head,) = json.loads(capsys.readouterr().out)["heads"]
    assert walk.board.values[head["layer"], head["head"]] == pytest.approx(head["divergence"], abs=1e-6)


def test_a_pair_is_not_laid_beside_another_text(toy: Model) -> None:
    runs = Runs(Subject(toy, Input(SENTENCE)), Selection())
    spot = runs.begin()
    runs.subject = Subject(toy, Input(SENTENCE, pair="It slept"))
    with pytest.raises(attn_cli.UsageError, match="this one has a pair"):
        runs.beside(spot, "The cat slept")


def test_the_command_loads_and_cuts_as_the_walk_does(toy: Model) -> None:
    loading = loading_of(LoadOptions(device="cpu", revision="v2", trust_remote_code=True))
    assert loading == loading_of(ModelOptions(device="cpu", revision="v2", trust_remote_code=True))
    assert loading_of(ModelOptions()) == ()
    walk = Walk([Subject(toy, Input(SENTENCE, truncate=True), loading=loading)], Selection())
    asked = "--truncate --device cpu --revision v2 --trust-remote-code"
    assert typed(walk.command).endswith(asked)
    walk.run("The cat sat")
    assert typed(walk.command).endswith(asked)


def test_a_text_that_begins_like_an_option_is_given_behind_all_of_them(
    toy: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = Walk([Subject(toy, Input("-5 degrees as the cat sat"))], Selection())
    walk.turn()
    shown = [walk.command, walk.cut().command, walk.explain().command]
    walk.lay_beside("-6 degrees as the cat sat")
    for one in [*shown, walk.command]:
        words = shlex.split(typed(one))
        assert words[words.index("--") + 1] == "-5 degrees as the cat sat"
        assert main([words[1], "--json", *words[2:]]) == 0
        capsys.readouterr()


def test_a_second_translation_is_laid_beside_the_first(walk: Walk) -> None:
    walk.choose_kind("cross")
    walk.lay_beside("The animal didn't cross the road because it was too tired")
    assert walk.laid is not None
    assert walk.laid.marked(0) is None
    screen = picture(walk, Screen(width=80, height=24, color=False))
    assert any("street/road" in line.plain for line in screen.lines)


def test_another_sentence_is_run_at_the_same_place(walk: Walk) -> None:
    walk.find("it")
    walk.run("Yesterday it was tired")
    assert walk.subject.text == "Yesterday it was tired"
    assert walk.scene.queries.texts[walk.spot.query] == "it"
    assert place(walk)[:2] == (2, 0)
    with pytest.raises(attn_cli.InputError, match="empty"):
        walk.run("  ")
    assert walk.subject.text == "Yesterday it was tired"
    walk.choose_kind("cross")
    assert walk.scene.plan.kind == "cross"


def test_texts_follow_each_other(toy: Model) -> None:
    walk = Walk([Subject(toy, Input(text)) for text in ("The cat sat", "The dog ran")], Selection())
    walk.next_text(1)
    assert walk.subject.text == "The dog ran"
    with pytest.raises(attn_cli.SelectionError, match="no further text"):
        walk.next_text(1)
    walk.next_text(-1)
    assert walk.subject.text == "The cat sat"


@pytest.mark.parametrize("make", [encoder_record, decoder_record, translation_record])
def test_a_record_is_walked_without_its_model(make: object, tmp_path: Path) -> None:
    record = make()  # type: ignore[operator]
    file = tmp_path / "record.json"
    walk = Walk([Subject(record=record, file=str(file))], Selection())
    for choice in walk.kinds:
        walk.choose_kind(choice.value)
        one = next(one for one in record.maps if one.kind == choice.value and one.layer == walk.spot.layer)
        if walk.spot.unit == "word":
            walk.change_units()
        seen = np.nan_to_num(walk.here.view.shown)
        assert np.allclose(seen, one.weights[walk.spot.head], atol=1e-6)
    assert typed(walk.command).startswith(f"attn view {file} --head ")
    for ask in (walk.cut, walk.explain, lambda: walk.lay_beside("x"), lambda: walk.run("x")):
        with pytest.raises(attn_cli.UsageError, match="no model"):
            ask()
    with pytest.raises(attn_cli.SelectionError):
        walk.choose_measure("norms")
    assert walk.spot.measure == "weights"
    walk.choose_measure("rollout")
    assert "effect" not in {one.value for one in walk.atlases}


def test_what_is_saved_is_read_back(walk: Walk, tmp_path: Path) -> None:
    walk.answer.save(tmp_path / "it.npz")
    (record,) = read_records(tmp_path / "it.npz")
    again = Walk([Subject(record=record, file="it.npz")], Selection())
    assert place(again)[:2] == place(walk)[:2]
    assert np.allclose(again.row, walk.row, atol=1e-6)


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (160, 50), (250, 70), (20, 5)])
@pytest.mark.parametrize("color", [True, False])
def test_every_screen_is_filled_and_no_wider(walk: Walk, size: tuple[int, int], color: bool) -> None:
    screen = Screen(width=size[0], height=size[1], color=color, part=True)
    walk.choose_kind("cross")
    before = None
    for sort in ("layer", "link"):
        walk.choose_sort(sort)
        for _ in range(2):
            walk.step(1, 1)
            walk.step(1, 3, other=True)
            before = picture(walk, screen, before)
            assert len(before.lines) == size[1]
            assert max(one.cell_len for one in before.lines) <= size[0]


def test_nothing_is_cut_on_any_width(walk: Walk) -> None:
    def too_wide(*sizes: tuple[int, int]) -> list[str]:
        """Return each line that is wider than its part of the screen."""
        pictures = [picture(walk, Screen(width=width, height=height, part=True)) for width, height in sizes]
        panes = [(drawn.regions[name].width, pane) for drawn in pictures for name, pane in drawn.panes.items()]
        return [line.plain for room, pane in panes for line in pane.lines if line.cell_len > room]

    assert too_wide((40, 12), (40, 50), (46, 24), (61, 24)) == []
    walk.choose_measure("rollout")
    assert too_wide((40, 50), (58, 24)) == []
    walk.choose_sort("entropy")
    assert too_wide((40, 12), (64, 24), (80, 24), (250, 70)) == []
    walk.choose_measure("weights")
    walk.choose_kind("cross")
    assert too_wide((40, 24)) == []
    walk.lay_beside("The animal didn't cross the street because it was too wide")
    assert too_wide((40, 12), (64, 24)) == []
    walk.choose_sort("layer")
    assert too_wide((40, 24), (64, 24)) == []


def test_a_map_that_pans_says_what_is_in_sight(walk: Walk) -> None:
    titles = [
        next(line.plain for line in drawn.panes["map"].lines)
        for width in (80, 52, 40)
        for drawn in [picture(walk, Screen(width=width, height=20, part=True))]
    ]
    assert titles == [
        "weights of 2.0  rows 1-9, columns 0-11",
        "weights of 2.0  columns 0-9",
        "2.0  columns 0-5",
    ]
