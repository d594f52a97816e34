"""The explorer's screens: keys in, pictures out."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import attn_cli
from attn_cli.data.selection import Selection
from attn_cli.draw.screen import Screen
from attn_cli.models import Input, Model, load
from attn_cli.questions.explore.app import Explorer
from attn_cli.questions.explore.keys import KEYS
from attn_cli.questions.explore.subject import Subject
from attn_cli.questions.explore.walk import Walk
from tests.drawings import ESCAPE
from tests.golden_files import assert_golden
from tests.questions.explore.screens import screens, text_of
from tests.samples import encoder_record

SENTENCE = "The animal didn't cross the street because it was too tired"
PLAIN = Screen(color=False)
DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def toy() -> Model:
    return load("toy")


@pytest.fixture
def walk(toy: Model) -> Walk:
    return Walk([Subject(toy, Input(SENTENCE))], Selection())


def shown(screen: str) -> str:
    return ESCAPE.sub("", screen)


BESIDE = "d end backspace backspace backspace backspace backspace w i d e enter"
"""Keys that lay the sentence with another ending beside it."""


def test_screens(walk: Walk) -> None:
    names = ["start", "map", "help", "measure", "scores", "cut", "grid", "sorted", "beside"]
    steps = [
        "tab right down",
        "question_mark",
        "escape m",
        "m enter",
        "w m k enter tab x",
        "escape g",
        "escape s j enter",
        f"escape s k enter {BESIDE}",
    ]
    pictures = dict(zip(names, screens(walk, steps), strict=True))
    for name, picture in pictures.items():
        assert_golden(f"explore-{name}-80", picture)
    # The pictures of the page that tells of them.
    for name, picture in {"": "start", "-cut": "cut", "-beside": "beside"}.items():
        assert_golden(f"explore{name}", pictures[picture], DOCS)


def test_larger_screens(walk: Walk) -> None:
    start, grid, beside = screens(walk, ["g", f"escape {BESIDE}"], (120, 40))
    assert_golden("explore-start-120", start)
    assert_golden("explore-grid-120", grid)
    assert_golden("explore-beside-120", beside)


def test_screens_without_colour(walk: Walk) -> None:
    start, menu, cross, words, low = screens(walk, ["tab K", "j j enter", "slash", "resize 60 16"], look=PLAIN)
    assert "\x1b" not in start + menu + cross
    assert_golden("explore-cross-80", cross)
    assert "Find a word:" in words
    assert len(low.splitlines()) <= 16


def test_screens_in_ascii(walk: Walk) -> None:
    steps = ["question_mark", "pagedown", "escape a", "escape x", "escape g", "escape K j j enter"]
    pictures = screens(walk, steps, look=Screen(color=False, unicode=False))
    assert [line for picture in pictures for line in picture.splitlines() if not line.isascii()] == []
    assert "lines 1-22 of " in pictures[1]
    assert "lines 1-22 of " not in pictures[2]


def test_what_the_keys_and_choices_are_is_said_whole_on_a_narrow_screen(walk: Walk) -> None:
    _, keys, atlases, last = screens(walk, ["question_mark", "escape a", "up"], (40, 60), look=PLAIN)
    told = " ".join(keys.split())
    assert "page up a screenful up" in told
    assert "cut the head, or in the map the edge: the output before, after" in told
    assert "what cutting the head does to the output" in " ".join(atlases.split())
    chosen = [line for line in last.splitlines() if line.startswith(">")]
    low = screens(walk, ["a", "up"], (40, 12), look=PLAIN)[-1]
    assert [line for line in low.splitlines() if line.startswith(">")] == chosen
    assert low.splitlines()[-1].startswith("enter chooses")


def test_a_choice_of_two_lines_is_clicked(walk: Walk) -> None:
    screens(walk, ["a", (3, 4)], (40, 24), look=PLAIN)
    assert walk.spot.atlas == "effect"


def test_resizing_keeps_the_place(walk: Walk) -> None:
    _, here, _, _ = screens(walk, ["tab down down right", "resize 160 50", "resize 40 12"], look=PLAIN)
    spot = walk.spot
    assert (spot.pane, spot.query, spot.key) == ("map", 9, 2)
    assert "too → didn't" in here


def test_a_small_terminal_has_room_to_type(walk: Walk) -> None:
    for keys in ("d", "i"):
        asked = screens(walk, [keys], (40, 12), look=PLAIN)[-1]
        assert "too tired" in asked.splitlines()[-1]


def test_a_terminal_that_is_too_small_says_so(walk: Walk) -> None:
    _, small, large = screens(walk, ["resize 20 5", "resize 80 24"], look=PLAIN)
    assert " ".join(small.split()).startswith("The explorer needs 40 columns and 12 lines.")
    assert large.startswith("head 2.0")


@pytest.mark.parametrize("key", ["i", "m", "question_mark"])
def test_ctrl_c_leaves_from_anywhere(walk: Walk, key: str) -> None:
    async def left() -> int | None:
        app = Explorer(walk, PLAIN)
        async with app.run_test() as pilot:
            await pilot.press(key, "ctrl+c")
            await pilot.pause()
            return app.return_code

    assert asyncio.run(left()) == 0


def test_nobody_who_leaves_waits_for_what_runs(walk: Walk) -> None:
    done = threading.Event()

    async def left() -> bool:
        app = Explorer(walk, PLAIN)
        async with app.run_test() as pilot:
            app.work(lambda: done.wait(60))
            await pilot.press("q")
        return app.running is not None and app.running.is_alive()

    assert asyncio.run(left())
    done.set()


def test_all_is_drawn_again_after_a_stop(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    async def resume() -> None:
        app = Explorer(walk, PLAIN)
        async with app.run_test() as pilot:
            await pilot.pause()
            monkeypatch.setattr(app, "refresh", lambda: drawn.append(True))
            app.app_resume_signal.publish(app)

    asyncio.run(resume())
    assert drawn == [True]


def test_arrows_move_among_the_small_pictures(walk: Walk) -> None:
    _, first, moved, back = screens(walk, ["g", "up right", "escape"])
    assert first != moved
    assert shown(back).startswith("head 1.1")


def test_what_is_clicked_is_gone_to(walk: Walk) -> None:
    (start,) = screens(walk, [], look=PLAIN)
    lines = start.splitlines()
    y = next(y for y, line in enumerate(lines) if line.startswith(" 1 "))
    shown_there = screens(walk, [(3 + 2 * 5, y)], look=PLAIN)[-1]
    assert (walk.spot.layer, walk.spot.head, walk.spot.pane) == (1, 5, "heads")
    assert shown_there.startswith("head 1.5")
    screens(walk, [(lines[1].index("cross"), 1)], look=PLAIN)
    assert walk.spot.pane == "map"
    assert walk.scene.queries.texts[walk.spot.query] == "cross"


def test_the_value_under_the_mouse_is_said(walk: Walk) -> None:
    async def last_lines() -> list[str]:
        app = Explorer(walk, PLAIN)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            said = []
            assert app.picture is not None
            top = app.picture.regions["map"].y
            for x, y in ((3, 6), (40, top + 8), (walk.subject.text.index("street"), 1), (79, 22)):
                await pilot.hover(offset=(x, y))
                await pilot.pause()
                said.append(text_of(app, PLAIN).splitlines()[-1])
            return said

    head, cell, word, nothing = asyncio.run(last_lines())
    assert head == f"1.0: focus {walk.board.values[1, 0]:.3f}"
    assert " > " in cell
    assert word.startswith("it > street: ")
    assert nothing.startswith("? help")


def test_a_layer_that_cannot_be_run_for_is_tried_once(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attn_cli.questions.explore.scene.MOST_KEPT", 0)
    long = Walk([Subject(walk.subject.model, walk.subject.given)], Selection())
    tried = []

    def fail(layer: int, head: int) -> None:
        tried.append((layer, head))
        raise attn_cli.MemoryLimitError("It takes too much memory", "Cut the text")

    monkeypatch.setattr(long.scene, "of_head", fail)
    (said,) = screens(long, [], look=PLAIN)
    assert "It takes too much memory. Cut the text." in said
    assert len(tried) == 1


def test_a_sentence_is_typed_and_run_and_what_fails_is_said(
    walk: Walk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    typed = ["i ctrl+u", ["The cat sat"], "enter", "slash", ["zebra"], "enter"]
    saved = ["S", ["a.csv"], "enter", "S", ["a.csv"], "enter", "y", "S", ["a.csv!"], "enter"]
    pictures = screens(walk, typed + saved, look=PLAIN)
    assert walk.subject.text == "The cat sat"
    assert "There is no word 'zebra' here." in pictures[6]
    assert "Saved a.csv" in pictures[9]
    assert Path("a.csv").read_text().startswith("kind,layer,head")
    assert "a.csv exists. Write a.csv! to replace it, or choose another name." in pictures[12]
    assert "Saved a.csv" in pictures[16]
    assert f'attn inspect "The cat sat" --head {walk.spot.layer}.{walk.spot.head}' in pictures[13]


def test_a_long_command_is_shown_whole(toy: Model) -> None:
    walk = Walk([Subject(toy, Input(f"Yesterday {SENTENCE} and the dog ran"))], Selection())
    *_, told = screens(walk, ["x", "y"], look=PLAIN)
    assert f'The command attn ablate "{walk.subject.text}" --head 2.0' in " ".join(told.split())


def test_a_record_without_a_model_says_what_it_cannot_do() -> None:
    walk = Walk([Subject(record=encoder_record(), file="record.json")], Selection())
    start, cut, norms = screens(walk, ["x", "m j j enter"], look=PLAIN)
    assert "a atlas  s sort  w words  g grid" in start
    assert "no text can be run. Leave with q and start anew: give the text itself" in " ".join(cut.split())
    assert "A record holds no values, so norms cannot be measured from it" in norms


def test_every_key_is_bound_to_something_that_the_app_can_do() -> None:
    actions = {one.action.split("(")[0] for one in KEYS}
    assert all(hasattr(Explorer, f"action_{action}") for action in actions)
    keys = [key for one in KEYS for key in one.keys]
    assert len(keys) == len(set(keys))
    page = (DOCS / "how-to" / "explore.md").read_text()
    assert all(f"`{one.shown}`" in page for one in KEYS if len(one.shown) == 1 and one.shown not in "?q")


def test_a_layer_that_is_not_at_hand_is_run_for(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attn_cli.questions.explore.scene.MOST_KEPT", 0)
    long = Walk([Subject(walk.subject.model, walk.subject.given)], Selection())
    first, moved = screens(long, ["up"], look=PLAIN)
    assert "weights of 0.0" in first
    assert long.at_hand
    assert f"weights of {long.spot.layer}.{long.spot.head}" in moved
